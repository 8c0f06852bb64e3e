"""Releasing what is held: by digest, for the changes it was given for, each once, for three days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.apply.journal import Journal
from reconciler.passes import look
from reconciler.passes.decide import ApprovalRefused
from reconciler.plan.model import Change, plan_digest
from tests.passes.company import POLICY, Account, Company, of, settled_company

pytestmark = pytest.mark.usefixtures("either_store")


NO_ROLE = POLICY.replace("department: rd}", "department: rnd}")
TWO_APPROVE = "guards: {approvals: {core: 2}}\n"


def held_company(folder: Path, count: int = 9) -> Company:
    company, _ = settled_company(folder, count)
    company.policy(NO_ROLE)
    return company


def the_slice(company: Company) -> str:
    digests = {change.held.digest for change in company.look().plan.changes if change.held}
    assert len(digests) == 1
    return digests.pop()


def guards(changes: tuple[Change, ...]) -> set[str | None]:
    return {change.held.guard if change.held else None for change in changes}


def test_an_approved_slice_is_carried_out_once(tmp_path: Path) -> None:
    company = held_company(tmp_path)
    company.approve(the_slice(company))

    assert not company.apply().plan.held
    assert company.members("docs") == set()

    for n in range(1, 10):
        company.put("docs", Account(f"u{n}"))
    assert guards(company.apply().plan.changes) == {"empties"}, "the same changes again need the same word again"


def test_d8_a_planned_large_removal_costs_one_word(tmp_path: Path) -> None:
    company = held_company(tmp_path, 28)
    company.approve(company.look().plan.digest)

    assert not company.apply().plan.held
    assert company.members("docs") == set()


def test_an_approval_expires(tmp_path: Path) -> None:
    company = held_company(tmp_path)
    company.approve(the_slice(company))
    company.pass_time(days=3, seconds=1)

    assert len(company.apply().plan.held) == 9


def test_what_is_new_is_guarded_by_itself(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 12)
    moved = [("transferred", f"E{n}", "2026-11-20", {"assignment": "main", "department": "sales"}) for n in range(1, 7)]
    company.tell_all([*moved])
    company.approve(the_slice(company))
    company.tell_all(
        [("transferred", f"E{n}", "2026-11-20", {"assignment": "main", "department": "sales"}) for n in range(7, 11)]
    )

    done = company.apply()

    assert {change.subject for change in done.plan.held} == {"E7", "E8", "E9", "E10"}
    assert company.members("docs") == {account.uid for account in accounts[6:]}


def test_what_was_approved_does_not_count_for_what_comes_after(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 20)
    for first, last in ((1, 8), (8, 10)):
        moved = [
            ("transferred", f"E{n}", "2026-11-20", {"assignment": "main", "department": "sales"})
            for n in range(first, last)
        ]
        company.tell_all([*moved])
        if first == 1:
            company.approve(the_slice(company))
        company.apply()

    assert len(company.members("docs")) == 11, "seven were approved; two more are no large change"


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "abc", "", "sha256:%%%%%%%%%%%%%"])
def test_a_digest_that_was_not_shown_names_nothing(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ApprovalRefused):
        held_company(tmp_path).approve(digest)


def test_the_beginning_of_a_digest_is_enough(tmp_path: Path) -> None:
    company = held_company(tmp_path)
    company.approve(the_slice(company)[7:19])
    assert not company.look().plan.held


def test_every_shown_digest_stands_for_exactly_its_changes(tmp_path: Path) -> None:
    company = held_company(tmp_path)
    for options in ({}, {"person": "E1"}):
        plan = company.look(**options).plan
        wiring = company.wiring(targets=())
        with wiring.store.reading() as connection:
            for digest in {change.held.digest for change in plan.held if change.held} | {plan.digest}:
                (shown,) = wiring.journal.proposals(connection, digest)
                assert plan_digest(plan.policy_digest, shown.change_ids) == digest


def test_a_digest_shown_for_one_person_releases_that_person_alone(tmp_path: Path) -> None:
    company = held_company(tmp_path)
    for_all = the_slice(company)
    plan = company.look(person="E1").plan
    held = plan.held[0].held
    assert held is not None
    assert held.digest != for_all

    company.approve(held.digest)
    company.apply()

    assert company.members("docs") == {f"u{n}" for n in range(2, 10)}


# --- classes that need people ----------------------------------------------------------------------------------------


def with_new_researcher(folder: Path) -> Company:
    company, accounts = settled_company(folder, 4, "rd/ai")
    company.add_policy(TWO_APPROVE)
    company.hire("E9", department="rd/ai")
    newcomer = Account("u9", "E9")
    company.directory([*accounts, newcomer], {"docs": accounts, "algorithms": accounts})
    return company


def test_a_class_counts_other_people_than_the_author(tmp_path: Path) -> None:
    company = with_new_researcher(tmp_path)
    assert guards(company.apply().plan.changes) == {None, "approvals"}

    for actor in ("ops", "boss", "boss"):  # who made the plan, and one other person twice
        company.approve(company.look().plan.digest, actor)
        assert "approvals" in guards(company.look().plan.changes)
    company.approve(company.look().plan.digest, "deputy")
    company.apply()

    assert "u9" in company.members("algorithms")


def test_whoever_looks_again_later_does_not_become_the_author(tmp_path: Path) -> None:
    company = with_new_researcher(tmp_path)
    shown = company.look().plan
    with company.wiring().store.reading() as connection:
        before = Journal().proposals(connection, shown.digest)
    look(replace(company.wiring(), actor="cron"))
    with company.wiring().store.reading() as connection:
        assert Journal().proposals(connection, shown.digest) == before


def test_a_revocation_of_that_class_needs_nobody(tmp_path: Path) -> None:
    company = with_new_researcher(tmp_path)
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    assert "u1" not in company.members("algorithms")


# --- guards that are loosened ----------------------------------------------------------------------------------------


LOOSE = "guards: {rules: {revoke: {percent: 100, people: 1000}}}\n"


def test_loosened_guards_do_not_wave_their_own_merge_through(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(POLICY.replace("department: rd}", "any: [{department: r&d}]}"))
    company.add_policy(LOOSE)

    assert len(company.apply().plan.held) == 9
    assert len(company.members("docs")) == 9


@pytest.mark.parametrize("looked_at", [True, False])
def test_loosened_guards_count_once_a_pass_under_them_was_approved(tmp_path: Path, looked_at: bool) -> None:
    company, accounts = settled_company(tmp_path, 20)
    sales = [Account(f"u{n}", f"E{n}") for n in range(21, 28)]
    company.hire(*(account.number for account in sales), department="sales")
    company.directory([*accounts, *sales], {"docs": accounts, "algorithms": []})
    company.add_policy(LOOSE)
    company.take("docs", accounts[0])
    if looked_at:
        company.approve(company.look().plan.digest)  # something small, seen by somebody under the new numbers
    company.apply()

    for account in sales:
        company.put("docs", account)

    assert guards(company.apply().plan.changes) == {None if looked_at else "too-many"}


def test_protection_that_a_policy_takes_away_holds_until_approved(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.add_policy('guards: {protected: ["E1"]}\n')
    company.take("docs", Account("u2"))
    company.approve(company.look().plan.digest)
    company.apply()
    (tmp_path / "policies" / "more.yaml").unlink()
    company.tell("exited", "E1", "2026-11-20")

    assert guards(company.look().plan.changes) == {"protected"}


def test_guards_of_a_policy_that_cannot_be_read_any_more_are_the_defaults(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(NO_ROLE)
    company.add_policy(LOOSE)
    wiring = company.wiring()
    with wiring.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM policies")

    assert len(company.look().plan.held) == 9


# --- the window -------------------------------------------------------------------------------------------------------


def test_people_moved_within_the_window_count(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 12)

    def moves(first: int, last: int) -> set[str | None]:
        company.tell_all(
            [
                ("transferred", f"E{n}", "2026-11-20", {"assignment": "main", "department": "sales"})
                for n in range(first, last)
            ]
        )
        return guards(company.apply().plan.changes)

    assert moves(1, 4) == {None}, "three of twelve are the quarter that may go"
    company.pass_time(hours=23)
    assert moves(4, 5) == {"too-many"}
    company.now += timedelta(hours=1, seconds=1)
    assert guards(company.apply().plan.changes) == {None}
    assert of(company.look().plan.changes) == set()
