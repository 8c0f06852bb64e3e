"""The example company agrees with itself: policies, people, evidence, directory, vault and events name the same things.

Nothing of the product is used here: the data is read as any stranger would read it.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent.parent
POLICIES = ROOT / "policies"
EXAMPLES = ROOT / "examples"
WORKSPACES = ("reconciler.yaml", "reconciler-openldap.yaml")
PERSON_ID = re.compile(r"\bE\d{3,}\b")


def load_redate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("redate", EXAMPLES / "redate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


redate = load_redate()


def yaml_of(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def merged(*folders: Path) -> dict[str, dict[str, Any]]:
    """The sections that are mappings, of all files; a name that stands twice is a mistake of the data."""
    sections: dict[str, dict[str, Any]] = {}
    for path in chain.from_iterable(sorted(folder.glob("*.yaml")) for folder in folders):
        for section, content in yaml_of(path).items():
            if isinstance(content, dict):
                known = sections.setdefault(section, {})
                assert not known.keys() & content.keys(), path
                known.update(content)
    return sections


POLICY = merged(POLICIES, EXAMPLES / "policies")
LEVELS = [name for level in yaml_of(POLICIES / "clearances.yaml")["clearances"] for name in level]
NAMED = yaml_of(EXAMPLES / "policies" / "named-people.yaml")
WORKSPACE = yaml_of(EXAMPLES / "reconciler.yaml")
HR = WORKSPACE["sources"]["hr"]


def rows_of(name: str) -> list[dict[str, str]]:
    with (EXAMPLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def people_rows() -> list[dict[str, str]]:
    """HR's rows in the words of the policies, as the workspace maps them."""
    headers = {theirs: ours for ours, theirs in HR["columns"].items()}
    rows = [{headers[header]: cell for header, cell in row.items()} for row in rows_of(HR["path"])]
    return [{name: HR["values"].get(name, {}).get(cell, cell) for name, cell in row.items()} for row in rows]


PEOPLE = people_rows()
IDS = {row["id"] for row in PEOPLE}
EVENTS = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((EXAMPLES / "events").glob("*.json"))]
HIRED = {event["person"] for event in EVENTS if event["type"] == "hired"}


def ldif_entries() -> dict[str, str]:
    """DN → the entry's text."""
    text = (EXAMPLES / "directory.ldif").read_text(encoding="utf-8")
    blocks = [re.sub(r"^#.*\n", "", block, flags=re.MULTILINE) for block in text.split("\n\n")]
    return {block.splitlines()[0].removeprefix("dn: "): block for block in blocks}


DIRECTORY = ldif_entries()


def allowed_values(attribute: str) -> set[str]:
    declared = POLICY["attributes"][attribute].get("values", [])
    return {value for rung in declared for value in (rung if isinstance(rung, list) else [rung])}


# --- policies -------------------------------------------------------------------------------------


def test_the_starter_policies_name_nobody() -> None:
    for path in POLICIES.glob("*.yaml"):
        said = "".join(
            line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
        )

        assert not PERSON_ID.search(said), path


def test_every_grant_names_an_action_of_a_resource() -> None:
    permissions = {(action, name) for name, resource in POLICY["resources"].items() for action in resource["access"]}
    granters = [*POLICY["roles"].values(), *NAMED["exceptions"], *POLICY["service_accounts"].values()]
    granted = {
        (action, resource) for granter in granters for action, names in granter["grants"].items() for resource in names
    }

    assert granted == permissions


def test_every_class_is_a_level_and_every_requirement_a_kind_of_evidence() -> None:
    classes = {resource["classification"] for resource in POLICY["resources"].values()}
    requirements = [
        alternative
        for level in yaml_of(POLICIES / "clearances.yaml")["clearances"]
        for content in level.values()
        for required in content.get("requires", [])
        for alternative in (required["any_of"] if isinstance(required, dict) else [required])
    ]

    assert classes == set(LEVELS)
    assert sorted(requirements) == sorted(POLICY["evidence"])


