"""Mayan EDMS, an electronic document management system, as a target: membership in groups, and what groups may do.

`settings` what may be configured, `entitlements` what a policy can name, `api` Mayan's REST API as far as it is used,
`access` how a group comes by a permission on a cabinet or a document type, `rights` what we ourselves may do here,
`reading` an observation, `writing` grants and revocations, `target` the target itself.
"""

from adapters.mayan.target import MayanTarget

__all__ = ["MayanTarget"]
