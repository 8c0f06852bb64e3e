"""Active Directory as a target; tried against Samba.

`settings` what may be configured, `controllers` which domain controller is asked, `ranges` how large groups are read
whole, `standing` what is protected from being changed from here, `creating` what a new account has to be, `domain` and
`writable` a domain as a directory, `target` the target itself. What a directory is otherwise, and how one talks to it,
is that of `adapters.directory` and `adapters.ldap`.
"""

from adapters.active_directory.target import ActiveDirectoryTarget

__all__ = ["ActiveDirectoryTarget"]
