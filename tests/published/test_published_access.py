"""The published teams and permissions of real organisations, translated to a policy tree, give exactly that access.

Said by three who share no code: a second reading of the published file, the product's rule on the translated tree, and
casbin on the store that the product has written. Each person is asked about each repository and each action.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import casbin
import pytest

from reconciler.access.explain import explain_many
from tests.cli.company import Company
from tests.published.second_reading import LADDER, MEMBER, OWNER, Published, Right, Way, compared
from tests.published.translation import (
    AT,
    FOLDER,
    SCRIPT,
    permission,
    policy_of,
    population_of,
    population_of_rows,
    rights_by_translation,
    rights_of,
    translated,
)

FIGURES = {
    "etcd-io": "15 teams (1 nested), 13 repositories, 51 people, 1519 permissions",
    "gardener": "82 teams (0 nested), 104 repositories, 132 people, 15485 permissions",
    "knative": "44 teams (21 nested), 24 repositories, 527 people, 14772 permissions",
}
organisations = pytest.mark.parametrize("name", FIGURES)


def published(name: str) -> Published:
    return Published.at(FOLDER / name / "org.yaml")


def edited(text: str, old: str, new: str) -> str:
    """The text with one place changed."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


# --- the policy tree ------------------------------------------------------------------------------------------------


@organisations
def test_the_data_is_what_the_readme_says(name: str) -> None:
    source = published(name)

    assert source.figures == FIGURES[name]
    figures = re.findall(r"\d+", source.figures)
    assert f"| {name} | {' | '.join(figures)} |" in (FOLDER / "README.md").read_text("utf-8")
    named = {who for team in source.teams.values() for role in ("members", "maintainers") for who in team.get(role, [])}
    assert named <= source.people


@organisations
def test_policy_gives_exactly_what_is_published(name: str) -> None:
    source = published(name)

    assert not compared(rights_by_translation(source.text), source)


def test_a_tree_that_forgets_inheritance_is_found_out() -> None:
    """The comparison sees what it should: without `inherits`, those in nested teams lose the parents' permissions."""
    source = published("knative")
    files = dict(translated(source.text))
    lines = files["policies/roles.yaml"].splitlines(keepends=True)
    files["policies/roles.yaml"] = "".join(line for line in lines if "inherits:" not in line)

    found = rights_of(policy_of(files), population_of(files))

    assert "0 too many" in compared(found, source)
    assert ("navidshaikh", "client", "write") in source.rights - found


@organisations
def test_why_names_the_published_ways(name: str) -> None:
    """Every permission of everybody who is in a team, with each way by which the file gives it, and no other."""
    source = published(name)
    files = translated(source.text)
    asked = [right for right, ways in sorted(source.ways.items()) if ways - {OWNER, MEMBER}]

    answers = explain_many(
        policy_of(files), population_of(files), ((right[0], permission(right)) for right in asked), AT
    )

    assert len(asked) > 100, source.figures
    for right, answer in zip(asked, answers, strict=True):
        assert answer.allowed, right
        assert {way_of(reason.roles) for reason in answer.reasons} == source.ways[right], right


def way_of(roles: tuple[str, ...]) -> Way:
    """The teams behind a chain of roles."""
    return {"owner": OWNER, "member": MEMBER}.get(roles[0], tuple(role.removeprefix("team/") for role in roles))


# --- one change in the published file ------------------------------------------------------------------------------


