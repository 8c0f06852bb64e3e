"""What holds changes back until somebody decides. Guards hold slices, not everything, and nothing switches them off.

The checks stand in a table, `CHECKS`, in the order in which they are asked; the first that speaks holds the change.
The leaver's lane passes them all but `protected`. An approved change passes them all and no longer counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyroaring import BitMap

from reconciler.plan.model import CauseKind, Change, Held, Origin, plan_digest
from reconciler.policy.model import EntitlementRef, Guards, Limit
from reconciler.targets import Op, entitlement_key

SMALL = 2
"""So many people may change in a slice whatever the percentage: a set of three is not stopped by one newcomer."""

EMPTIES_FROM = 3
"""An entitlement with so many members is not emptied without a decision."""

INVARIANT = "invariant"
"""What holds a change for an invariant of the policy (`reconciler.plan.invariants`): no approval releases it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What guards need to know of the world beside the changes.

    `covered` is slice target/class → people who have, or should have, anything of that class on that target. `actual`
    is entitlement → number of members now. `settled` are the entitlements that have agreed once; `unproven` maps an
    entitlement (and, under an empty key, a target's accounts) to why absence proves nothing there. `recent` is slice →
    subjects changed within the last 24 hours without anybody's approval. `everybody` is how many people there are.
    """

    covered: Mapping[tuple[str, str], int]
    actual: Mapping[EntitlementRef, int]
    settled: frozenset[EntitlementRef]
    unproven: Mapping[EntitlementRef, str]
    recent: Mapping[str, frozenset[str]]
    everybody: int


@dataclass(frozen=True, slots=True)
class Approvals:
    """Change id → who approved it, for approvals that are neither used nor expired.

    `independent` leaves out whoever made the plan that they approved: where a class names how many must approve, only
    those count.
    """

    actors: Mapping[str, frozenset[str]]
    independent: Mapping[str, frozenset[str]]


class _Alike:
    """Changes that differ in the subject alone: of one slice, on one entitlement, in the lane or out of it. Who is
    protected is alike to nobody else.
    """

    __slots__ = ("first", "indexes", "ref", "slice")

    def __init__(self, first: Change) -> None:
        self.first = first
        self.ref = EntitlementRef(first.target, entitlement_key(first.locator))
        self.slice = first.slice
        self.indexes: list[int] = []


@dataclass(frozen=True, slots=True)
class _Round:
    """Everything that the checks of one plan share."""

    guards: Guards
    standing: Standing
    tripped: Mapping[str, str]
    emptied: frozenset[EntitlementRef]


def hold(
    changes: Sequence[Change], guards: Guards, standing: Standing, approvals: Approvals, policy_digest: str
) -> list[Change]:
    """The same changes, each approved, held or free. A held slice carries one digest per guard, to be approved by."""
    own = _out_of_the_lane(list(changes), guards, standing)
    del changes  # of a long plan that nobody else has, each goes as soon as there is what it has become
    for index, change in enumerate(own) if approvals.actors else ():
        if _is_approved(change, guards, approvals):
            own[index] = change.as_approved()
    groups = _grouped(own, guards.protected)
    asked = _Round(guards, standing, _tripped(own, groups, guards, standing), _emptied(groups, standing))
    objections = [(group, said) for group in groups if (said := _first_objection(group, asked)) is not None]
    return _held(own, objections, policy_digest)


def _grouped(changes: Sequence[Change], protected: Collection[str]) -> Sequence[_Alike]:
    """A plan has few of these and many changes in each."""
    found: dict[tuple[object, ...], _Alike] = {}
    origins: dict[int, bool] = {}
    for index, change in enumerate(changes):
        cause, subject = change.cause, change.person or change.service_account
        rules = origins.get(id(cause))
        if rules is None:
            rules = origins[id(cause)] = cause.kind.origin is Origin.RULES
        alone = subject if subject in protected else None
        # Some by identity, which is quicker: the changes keep them, and changes of one entitlement share the locator.
        key = (id(change.op), change.target, id(change.locator), change.classification, rules, change.leaver, alone)
        group = found.get(key)
        if group is None:
            group = found[key] = _Alike(change)
        group.indexes.append(index)
    return list(found.values())


def _held(
    changes: list[Change], objections: Iterable[tuple[_Alike, tuple[str, str]]], policy_digest: str
) -> list[Change]:
    """Hold what is objected to, in place; what one guard holds of one slice goes under one digest."""
    together: dict[tuple[str, str], list[tuple[list[int], str]]] = defaultdict(list)
    for group, (guard, text) in objections:
        if indexes := [index for index in group.indexes if not changes[index].approved]:
            together[group.slice, guard].append((indexes, text))
    for (name, guard), parts in together.items():
        digest = plan_digest(policy_digest, (changes[index].id for indexes, _ in parts for index in indexes))
        for indexes, text in parts:
            held = Held(guard, name, digest, text)
            for index in indexes:
                changes[index] = changes[index].held_by(held)
    return changes


def stricter(left: Guards, right: Guards) -> Guards:
    """The stricter of two sets of guards, number by number: what applies until a loosening has been approved."""
    ranks = {*left.approvals, *right.approvals}
    return Guards(
        rules_revoke=_lower(left.rules_revoke, right.rules_revoke),
        rules_grant=_lower(left.rules_grant, right.rules_grant),
        people_revoke=_lower(left.people_revoke, right.people_revoke),
        people_grant=_lower(left.people_grant, right.people_grant),
        exits=_lower(left.exits, right.exits),
        shrink_percent=min(left.shrink_percent, right.shrink_percent),
        approvals={rank: max(left.approvals.get(rank, 0), right.approvals.get(rank, 0)) for rank in ranks},
        protected=left.protected | right.protected,
    )


def _lower(left: Limit, right: Limit) -> Limit:
    return Limit(min(left.percent, right.percent), min(left.people, right.people))


def exceeds(limit: Limit, people: int, covered: int) -> bool:
    """Whether so many people are too many: beyond `people`, or beyond 2 and `percent` of those covered."""
    return people > limit.people or (people > SMALL and people * 100 > limit.percent * covered)


def _is_approved(change: Change, guards: Guards, approvals: Approvals) -> bool:
    wanted = guards.approvals.get(change.class_rank, 0) if change.op is Op.GRANT else 0
    if wanted:
        return len(approvals.independent.get(change.id, ())) >= wanted
    return bool(approvals.actors.get(change.id))


def _out_of_the_lane(changes: list[Change], guards: Guards, standing: Standing) -> list[Change]:
    """Lockouts that a policy file brings are leavers too, unless there are as many as no day brings: that is a bad
    merge.
    """
    people = {change.subject for change in changes if _is_policy_lockout(change)}
    if not exceeds(guards.exits, len(people), standing.everybody):
        return changes
    return [change.out_of_the_lane() if _is_policy_lockout(change) else change for change in changes]


def _is_policy_lockout(change: Change) -> bool:
    return change.leaver and change.cause.kind is CauseKind.POLICY


# --- what is counted --------------------------------------------------------------------------------------------------


def _limit_of(change: Change, guards: Guards) -> Limit:
    rules = change.cause.kind.origin is Origin.RULES
    if change.op in (Op.GRANT, Op.CREATE_ACCOUNT, Op.ENABLE_ACCOUNT):
        return guards.rules_grant if rules else guards.people_grant
    return guards.rules_revoke if rules else guards.people_revoke


def _tripped(changes: Sequence[Change], groups: Iterable[_Alike], guards: Guards, standing: Standing) -> dict[str, str]:
    """Slice → why it is held, for the slices in which too many people change."""
    slices: dict[str, list[_Alike]] = defaultdict(list)
    for group in groups:
        if not group.first.leaver:
            slices[group.slice].append(group)
    reasons: dict[str, str] = {}
    for name, own in slices.items():
        limit, first = _limit_of(own[0].first, guards), own[0].first
        people = {
            change.subject for group in own for change in map(changes.__getitem__, group.indexes) if not change.approved
        }
        if not people:
            continue
        people |= standing.recent.get(name, frozenset())
        covered = standing.covered.get((first.target, first.classification), standing.everybody)
        if exceeds(limit, len(people), covered):
            reasons[name] = (
                f"{len(people)} of {covered} people in 24 hours; without approval at most {limit.people}, "
                f"or {limit.percent:g} % beyond {SMALL}"
            )
    return reasons


def _emptied(groups: Iterable[_Alike], standing: Standing) -> frozenset[EntitlementRef]:
    """The entitlements of some size that would lose every member of today; a grant may yet be held, so none counts."""
    losses: dict[EntitlementRef, int] = defaultdict(int)
    for group in groups:
        if group.first.op is Op.REVOKE:
            losses[group.ref] += len(group.indexes)
    return frozenset(ref for ref, lost in losses.items() if lost >= max(EMPTIES_FROM, standing.actual.get(ref, 0)))


# --- the checks -------------------------------------------------------------------------------------------------------


def _protected(group: _Alike, asked: _Round) -> str | None:
    subject = group.first.person or group.first.service_account
    return f"{subject} is protected" if subject in asked.guards.protected else None


def _incomplete_read(group: _Alike, asked: _Round) -> str | None:
    if group.first.op not in (Op.REVOKE, Op.DISABLE_ACCOUNT) or group.first.leaver:
        return None
    return asked.standing.unproven.get(group.ref)


def _deletions(group: _Alike, asked: _Round) -> str | None:
    return "a deletion always waits for a decision" if group.first.op is Op.DELETE_ACCOUNT else None


def _approvals(group: _Alike, asked: _Round) -> str | None:
    change = group.first
    wanted = asked.guards.approvals.get(change.class_rank, 0) if change.op is Op.GRANT else 0
    if not wanted:
        return None
    return (
        f"grants of class {change.classification} need the approval of {wanted} {'person' if wanted == 1 else 'people'}"
    )


def _first_contact(group: _Alike, asked: _Round) -> str | None:
    if group.first.op is not Op.REVOKE or group.first.leaver or group.ref in asked.standing.settled:
        return None
    return "these would be the first revocations on an entitlement that has just come under management"


def _empties(group: _Alike, asked: _Round) -> str | None:
    if group.first.op is not Op.REVOKE or group.first.leaver or group.ref not in asked.emptied:
        return None
    return f"this would leave nobody of {asked.standing.actual[group.ref]} in {group.first.entitlement}"


def _too_many(group: _Alike, asked: _Round) -> str | None:
    return None if group.first.leaver else asked.tripped.get(group.slice)


CHECKS: Mapping[str, Callable[[_Alike, _Round], str | None]] = {
    "protected": _protected,
    "incomplete-read": _incomplete_read,
    "deletions": _deletions,
    "approvals": _approvals,
    "first-contact": _first_contact,
    "empties": _empties,
    "too-many": _too_many,
}


def _first_objection(group: _Alike, asked: _Round) -> tuple[str, str] | None:
    for guard, check in CHECKS.items():
        text = check(group, asked)
        if text is not None:
            return guard, text
    return None


def with_digests(changes: Sequence[Change], policy_digest: str) -> list[Change]:
    """Part of a plan's changes, or all; what one guard holds of one slice carries a digest over exactly those that are
    here. What no approval releases carries none.
    """
    together: dict[tuple[str, str], list[str]] = defaultdict(list)
    for change in changes:
        if change.held and change.held.guard != INVARIANT:
            together[change.held.slice, change.held.guard].append(change.id)
    digests = {key: plan_digest(policy_digest, ids) for key, ids in together.items()}
    same: dict[Held, Held] = {}

    def settled(change: Change) -> Change:
        held = change.held
        digest = digests.get((held.slice, held.guard), "") if held else ""
        if held is None or held.digest == digest:
            return change
        if held not in same:
            same[held] = replace(held, digest=digest)
        return change.held_by(same[held])

    return [settled(change) for change in changes]


def covered_people(members: Mapping[tuple[str, str], Iterable[BitMap]]) -> dict[tuple[str, str], int]:
    """(target, class) → how many distinct people have, or should have, anything of that class on that target."""
    return {key: len(BitMap().union(*bitmaps)) for key, bitmaps in members.items()}
