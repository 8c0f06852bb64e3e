"""What nobody should have together: withheld or not, the plan names who, and by which rule."""

from __future__ import annotations

import pytest

from tests.passes.company import Company, staff


@pytest.mark.parametrize(("on_conflict", "members"), [("withhold", {"u2"}), ("report", {"u1", "u2"})])
def test_a_conflict_is_a_finding_with_its_rule(company: Company, on_conflict: str, members: set[str]) -> None:
    company.add_policy(
        "roles:\n"
        '  signer: {members: [{person: "E1", until: 2027-06-30, reason: Signs}], grants: {read: [algorithms]}}\n'
        f"separation:\n  - {{name: design-and-release, roles: [engineer, signer], on_conflict: {on_conflict}}}\n"
    )
    company.hire("E1", "E2")
    company.directory(staff(2), {"docs": [], "algorithms": []})

    plan = company.apply().plan

    found = [finding for finding in plan.findings if finding.kind == "separation"]
    assert [finding.subject for finding in found] == ["E1"]
    assert "design-and-release (policies/more.yaml:4:" in found[0].text
    assert company.members("docs") == members
    assert bool(plan.withheld) == (on_conflict == "withhold")
