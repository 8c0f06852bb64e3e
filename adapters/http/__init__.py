"""Any REST system as a target, declared in the workspace file, without code.

`settings` what may be declared, `queries` JSONPath, `templates` how values enter a request, `listing` one list over all
its pages, `accounts` and `entitlements` what is there, `reading` an observation, `requests` what is sent to change
something, `writing` changes that are read back, `guard` what may be sent at all, `conversation` a record of what was
asked and understood, `target` the target itself.
"""

from adapters.http.target import HttpTarget

__all__ = ["HttpTarget"]
