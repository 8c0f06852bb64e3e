"""What becomes of the service when something under it gives way: the disk full, the database gone, a stop half-way."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.servers.fault_proxy import FaultProxy, between
from tests.servers.postgresql import FAST, PASSWORD, Postgresql, required, started, stop
from tests.servers.slapd import free_port
from tests.service.conftest import PEOPLE
from tests.service.office import Office, Service, days_ago, exited, until

WHOLE = 4 << 20
"""Bytes of a small disk."""


class SmallDisk:
    """A file system of its own in memory, filled up and emptied."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self, _service: Service) -> None:
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        assert not shutil.disk_usage(self._filler).free

    def empty(self, _service: Service) -> None:
        self._filler.unlink()


class Limit:
    """No file of the process may grow beyond what the journal of the record has by now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fill(self, service: Service) -> None:
        (journal,) = self._folder.glob("*-wal")
        limit = (journal.stat().st_size, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, limit)

    def empty(self, service: Service) -> None:
        free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, free)


@pytest.fixture(params=["small-disk", "limit"])
def disk(office: Office, request: pytest.FixtureRequest) -> Iterator[SmallDisk | Limit]:
    """What the office's record stands on."""
    state = office.folder / "state"
    if request.param == "limit":
        yield Limit(state)
        return
    kept = office.folder / "kept"
    state.rename(kept)
    state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={WHOLE},mode=0700", "tmpfs", str(state)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system; the limit on files is tried all the same")
    try:
        for path in kept.iterdir():
            (state / path.name).write_bytes(path.read_bytes())
            (state / path.name).chmod(0o600)
        yield SmallDisk(state)
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


@contextmanager
def behind_a_proxy(office: Office) -> Iterator[FaultProxy]:
    """The directory is reached through it."""
    with between(office.slapd.port) as proxy:
        office.edit(f"ldap://127.0.0.1:{office.slapd.port}", proxy.url)
        office.edit(office.url.removeprefix("http://"), f"127.0.0.1:{free_port()}")  # the proxy may have taken that one
        yield proxy


def reasons(service: Service) -> list[str]:
    return [each["code"] for each in service.ready()["reasons"]]


def refused(answer: requests.Response) -> bool:
    """Whether the sender was told that it is not on record, and when to send it again."""
    if answer.status_code == 202:
        return False
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]
    assert str(Path.cwd()) not in answer.text
    return True


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_is_sent_and_it_recovers(
    office: Office, disk: SmallDisk | Limit
) -> None:
    with office.serving() as service:
        service.until_ready()
        disk.fill(service)
        answers = {person: service.post(exited(person)) for person in PEOPLE[:3]}
        acknowledged = {person for person, answer in answers.items() if not refused(answer)}

        assert acknowledged == set(), "what stands in no file is not taken"
        until(lambda: "store" in reasons(service), "readyz says it")
        assert requests.get(f"{service.url}/healthz", timeout=60).json() == {"alive": True}
        assert "reconciler_store_writable 0.0" in requests.get(f"{service.url}/metrics", timeout=60).text
        assert all(office.anywhere(person) for person in PEOPLE), "no intent on record, nothing sent"

        disk.empty(service)
        until(lambda: service.ready()["ready"], "readiness without anybody's help")
        assert all(service.post(exited(person)).status_code == 202 for person in PEOPLE[:3])
        until(lambda: office.members("docs") == set(PEOPLE[3:]), "the three out")
        service.until_ready()
        assert service.end() == 0
        assert not [each for each in service.log() if each["event"] == "defect"]
    assert office.entries("exited") == 3


def test_what_was_sent_while_the_disk_filled_up_is_on_record_once_there_is_room(
    office: Office, disk: SmallDisk | Limit
) -> None:
    with behind_a_proxy(office) as proxy, office.serving() as service:
        service.until_ready()
        proxy.open.clear()
        proxy.asked.clear()
        assert service.post(exited("E1")).status_code == 202
        assert proxy.asked.wait(60)  # the intent is on record, the change on its way
        disk.fill(service)
        proxy.open.set()
        until(lambda: not office.anywhere("E1"), "E1 out: what was asked for before takes effect")
        until(lambda: "store" in reasons(service), "its outcome cannot be recorded")

        disk.empty(service)
        service.until_ready()
        assert service.end() == 0
    ledger = office.workspace().facts().ledger
    ledger.verify()
    with ledger.store.reading() as connection:
        assert not office.wiring(targets=()).journal.open_intents(connection)
    assert office.members("docs") == set(PEOPLE) - {"E1"}


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_the_middle_of_a_batch_waits_for_it_and_ends_with_0(office: Office, kind: signal.Signals) -> None:
    with behind_a_proxy(office) as proxy, office.serving() as service:
        service.until_ready()
        proxy.open.clear()
        proxy.asked.clear()
        assert service.post(exited("E1")).status_code == 202
        assert proxy.asked.wait(60)
        service.process.send_signal(kind)
        until(lambda: not listens(service), "no new requests are taken")
        assert service.process.poll() is None, "the batch is under way"
        assert office.entries("intended") > office.entries("effects") + office.entries("effect")

        proxy.open.set()

        assert service.process.wait(60) == 0
        events = [each["event"] for each in service.log()]
        assert events.count("run-started") == events.count("run-finished") == 1
    assert office.entries("intended") == office.entries("effects")
    assert not office.anywhere("E1")


def listens(service: Service) -> bool:
    try:
        requests.get(f"{service.url}/healthz", timeout=0.5)
    except requests.RequestException:
        return False
    return True


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    """One that may be stopped."""
    required()
    with started() as server:
        yield server


def test_while_the_database_is_gone_nothing_is_acknowledged_and_it_recovers(
    fresh_office: Office, server: Postgresql
) -> None:
    office = fresh_office
    database = server.create()
    office.edit("policies: policies\n", f'policies: policies\nstore: "{in_file(office, database.url)}"\n')
    office.hire(PEOPLE, days_ago(30))
    office.settle()
    with office.serving() as service:
        service.until_ready()
        database.admin.close()
        stop(server.process, FAST)
        assert refused(service.post(exited("E1")))
        until(lambda: "store" in reasons(service), "readyz says it")
        assert office.anywhere("E1")
        said = requests.get(f"{service.url}/metrics", timeout=60)
        assert said.status_code == 200
        assert "reconciler_store_up 0.0" in said.text
        assert refused(service.post(exited("E1")))

        server.restart()
        until(lambda: service.ready()["ready"], "readiness without anybody's help")
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not office.anywhere("E1"), "E1 out")
        service.until_ready()
        counted = 'reconciler_changes_total{lane="leaver",op="revoke",outcome="applied",target="dir"} 2.0'
        assert counted in requests.get(f"{service.url}/metrics", timeout=60).text
        assert service.end() == 0
        assert not [each for each in service.log() if each["event"] == "defect"]
    assert office.entries("exited") == 1


def in_file(office: Office, url: str) -> str:
    """The URL, its password by reference."""
    (office.folder / "store-password").write_text(PASSWORD, "utf-8")
    (office.folder / "store-password").chmod(0o600)
    return url.replace(quote(PASSWORD, safe=""), "${file:store-password}")
