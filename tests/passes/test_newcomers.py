"""Whoever begins on Monday has an account and what their role gives after one pass, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.apply.intents import spelled_out
from reconciler.apply.tables import Kind
from tests.passes.company import Company, Died, Faulty, of, settled_company, staff
from tests.passes.test_plan_files import saved

CREATE = (
    "{disable: ppolicy, create: {rdn: uid, classes: [inetOrgPerson], "
    'attributes: {uid: "{id|lower}", cn: "{id}", sn: "{id}", employeeNumber: "{id}"}}}'
)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """A company in order, whose directory creates accounts, and somebody who is new."""
    company, _ = settled_company(tmp_path, 10)
    company.workspace(lambda text: text.replace("accounts: {disable: ppolicy}", f"accounts: {CREATE}"))
    company.hire("E11")
    return company


def test_a_newcomer_is_in_after_one_pass(company: Company) -> None:
    assert of(company.look().plan.changes) == {("E11", "")}

    done = company.apply()

    assert done.report is not None
    assert done.report.counts() == {"applied": 2}
    assert "e11" in company.members("docs")
    assert company.look().plan.changes == ()
    company.wiring().ledger.verify()


def test_the_account_comes_first_and_nothing_else_that_is_due_is_done_twice(company: Company) -> None:
    company.take("docs", staff(2)[-1])

    done = company.apply()

    assert done.report is not None
    assert [each.change.op.value for each in done.report.done] == ["create-account", "grant", "grant"]
    assert {each.change.person for each in done.report.done} == {"E11", "E2"}


@pytest.mark.parametrize("late", [False, True], ids=["before it was created", "after it was created"])
def test_a_run_that_dies_over_it_is_taken_up_again(company: Company, late: bool) -> None:
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=0, late=late)})

    company.pass_time(minutes=2)
    done = company.apply()

    assert done.recovered == 1
    assert "e11" in company.members("docs")
    created = [
        entry.payload["outcome"]
        for entry in company.wiring().ledger.entries(kinds={Kind.EFFECT.value})
        if entry.payload["op"] == "create-account"
    ]
    assert created == (["applied"] if late else ["not-applied", "applied"])
    assert company.look().plan.changes == ()


def test_a_lie_about_it_is_found_by_reading_back(company: Company) -> None:
    done = company.apply(faults={"dir": Faulty(lies={""})})

    assert done.report is not None
    assert [change.person for change in done.report.contradicted] == ["E11"]


def test_a_saved_plan_creates_and_the_next_pass_grants(company: Company) -> None:
    plan = saved(company)

    assert company.apply(plan).report is not None
    assert "e11" not in company.members("docs")
    assert of(company.look().plan.changes) == {("E11", "docs:read")}


def test_whoever_leaves_before_it_is_there_gets_none(company: Company) -> None:
    company.tell("exited", "E11", "2026-11-20")

    assert company.look().plan.changes == ()


def test_no_name_of_anybody_is_in_what_a_run_intends(company: Company) -> None:
    company.apply()

    for entry in company.wiring().ledger.entries(kinds={Kind.INTENDED.value}):
        for change in spelled_out(entry.payload):
            assert change["account"] == "" or change["holder"] != "person"
            assert not {"profile", "match"} & change.keys()
