"""An LDAP directory (RFC 4511) as a target; tried against OpenLDAP.

`settings` what may be configured, `wire` the one module that knows an LDAP library, `ber` the bulk reader of its
answers, `server` a server as a directory, `target` the target itself.
"""

from adapters.ldap.target import LdapTarget

__all__ = ["LdapTarget"]
