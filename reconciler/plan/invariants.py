"""Invariants on the end state that a plan would lead to, on every target: a breach holds the changes that cause it.

What a target's end state is, is predicted from what was read there and from the changes that nothing holds:
people per permission = (actual − revocations + grants), over the entitlements of that target that carry it.

- `never` and `at_most` hold the grants that would newly break them, or break them further; `at_least` holds the
  revocations that would. No approval releases that: the policy or the facts have to change.
- The leaver's lane never waits: what a leaver breaks is a finding, and so is what is broken already.

INVARIANT: what held on a target before the plan holds after it, but for leavers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from reconciler.access.violations import breaches
from reconciler.plan.guards import INVARIANT
from reconciler.plan.model import Change, Finding, Held
from reconciler.plan.situation import Situation
from reconciler.policy.model import EntitlementRef, Invariant, InvariantKind, Permission
from reconciler.targets import Op, entitlement_key

LOOSENED = "loosened-invariant"
"""The guard that holds what an invariant of before forbids, until a plan under the looser policy has been approved."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant, whom a `never` concerns, and whether it comes of the policy of before, which was loosened."""

    invariant: Invariant
    concerned: BitMap
    loosened: bool = False


def keep_invariants(
    changes: list[Change], rules: Sequence[Rule], situation: Situation, actual: Mapping[EntitlementRef, BitMap]
) -> tuple[list[Change], list[Finding]]:
    """The same changes, with what would break a rule held, and a finding for what is broken all the same.

    `actual` is entitlement → the people who are in it now, for all that could be read.
    """
    prediction = _Prediction(changes, rules, situation, actual)
    held: dict[int, Held] = {}
    while found := {i: said for i, said in _breaking(prediction, rules) if i not in held}:
        held |= found
        prediction.keep_back(found)
    own = [each.held_by(held[i]) if i in held else each for i, each in enumerate(changes)] if held else changes
    return own, sorted(set(_broken(prediction, situation)))


# --- the prediction ---------------------------------------------------------------------------------------------------


class _Moves:
    """The changes on one entitlement, by person: the places of the changes in the plan."""

    __slots__ = ("grants", "held", "revocations")

    def __init__(self) -> None:
        self.grants: dict[int, list[int]] = defaultdict(list)
        self.revocations: dict[int, list[int]] = defaultdict(list)
        self.held = BitMap()
        """Those of whom a revocation is held: they stay."""


class _Prediction:
    """Who will be where, as far as the rules ask. What is held is taken out of it step by step."""

    def __init__(
        self,
        changes: Sequence[Change],
        rules: Iterable[Rule],
        situation: Situation,
        actual: Mapping[EntitlementRef, BitMap],
    ) -> None:
        self.changes = changes
        self._people = situation.population.by_id
        self._actual = actual
        asked = {permission for rule in rules for permission in rule.invariant.permissions}
        self.places: dict[tuple[Permission, str], list[EntitlementRef]] = defaultdict(list)
        for ref, entitlement in situation.policy.entitlements.items():
            for permission in entitlement.permissions if ref in actual else ():
                if permission in asked:
                    self.places[permission, ref.target].append(ref)
        self._moves: dict[EntitlementRef, _Moves] = {ref: _Moves() for refs in self.places.values() for ref in refs}
        self._note_moves()

    def _note_moves(self) -> None:
        refs: dict[int, EntitlementRef] = {}
        for index, change in enumerate(self.changes):
            if change.person is None or change.op not in (Op.GRANT, Op.REVOKE):
                continue
            ref = refs.get(id(change.locator))
            if ref is None or ref.target != change.target:
                ref = refs[id(change.locator)] = EntitlementRef(change.target, entitlement_key(change.locator))
            if ref in self._moves:
                self._note(self._moves[ref], index, change)

    def _note(self, moves: _Moves, index: int, change: Change) -> None:
        number = self._people[change.person or ""].number
        if change.held is None:
            (moves.grants if change.op is Op.GRANT else moves.revocations)[number].append(index)
        elif change.op is Op.REVOKE:
            moves.held.add(number)

    def keep_back(self, indexes: Iterable[int]) -> None:
        """Predict without these changes from now on."""
        for index in indexes:
            change = self.changes[index]
            number = self._people[change.person or ""].number
            moves = self._moves[EntitlementRef(change.target, entitlement_key(change.locator))]
            if change.op is Op.GRANT:
                moves.grants.pop(number, None)
            else:
                moves.held.add(number)

    def before(self, refs: Iterable[EntitlementRef]) -> BitMap:
        """Who is in any of these now."""
        return BitMap().union(*(self._actual[ref] for ref in refs))

    def after(self, refs: Iterable[EntitlementRef]) -> BitMap:
        """Who will be in any of these."""
        return BitMap().union(*map(self._after, refs))

    def _after(self, ref: EntitlementRef) -> BitMap:
        moves = self._moves[ref]
        lost = BitMap(moves.revocations) - moves.held
        return (self._actual[ref] - lost) | BitMap(moves.grants)

    def grants_to(self, refs: Iterable[EntitlementRef], people: BitMap) -> Iterator[int]:
        """The grants of any of these to these people."""
        for ref in refs:
            granted = self._moves[ref].grants
            yield from (index for number in people & BitMap(granted) for index in granted[number])

    def revocations_of(self, refs: Iterable[EntitlementRef], people: BitMap) -> Iterator[int]:
        """The revocations of any of these from these people that may wait."""
        for ref in refs:
            revoked = self._moves[ref].revocations
            for number in people & BitMap(revoked):
                yield from (index for index in revoked[number] if not self.changes[index].leaver)