def test_every_match_uses_declared_attributes_and_values() -> None:
    for name, role in POLICY["roles"].items():
        for attribute, wanted in role.get("match", {}).items():
            assert attribute in POLICY["attributes"], name
            values = wanted.values() if isinstance(wanted, dict) else wanted if isinstance(wanted, list) else [wanted]
            if POLICY["attributes"][attribute]["kind"] in {"one_of", "ordered"}:
                assert set(values) <= allowed_values(attribute), name


def test_everything_that_gives_access_ends_and_names_people_of_the_company() -> None:
    members = [member for role in POLICY["roles"].values() for member in role.get("members", [])]
    exceptions = NAMED["exceptions"]

    assert members
    assert exceptions
    for entry in [*members, *exceptions]:
        assert entry["person"] in IDS
        assert isinstance(entry["until"], date)
    assert {approver for entry in exceptions for approver in entry["approved_by"]} <= IDS
    assert {entry["person"] for entry in NAMED["lockouts"]} <= IDS
    assert set(NAMED["guards"]["protected"]) <= IDS | POLICY["service_accounts"].keys()


def test_exceptions_keep_the_limits_of_their_classes() -> None:
    limits = POLICY["exception_limits"]
    for entry in NAMED["exceptions"]:
        for resource in chain.from_iterable(entry["grants"].values()):
            limit = limits[POLICY["resources"][resource]["classification"]]
            assert limit["max"].endswith("d"), "compared in days here"
            assert (entry["until"] - entry["since"]).days < int(limit["max"].removesuffix("d")), entry
            assert len({*entry["approved_by"]} - {entry["person"]}) >= limit["approvers"], entry


def test_whoever_needs_a_sponsor_has_one_at_work() -> None:
    (rule,) = yaml_of(POLICIES / "safeguards.yaml")["sponsors"]
    employees = {row["id"] for row in PEOPLE if row["employment"] == "employee" and row["status"] == "active"}
    contractors = [row for row in PEOPLE if row["employment"] == rule["of"]["employment"]]

    assert contractors
    assert {row[rule["by"]] for row in contractors} <= employees
    assert rule["ends"] == "required"
    assert all(row["ends_on"] for row in contractors)


# --- people and evidence --------------------------------------------------------------------------


def test_every_mapped_header_is_there_and_no_other() -> None:
    assert set(rows_of("people.csv")[0]) == set(HR["columns"].values())


def test_fifty_eight_people_each_with_one_row_per_assignment() -> None:
    posts = [(row["id"], row["assignment"]) for row in PEOPLE]

    assert len(IDS) == 58
    assert len(set(posts)) == len(posts)
    assert {row["id"] for row in PEOPLE if row["assignment"] == ""} == IDS


@pytest.mark.parametrize("attribute", ["post", "grade", "employment"])
def test_hr_sends_only_values_that_the_policies_declare(attribute: str) -> None:
    sent = {row[attribute] for row in PEOPLE} - {""}

    assert sent
    assert sent <= allowed_values(attribute)


@pytest.mark.parametrize("attribute", ["department", "location", "status"])
def test_hr_sends_only_values_that_the_workspace_maps(attribute: str) -> None:
    assert {row[attribute] for row in PEOPLE} == set(HR["values"][attribute].values())


def test_the_projects_that_roles_ask_for_have_people() -> None:
    sent = {project for row in PEOPLE for project in row["projects"].split(";")} - {""}
    asked = {role["match"]["projects"] for role in POLICY["roles"].values() if "projects" in role.get("match", {})}

    assert sent == asked == {"falcon", "phoenix"}


def test_managers_are_people_and_nobody_manages_themselves() -> None:
    assert {row["manager"] for row in PEOPLE} - {""} <= IDS
    assert all(row["manager"] != row["id"] for row in PEOPLE)


def test_dates_agree_with_the_status() -> None:
    for row in PEOPLE:
        starts, ends = date.fromisoformat(row["starts_on"]), row["ends_on"] and date.fromisoformat(row["ends_on"])
        assert (starts > redate.WRITTEN_FOR) == (row["status"] == "preboarding"), row
        assert bool(ends and ends < redate.WRITTEN_FOR) == (row["status"] == "exited"), row
        assert row["status"] != "notice" or ends, row


