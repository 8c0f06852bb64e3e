"""Entitlements that a target itself says lie in others, as a group in a group, and who comes in by that.

Only the target knows, so no policy check can refuse it; it is a finding, for a plan and for `doctor`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from reconciler.plan.model import Finding
from reconciler.policy.containment import admits_too_many, needs
from reconciler.policy.model import Entitlement, EntitlementRef, Policy
from reconciler.targets import BitMap, EntitlementRead, Observation

__all__ = ["contained_entitlements"]

MOST_NAMED = 5
"""So many of those who come in are named; the rest are counted."""


def contained_entitlements(name: str, policy: Policy, observation: Observation) -> Iterator[Finding]:
    """One for each entitlement whose members have another one too, on the target of this name."""
    reads = observation.entitlements
    for key, read in reads.items():
        inner = policy.entitlements.get(EntitlementRef(name, key)) if read.within else None
        for outer_key in read.within if inner else ():
            outer = policy.entitlements.get(EntitlementRef(name, outer_key))
            if inner and outer and outer_key != key:
                yield Finding("contained-entitlement", name, read.name, _told(inner, outer, policy, observation))


def _told(inner: Entitlement, outer: Entitlement, policy: Policy, observation: Observation) -> str:
    reads = observation.entitlements
    shown, around = reads[inner.ref.key].name, reads[outer.ref.key].name
    coming = _everybody_in(outer.ref.key, observation) - reads[inner.ref.key].members
    text = f"whoever has {around} ({needs(outer, policy)}) has {shown} ({needs(inner, policy)}) as well"
    if coming:
        names = [observation.accounts.accounts[position].name for position in coming[:MOST_NAMED]]
        more = f" and {len(coming) - MOST_NAMED} more" if len(coming) > MOST_NAMED else ""
        text += f", although no member of it: {'; '.join(names)}{more}"
    if admits_too_many(outer, inner):
        return f"{text}. That takes less clearance than {shown} needs: take {around} out of it"
    return f"{text}. If that is not meant, take {around} out of it"


def _everybody_in(key: str, observation: Observation) -> BitMap:
    """The members of an entitlement, and of all that lie around it."""
    reached, waiting, found = {key}, deque([key]), BitMap()
    while waiting:
        read: EntitlementRead | None = observation.entitlements.get(waiting.popleft())
        if read is not None:
            found |= read.members
            new = [each for each in read.within if each not in reached]
            reached.update(new)
            waiting.extend(new)
    return found
