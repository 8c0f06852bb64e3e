"""What is found for whole sets of people is what would be said of each of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access import explain
from reconciler.plan import Situation, make_plan
from reconciler.plan.model import CauseKind, change_id, change_ids
from reconciler.targets import Op
from tests.plan.test_building import NOW, POLICY, situations
from tests.plan.values import ref_of


@given(situations())
def test_a_grant_by_policy_names_a_clause_that_gives_it_to_that_person(situation: Situation) -> None:
    for change in make_plan(situation).plan.changes:
        if change.op is Op.GRANT and change.person and change.cause.kind is CauseKind.POLICY:
            permission = POLICY.entitlements[ref_of(change)].permissions[0]
            said = explain(POLICY, situation.population, change.person, permission, NOW)
            assert change.cause.ref in {str(reason.place) for reason in said.reasons}


@given(situations())
def test_a_revocation_by_policy_names_what_denies_it_or_that_nothing_gives_it(situation: Situation) -> None:
    for change in make_plan(situation).plan.changes:
        if change.op is Op.REVOKE and change.person and change.cause.kind is CauseKind.POLICY:
            permission = POLICY.entitlements[ref_of(change)].permissions[0]
            said = explain(POLICY, situation.population, change.person, permission, NOW)
            texts = {denial.text for denial in said.denials} if said.reasons else set()
            assert change.cause.text in (texts or {"nothing in the policy gives this access"})


@given(situations())
def test_what_is_withheld_is_what_would_be_explained(situation: Situation) -> None:
    plan = make_plan(situation).plan
    expected = {
        (person, str(permission)): tuple((denial.kind.value, denial.what, denial.text) for denial in said.denials)
        for person in situation.population.by_id
        for permission in POLICY.permissions()
        if (said := explain(POLICY, situation.population, person, permission, NOW)).reasons and said.denials
    }
    found = {
        (each.subject, each.permission): tuple((reason.kind, reason.what, reason.text) for reason in each.reasons)
        for each in plan.withheld
        if each.is_person
    }
    assert found == expected


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()), st.text(), st.lists(st.text()))
def test_ids_are_the_same_one_by_one_and_many_at_once(
    op: str, target: str, locator: dict[str, str], saw: str, accounts: list[str]
) -> None:
    of = change_ids(op, target, locator, saw)
    assert [of(account) for account in accounts] == [change_id(op, target, each, locator, saw) for each in accounts]
