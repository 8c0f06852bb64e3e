"""The invariants that count now: those of the policy, and those of before until somebody has approved the loosening."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyroaring import BitMap

from reconciler.access.placement import columns_at
from reconciler.plan.invariants import Rule
from reconciler.plan.situation import Situation
from reconciler.policy.model import Compare, Invariant, InvariantKind, Match, Policy


def rules_in_force(situation: Situation) -> Sequence[Rule]:
    """Today's first, so that they have the first word."""
    barred = situation.desired.barred
    return [*(Rule(each, barred.get(each, BitMap())) for each in situation.policy.invariants), *_loosened(situation)]


def _loosened(situation: Situation) -> Iterator[Rule]:
    """Those that the policy has no longer. One that is tighter now is left twice, and its tighter form decides."""
    before = situation.policy_in_force
    if before is None:
        return
    kept = {_said(invariant) for invariant in situation.policy.invariants}
    left = [invariant for invariant in before.invariants if _said(invariant) not in kept]
    barred = _barred(before, left, situation)
    yield from (Rule(invariant, barred.get(invariant, BitMap()), loosened=True) for invariant in left)


def _barred(policy: Policy, invariants: Sequence[Invariant], situation: Situation) -> dict[Invariant, BitMap]:
    """Whom each `never` concerns, as the policy of before saw the people of now."""
    never = [invariant for invariant in invariants if invariant.kind is InvariantKind.NEVER]
    if not never:
        return {}
    columns = columns_at(policy, situation.population, situation.desired.at)
    return {each: columns.perhaps(each.match) if each.match else columns.people for each in never}


def _said(invariant: Invariant) -> object:
    """What an invariant says, wherever it stands."""
    return invariant.kind, frozenset(invariant.permissions), _compared(invariant.match), invariant.count


def _compared(match: Match | None) -> object:
    match match:
        case None:
            return None
        case Compare():
            return match.attribute, match.test, match.absent
        case _:
            return type(match).__name__, tuple(map(_compared, match.parts))
