"""A target that confirms what it did not do: the run says so, nothing is taken for done, repetition is a finding."""

from __future__ import annotations

from pathlib import Path

from tests.passes.company import Company, Faulty, settled_company


def lied_to(company: Company) -> list[str]:
    done = company.apply(faults={"dir": Faulty(lies={"u1"})})
    assert done.failed
    assert done.report is not None
    assert {change.person for change in done.report.contradicted} == {"E1"}
    return [finding.kind for finding in done.report.findings]


def test_lying_once_fails_the_run_and_lying_again_is_a_finding(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("exited", "E1", "2026-11-20")

    assert lied_to(company) == []
    assert "u1" in company.members("docs")
    company.pass_time(hours=1)
    assert lied_to(company) == ["target-contradicts"]
    company.pass_time(days=8)
    assert lied_to(company) == [], "what was a week ago is forgotten"

    done = company.apply()
    assert not done.failed
    assert "u1" not in company.members("docs")


def test_the_finding_says_how_often(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("exited", "E1", "2026-11-20")
    lied_to(company)
    done = company.apply(faults={"dir": Faulty(lies={"u1"})})

    assert done.report is not None
    (finding,) = done.report.findings
    assert finding.target == "dir"
    assert finding.text == (
        "in 2 runs of the last 7 days it confirmed changes that reading did not show, 2 of them in this run: "
        "what it confirms cannot be relied on"
    )
