"""Several services and workers on one store, on real servers: who is told, and who does it, need not be the same."""

from __future__ import annotations

import pytest

from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database
from tests.service.conftest import PEOPLE
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