def test_only_employees_have_a_grade() -> None:
    assert {row["id"] for row in PEOPLE if not row["grade"]} == {
        row["id"] for row in PEOPLE if row["employment"] != "employee"
    }


@pytest.mark.parametrize("name", ["evidence.csv", "newcomer-evidence.csv"])
def test_evidence_is_about_known_people_and_kinds(name: str) -> None:
    for row in rows_of(name):
        assert row["person"] in IDS | HIRED, row
        kind = POLICY["evidence"][row["evidence"]]
        assert bool(row["version"]) == (kind["kind"] == "agreement"), row
        assert row["result"] in {"", "passed", "failed"}, row
        assert date.fromisoformat(row["valid_from"]) <= redate.WRITTEN_FOR, row
        assert not row["valid_until"] or date.fromisoformat(row["valid_until"]) > date.fromisoformat(row["valid_from"])


def test_evidence_ids_are_unique() -> None:
    ids = [row["id"] for name in ("evidence.csv", "newcomer-evidence.csv") for row in rows_of(name)]

    assert len(set(ids)) == len(ids)


# --- events ---------------------------------------------------------------------------------------


def test_events_are_about_people_of_the_company_or_newcomers() -> None:
    assert [event["type"] for event in EVENTS] == ["hired", "transferred", "resignation-submitted", "exited"]
    assert not HIRED & IDS
    assert {event["person"] for event in EVENTS} <= IDS | HIRED
    assert len({event["id"] for event in EVENTS}) == len(EVENTS)


def test_events_carry_declared_values() -> None:
    for event in EVENTS:
        for attribute in event["data"].keys() & {"post", "grade", "employment"}:
            assert event["data"][attribute] in allowed_values(attribute)


# --- workspace, directory, vault ------------------------------------------------------------------


def test_both_workspaces_differ_in_the_directory_alone() -> None:
    files, server = (yaml_of(EXAMPLES / name) for name in WORKSPACES)
    places = {"store", "targets"}

    assert {key: files[key] for key in files.keys() - places} == {key: server[key] for key in server.keys() - places}
    assert files["targets"]["vault"] == server["targets"]["vault"]
    for key in ("people", "groups", "foreign", "orphans"):
        assert files["targets"]["corp-ldap"][key] == server["targets"]["corp-ldap"][key]


@pytest.mark.parametrize("name", WORKSPACES)
def test_what_a_workspace_names_is_there(name: str) -> None:
    workspace = yaml_of(EXAMPLES / name)
    named = [*workspace["policies"], HR["path"], *(workspace["targets"]["vault"][key] for key in ("model", "policy"))]

    for path in named:
        assert (EXAMPLES / path).exists(), path


def test_bindings_name_targets_of_the_workspace_and_groups_of_the_directory() -> None:
    bindings = [
        (target, locator)
        for resource in POLICY["resources"].values()
        for access in resource["access"].values()
        for target, locator in access.items()
    ]
    groups = [locator["group"] for target, locator in bindings if target == "corp-ldap"]

    assert {target for target, _ in bindings} == WORKSPACE["targets"].keys()
    assert len(set(groups)) == len(groups)
    assert {f"cn={group},ou=groups,dc=example,dc=com" for group in [*groups, "vpn-users", "all-hands"]} == {
        dn for dn in DIRECTORY if ",ou=groups," in dn
    }


def test_the_directory_has_accounts_for_people_an_orphan_and_a_service_account() -> None:
    numbers = {found[1] for entry in DIRECTORY.values() if (found := re.search(r"^employeeNumber: (.*)$", entry, re.M))}
    late = {row["id"] for row in PEOPLE if row["starts_on"] > (redate.WRITTEN_FOR + timedelta(days=14)).isoformat()}

    assert numbers - IDS - HIRED == {"E0417"}
    assert (IDS | HIRED) - numbers == late == {"E1058"}
    assert "cn=svc-backup,ou=people,dc=example,dc=com" in DIRECTORY


