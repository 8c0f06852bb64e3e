"""The translation itself: organisations that nobody has published, and files that cannot be understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.policy import check_policy
from tests.published.second_reading import LADDER, Published, compared
from tests.published.translation import (
    FOLDER,
    policy_of,
    population_of,
    rights_by_translation,
    rights_of,
    translate,
    translated,
)

PEOPLE = ["anna", "Bo-B", "null", "1e3", "0x1F", "12345", "on", "王芳", "a-b-c"]
REPOSITORIES = [".github", "discovery.io", "2048", "no", "api", "文档"]
TEAMS = ["owner", "member", "team", "Docs Writers", "a/b", "平台组", "yes", "3.10"]
levels = st.sampled_from([*LADDER, "none"])


@st.composite
def organisations(draw: st.DrawFn) -> str:
    """A published file: teams nested in any shape, people named on repositories, names that YAML would mistake."""
    people = draw(st.permutations(PEOPLE))
    cut, rest = draw(st.integers(0, 3)), draw(st.integers(4, 8))
    inside, outside = people[:rest], people[rest:]
    repositories = draw(st.lists(st.sampled_from(REPOSITORIES), unique=True, min_size=1))
    teams: dict[str, Any] = {}
    homes = [teams]
    for name in draw(st.lists(st.sampled_from(TEAMS), unique=True)):
        team: dict[str, Any] = draw(team_bodies(inside, repositories))
        draw(st.sampled_from(homes))[name] = team
        homes.append(team.setdefault("teams", {}))
    named = st.dictionaries(st.sampled_from([*inside, *outside]), levels, max_size=3)
    settings_of = st.fixed_dictionaries({}, optional={"collaborators": named, "private": st.booleans()})
    said = {
        "default_repository_permission": draw(levels),
        "admins": inside[:cut],
        "members": inside[cut:],
        "repos": {repo: draw(settings_of) for repo in repositories},
        "teams": teams,
    }
    return yaml.safe_dump({"orgs": {"acme": said}}, allow_unicode=True)


def team_bodies(people: list[str], repositories: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A team without those nested in it; some spell people as they like."""
    somebody = st.sampled_from([*people, *(person.upper() for person in people)])
    some = st.lists(somebody, max_size=4)
    opened = st.dictionaries(st.sampled_from(repositories), levels, max_size=4)
    return st.fixed_dictionaries({}, optional={"members": some, "maintainers": some, "repos": opened})


@settings(deadline=None, max_examples=150)
@given(organisations())
def test_any_organisation_gives_exactly_what_its_file_says(text: str) -> None:
    source = Published(text)
    files = translated(text)

    assert not compared(rights_of(policy_of(files), population_of(files)), source)


@settings(deadline=None, max_examples=30)
@given(organisations())
def test_any_organisation_makes_policies_without_errors(text: str) -> None:
    files = translated(text)
    tree = {name: said.encode() for name, said in files.items() if name.startswith("policies/")}

    policy, problems = check_policy(tree)

    assert policy is not None, problems
    assert len(policy.roles) >= 1


DEEP = """\
orgs:
  acme:
    default_repository_permission: none
    admins: [root]
    members: [Anna, bob, cleo]
    repos:
      vault: {private: true, collaborators: {guest: triage, ANNA: read}}
    teams:
      house:
        members: [bob]
        repos: {site: read}
        teams:
          floor:
            repos: {site: maintain}
            teams:
              room: {maintainers: [anna]}
"""


def test_names_are_spelled_one_way_and_guests_are_named_until_a_day() -> None:
    files = translated(DEEP)
    roles = yaml.safe_load(files["policies/roles.yaml"])["roles"]

    assert files["people.csv"].splitlines()[1:] == [
        "root,root,active,owner,",
        "Anna,Anna,active,member,room",
        "bob,bob,active,member,house",
        "cleo,cleo,active,member,",
        "guest,guest,active,outside,",
    ]
    assert roles["team/room"] == {"inherits": ["team/floor"], "match": {"teams": "room"}}
    assert roles["collaborator/vault/triage"]["members"][0]["person"] == "guest"
    assert "classification: private" in files["policies/repositories.yaml"]
    assert {right for right in rights_by_translation(DEEP) if right[0] in {"Anna", "bob", "guest"}} == {
        *(("Anna", "site", action) for action in LADDER[:4]),
        ("Anna", "vault", "read"),
        ("bob", "site", "read"),
        ("guest", "vault", "read"),
        ("guest", "vault", "triage"),
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("site: maintain", "site: push", "floor: 'push' is no permission; known: read, triage"),
        ("members: [bob]", "members: [bobby]", "team house: bobby is no member"),
        ("members: [bob]", "members: [1]", "quote those that look like numbers"),
        ("members: [bob]", "members: bob", "should be a list of names"),
        ("repos: {site: read}", "repos: [site]", "`repos` should be a mapping"),
        ("      house:", "      2048:", "`teams`: 2048 is no name"),
        ("room:", "house:", "two teams are called house"),
        ("floor:", "a;b:", "team a;b"),
        ("orgs:\n  acme:", "orgs:\n  other: {}\n  acme:", "expected one organisation"),
        ("orgs:", "orgs: [", "org.yaml"),
        ("  acme:", "  - acme:", "org.yaml"),
    ],
)
def test_what_cannot_be_understood_is_said(
    old: str, new: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "org.yaml"
    source.write_text(DEEP.replace(old, new, 1), "utf-8")

    status = translate.main([str(source), str(tmp_path / "made"), "--until", "2026-12-31"])

    assert status == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_what_is_given_by_name_must_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "org.yaml"
    source.write_text(DEEP, "utf-8")

    assert translate.main([str(source), str(tmp_path / "made")]) == 1
    assert "add --until DAY" in capsys.readouterr().err


def test_the_script_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate.main([str(FOLDER / "knative" / "org.yaml"), str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == [
        "knative: 44 teams (21 nested, 117 places in them)",
        "24 repositories, 527 people (515 member, 12 owner)",
        "published to teams: 31 write, 24 admin; to people by name: nothing",
        "published to members on every repository: read",
    ]


def test_a_vault_that_is_there_keeps_its_lines(tmp_path: Path) -> None:
    vault = tmp_path / "vault.csv"
    vault.write_text("p, api:read, api, read\ng, anna, api:read\n", "utf-8")

    translate.write(tmp_path, {"vault.csv": "p, api:read, api, read\np, site:read, site, read\n"})

    assert vault.read_text("utf-8") == "p, api:read, api, read\ng, anna, api:read\np, site:read, site, read\n"
