"""People from an HR system's API and from a directory, on the real command line: what the second import asks for and
takes, and who waits when somebody is not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.adapters.hr_lab import person
from tests.cli.company import Company
from tests.servers.hr_api import TOKEN, HrApi, serving
from tests.servers.slapd import PASSWORD, Slapd, required, started
from tests.story.test_feeds import VAULT

COUNT = 23
POLICY = """\
guards:
  feed: {shrink_percent: 10}
attributes:
  department: {kind: tree}
  projects: {kind: set}
  manager: {kind: person}
clearances:
  - public: {}
resources:
  wiki: {classification: public, owner: {person: "E0001"}, access: {read: {vault: {role: reader}}}}
roles:
  engineer: {match: {department: rd}, grants: {read: [wiki]}}
"""
WORKSPACE = """\
format: reconciler.workspace/1
organization: 星河科技
timezone: Asia/Shanghai
policies: policies
targets:
  vault: {type: casbin, model: vault.conf, policy: vault.csv}
sources:
"""
REST = """\
  hr:
    type: rest
    url: {url}
    records: data.items
    auth: {{bearer: "${{env:HR_TOKEN}}"}}
    pages: {{by: page, size: {{parameter: per_page, value: 10}}, total: meta.total}}
    changes: {{parameter: updated_since, field: updated_at, overlap: 0s}}
    columns: {{id: employee_no, name: name.full, department: org.path}}
"""
DIRECTORY = """\
  hr:
    type: ldap
    url: {url}
    tls: none
    bind: {{dn: "cn=reconciler,dc=example,dc=com", password: "${{env:LDAP_PASSWORD}}"}}
    people: {{base: "ou=people,dc=example,dc=com"}}
    references: [manager]
    columns:
      {{id: employeeNumber, name: cn, department: departmentNumber, projects: businessCategory, status: employeeType}}
    transforms: {{id: [{{pad: 4}}, {{prefix: E}}]}}
    values: {{department: {{研发中心/视觉组: rd/ai/vision}}, status: {{在职: active, 已离职: exited}}}}
"""
OnApi: TypeAlias = tuple[Company, HrApi]
OnDirectory: TypeAlias = tuple[Company, Slapd]


def company_of(folder: Path, sources: str) -> Company:
    company = Company(folder)
    company.write("reconciler.yaml", WORKSPACE + sources)
    company.write("policies/policy.yaml", POLICY)
    company.write("vault.conf", VAULT)
    company.write("vault.csv", "p, reader, wiki, read\n")
    return company


def take(company: Company, *arguments: str, status: int = 0) -> Any:
    """An import's report."""
    [report] = company.run("people", "import", "--output", "json", *arguments, status=status).json
    return report


def said(report: Any) -> tuple[int, int, int]:
    return report["new"], report["changed"], report["unchanged"]


def may_read(company: Company, who: str) -> bool:
    answer = company.run("why", who, "wiki:read", "--output", "json").json
    return bool(answer["allowed"])


# --- an API that tells what has changed -------------------------------------------------------------------------------


@pytest.fixture
def on_api(tmp_path: Path) -> Iterator[OnApi]:
    """The company after its first import."""
    with serving(HrApi([person(number) for number in range(COUNT)], largest_page=10)) as api:
        company = company_of(tmp_path, REST.format(url=api.url)).having(HR_TOKEN=TOKEN)
        assert said(take(company)) == (COUNT, 0, 0)
        api.asked.clear()
        yield company, api


def since(api: HrApi) -> set[str]:
    """The times from which on changes were asked for; blank for everything."""
    return {asked.query.get("updated_since", "") for asked in api.pages_asked}


def cursor(company: Company) -> str:
    """Where the record says that the next import goes on."""
    lines = map(json.loads, company.run("ledger", "export").out.splitlines())
    accepted = [line["payload"] for line in lines if line.get("entry", {}).get("kind") == "feed-accepted"]
    return str(json.loads(accepted[-1])["cursor"])


def test_the_second_import_asks_for_what_has_changed_and_nobody_is_missing(on_api: OnApi) -> None:
    company, api = on_api
    first = cursor(company)
    api.people[4] = person(4, status="exited", updated_at="2026-11-20T08:00:00Z")
    api.people.append(person(99, updated_at="2026-11-20T09:00:00Z"))
    report = take(company)

    assert since(api) == {"2026-11-01T00:22:00Z"}
    assert said(report) == (1, 1, 1)
    assert report["waiting"] == []
    assert not may_read(company, "E0004")
    assert all(may_read(company, who) for who in ("E0000", "E0099"))
    assert first.startswith("2026-11-01T00:22:00Z;")
    assert cursor(company).startswith("2026-11-20T09:00:00Z;")


def test_an_import_after_which_nothing_has_changed_adds_nothing(on_api: OnApi) -> None:
    company, api = on_api
    before = company.entries()
    report = take(company)
    api.people.clear()

    assert said(report) == (0, 0, 1)
    assert said(take(company)) == (0, 0, 0)
    assert company.entries() == before
    assert may_read(company, "E0007")


