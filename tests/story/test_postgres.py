"""People on a PostgreSQL server, from the command line: the first roll-out, a plan that finds nothing, and a leaver who
is shut out whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reconciler.testing.targets import LabAccount
from tests.adapters.postgres.lab import OWN, PASSWORD, PostgresLab
from tests.cli.company import Company
from tests.servers.fixtures import postgresql  # noqa: F401
from tests.servers.postgresql import Postgresql

WORKSPACE = """
format: reconciler.workspace/1
organization: Example
timezone: Asia/Shanghai
policies: policies/
store: sqlite:///state/reconciler.db
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  db:
    type: postgres
    url: postgresql://%s@127.0.0.1:%d/postgres
    password: "${env:DB_PASSWORD}"
    match: {comment: id}
    accounts: {disable: nologin, end_sessions: true}
    protected: [admin, reconciler]
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
    access: {read: {db: {role: readers}}}
roles:
  reading: {match: {department: rd}, grants: {read: [papers]}}
lifecycle:
  exited: {disable: immediately}
"""
PEOPLE = "id,name,employment,department,starts_on,status\n" + "".join(
    f"E100{number},Person {number},employee,rd,2020-01-01,active\n" for number in range(1, 5)
)


@pytest.fixture
def company(postgresql: Postgresql, tmp_path: Path) -> Iterator[tuple[Company, PostgresLab]]:  # noqa: F811
    accounts = [LabAccount(f"p{number}", f"E100{number}", f"Person {number}") for number in range(1, 5)]
    lab = PostgresLab(postgresql, accounts, {"readers": []})
    lab.run(f"ALTER ROLE {OWN} INHERIT CREATEROLE; GRANT pg_signal_backend TO {OWN}")
    made = Company(tmp_path).having(DB_PASSWORD=PASSWORD)
    made.write("reconciler.yaml", WORKSPACE % (OWN, postgresql.port))
    made.write("policies/db.yaml", POLICY)
    made.write("people.csv", PEOPLE)
    yield made, lab
    lab.close()


def test_a_roll_out_is_followed_by_nothing_and_a_leaver_is_out_with_sessions_and_all(
    company: tuple[Company, PostgresLab],
) -> None:
    reconciler, lab = company
    reconciler.run("people", "import")
    reconciler.roll_out()
    assert lab.members("readers") == {"p1", "p2", "p3", "p4"}
    assert reconciler.plan()["changes"] == []
    before = lab.picture()
    reconciler.run("apply", "--yes")
    assert lab.picture() == before
    session = lab.sign_in("p3")

    event = '{"id": "hr-1", "type": "exited", "person": "E1003", "effective_at": "2026-01-01", "data": {}}\n'
    reconciler.write("events.jsonl", event)
    reconciler.run("people", "event", "--file", "events.jsonl")
    reconciler.run("apply", "--yes")

    assert lab.members("readers") == {"p1", "p2", "p4"}
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        lab.sign_in("p3")
    assert reconciler.plan()["changes"] == []


def test_doctor_finds_nothing_wrong_with_the_target(company: tuple[Company, PostgresLab]) -> None:
    reconciler, lab = company
    reconciler.run("people", "import")

    assert "pg_signal_backend" not in reconciler.run("doctor").said
    lab.run(f"REVOKE pg_signal_backend FROM {OWN}")
    assert "pg_signal_backend" in reconciler.run("doctor").said
