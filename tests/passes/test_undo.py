"""`undo`: what a run did is brought back, stays until somebody approves otherwise, and never opens what is denied."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.passes import Look
from reconciler.passes.undo import Undone, UndoRefused, undo
from tests.passes.company import POLICY, Company, of, settled_company


def run_of(company: Company) -> str:
    done = company.apply()
    assert done.report is not None
    return done.report.run


def undone(company: Company, run: str) -> Undone:
    return undo(company.wiring(), run, "the merge was wrong")


def merged_wrongly(folder: Path) -> tuple[Company, str]:
    """Three people of twenty lost the docs by a policy change, and it was carried out."""
    company, _ = settled_company(folder, 20)
    for person in ("E1", "E2", "E3"):
        company.tell("transferred", person, "2026-11-24", department="rd/x")
    company.apply()
    company.pass_time(days=2)
    company.policy(
        POLICY.replace("engineer: {match: {department: rd},", "engineer: {match: {department: {not: rd/x}},")
    )
    plan = company.look().plan
    if plan.held:
        company.approve(plan.digest)
    run = run_of(company)
    assert company.members("docs") == {f"u{n}" for n in range(4, 21)}
    return company, run


@pytest.mark.usefixtures("either_store")
def test_what_a_run_took_is_given_back_and_stays(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)

    assert len(undone(company, run).pins) == 3
    plan = company.look().plan
    assert of(plan.changes) == {(f"E{n}", "docs:read") for n in (1, 2, 3)}
    assert {change.cause.kind.value for change in plan.changes} == {"undo"}
    company.apply()
    assert company.members("docs") == {f"u{n}" for n in range(1, 21)}

    again = company.look().plan
    assert {change.held.guard for change in again.changes if change.held} == {"undone"}
    assert of(again.changes, "revoke") == {(f"E{n}", "docs:read") for n in (1, 2, 3)}
    assert company.apply().waiting
    assert company.members("docs") == {f"u{n}" for n in range(1, 21)}


def test_who_leaves_between_the_plan_and_its_sending_is_given_nothing_back(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)
    undone(company, run)
    company.tell("exited", "E2", "2026-11-28")

    def slept_over(seen: Look) -> bool:
        company.pass_time(days=5)
        return ("E2", "docs:read") in of(seen.plan.due)

    company.apply(confirm=slept_over)

    assert company.members("docs") == {f"u{n}" for n in range(1, 21) if n != 2}


def test_approving_what_was_undone_ends_it(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)
    undone(company, run)
    company.apply()
    (digest,) = {change.held.digest for change in company.look().plan.changes if change.held}

    company.approve(digest)
    company.apply()

    assert company.members("docs") == {f"u{n}" for n in range(4, 21)}
    company.pass_time(days=5)
    assert company.look().plan.changes == ()


def test_what_a_run_gave_is_taken_and_not_given_again(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 10)
    company.tell("transferred", "E1", "2026-11-24", department="rd/ai")
    run = run_of(company)
    assert company.members("algorithms") == {"u1"}

    undone(company, run)
    company.apply()
    assert company.members("algorithms") == set()

    assert company.apply().waiting
    assert company.members("algorithms") == set()


def test_nothing_comes_back_that_the_rule_denies_by_now(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)
    company.tell("exited", "E1", "2026-11-25")
    company.tell("evidence-revoked", "E2", "2026-11-25", evidence="E2-nda")
    company.pass_time(days=1)

    undone(company, run)
    plan = company.look().plan

    assert of(plan.changes, "grant") == {("E3", "docs:read")}
    assert {finding.subject for finding in plan.findings if finding.kind == "not-undone"} == {"E1", "E2"}


def test_a_leaver_is_out_whatever_was_undone(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)
    undone(company, run)
    company.apply()
    company.tell("exited", "E1", f"{company.now:%Y-%m-%d}")
    company.pass_time(days=1)

    company.apply()

    assert "u1" not in company.members("docs")


def test_the_same_guards_hold_an_undoing(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)
    company.add_policy("guards:\n  rules: {grant: {percent: 1, people: 1}}\n")
    undone(company, run)

    plan = company.look().plan

    assert len(plan.held) == 3


def test_what_cannot_be_undone_is_refused(tmp_path: Path) -> None:
    company, run = merged_wrongly(tmp_path)

    with pytest.raises(UndoRefused, match="nothing to undo"):
        undone(company, "000000000000")
    with pytest.raises(UndoRefused, match="reason"):
        undo(company.wiring(), run, " ")
    undone(company, run)
    with pytest.raises(UndoRefused, match="already"):
        undone(company, run)
