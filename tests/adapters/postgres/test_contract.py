"""The contract, on a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract
from tests.adapters.postgres.lab import PostgresLab
from tests.servers.fixtures import postgresql  # noqa: F401
from tests.servers.postgresql import Postgresql


@pytest.fixture
def make_lab(postgresql: Postgresql) -> Iterator[MakeLab]:  # noqa: F811
    made: list[PostgresLab] = []

    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        made.append(PostgresLab(postgresql, accounts, groups))
        return made[-1]

    yield make
    for lab in reversed(made):
        lab.close()


class TestPostgresql(TargetContract):
    pass
