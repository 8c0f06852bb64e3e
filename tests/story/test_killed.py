"""`apply` killed with -9, at many moments: the next one converges, nothing is lost, nothing is on record twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.company import ROOT, Company
from tests.servers.slapd import PASSWORD, required, started
from tests.story.crowd import LDAP, LDIF, approved, crowd, finish, kill_when, recorded
from tests.story.independent import ldif_entries

Moment = Callable[[Company], Callable[[], bool]]
VAULT = (ROOT / "examples" / "vault.conf").read_text("utf-8")


@pytest.fixture(scope="module")
def on_files(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Copied by the tests, never used itself."""
    folder = tmp_path_factory.mktemp("crowd") / "company" / "here"
    return approved(crowd(folder, LDIF, VAULT))


def more(kind: str, count: int) -> Moment:
    """So many entries of this kind have come since the command was started."""

    def since(company: Company) -> Callable[[], bool]:
        wanted = recorded(company, kind) + count
        return lambda: recorded(company, kind) >= wanted

    return since


def written(name: str) -> Moment:
    """A file is another one than when the command was started."""

    def since(company: Company) -> Callable[[], bool]:
        path = company.folder / name
        before = path.read_bytes() if path.exists() else b""
        return lambda: path.exists() and path.read_bytes() != before

    return since


def killed_at(company: Company, *moments: Moment) -> None:
    """Kill one `apply` after the other, each at its moment; at least one of them was still at work."""
    killed = [kill_when(company, moment(company)) for moment in moments]
    assert any(killed)


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([more("run-started", 1), more("intended", 1), written("directory.changes.ldif")], id="before"),
        pytest.param([written("directory.ldif"), written("vault.csv")], id="between-effect-and-record"),
        pytest.param([more("effect", 1), more("intended", 1)], id="after"),
    ],
)
def test_killed_on_files(on_files: Company, tmp_path: Path, moments: list[Moment]) -> None:
    company = on_files.copy(tmp_path)
    before = dict(ldif_entries((company.folder / "directory.ldif").read_text("utf-8")))

    killed_at(company, *moments)

    after = dict(ldif_entries((company.folder / "directory.ldif").read_text("utf-8")))
    assert after.keys() == before.keys()
    finish(company)


@pytest.fixture
def on_a_server(tmp_path: Path) -> Iterator[Company]:
    """The same with the directory on a server."""
    required()
    company = crowd(tmp_path / "here", LDAP, VAULT)
    with started(tmp_path / "slapd", ldif=company.folder / "directory.ldif") as server:
        yield approved(company.having(LDAP_URL=server.url, LDAP_PASSWORD=PASSWORD))


def test_killed_on_openldap(on_a_server: Company) -> None:
    killed_at(
        on_a_server,
        more("intended", 1),
        more("effect", 1),
        more("intended", 2),
        more("effect", 600),
        more("intended", 2),
    )

    finish(on_a_server)


def test_one_run_at_a_time_and_a_dead_one_is_in_nobody_s_way(on_files: Company, tmp_path: Path) -> None:
    company = on_files.copy(tmp_path)
    started_run = more("run-started", 1)(company)
    with company.start("apply", "--yes") as process:
        try:
            while not started_run():
                assert process.poll() is None
            stop_between_writes(process, company)

            told = company.run("apply", "--yes", status=1)
            assert "another run is in progress" in told.err
            assert "→" in told.err
        finally:
            process.kill()
    finish(company)


def stop_between_writes(process: subprocess.Popen[bytes], company: Company) -> None:
    """Stop the process at a moment at which it holds its lease and no lock of the store's."""
    while True:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with closing(sqlite3.connect(company.store, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
                assert process.poll() is None
            else:
                return
