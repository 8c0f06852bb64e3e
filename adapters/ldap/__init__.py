"""An LDAP directory (RFC 4511) as a target; tried against OpenLDAP.

`settings` what may be configured, `session` the one module that knows an LDAP library, `requests` what is asked and
`ber` what is answered, as octets, `bulk` the same of many entries, `exchange` both over one connection, `wire` searches
and changes, `server` a server as a directory, `schema` which attributes it knows, `lockout` whether a lock keeps
anybody out, `target` the target itself.
"""

from adapters.ldap.target import LdapTarget

__all__ = ["LdapTarget"]
