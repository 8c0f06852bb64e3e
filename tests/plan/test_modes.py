"""Modes: what is only observed is never touched, and what is additive never takes from a stranger."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access import evaluate
from reconciler.cli.plans import _plan_status
from reconciler.plan import Plan, Situation, make_plan
from reconciler.plan.artefact import plan_json
from reconciler.plan.model import CauseKind
from reconciler.plan.reading import plan_lines
from reconciler.policy.model import EntitlementRef, Mode, Policy
from reconciler.targets import BitMap, Op, entitlement_key
from tests.plan.test_building import CODE, DOCS, NOW, situations
from tests.plan.values import ref_of

modes = st.fixed_dictionaries({DOCS: st.sampled_from(list(Mode)), CODE: st.sampled_from(list(Mode))})
ours = st.dictionaries(
    st.sampled_from([DOCS, CODE]), st.frozensets(st.integers(0, 9).map(lambda n: f"E{n}") | st.just("svc"))
)


def in_modes(situation: Situation, chosen: dict[EntitlementRef, Mode]) -> Situation:
    return under(situation, with_modes(situation.policy, chosen))


def with_modes(policy: Policy, chosen: dict[EntitlementRef, Mode]) -> Policy:
    entitlements = {ref: replace(each, mode=chosen.get(ref, each.mode)) for ref, each in policy.entitlements.items()}
    return replace(policy, entitlements=entitlements)


def under(situation: Situation, policy: Policy) -> Situation:
    return replace(situation, policy=policy, desired=evaluate(policy, situation.population, NOW))


def plan_of(situation: Situation) -> Plan:
    return make_plan(situation).plan


@given(situations(), modes, ours)
def test_what_is_observed_is_never_changed(
    situation: Situation, chosen: dict[EntitlementRef, Mode], granted: dict[EntitlementRef, frozenset[str]]
) -> None:
    plan = plan_of(replace(in_modes(situation, chosen), granted_here=granted))
    for change in plan.changes:
        if change.locator:
            assert chosen[ref_of(change)] is not Mode.OBSERVE
    for change in plan.observed:
        assert chosen[ref_of(change)] is Mode.OBSERVE
        assert change.held is None


@given(situations())
def test_what_is_observed_is_what_would_change(situation: Situation) -> None:
    enforced = plan_of(situation)
    watched = plan_of(in_modes(situation, {DOCS: Mode.OBSERVE, CODE: Mode.OBSERVE}))
    assert {each.id for each in watched.observed} == {each.id for each in enforced.changes if each.locator}
    assert watched.digest == plan_of(in_modes(situation, {DOCS: Mode.OBSERVE, CODE: Mode.OBSERVE})).digest
    assert watched.digest == replace(watched, observed=()).digest
    told = plan_json(watched)
    assert len(told["observed"]) == told["summary"]["observed"] == len(watched.observed)  # type: ignore[arg-type,call-overload,index]
    for detailed in (True, False):
        assert _plan_status(watched, detailed=detailed) == _plan_status(
            replace(watched, observed=()), detailed=detailed
        )
    text = "\n".join(line.plain for line in plan_lines(watched, {}, whole=True))
    assert ("Observed:" in text) == bool(watched.observed)


@given(situations(), ours)
def test_additive_never_revokes_a_stranger(situation: Situation, granted: dict[EntitlementRef, frozenset[str]]) -> None:
    chosen = {DOCS: Mode.ADDITIVE, CODE: Mode.ADDITIVE}
    plan = plan_of(replace(in_modes(situation, chosen), granted_here=granted))
    for change in plan.changes:
        if change.op is Op.REVOKE:
            assert change.leaver or change.subject in granted.get(ref_of(change), frozenset())


@given(situations())
def test_a_leaver_loses_what_was_never_given_from_here_for_leaving(situation: Situation) -> None:
    left = {each.id for each in situation.population if each.exited}
    for change in plan_of(in_modes(situation, {DOCS: Mode.ADDITIVE, CODE: Mode.ADDITIVE})).changes:
        if change.op is Op.REVOKE and change.person in left:
            assert change.cause.kind is not CauseKind.DRIFT
            assert any(word in change.cause.text for word in ("has left", "exited since"))


@given(situations(), ours)
def test_additive_revokes_leavers_and_its_own_and_tells_of_the_rest(
    situation: Situation, granted: dict[EntitlementRef, frozenset[str]]
) -> None:
    enforced = plan_of(situation)
    chosen = {DOCS: Mode.ADDITIVE, CODE: Mode.ADDITIVE}
    plan = plan_of(replace(in_modes(situation, chosen), granted_here=granted))
    wanted, told = set(), 0
    for change in enforced.changes:
        if change.op is Op.GRANT:
            wanted.add(change.id)
        elif change.op is Op.REVOKE and (change.person or change.service_account):
            if change.leaver or change.subject in granted.get(ref_of(change), frozenset()):
                wanted.add(change.id)
            elif change.person:
                told += 1
    assert {each.id for each in plan.changes if each.locator} == wanted
    counted = sum(int(each.text.split()[0]) for each in plan.findings if each.kind == "unmanaged-members")
    assert counted == told


@given(situations())
def test_additive_takes_back_what_was_ordered_from_here_and_nobody_has_confirmed(situation: Situation) -> None:
    view = situation.targets["dir"]
    if view.observation is None:
        return
    reads = {
        key: replace(read, unsettled=BitMap(range(10)), partial=BitMap())
        for key, read in view.observation.entitlements.items()
    }
    asked = {"dir": replace(view, observation=replace(view.observation, entitlements=reads))}
    ordered = replace(situation, targets=asked)
    additive = plan_of(in_modes(ordered, {DOCS: Mode.ADDITIVE, CODE: Mode.ADDITIVE}))

    assert "unmanaged-members" not in {each.kind for each in additive.findings}
    assert taken(additive) == taken(plan_of(ordered))


def taken(plan: Plan) -> set[str]:
    """Whatever is to be revoked from people and service accounts."""
    known = (each for each in plan.changes if each.person or each.service_account)
    return {each.id for each in known if each.op is Op.REVOKE}


@given(situations(), modes)
def test_a_mode_decides_about_its_own_entitlement_alone(
    situation: Situation, chosen: dict[EntitlementRef, Mode]
) -> None:
    one = {each.id: each for each in plan_of(in_modes(situation, {**chosen, CODE: Mode.ENFORCE})).changes}
    other = {each.id: each for each in plan_of(in_modes(situation, {DOCS: Mode.ENFORCE, CODE: Mode.ENFORCE})).changes}
    key = entitlement_key({"group": "code"})
    assert {id_ for id_, each in one.items() if entitlement_key(each.locator) == key} == {
        id_ for id_, each in other.items() if entitlement_key(each.locator) == key
    }
