"""Several services and workers on one store, on real servers: who is told, and who does it, need not be the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database
from tests.service.conftest import PEOPLE, company
from tests.service.flood import UNGUARDED, flooded
from tests.service.office import Office, days_ago, exited, until

__all__ = ["database", "postgresql"]


@pytest.fixture
def shared_office(fresh_office: Office, database: Database) -> Office:
    """Six researchers who have what they should have; their record is on a server."""
    fresh_office.kept_in(database.url)
    fresh_office.hire(PEOPLE, days_ago(30))
    fresh_office.settle()
    return fresh_office


def test_a_service_works_alone(shared_office: Office) -> None:
    with shared_office.serving() as service:
        service.until_ready()
        assert service.post(exited("E1")).status_code == 202

        until(lambda: not shared_office.anywhere("E1"), "E1 out")
        service.until_ready()
    assert shared_office.members("docs") == set(PEOPLE) - {"E1"}
    assert shared_office.entries("exited") == 1


def test_without_a_worker_it_takes_events_says_so_and_is_not_ready(shared_office: Office) -> None:
    idle = shared_office.beside("idle", workers=0)
    with idle.serving() as service:
        assert service.post(exited("E1")).status_code == 202
        assert "no-worker" in [each["code"] for each in service.ready()["reasons"]]
        assert service.ready()["due"] == len(PEOPLE), "all of whom something was told that no service has seen"
        assert shared_office.anywhere("E1")

        with shared_office.working():
            until(lambda: not shared_office.anywhere("E1"), "E1 out")
            service.until_ready()


def test_workers_die_under_a_flood_of_events_and_nothing_is_lost(tmp_path: Path, database: Database) -> None:
    """In full with RECONCILER_FLOOD=10000; the same with fewer events otherwise."""
    count = int(os.environ.get("RECONCILER_FLOOD", "480"))
    people = [f"E{n}" for n in range(1, 1 + min(200, max(24, count // 20)))]
    with company(tmp_path, len(people)) as office:
        office.kept_in(database.url)
        tree = office.folder / "policies" / "policy.yaml"
        tree.write_text(tree.read_text("utf-8").replace("guards: {", "guards: {" + UNGUARDED + ", "), "utf-8")
        office.hire(people, days_ago(30))
        office.settle()
        assert flooded(office, people, count).kills > 0
