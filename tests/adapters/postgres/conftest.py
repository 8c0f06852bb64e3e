"""What every test of the PostgreSQL adapter may have: a server with people and groups on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from reconciler.testing.targets import GROUPS, PEOPLE, LabAccount
from tests.adapters.postgres.lab import Objects, PostgresLab
from tests.servers.fixtures import postgresql
from tests.servers.postgresql import Postgresql

__all__ = ["MakePostgresLab", "lab", "make", "objects", "postgresql"]

MakePostgresLab = Callable[..., PostgresLab]


@pytest.fixture
def make(postgresql: Postgresql) -> Iterator[MakePostgresLab]:
    made: list[PostgresLab] = []

    def new(
        accounts: Sequence[LabAccount] = PEOPLE, groups: Mapping[str, Sequence[str]] = GROUPS, **more: object
    ) -> PostgresLab:
        made.append(PostgresLab(postgresql, accounts, groups, **more))
        return made[-1]

    yield new
    for lab in reversed(made):
        lab.close()


@pytest.fixture
def lab(make: MakePostgresLab) -> PostgresLab:
    return make()


@pytest.fixture
def objects(lab: PostgresLab) -> Iterator[Objects]:
    made = Objects(lab)
    yield made
    made.admin.close()
