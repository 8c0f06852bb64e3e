"""Invariants: what held before holds in the end state that a plan leads to, whatever else is approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from reconciler.errors import Place
from reconciler.plan import Change, Plan, Situation
from reconciler.plan.guards import INVARIANT, Approvals
from reconciler.plan.invariants import LOOSENED
from reconciler.plan.reading import plan_lines
from reconciler.policy.model import (
    Compare,
    EntitlementRef,
    Invariant,
    InvariantKind,
    Match,
    Permission,
    Policy,
    Under,
)
from reconciler.targets import Op, Reading
from tests.plan.test_building import CODE, DOCS, POLICY, situations
from tests.plan.test_modes import plan_of, under
from tests.plan.values import ref_of

READ_DOCS, READ_CODE = Permission("docs", "read"), Permission("code", "read")
PLACE = Place("policies/rules.yaml", 7, 3)
AI: Match = Compare("department", Under(frozenset({"rd/ai"})), None, PLACE)

invariants = st.builds(
    lambda kind, permissions, count: Invariant(
        kind, permissions, "…", AI if kind is InvariantKind.NEVER else None, count, PLACE
    ),
    st.sampled_from(list(InvariantKind)),
    st.sampled_from([(READ_DOCS,), (READ_CODE,), (READ_DOCS, READ_CODE)]),
    st.integers(0, 4),
)
rules = st.lists(invariants, min_size=1, max_size=3).map(tuple)


@st.composite
def ruled(draw: st.DrawFn) -> Situation:
    """A situation under some invariants, in which somebody may have approved everything, and docs may be in two
    groups.
    """
    situation = draw(situations())
    policy = replace(POLICY, invariants=draw(rules))
    if draw(st.booleans()):
        both = replace(policy.entitlements[CODE], permissions=(READ_CODE, READ_DOCS))
        policy = replace(policy, entitlements={**policy.entitlements, CODE: both})
    made = under(situation, policy)
    if draw(st.booleans()):
        ids = {change.id: frozenset({"boss"}) for change in plan_of(made).changes}
        made = replace(made, approvals=Approvals(ids, ids))
    return made


def people_in(situation: Situation, changes: tuple[Change, ...]) -> Mapping[EntitlementRef, BitMap]:
    """Who is where once these changes are carried out, by the simplest of means."""
    observation = situation.targets["dir"].observation
    assert observation is not None
    accounts = [account.match.get("id") for account in observation.accounts.accounts]
    by_id = situation.population.by_id
    found = {}
    for ref in (DOCS, CODE):
        read = observation.entitlements[ref.key]
        if read.reading is Reading.FAILED:
            continue
        names = {accounts[position] for position in read.members}
        own = [change for change in changes if change.person and change.locator and ref_of(change) == ref]
        names |= {change.person for change in own if change.op is Op.GRANT}
        names -= {change.person for change in own if change.op is Op.REVOKE}
        found[ref] = BitMap([by_id[name].number for name in names if name is not None and name in by_id])
    return found


def breach(invariant: Invariant, policy: Policy, situation: Situation, members: Mapping[EntitlementRef, BitMap]) -> int:
    """How badly the invariant is broken: 0 where it holds."""
    worst = 0
    for permission in invariant.permissions:
        own = [
            members[ref]
            for ref, each in policy.entitlements.items()
            if permission in each.permissions and ref in members
        ]
        if not own:
            continue
        people = BitMap().union(*own)
        match invariant.kind:
            case InvariantKind.NEVER:
                worst += len(people & situation.desired.barred[invariant])
            case InvariantKind.AT_MOST:
                worst += max(0, len(people) - invariant.count)
            case InvariantKind.AT_LEAST:
                worst += max(0, invariant.count - len(people))
    return worst


@settings(max_examples=300)
@given(ruled())
def test_the_end_state_breaks_nothing_that_held_before_but_for_leavers(situation: Situation) -> None:
    plan = plan_of(situation)
    if situation.targets["dir"].observation is None:
        return
    leavers = tuple(change for change in plan.due if change.leaver)
    before, only_leavers, after = (people_in(situation, own) for own in ((), leavers, plan.due))
    for invariant in situation.policy.invariants:
        bad = breach(invariant, situation.policy, situation, after)
        allowed = max(breach(invariant, situation.policy, situation, own) for own in (before, only_leavers))
        assert bad <= allowed
        said = any(finding.kind == "invariant" for finding in plan.findings)
        assert said or not bad


@given(ruled())
def test_no_leaver_waits_for_an_invariant(situation: Situation) -> None:
    for change in plan_of(situation).changes:
        if change.leaver and change.op is Op.REVOKE:
            assert change.held is None


@given(ruled())
def test_what_no_approval_releases_says_so_and_offers_none(situation: Situation) -> None:
    plan = plan_of(situation)
    held = [change.held for change in plan.held if change.held and change.held.guard == INVARIANT]
    for each in held:
        assert each.digest == ""
        assert str(PLACE) in each.text
        assert "no approval releases this" in each.text
    text = "\n".join(line.plain for line in plan_lines(plan, {}, whole=True))
    assert all(each.text in text for each in held)
    assert "reconciler approve  " not in text


@given(ruled())
def test_without_the_invariants_nothing_of_theirs_is_held(situation: Situation) -> None:
    """They hold changes and neither add nor lose any."""
    ruled_, free = plan_of(situation), plan_of(under(situation, replace(situation.policy, invariants=())))
    assert [each.id for each in ruled_.changes] == [each.id for each in free.changes]
    others = {each.id: each.held for each in free.changes}
    for change in ruled_.changes:
        if change.held is None or change.held.guard != INVARIANT:
            assert change.held == others[change.id]


@given(ruled())
def test_a_loosened_invariant_holds_until_somebody_approves(situation: Situation) -> None:
    strict = plan_of(situation)
    loose = under(situation, replace(situation.policy, invariants=()))
    waiting = plan_of(replace(loose, policy_in_force=situation.policy))
    assert _held(waiting, LOOSENED) == _held(strict, INVARIANT)
    assert all(each.held.digest for each in waiting.held if each.held)
    assert _held(plan_of(loose), LOOSENED) == set()


def _held(plan: Plan, guard: str) -> set[str]:
    return {change.id for change in plan.held if change.held and change.held.guard == guard}


@given(ruled())
def test_an_invariant_that_only_moved_in_its_file_is_not_loosened(situation: Situation) -> None:
    moved = tuple(replace(each, place=Place("elsewhere.yaml", 1, 1)) for each in situation.policy.invariants)
    again = under(situation, replace(situation.policy, invariants=moved))
    assert _held(plan_of(replace(again, policy_in_force=situation.policy)), LOOSENED) == set()
