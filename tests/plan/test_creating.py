"""Accounts for people who should have something and have none: made where that is certain, and said where it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from reconciler.access import evaluate
from reconciler.facts.model import Person, Population
from reconciler.plan import Plan, Situation, TargetView
from reconciler.plan.guards import Approvals
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Observation,
    ObservedAccount,
    Op,
    Reading,
)
from tests.plan.test_building import CODE, DOCS, NOW, POLICY, NoMemory, person, plan_of, proof

CREATING = Capabilities(frozenset({Op.GRANT, Op.REVOKE, Op.CREATE_ACCOUNT}))


def planned(
    *people: Person,
    accounts: tuple[ObservedAccount, ...] = (),
    capabilities: Capabilities = CREATING,
    reading: Reading = Reading.COMPLETE,
    match: tuple[str, ...] = ("id",),
    problem: Callable[[Mapping[str, str]], str | None] = lambda _person: None,
) -> Plan:
    population = Population(people, {each.id: [proof(each.number)] for each in people}, 1)
    reads = {
        ref.key: EntitlementRead(ref.key, ref.key, Reading.COMPLETE, BitMap(range(len(accounts))))
        for ref in (DOCS, CODE)
    }
    view = TargetView(
        capabilities,
        match,
        Observation(NOW, AccountsRead(reading, accounts), reads),
        creation_attributes=("name", "department"),
        creation_problem=problem,
    )
    desired = evaluate(POLICY, population, NOW)
    return plan_of(
        Situation(NOW, "w", POLICY, population, desired, {"dir": view}, NoMemory(), {}, Approvals({}, {}), {})
    )


def named(number: int, name: str = "张伟", department: str = "rd", *, exited: bool = False) -> Person:
    return replace(person(number, department, exited=exited), name=name)


def kinds(plan: Plan) -> set[str]:
    return {finding.kind for finding in plan.findings}


def test_whoever_should_have_something_and_has_no_account_gets_one() -> None:
    plan = planned(named(0))

    [change] = plan.changes
    assert (change.op, change.person, change.account, change.saw) == (Op.CREATE_ACCOUNT, "E0", "", "absent")
    assert change.step.person == {"id": "E0", "name": "张伟", "department": "rd"}
    assert not {"no-account", "cannot-create"} & kinds(plan)
    assert "张伟" not in repr(change), "no name stands where it could not be erased"


def test_two_newcomers_are_two_changes() -> None:
    assert len({change.id for change in planned(named(0), named(1)).changes}) == 2


@pytest.mark.parametrize(
    "plan",
    [
        planned(named(0, exited=True)),
        planned(named(0), accounts=(ObservedAccount("k", "uid=u", "u", {"id": "E0"}),)),
        planned(named(0), reading=Reading.PARTIAL),
        planned(named(0), capabilities=Capabilities()),
        planned(named(0), capabilities=replace(CREATING, implicit_accounts=True)),
    ],
    ids=["who has left", "who has one", "absence not proven", "a target that cannot", "a target that needs none"],
)
def test_nobody_else_does(plan: Plan) -> None:
    assert Op.CREATE_ACCOUNT not in {change.op for change in plan.changes}


def test_what_could_not_be_found_again_or_filled_in_is_not_made() -> None:
    nameless = planned(named(0, name=" "))
    assert [change.op for change in nameless.changes] == []
    assert "nothing is known of their name" in next(each.text for each in nameless.findings if each.subject == "E0")

    shared = planned(
        replace(named(0), email="z@example.com"), replace(named(1), email="Z@example.com"), match=("email",)
    )
    assert shared.changes == ()
    assert [each.kind for each in shared.findings if each.subject in ("E0", "E1")] == ["cannot-create"] * 2


def test_what_the_target_would_not_have_is_said_and_not_tried() -> None:
    def problem(known: Mapping[str, str]) -> str | None:
        assert known.keys() == {"id", "name", "department"}
        return "their login would be longer than 20 characters" if len(known["name"]) > 2 else None

    plan = planned(named(0), named(1, name="欧阳娜娜"), problem=problem)

    assert [(each.op, each.person) for each in plan.changes] == [(Op.CREATE_ACCOUNT, "E0")]
    [finding] = [each for each in plan.findings if each.subject == "E1"]
    assert (finding.kind, "longer than 20" in finding.text) == ("cannot-create", True)
