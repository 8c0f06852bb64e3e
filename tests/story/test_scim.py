"""People on a SCIM provider, from the command line: hired, moved, gone; and a provider that is away meanwhile. What is
so is looked up at the provider itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.testing.targets import LabAccount
from tests.adapters.scim.lab import ScimLab
from tests.cli.company import Company
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.hr_api import Reply
from tests.servers.scim import TOKEN, ScimServer
from tests.servers.scim_proxy import Asked, ScimProxy, error, standing_between

WORKSPACE = """
format: reconciler.workspace/1
organization: Example
timezone: Asia/Shanghai
policies: policies/
store: sqlite:///state/reconciler.db
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  wiki:
    type: scim
    url: %s
    auth: {bearer: "${env:WIKI_TOKEN}"}
    match: {externalId: id}
    retry: {attempts: 1}
    accounts:
      disable: active
      create: {attributes: {userName: "{id|lower}", externalId: "{id}", displayName: "{name}"}}
"""
POLICY = """
attributes:
  department: {kind: tree}
clearances:
  - public: {}
resources:
  papers:
    classification: public
    owner: {department: rd}
    access: {read: {wiki: {group: 论文/readers}}}
  prices:
    classification: public
    owner: {department: sales}
    access: {read: {wiki: {group: prices}}}
roles:
  reading: {match: {department: rd}, grants: {read: [papers]}}
  selling: {match: {department: sales}, grants: {read: [prices]}}
lifecycle:
  exited: {disable: immediately}
"""
HEAD = "id,name,department,starts_on,status\n"
PAPERS = "论文/readers"


@dataclass
class Wiki:
    """A company with a provider, and a proxy before it."""

    reconciler: Company
    lab: ScimLab
    proxy: ScimProxy

    def tell(self, *events: str) -> None:
        """What HR says."""
        self.reconciler.write("events.jsonl", "".join(f"{event}\n" for event in events))
        self.reconciler.run("people", "event", "--file", "events.jsonl")

    def members(self, group: str) -> set[str]:
        """The logins of a group's members, by the provider."""
        logins = {user["id"]: user["userName"] for user in self.lab.tenant.everything("Users")}
        members = self.lab.tenant.get(f"/Groups/{self.lab.groups[group]}").get("members", [])
        return {logins[member["value"]] for member in members}

    def active(self, login: str) -> bool:
        """Whether an account may be used, by the provider."""
        [user] = [user for user in self.lab.tenant.everything("Users") if user["userName"] == login]
        return bool(user["active"])


@pytest.fixture
def wiki(scim: ScimServer, tmp_path: Path) -> Iterator[Wiki]:  # noqa: F811
    accounts = [LabAccount(f"p{number}", f"E100{number}", f"Person {number}") for number in range(1, 5)]
    lab = ScimLab(scim.tenant(), accounts, {PAPERS: [], "prices": []})
    with standing_between(lab.tenant.url) as proxy:
        company = Company(tmp_path).having(WIKI_TOKEN=TOKEN)
        company.write("reconciler.yaml", WORKSPACE % proxy.url)
        company.write("policies/wiki.yaml", POLICY)
        people = "".join(f"E100{number},Person {number},rd,2020-01-01,active\n" for number in range(1, 6))
        company.write("people.csv", HEAD + people)
        company.run("people", "import")
        company.roll_out()
        yield Wiki(company, lab, proxy)


EXIT = '{"id": "hr-1", "type": "exited", "person": "E1003", "effective_at": "2026-01-01", "data": {}}'


def test_the_hired_are_let_in_and_the_leaver_is_out(wiki: Wiki) -> None:
    assert wiki.members(PAPERS) == {"p1", "p2", "p3", "p4", "e1005"}
    assert wiki.reconciler.plan()["changes"] == []
    before = wiki.lab.picture()
    wiki.reconciler.run("apply", "--yes")
    assert wiki.lab.picture() == before

    wiki.tell(EXIT)
    wiki.reconciler.run("apply", "--yes")

    assert wiki.members(PAPERS) == {"p1", "p2", "p4", "e1005"}
    assert not wiki.active("p3")
    assert wiki.active("p1")
    assert wiki.reconciler.plan()["changes"] == []


def test_a_provider_that_is_away_has_its_leaver_out_once_it_is_back(wiki: Wiki) -> None:
    wiki.tell(EXIT)
    wiki.proxy.instead = lambda asked: error(503, "away") if asked.method != "GET" else None

    away = wiki.reconciler.run("apply", "--yes", status=4)
    assert "wiki" in away.said
    assert wiki.active("p3")

    wiki.proxy.instead = lambda asked: None
    wiki.reconciler.run("apply", "--yes")

    assert not wiki.active("p3")
    assert wiki.members(PAPERS) == {"p1", "p2", "p4", "e1005"}


def cut_short(asked: Asked, reply: Reply) -> Reply:
    """A list of users without its end."""
    if asked.path != "/Users":
        return reply
    value = json.loads(reply.body)
    first = sorted(value["Resources"], key=lambda user: str(user["userName"]))[:3]
    value["Resources"] = first if asked.query["startIndex"] == "1" else []
    return replace(reply, body=json.dumps(value).encode())


def test_b2_a_list_that_is_cut_short_takes_nothing_from_anybody(wiki: Wiki) -> None:
    people = wiki.reconciler.folder / "people.csv"
    moved = people.read_text("utf-8").replace("E1001,Person 1,rd", "E1001,Person 1,sales")
    wiki.reconciler.write("people.csv", moved)
    wiki.reconciler.run("people", "import")
    wiki.proxy.answered = cut_short

    [revocation] = [change for change in wiki.reconciler.plan()["changes"] if change["op"] == "revoke"]
    assert revocation["held"]["guard"] == "incomplete-read"
    assert "it ends after 3 of 5" in revocation["held"]["text"]

    wiki.proxy.answered = lambda asked, reply: reply
    wiki.reconciler.run("apply", "--yes")
    assert wiki.members(PAPERS) == {"p2", "p3", "p4", "e1005"}
    assert wiki.members("prices") == {"p1"}


def test_doctor_finds_nothing_wrong_with_the_target(wiki: Wiki) -> None:
    said = wiki.reconciler.run("doctor").said

    assert "target wiki: 5 accounts, 2 entitlements" in said
    assert "missing-feature" not in said
