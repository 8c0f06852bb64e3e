"""Folders of a file server, opened to people by POSIX access control lists.

`acl` is a list as the kernel stores it, `rights` what a batch of steps makes of one list, `places` what a locator
means, all without I/O; `tree` goes through folders without ever following a link, `accounts` says whose numbers these
are, `reading` and `below` tell an observation, `writing` carries steps out, `turns` keeps two writers apart, and
`target` fulfils the contract.
"""

from adapters.posix_acl.target import PosixAclTarget

__all__ = ["PosixAclTarget"]