def test_who_is_gone_from_the_system_shows_once_everything_is_read(on_api: OnApi) -> None:
    company, api = on_api
    del api.people[7]
    assert take(company)["waiting"] == []
    api.asked.clear()
    report = take(company, "--full", status=3)

    assert since(api) == {""}
    assert [each["person"] for each in report["waiting"]] == ["E0007"]
    assert may_read(company, "E0007")


def test_what_waits_is_said_until_somebody_decides(on_api: OnApi) -> None:
    company, api = on_api
    gone = [str(api.people.pop(7)["employee_no"]) for _ in range(2)]
    first = take(company, "--full", status=3)
    again = take(company, status=3)
    company.run("people", "event", "exited", "E0008", "--at", "now", "--confirmed")
    third = take(company, status=3)
    company.run("people", "confirm", third["import"])

    assert [each["person"] for each in first["waiting"]] == gone == ["E0007", "E0008"]
    assert (again["waiting"], again["import"]) == (first["waiting"], first["import"])
    assert [each["person"] for each in third["waiting"]] == ["E0007"]
    assert take(company)["waiting"] == []
    assert not any(may_read(company, who) for who in gone)


def test_changes_that_let_many_go_at_once_wait_as_well(on_api: OnApi) -> None:
    company, api = on_api
    api.people[:] = [person(number, status="exited", updated_at="2026-11-20T08:00:00Z") for number in range(COUNT)]
    report = take(company, status=3)

    assert len(report["waiting"]) == COUNT
    assert may_read(company, "E0007")


def test_a_delivery_that_fails_half_way_moves_no_cursor(on_api: OnApi) -> None:
    company, api = on_api
    before, entries = cursor(company), company.entries()
    api.people[:] = [person(number, status="exited", updated_at="2026-11-20T08:00:00Z") for number in range(COUNT)]
    api.token = "another one"
    refused = company.run("people", "import", status=1)

    assert TOKEN not in refused.said
    assert company.entries() == entries
    assert cursor(company) == before


# --- a directory ------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_directory(tmp_path: Path) -> Iterator[OnDirectory]:
    """A directory with people in it; nothing is imported yet."""
    required()
    with started(tmp_path / "slapd") as server:
        unit = "dn: ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\n"
        server.add("\n".join([unit, *map(in_directory, range(1, COUNT + 1))]))
        yield company_of(tmp_path, DIRECTORY.format(url=server.url)).having(LDAP_PASSWORD=PASSWORD), server


def name(number: int) -> str:
    return f"uid=p{number},ou=people,dc=example,dc=com"


def in_directory(number: int) -> str:
    return (
        f"dn: {name(number)}\nobjectClass: inetOrgPerson\nuid: p{number}\ncn: 员工 {number}\nsn: 员\n"
        f"employeeNumber: {number}\ndepartmentNumber: 研发中心/视觉组\nbusinessCategory: 猎鹰\n"
        f"businessCategory: 凤凰\nemployeeType: 在职\nmanager: {name(1)}\n"
    )


def test_a_directory_is_imported_in_our_words_and_the_second_time_adds_nothing(on_directory: OnDirectory) -> None:
    company, _ = on_directory
    assert said(take(company)) == (COUNT, 0, 0)
    before = company.entries()
    told = company.run("why", "E0007", "wiki:read").out

    assert "E0007 (员工 7) may read wiki" in told
    assert "rd/ai/vision" in company.run("ledger", "export").out
    assert said(take(company)) == (0, 0, COUNT)
    assert company.entries() == before


def test_who_has_left_it_waits_and_who_is_marked_goes(on_directory: OnDirectory) -> None:
    company, server = on_directory
    take(company)
    server.run("ldapdelete", name(7))
    server.modify(f"dn: {name(8)}\nchangetype: modify\nreplace: employeeType\nemployeeType: 已离职\n")
    report = take(company, status=3)

    assert [each["person"] for each in report["waiting"]] == ["E0007"]
    assert may_read(company, "E0007")
    assert not may_read(company, "E0008")


def test_an_entry_without_an_id_is_named_and_the_others_count(on_directory: OnDirectory) -> None:
    company, server = on_directory
    server.modify(f"dn: {name(7)}\nchangetype: modify\ndelete: employeeNumber\n")
    report = take(company, status=4)

    assert said(report) == (COUNT - 1, 0, 0)
    assert name(7) in json.dumps(report["quarantined"], ensure_ascii=False)


def test_a_directory_that_cannot_be_reached_changes_nothing(on_directory: OnDirectory) -> None:
    company, server = on_directory
    take(company)
    before = company.entries()
    server.process.terminate()
    server.process.wait()
    refused = company.run("people", "import", status=1)

    assert "→" in refused.err
    assert company.entries() == before
    assert may_read(company, "E0007")