CHANGES = {
    "into a nested team": (
        "members: [fuweid, ivanvc, jmhbnz, siyuan",
        "members: [dims, fuweid, ivanvc, jmhbnz, siyuan",
    ),
    "out of a team": ("members: [lburgazzoli, vorburger]", "members: [vorburger]"),
    "a lower permission": ("repos: {raft: maintain}", "repos: {raft: triage}"),
    "a permission withdrawn": ("repos: {etcd-operator: write}", "repos: {}"),
    "a permission for a parent": ("etcd-operator: triage, gofail", "etcd-operator: triage, etcdlabs: write, gofail"),
    "no longer an owner": ("cblecker, jasonbraganza, k8s", "cblecker, k8s"),
    "another default": ("default_repository_permission: read", "default_repository_permission: none"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_change_changes_exactly_the_difference(change: str) -> None:
    source = published("etcd-io")
    after = Published(edited(source.text, *CHANGES[change]))

    before_rights, after_rights = rights_by_translation(source.text), rights_by_translation(after.text)

    assert after_rights - before_rights == after.rights - source.rights
    assert before_rights - after_rights == source.rights - after.rights
    assert after_rights != before_rights


@organisations
def test_leaving_any_team_takes_exactly_what_it_gave(name: str) -> None:
    """Each place in each team, given up alone. It is news about a person: the policies stay as they are.

    All are asked about at once, each as somebody who is like the person but for this place.
    """
    source = published(name)
    files = translated(source.text)
    rows = list(csv.DictReader(files["people.csv"].splitlines()))
    places = [(row, team) for row in rows for team in row["teams"].split(";") if team]
    leavers = [
        {**row, "id": f"{row['id']} without {team}", "teams": without(row["teams"], team)} for row, team in places
    ]

    found = rights_of(policy_of(files), population_of_rows(leavers))

    assert len(places) > 50, source.figures
    ways = by_person(source)
    assert found == {
        (f"{row['id']} without {team}", *what)
        for row, team in places
        for what, through in ways.get(row["id"], {}).items()
        if not only_by(through, team)
    }


def without(teams: str, team: str) -> str:
    """The people file's cell without one of its values."""
    return ";".join(each for each in teams.split(";") if each != team)


def by_person(source: Published) -> dict[str, dict[tuple[str, str], set[Way]]]:
    """The published ways, person by person."""
    found: dict[str, dict[tuple[str, str], set[Way]]] = {}
    for (who, *what), ways in source.ways.items():
        found.setdefault(who, {})[what[0], what[1]] = ways
    return found


def only_by(ways: set[Way], team: str) -> bool:
    """Whether each way begins with this team."""
    return all(way[0] == team for way in ways)


# --- the whole way, to casbin --------------------------------------------------------------------------------------


def translated_to(folder: Path, source: Path) -> Company:
    """What the script writes, as a company to run commands on."""
    said = subprocess.run(
        [sys.executable, str(SCRIPT), str(source), str(folder)], check=True, capture_output=True, text=True
    ).stdout
    assert "written to" in said
    return Company(folder)


def enforced(company: Company, source: Published) -> set[Right]:
    """Who may do what on the platform: casbin, asked about everybody, every repository and every action.

    Its enforcer with an index of its lines by object and action: the same decision over the lines that can matter.
    """
    files = (str(company.folder / "vault.conf"), str(company.folder / "vault.csv"))
    decide = casbin.FastEnforcer(*files, cache_key_order=[1, 2])
    return {right for right in questions(source) if decide.enforce(*right)}


def questions(source: Published) -> Iterator[Right]:
    """Everybody, every repository, every action."""
    return product(source.people, source.repositories, LADDER)


def changed(plan: Any, op: str) -> set[Right]:
    """What the plan's changes of one kind give or take."""
    return {
        (change["person"], *what.rsplit(":", 1))
        for change in plan["changes"]
        if change["op"] == op
        for what in change["permissions"]
    }


def rolled_out(name: str, folder: Path) -> Company:
    """An organisation's workspace after its first roll-out, which gave exactly what is published."""
    source = published(name)
    company = translated_to(folder, FOLDER / name / "org.yaml")
    assert "0 errors, 0 warnings" in company.run("check").out
    assert f"{len(source.people)} new" in company.run("people", "import").out

    run = company.roll_out()

    assert run["outcomes"] == {"applied": len(source.rights)}
    return company


def test_the_platform_allows_exactly_what_is_published(tmp_path: Path) -> None:
    source = published("knative")

    assert not compared(enforced(rolled_out("knative", tmp_path), source), source)


def test_a_membership_that_is_published_arrives_and_one_that_is_withdrawn_goes(tmp_path: Path) -> None:
    source = published("etcd-io")
    company = rolled_out("etcd-io", tmp_path / "workspace")
    assert not compared(enforced(company, source), source)
    assert not compared(plainly_enforced(company, source), source)
    assert company.plan("--detailed-exitcode")["changes"] == []

    after = Published(edited(edited(source.text, *CHANGES["into a nested team"]), *CHANGES["out of a team"]))
    plan = republished(company, after, tmp_path / "org.yaml")
    assert changed(plan, "grant") == after.rights - source.rights
    assert changed(plan, "revoke") == source.rights - after.rights
    assert len(plan["changes"]) == len(after.rights ^ source.rights) > 0
    assert {right[0] for right in after.rights ^ source.rights} == {"dims", "lburgazzoli"}
    assert not compared(plainly_enforced(company, after), after)

    answer = company.run("why", "dims", "etcd-operator:triage", "--output", "json").json
    assert [reason["roles"] for reason in answer["reasons"]] == [["team/reviewers-etcd", "team/members"]]
    assert answer["reasons"][0]["text"].endswith("matches role team/reviewers-etcd, which inherits team/members")


def republished(company: Company, after: Published, file: Path) -> Any:
    """Translate a newer file into the same workspace, import, plan, apply. Only people have changed. The plan."""
    policies = texts(company.folder / "policies")
    file.write_text(after.text, "utf-8")
    translated_to(company.folder, file)
    assert texts(company.folder / "policies") == policies
    company.run("people", "import")
    plan = company.plan()
    company.run("apply", "--yes")
    return plan


def plainly_enforced(company: Company, source: Published) -> set[Right]:
    """The same by casbin's plain enforcer, which goes through all of its lines each time."""
    decide = casbin.Enforcer(str(company.folder / "vault.conf"), str(company.folder / "vault.csv"))
    return {right for right in questions(source) if decide.enforce(*right)}


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}


def test_people_are_written_once_each() -> None:
    for name in FIGURES:
        rows = list(csv.DictReader(translated(published(name).text)["people.csv"].splitlines()))
        assert {row["id"] for row in rows} == published(name).people
        assert len({row["id"].lower() for row in rows}) == len(rows)
