"""`reconciler test` and the forms of `reconciler check` that other programs read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.audit.repository import repository
from tests.cli.company import ROOT, Company

TESTS = """tests:
  - name: 高级工程师 & "core" <b>
    on: 2026-11-24
    assignments: [{department: rd/ai, post: engineer, grade: P6, employment: employee}]
    evidence: [nda, ip-assignment, secrecy-training]
    expect:
      can: ["handbook:read", "basic-docs:read"]
      cannot: ["core-algorithms:write"]
      withheld: {"core-algorithms:read": [EXPECTED]}
"""
RIGHT = "background-check|police-certificate, non-compete, rd-training"


@pytest.fixture
def bare(company: Company) -> Company:
    """The company without any policy test of its own."""
    for policies in (company.folder.parent / "policies", company.folder / "policies"):
        for path in policies.glob("*test*"):
            path.unlink()
    return company


def with_tests(company: Company, expected: str) -> Company:
    company.write("../policies/own-tests.yaml", TESTS.replace("EXPECTED", expected))
    return company


def test_expectations_that_are_met_pass_and_coverage_names_what_nothing_tries(bare: Company) -> None:
    done = with_tests(bare, RIGHT).run("test", "--verbose")
    assert '✓ 高级工程师 & "core" <b>' in done.out
    assert "1 test, 4 expectations: all met" in done.out
    assert "role architect: nobody in a test holds it" in done.out
    data = bare.run("test", "--output", "json").json
    assert data["ok"]
    assert data["coverage"]["clauses"] > len(data["coverage"]["untried"]) > 0


def test_an_expectation_that_is_not_met_says_where_and_what_came_out(bare: Company) -> None:
    done = with_tests(bare, "rd-training").run("test", status=1)
    assert "own-tests.yaml:9:18: core-algorithms:read withheld for rd-training" in done.out
    assert "also for" in done.out
    assert "1 not met" in done.out


def test_junit_holds_every_expectation_and_survives_any_name(bare: Company, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    with_tests(bare, "rd-training").run("test", "--junit", str(report), status=1)
    root = ElementTree.parse(report).getroot()  # noqa: S314  # written by ourselves, just now
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "4", "1")
    (suite,) = root
    assert suite.get("name") == '高级工程师 & "core" <b>'
    assert [case.find("failure") is not None for case in suite].count(True) == 1
    assert all(case.get("file", "").endswith("own-tests.yaml") for case in suite)
    assert "cannot be written" in bare.run("test", "--junit", str(tmp_path / "no" / "x"), status=1).err


def test_a_check_of_nothing_does_not_pass(bare: Company) -> None:
    """F6: green because it skipped everything."""
    said = bare.run("test", status=1).err
    assert "no policy file has a `tests:` section" in said


def test_coverage_can_be_asked_for(bare: Company) -> None:
    with_tests(bare, RIGHT).run("test", "--min-coverage", "5")
    assert "is asked for" in bare.run("test", "--min-coverage", "99", status=1).err


def test_a_test_that_names_what_is_not_there_is_an_error_of_check(bare: Company) -> None:
    with_tests(bare, RIGHT).edit("../policies/own-tests.yaml", "post: engineer", "post: enginer")
    assert "did you mean `engineer`?" in bare.run("check", status=1).out
    assert "did you mean `engineer`?" in bare.run("test", status=1).err


# --- SARIF ----------------------------------------------------------------------------------------------------------


def test_sarif_tells_every_problem_at_its_place_in_the_repository(company: Company) -> None:
    repository(company.folder.parent)
    company.write("../policies/新 政策.yaml", "roles:\n  x: {match: {departmnt: rd}, grants: {read: [handbok]}}\n")
    sarif = company.run("check", "--output", "sarif", status=1).json
    problems = company.run("check", "--output", "json", status=1).json["problems"]
    assert sarif["version"] == "2.1.0"
    (run,) = sarif["runs"]
    assert len(run["results"]) == len(problems) > 1
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result, problem in zip(run["results"], problems, strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == problem["code"]
        (place,) = result["locations"]
        physical = place["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == "policies/%E6%96%B0%20%E6%94%BF%E7%AD%96.yaml"
        assert physical["region"] == {"startLine": problem["line"], "startColumn": problem["column"]}
        assert result["level"] == problem["severity"]


def test_a_problem_that_only_moved_keeps_its_fingerprint(company: Company) -> None:
    company.write("../policies/new.yaml", "roles: {x: {grants: {read: [handbok]}}}\n")
    first = company.run("check", "--output", "sarif", status=1).json["runs"][0]["results"][0]
    company.write("../policies/new.yaml", "\n\nroles: {x: {grants: {read: [handbok]}}}\n")
    second = company.run("check", "--output", "sarif", status=1).json["runs"][0]["results"][0]
    assert first["partialFingerprints"] == second["partialFingerprints"]
    assert first["locations"] != second["locations"]


def test_sarif_without_problems_and_of_a_broken_workspace(company: Company) -> None:
    assert company.run("check", "--output", "sarif").json["runs"][0]["results"] == []
    company.write("reconciler.yaml", "format: nonsense\n")
    found = company.run("check", "--output", "sarif", status=1).json
    assert {result["level"] for result in found["runs"][0]["results"]} == {"error"}


# --- pre-commit -----------------------------------------------------------------------------------------------------


def test_the_pre_commit_hooks_name_commands_that_there_are(company: Company) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert [hook["id"] for hook in hooks] == ["reconciler-check", "reconciler-test"]
    for hook in hooks:
        program, command = hook["entry"].split()
        assert program == "reconciler"
        assert "Usage" in company.run(command, "--help").out
        assert not hook["pass_filenames"]
