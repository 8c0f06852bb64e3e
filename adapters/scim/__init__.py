"""A system with a SCIM 2.0 interface as a target: its users, and who is in its groups.

`settings` what may be configured, `attributes` paths and filters, `dialects` in which words a change is said,
`session` one provider asked over HTTP, `paging` a list read to its end, `asking` questions, `users`, `groups` and
`provider` what there is, `reading` an observation, `sending` changes on their way, `replies` what was said to them,
`accounts` users disabled and deleted, `creating` users created, `writing` steps carried out, `target` the target.
"""

from adapters.scim.target import ScimTarget

__all__ = ["ScimTarget"]