def test_every_member_is_an_entry_or_the_placeholder() -> None:
    placeholder = WORKSPACE["targets"]["corp-ldap"]["groups"]["placeholder"]

    for dn, entry in DIRECTORY.items():
        members = re.findall(r"^member: (.*)$", entry, re.MULTILINE)
        assert set(members) <= DIRECTORY.keys() | {placeholder}, dn
        assert bool(members) == (",ou=groups," in dn), dn
        assert len(set(members)) == len(members), dn


def test_the_vault_gives_its_roles_something_and_knows_people() -> None:
    lines = (EXAMPLES / "vault.csv").read_text(encoding="utf-8").splitlines()
    parts = [[part.strip() for part in line.split(",")] for line in lines if line and not line.startswith("#")]
    roles = {part[1] for part in parts if part[0] == "p" and not PERSON_ID.fullmatch(part[1])}

    assert {"core-reader", "core-writer"} <= roles
    assert {part[2] for part in parts if part[0] == "g"} <= roles
    assert {part[1] for part in parts if PERSON_ID.fullmatch(part[1])} <= IDS


def test_the_readme_names_every_file() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    for path in EXAMPLES.iterdir():
        if path.suffix in {".csv", ".yaml", ".ldif", ".conf", ".py"} or path.name in {"events", "policies"}:
            assert f"`{path.name}" in readme, path
    assert set(PERSON_ID.findall(readme)) <= IDS | HIRED


# --- moving the dates -----------------------------------------------------------------------------


@given(st.binary())
def test_moving_by_no_days_changes_nothing(content: bytes) -> None:
    assert redate.moved(content, 0) == content


@given(st.dates(date(1990, 1, 1), date(2200, 1, 1)), st.integers(-9999, 9999))
def test_a_date_moves_by_the_days_and_back(day: date, days: int) -> None:
    text = f"since: {day}\nat: {day}T09:30:00+08:00\n".encode()
    there = day + timedelta(days)

    assert redate.moved(text, days) == f"since: {there}\nat: {there}T09:30:00+08:00\n".encode()
    assert redate.moved(redate.moved(text, days), -days) == text


@pytest.mark.parametrize(
    "text", ["ES-4001", "12026-11-23", "2026-11-233", "2026-11-23-1", "2026-13-01", "2026-02-30", ""]
)
def test_what_is_no_date_stays(text: str) -> None:
    assert redate.moved(text.encode(), 5) == text.encode()


def test_a_copy_for_the_day_it_was_written_for_is_the_same(tmp_path: Path) -> None:
    redate.main([str(tmp_path / "copy"), str(EXAMPLES), str(POLICIES), "--today", redate.WRITTEN_FOR.isoformat()])

    for folder in (EXAMPLES, POLICIES):
        copied = tmp_path / "copy" / folder.name
        for path in copied.rglob("*"):
            if path.is_file():
                assert path.read_bytes() == (folder / path.relative_to(copied)).read_bytes()
    assert (tmp_path / "copy" / "examples" / "people.csv").exists()
    assert (tmp_path / "copy" / "policies" / "roles.yaml").exists()


def test_a_copy_speaks_of_the_day_asked_for(tmp_path: Path) -> None:
    redate.main([str(tmp_path), str(EXAMPLES), str(POLICIES), "--today", "2027-11-23"])

    assert yaml_of(tmp_path / "policies" / "evidence.yaml")["evidence"]["nda"]["superseded_on"] == date(2027, 3, 1)
    event = json.loads((tmp_path / "examples" / "events" / "01-hire.json").read_text(encoding="utf-8"))
    assert event["effective_at"] == "2027-11-23"
    assert (tmp_path / "examples" / "vault.csv").read_bytes() == (EXAMPLES / "vault.csv").read_bytes()


def test_a_copy_overwrites_nothing(tmp_path: Path) -> None:
    redate.main([str(tmp_path), str(POLICIES)])

    with pytest.raises(SystemExit) as refused:
        redate.main([str(tmp_path), str(EXAMPLES), str(POLICIES)])
    assert refused.value.code == 2
    assert not (tmp_path / "examples").exists()
