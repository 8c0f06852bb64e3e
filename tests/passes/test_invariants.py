"""Invariants over passes: they wait for no approval, and loosening them does."""

from __future__ import annotations

from pathlib import Path

from reconciler.plan.model import Plan
from tests.passes.company import POLICY, Company, settled_company, staff

AT_LEAST = 'invariants: [{at_least: 3, permission: "docs:read"}]\n'
AT_MOST = """
guards: {rules: {grant: {percent: 100, people: 100}}}
invariants: [{at_most: 2, permission: "docs:read"}]
"""


def guards(plan: Plan) -> set[str | None]:
    return {change.held.guard if change.held else None for change in plan.changes}


def growing(company: Company) -> Company:
    """Two may read, and there are three."""
    company.add_policy(AT_MOST, "rules")
    company.hire("E1", "E2", "E3")
    company.directory(staff(3), {"docs": [], "algorithms": []})
    return company


def test_no_approval_releases_what_an_invariant_holds(company: Company) -> None:
    growing(company)
    plan = company.apply().plan
    assert guards(plan) == {"invariant"}
    assert {change.held.digest for change in plan.held if change.held} == {""}

    company.approve(plan.digest)
    done = company.apply()

    assert guards(done.plan) == {"invariant"}
    assert done.waiting
    assert company.members("docs") == set()


def test_a_looser_invariant_counts_once_a_plan_under_it_is_approved(company: Company) -> None:
    growing(company)
    company.tell("exited", "E3", "2026-11-20")
    company.apply()  # E1 and E2, under a policy that lets two in
    assert company.members("docs") == {"u1", "u2"}
    company.tell("rehired", "E3", "2026-11-22", department="rd")
    company.tell("evidence-recorded", "E3", "2026-11-22", kind="nda", valid_from="2026-11-22")
    company.add_policy(AT_MOST.replace("at_most: 2", "at_most: 5"), "rules")

    plan = company.apply().plan
    held = [change.held for change in plan.held if change.held]
    assert {each.guard for each in held} == {"loosened-invariant"}
    company.approve(held[0].digest)
    company.apply()

    assert company.members("docs") == {"u1", "u2", "u3"}


def test_leavers_go_and_the_breach_is_a_finding(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.add_policy(AT_LEAST, "rules")
    company.tell_all([("exited", f"E{n}", "2026-11-20", {}) for n in (1, 2)])

    done = company.apply()

    assert not done.plan.held
    assert company.members("docs") == {"u3", "u4"}
    breach = next(finding for finding in done.plan.findings if finding.kind == "invariant")
    assert (breach.target, breach.subject) == ("dir", "docs:read")
    assert "policies/rules.yaml:1" in breach.text


def test_what_is_no_leavers_waits_so_that_enough_are_left(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.add_policy(AT_LEAST, "rules")
    company.policy(POLICY.replace("department: rd}", "department: rd/x}"))

    plan = company.apply().plan

    assert "invariant" in guards(plan) or "empties" in guards(plan)
    assert company.members("docs") == {"u1", "u2", "u3", "u4"}
