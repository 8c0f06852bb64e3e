"""`reconciler impact` on a real git repository: what it says is the difference of two full plans, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.audit.repository import git, repository
from tests.cli.company import Company


def commit(company: Company, message: str) -> None:
    git(company.folder.parent, "add", "-A")
    git(company.folder.parent, "commit", "-q", "-m", message)


@pytest.fixture
def reviewed(informed_company: Company) -> Company:
    """The company with people on record, its policies and workspace in git, on the branch `topic` beside `main`."""
    root = repository(informed_company.folder.parent)
    (root / ".gitignore").write_text("state/\n")
    commit(informed_company, "as it is")
    git(root, "switch", "-q", "-c", "topic")
    return informed_company


def lower_the_bound(company: Company) -> None:
    path = company.folder.parent / "policies" / "roles.yaml"
    path.write_text(path.read_text("utf-8").replace("min: P6", "min: P5"), "utf-8")


def members(company: Company) -> set[tuple[str, str, str]]:
    """Everything that a plan from nothing to the present policy would come to: its grants, and what agrees already."""
    plan = company.plan()
    return {
        (change["target"], change["entitlement"], change["person"])
        for change in plan["changes"]
        if change["op"] == "grant" and change["person"]
    }


def test_its_counts_are_the_difference_of_two_full_plans(reviewed: Company) -> None:
    before = members(reviewed)
    lower_the_bound(reviewed)
    commit(reviewed, "lower the bound")
    after = members(reviewed)
    found = reviewed.run("impact", "main..topic", "--output", "json").json
    assert after - before
    assert sum(one["gained"] for one in found["entitlements"]) == len(after - before)
    assert sum(one["lost"] for one in found["entitlements"]) == len(before - after)
    assert found["changed_parts"] == ["grants"]
    assert not found["same_meaning"]
    reviewed.run("impact", "main..topic", "--detailed-exitcode", status=2)


def test_neither_the_working_tree_nor_the_branch_it_is_on_counts(reviewed: Company) -> None:
    lower_the_bound(reviewed)
    commit(reviewed, "lower the bound")
    once = reviewed.run("impact", "main..topic", "--at", "2030-01-01", "--output", "json")
    git(reviewed.folder.parent, "switch", "-q", "main")
    reviewed.write("../policies/broken.yaml", "roles: [")
    assert reviewed.run("impact", "main..topic", "--at", "2030-01-01", "--output", "json").json == once.json
    assert "not committed" in reviewed.run("impact", "topic..").err
    reversed_ = reviewed.run("impact", "topic..main", "--at", "2030-01-01", "--output", "json").json
    assert reversed_["summary"]["losses"] == once.json["summary"]["gains"]


def test_a_refactoring_is_proved_to_change_nothing(reviewed: Company) -> None:
    path = reviewed.folder.parent / "policies" / "roles.yaml"
    text = path.read_text("utf-8")
    (path.parent / "moved.yaml").write_text(text, "utf-8")
    path.unlink()
    commit(reviewed, "another file")
    assert "No effective change: both revisions decide alike for anybody" in reviewed.run("impact", "main...topic").out


def test_people_may_come_from_files_and_nothing_is_kept(reviewed: Company, tmp_path: Path) -> None:
    lower_the_bound(reviewed)
    commit(reviewed, "lower the bound")
    entries = reviewed.entries()
    people = tmp_path / "人员.csv"
    people.write_text(
        "id,name,employment,department,post,grade,location\nX1,李雷,employee,rd/ai,engineer,P5,cn\n"
        "X2,韩梅梅,employee,rd/ai,engineer,P4,cn\nX3,坏,employee,rd/ai,engineer,P5,cn,extra\n",
        "utf-8",
    )
    proofs = tmp_path / "evidence.csv"
    proofs.write_text("person,evidence,version,valid_from\nX1,nda,9,2020-01-01\n", "utf-8")
    found = reviewed.run(
        "impact", "main..topic", "--people", str(people), "--evidence", str(proofs), "--output", "json"
    )
    assert found.json["people"] == 2
    assert {one for shift in found.json["shifts"] for one in shift["people"]} == {"X1"}
    assert "left out" in found.err
    assert reviewed.entries() == entries
    reviewed.run("impact", "main..topic", "--evidence", str(proofs), status=64)


def test_what_is_wrong_with_a_proposed_policy_is_told_at_its_line(reviewed: Company) -> None:
    reviewed.write("../policies/new.yaml", "roles:\n  x: {match: {departmnt: rd}, grants: {read: [handbook]}}\n")
    commit(reviewed, "a mistake")
    said = reviewed.run("impact", "main..topic", status=1)
    assert "new.yaml:2:15: error:" in said.err
    assert "did you mean `department`?" in said.err
    assert "the policies at topic" in said.err


@pytest.mark.parametrize(
    ("span", "expected"),
    [("main", "write BASE..HEAD"), ("mian..topic", "it has: main, topic"), ("main..--help", "git knows no revision")],
)
def test_a_revision_that_cannot_be_read_says_what_to_do(reviewed: Company, span: str, expected: str) -> None:
    assert expected in reviewed.run("impact", span, status=1).err


def test_markdown_for_the_public_counts_people_and_names_none(reviewed: Company) -> None:
    lower_the_bound(reviewed)
    commit(reviewed, "lower the bound")
    named = reviewed.run("impact", "main..topic", "--output", "markdown").out
    counted = reviewed.run("impact", "main..topic", "--output", "markdown", "--no-names").out
    people = {
        one
        for shift in json.loads(reviewed.run("impact", "main..topic", "--output", "json").out)["shifts"]
        for one in shift["people"]
    }
    assert people
    assert all(f"`{one}`" in named for one in people)
    assert not any(one in counted for one in people)


def test_broken_invariants_and_new_conflicts_are_shown(reviewed: Company) -> None:
    rules = reviewed.folder.parent / "policies" / "bounds.yaml"
    reviewed.write(
        "../policies/bounds.yaml",
        "invariants:\n  - {at_most: 1, permission: handbook:read}\n"
        "separation:\n  - {name: apart, between: [[handbook:read], [basic-docs:read]], on_conflict: report}\n",
    )
    assert rules.exists()
    commit(reviewed, "bounds")
    found = reviewed.run("impact", "main..topic", "--output", "json").json
    assert [one["permission"] for one in found["broken_invariants"]] == ["handbook:read"]
    assert found["new_conflicts"]["apart"]
    text = reviewed.run("impact", "main..topic").out
    assert "! breaks an invariant" in text
    assert "! new conflict with separation apart" in text


def test_people_may_come_from_a_configured_source(reviewed: Company) -> None:
    lower_the_bound(reviewed)
    commit(reviewed, "lower the bound")
    recorded = reviewed.run("impact", "main..topic", "--output", "json").json
    asked = ("--people", "hr", "--evidence", "evidence.csv", "--output", "json")
    supposed = reviewed.run("impact", "main..topic", *asked).json
    assert supposed["summary"] == recorded["summary"]


def test_a_file_with_headers_of_hrs_own_is_answered_with_the_source_that_maps_them(reviewed: Company) -> None:
    lower_the_bound(reviewed)
    commit(reviewed, "lower the bound")
    said = reviewed.run("impact", "main..topic", "--people", "people.csv", status=1).err
    assert "name the source (it has: hr)" in said
