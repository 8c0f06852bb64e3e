"""A pass over one person says nothing about the others."""

from __future__ import annotations

from pathlib import Path

from tests.passes.company import Company, staff


def test_what_was_carried_out_for_one_person_does_not_settle_the_group_for_all(tmp_path: Path) -> None:
    company, accounts = Company(tmp_path), staff(4)
    company.hire("E1", "E2")
    company.hire("E3", "E4", department="sales")
    company.directory(accounts, {"docs": accounts[1:], "algorithms": []})

    company.apply(person="E1")
    plan = company.look().plan

    assert company.members("docs") == {"u1", "u2", "u3", "u4"}
    assert {(change.person, change.held.guard) for change in plan.changes if change.held} == {
        ("E3", "first-contact"),
        ("E4", "first-contact"),
    }


def test_what_agrees_for_everybody_after_it_is_settled(tmp_path: Path) -> None:
    company, accounts = Company(tmp_path), staff(2)
    company.hire("E1", "E2")
    company.directory(accounts, {"docs": accounts[1:], "algorithms": []})

    company.apply(person="E1")
    company.tell("transferred", "E2", department="sales")

    assert [change.held for change in company.look().plan.changes] == [None]
