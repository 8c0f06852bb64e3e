"""People on a system that is only declared, from the command line: the first roll-out, a plan that finds nothing, a
leaver who is out and disabled, and a system that is away for a while.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.testing.targets import LabAccount
from tests.adapters.http.lab import ScimLab
from tests.cli.company import Company
from tests.servers.fixtures import scim  # noqa: F401
from tests.servers.hr_api import Reply
from tests.servers.scim import TOKEN, ScimServer
from tests.servers.scim_proxy import ScimProxy, standing_between

WORKSPACE = """
format: reconciler.workspace/1
organization: Example
timezone: Asia/Shanghai
policies: policies/
store: sqlite:///state/reconciler.db
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
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
    access: {read: {wiki: {group: readers}}}
roles:
  reading: {match: {department: rd}, grants: {read: [papers]}}
lifecycle:
  exited: {disable: immediately}
"""
PEOPLE = "id,name,employment,department,starts_on,status\n" + "".join(
    f"E100{number},Person {number},employee,rd,2020-01-01,active\n" for number in range(1, 5)
)
EXIT = '{"id": "hr-1", "type": "exited", "person": "E1003", "effective_at": "2026-01-01", "data": {}}\n'


@pytest.fixture
def company(scim: ScimServer, tmp_path: Path) -> Iterator[tuple[Company, ScimLab, ScimProxy]]:  # noqa: F811
    accounts = [LabAccount(f"p{number}", f"E100{number}", f"Person {number}") for number in range(1, 5)]
    tenant = scim.tenant()
    with standing_between(tenant.url) as proxy:
        lab = ScimLab(tenant, accounts, {"readers": []}, proxy.url)
        settings = {**lab.settings, "auth": {"bearer": "${env:WIKI_TOKEN}"}, "retry": {"attempts": 1}}
        made = Company(tmp_path).having(WIKI_TOKEN=TOKEN)
        made.write("reconciler.yaml", f"{WORKSPACE}  wiki: {json.dumps({'type': 'http', **settings})}\n")
        made.write("policies/wiki.yaml", POLICY)
        made.write("people.csv", PEOPLE)
        made.run("people", "import")
        yield made, lab, proxy


def test_a_roll_out_is_followed_by_nothing_and_a_leaver_is_out_and_disabled(
    company: tuple[Company, ScimLab, ScimProxy],
) -> None:
    reconciler, lab, proxy = company
    reconciler.roll_out()
    assert lab.members("readers") == {"p1", "p2", "p3", "p4"}
    assert proxy.counted("PATCH") == 1
    assert reconciler.plan()["changes"] == []

    reconciler.write("events.jsonl", EXIT)
    reconciler.run("people", "event", "--file", "events.jsonl")
    reconciler.run("apply", "--yes")

    assert lab.members("readers") == {"p1", "p2", "p4"}
    assert [lab.enabled(login) for login in ("p1", "p2", "p3", "p4")] == [True, True, False, True]
    assert reconciler.plan()["changes"] == []


def test_f1_a_plan_asks_and_sends_nothing(company: tuple[Company, ScimLab, ScimProxy]) -> None:
    reconciler, _, proxy = company

    assert len(reconciler.plan()["changes"]) == 4
    assert {asked.method for asked in proxy.asked} == {"GET"}


def test_a1_a_system_that_is_away_loses_nobody_and_is_completed_when_it_is_back(
    company: tuple[Company, ScimLab, ScimProxy],
) -> None:
    reconciler, lab, proxy = company
    reconciler.roll_out()
    reconciler.write("events.jsonl", EXIT)
    reconciler.run("people", "event", "--file", "events.jsonl")
    proxy.instead = lambda asked: Reply(503)

    away = reconciler.run("apply", "--yes", status=1)

    assert "wiki could not be read" in away.said
    assert lab.members("readers") == {"p1", "p2", "p3", "p4"}
    proxy.instead = lambda asked: None
    reconciler.run("apply", "--yes")
    assert lab.members("readers") == {"p1", "p2", "p4"}
    assert not lab.enabled("p3")
