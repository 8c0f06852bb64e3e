"""The command line on a store in PostgreSQL, set up, backed up and restored as the documentation says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.company import ROOT, Company
from tests.servers.fixtures import postgresql
from tests.servers.postgresql import PASSWORD, Postgresql

__all__ = ["postgresql"]

PAGE = (ROOT / "docs" / "store.md").read_text("utf-8")
NAME = "documented"


def block(language: str, word: str) -> str:
    """The page's one block of this language that holds the word."""
    found = [
        body for body in re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if word in body
    ]
    assert len(found) == 1, found
    return str(found[0])


def create(server: Postgresql) -> None:
    """The page's role and database, under names of their own: other tests' stand beside them."""
    for statement in block("sql", "CREATE ROLE").replace("ROLE reconciler", f"ROLE {NAME}").split(";")[:-1]:
        for_us = re.sub(r"(DATABASE|OWNER) reconciler", rf"\1 {NAME}", statement)
        server.run(for_us)
    server.run(f"ALTER ROLE {NAME} PASSWORD '{PASSWORD}'")


def drop(server: Postgresql) -> None:
    server.run(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"DROP ROLE IF EXISTS {NAME}")


def store_at(company: Company, line: str) -> None:
    text = (company.folder / company.file).read_text("utf-8")
    company.write(company.file, re.sub(r"^store: .*\n", lambda _: line, text, flags=re.MULTILINE))


@pytest.fixture
def served(company: Company, postgresql: Postgresql) -> Iterator[Company]:
    """The company before the first command, its store where the page says."""
    create(postgresql)
    line = block("yaml", "postgresql://")
    place = line.replace("//reconciler", f"//{NAME}").replace(
        "db.example.com/reconciler", f"127.0.0.1:{postgresql.port}/{NAME}"
    )
    place = place.replace("?sslmode=verify-full&sslrootcert=system", "")
    store_at(company, place)
    yield company.having(STORE_PASSWORD=PASSWORD)
    drop(postgresql)


def shell(company: Company, text: str, url: str, tools: str) -> None:
    environment = {**company.environment(), "STORE_URL": url}
    environment["PATH"] = os.pathsep.join([tools, str(Path(company.command("x")[0]).parent), environment["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-ec", text], cwd=company.folder, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_from_the_first_import_to_the_last_backup(served: Company, postgresql: Postgresql) -> None:
    assert "there is no record yet" in served.run("doctor").said
    served.run("people", "import")
    served.run("evidence", "import", "evidence.csv")
    served.roll_out()
    assert served.plan()["changes"] == []
    assert "E1036" in served.run("access", "E1036").out
    served.run("revoke", "E1036", "--reason", "found outside")
    assert "✓ store" in served.run("doctor").out
    before = served.run("ledger", "verify", "--output", "json").json
    assert not (served.folder / "state" / "reconciler.db").exists()

    url, tools = postgresql.url(NAME, role=NAME), str(postgresql.programs)
    shell(served, block("sh", "pg_dump"), url, tools)
    drop(postgresql)
    assert "cannot be used" in served.run("plan", status=1).said
    create(postgresql)
    shell(served, block("sh", "pg_restore"), url, tools)
    assert served.run("ledger", "verify", "--output", "json").json == before
    assert served.plan()["changes"] == []


def test_a_password_in_the_workspace_file_is_refused_and_never_said(served: Company) -> None:
    served.edit(served.file, "${env:STORE_PASSWORD}", "geheim")
    refused = served.run("plan", status=1)
    assert "holds a password in clear text" in refused.said
    assert "${env:STORE_PASSWORD}" in refused.said
    assert "geheim" not in refused.said

    served.edit(served.file, ":geheim@", ":${env:STORE_PASSWORD}@")
    for secret, words in (("wr0ng-s3cret", "the password is wrong"), (PASSWORD, "there is no store")):
        said = served.having(STORE_PASSWORD=secret).run("ledger", "verify", "-v", status=1).said
        assert words in said
        assert secret not in said
    missing = Company(served.folder, served.file).run("plan", status=1).said
    assert "the environment has no STORE_PASSWORD" in missing


def test_any_other_literal_password_is_refused_too(company: Company) -> None:
    for url in ("postgresql://u@h/d?password=geheim", "postgresql://u:a${env:X}@h/d", "postgresql://:geheim@h/d"):
        store_at(company, f'store: "{url}"\n')
        said = company.having(X="y").run("people", "import", status=1).said
        assert "holds a password in clear text" in said
        assert "geheim" not in said


def test_two_commands_at_once_on_a_new_store(served: Company) -> None:
    running = [served.start("people", "import") for _ in range(2)]
    assert {process.wait(60) for process in running} == {0}

    assert served.run("people", "import").status == 0
    served.run("ledger", "verify")
