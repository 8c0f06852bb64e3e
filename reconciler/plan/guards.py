"""What holds changes back until somebody decides. Guards hold slices, not everything, and nothing switches them off.

The checks stand in a table, `CHECKS`, in the order in which they are asked; the first that speaks holds the change.
The leaver's lane passes them all but `protected`. An approved change passes them all and no longer counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyroaring import BitMap

from reconciler.plan.model import CauseKind, Change, Held, Origin, plan_digest
from reconciler.policy.model import EntitlementRef, Guards, Limit
from reconciler.targets import Op, entitlement_key

SMALL = 2
"""So many people may change in a slice whatever the percentage: a set of three is not stopped by one newcomer."""

EMPTIES_FROM = 3
"""An entitlement with so many members is not emptied without a decision."""


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
    changes = _out_of_the_lane(changes, guards, standing)
    approved = [replace(change, approved=_is_approved(change, guards, approvals)) for change in changes]
    counted = [change for change in approved if not change.approved and not change.leaver]
    asked = _Round(guards, standing, _tripped(counted, guards, standing), _emptied(approved, standing))
    said = {change.id: _first_objection(change, asked) for change in approved if not change.approved}
    return _with_digests(approved, said, policy_digest)


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


def _out_of_the_lane(changes: Sequence[Change], guards: Guards, standing: Standing) -> Sequence[Change]:
    """Lockouts that a policy file brings are leavers too, unless there are as many as no day brings: that is a bad
    merge.
    """
    people = {change.subject for change in changes if _is_policy_lockout(change)}
    if not exceeds(guards.exits, len(people), standing.everybody):
        return changes
    return [replace(change, leaver=False) if _is_policy_lockout(change) else change for change in changes]


def _is_policy_lockout(change: Change) -> bool:
    return change.leaver and change.cause.kind is CauseKind.POLICY


def _ref(change: Change) -> EntitlementRef:
    return EntitlementRef(change.target, entitlement_key(change.locator))


# --- what is counted --------------------------------------------------------------------------------------------------


def _limit_of(change: Change, guards: Guards) -> Limit:
    rules = change.cause.kind.origin is Origin.RULES
    if change.op in (Op.GRANT, Op.CREATE_ACCOUNT, Op.ENABLE_ACCOUNT):
        return guards.rules_grant if rules else guards.people_grant
    return guards.rules_revoke if rules else guards.people_revoke


def _tripped(changes: Iterable[Change], guards: Guards, standing: Standing) -> dict[str, str]:
    """Slice → why it is held, for the slices in which too many people change."""
    slices: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        slices[change.slice].append(change)
    reasons: dict[str, str] = {}
    for name, members in slices.items():
        limit, first = _limit_of(members[0], guards), members[0]
        people = {change.subject for change in members} | standing.recent.get(name, frozenset())
        covered = standing.covered.get((first.target, first.classification), standing.everybody)
        if exceeds(limit, len(people), covered):
            reasons[name] = (
                f"{len(people)} of {covered} people in 24 hours; without approval at most {limit.people}, "
                f"or {limit.percent:g} % beyond {SMALL}"
            )
    return reasons


def _emptied(changes: Iterable[Change], standing: Standing) -> frozenset[EntitlementRef]:
    """The entitlements of some size that would lose every member of today; a grant may yet be held, so none counts."""
    losses: dict[EntitlementRef, int] = defaultdict(int)
    for change in changes:
        if change.op is Op.REVOKE:
            losses[_ref(change)] += 1
    return frozenset(ref for ref, lost in losses.items() if lost >= max(EMPTIES_FROM, standing.actual.get(ref, 0)))


# --- the checks -------------------------------------------------------------------------------------------------------


def _protected(change: Change, asked: _Round) -> str | None:
    names = {change.person, change.service_account} - {None}
    return f"{change.subject} is protected" if names & asked.guards.protected else None


def _incomplete_read(change: Change, asked: _Round) -> str | None:
    if change.op not in (Op.REVOKE, Op.DISABLE_ACCOUNT) or change.leaver:
        return None
    return asked.standing.unproven.get(_ref(change))


def _deletions(change: Change, asked: _Round) -> str | None:
    return "a deletion always waits for a decision" if change.op is Op.DELETE_ACCOUNT else None


def _approvals(change: Change, asked: _Round) -> str | None:
    wanted = asked.guards.approvals.get(change.class_rank, 0) if change.op is Op.GRANT else 0
    if not wanted:
        return None
    return (
        f"grants of class {change.classification} need the approval of {wanted} {'person' if wanted == 1 else 'people'}"
    )


def _first_contact(change: Change, asked: _Round) -> str | None:
    if change.op is not Op.REVOKE or change.leaver or _ref(change) in asked.standing.settled:
        return None
    return "these would be the first revocations on an entitlement that has just come under management"


def _empties(change: Change, asked: _Round) -> str | None:
    if change.op is not Op.REVOKE or change.leaver or _ref(change) not in asked.emptied:
        return None
    return f"this would leave nobody of {asked.standing.actual[_ref(change)]} in {change.entitlement}"


def _too_many(change: Change, asked: _Round) -> str | None:
    return None if change.leaver else asked.tripped.get(change.slice)


CHECKS: Mapping[str, Callable[[Change, _Round], str | None]] = {
    "protected": _protected,
    "incomplete-read": _incomplete_read,
    "deletions": _deletions,
    "approvals": _approvals,
    "first-contact": _first_contact,
    "empties": _empties,
    "too-many": _too_many,
}


def _first_objection(change: Change, asked: _Round) -> tuple[str, str] | None:
    for guard, check in CHECKS.items():
        text = check(change, asked)
        if text is not None:
            return guard, text
    return None


def _with_digests(
    changes: Sequence[Change], said: Mapping[str, tuple[str, str] | None], policy_digest: str
) -> list[Change]:
    def settle(change: Change) -> Change:
        objection = said.get(change.id)
        return replace(change, held=Held(objection[0], change.slice, "", objection[1])) if objection else change

    return with_digests([settle(change) for change in changes], policy_digest)


def with_digests(changes: Sequence[Change], policy_digest: str) -> list[Change]:
    """The same changes; what one guard holds of one slice carries a digest over exactly the changes that are here."""
    together: dict[tuple[str, str], list[str]] = defaultdict(list)
    for change in changes:
        if change.held:
            together[change.held.slice, change.held.guard].append(change.id)
    digests = {key: plan_digest(policy_digest, ids) for key, ids in together.items()}
    return [
        replace(change, held=replace(held, digest=digests[held.slice, held.guard])) if (held := change.held) else change
        for change in changes
    ]


def covered_people(members: Mapping[tuple[str, str], Iterable[BitMap]]) -> dict[tuple[str, str], int]:
    """(target, class) → how many distinct people have, or should have, anything of that class on that target."""
    return {key: len(BitMap().union(*bitmaps)) for key, bitmaps in members.items()}