# --- breaches ---------------------------------------------------------------------------------------------------------


def _breaking(prediction: _Prediction, rules: Iterable[Rule]) -> Iterator[tuple[int, Held]]:
    """The changes that would break a rule, each with what holds it; the first rule that speaks counts."""
    said: set[int] = set()
    for rule in rules:
        for permission, refs in _places(prediction, rule):
            indexes = [index for index in _culprits(prediction, rule, refs) if index not in said]
            said.update(indexes)
            text = _held_text(rule, permission)
            guard = LOOSENED if rule.loosened else INVARIANT
            yield from ((i, Held(guard, prediction.changes[i].slice, "", text)) for i in indexes)


def _places(prediction: _Prediction, rule: Rule) -> Iterator[tuple[Permission, list[EntitlementRef]]]:
    wanted = set(rule.invariant.permissions)
    return ((permission, refs) for (permission, _), refs in prediction.places.items() if permission in wanted)


def _culprits(prediction: _Prediction, rule: Rule, refs: Sequence[EntitlementRef]) -> Iterator[int]:
    before, after = prediction.before(refs), prediction.after(refs)
    match rule.invariant.kind:
        case InvariantKind.NEVER:
            yield from prediction.grants_to(refs, rule.concerned)
        case InvariantKind.AT_MOST if len(after) > max(rule.invariant.count, len(before)):
            # Nobody can say which of them is the one too many.
            yield from prediction.grants_to(refs, after - before)
        case InvariantKind.AT_LEAST if len(after) < min(rule.invariant.count, len(before)):
            yield from prediction.revocations_of(refs, before - after)


def _broken(prediction: _Prediction, situation: Situation) -> Iterator[Finding]:
    """What is not as it should be all the same: broken already, or by leavers."""
    holders: dict[str, dict[Permission, BitMap]] = defaultdict(dict)
    for (permission, target), refs in prediction.places.items():
        holders[target][permission] = prediction.after(refs)
    for target, having in holders.items():
        for breach in breaches(situation.policy, situation.population, situation.desired, having):
            text = f"{breach.text} (the invariant at {breach.place})"
            yield Finding("invariant", target, str(breach.permission), text)


def _held_text(rule: Rule, permission: Permission) -> str:
    invariant = rule.invariant
    what = {
        InvariantKind.NEVER: f"there are people who must never have {permission}",
        InvariantKind.AT_MOST: f"at most {invariant.count} people may have {permission}",
        InvariantKind.AT_LEAST: f"at least {invariant.count} people must have {permission}",
    }[invariant.kind]
    if rule.loosened:
        return f"{what}, by the invariant that stood at {invariant.place} until the policy was loosened"
    return f"{what}, by the invariant at {invariant.place}; no approval releases this: change the policy or the facts"
