"""The page about PostgreSQL is run on a real server: its SQL, its workspace, its policy, its commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.postgres.lab import PASSWORD, PostgresLab
from tests.docs.test_docs import Reader, blocks, commands
from tests.servers.fixtures import postgresql  # noqa: F401
from tests.servers.postgresql import Postgresql

PAGE = "docs/postgres.md"


@pytest.fixture
def server(postgresql: Postgresql) -> Iterator[PostgresLab]:  # noqa: F811
    """A server with nobody's roles on it, and an administrator at it."""
    lab = PostgresLab(postgresql, [], {})
    lab.run("CREATE DATABASE labapp")
    yield lab
    lab.close()


def test_the_worked_example_works(server: PostgresLab, tmp_path: Path) -> None:
    (setup,) = blocks(PAGE, "sql")
    server.run(setup)
    server.run(f"ALTER ROLE access_keeper PASSWORD '{PASSWORD}'")
    workspace, policy = blocks(PAGE, "yaml")
    (people,) = blocks(PAGE, "csv")
    reader = Reader(tmp_path)
    reader.folder = tmp_path / "shop"
    (reader.folder / "policies").mkdir(parents=True)
    here = workspace.replace("db.example.com/app", f"127.0.0.1:{server.server.port}/labapp")
    here = here.replace("[postgres]", "[postgres, admin, reconciler, provisioner]")
    assert here.count("127.0.0.1") == 1
    (reader.folder / "reconciler.yaml").write_text(here, encoding="utf-8")
    (reader.folder / "policies" / "app.yaml").write_text(policy, encoding="utf-8")
    (reader.folder / "people.csv").write_text(people, encoding="utf-8")
    reader.environment["APP_DB_PASSWORD"] = PASSWORD

    for command in commands(PAGE, "shell"):
        reader.type(command)

    assert server.members("app_readers") - {"access_keeper"} == {"chen", "wang"}
    assert server.members("app_writers") - {"access_keeper"} == {"chen"}
