"""Memberships that should change on a target which cannot change them so: a finding, and never a step of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from reconciler.plan.model import Change, Finding
from reconciler.targets import Op

__all__ = ["cannot_be_done"]

MOST_NAMED = 5
"""So many are named in a finding; the rest are counted. Leavers are named one by one."""
_KINDS: Mapping[Op, str] = {Op.GRANT: "cannot-grant", Op.REVOKE: "cannot-revoke"}


def cannot_be_done(name: str, changes: Collection[Change], ops: Collection[Op]) -> Iterator[Finding]:
    """What there is to say of those changes of memberships that need an operation which the target has not declared."""
    if _KINDS.keys() <= set(ops):
        return
    beyond: dict[tuple[Op, str], list[Change]] = defaultdict(list)
    for change in changes:
        if change.op in _KINDS and change.op not in ops:
            beyond[change.op, change.entitlement].append(change)
    for (op, entitlement), own in sorted(beyond.items()):
        wanted = "get" if op is Op.GRANT else "lose"
        said = f"should {wanted} {entitlement}, and {name} cannot {op}: it has to be done there by hand"
        for one in sorted(change.subject for change in own if change.leaver):
            yield Finding(_KINDS[op], name, one, f"{one} {said}")
        if others := sorted(change.subject for change in own if not change.leaver):
            yield Finding(_KINDS[op], name, entitlement, f"{_some(others)} {said}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
