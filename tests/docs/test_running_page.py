"""The page on running it: its backup is made of a living service, and its restore keeps out who has left since."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.servers.postgresql import Postgresql, required, started
from tests.service.conftest import PEOPLE, fresh_office  # noqa: F401  # fixture
from tests.service.office import PROGRAM, Office, Service, days_ago, exited, until
from tests.service.test_trouble import in_file

PAGE = (Path(__file__).parents[2] / "docs" / "running.md").read_text("utf-8")
STARTS = "systemctl() { :; }\n"
"""The service is started and stopped by the test."""

PEOPLE_FILE = "id,department,starts_on\n" + "".join(f"{person},rd/ai,2020-01-01\n" for person in PEOPLE)


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]


def blocks(heading: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", section(heading), re.MULTILINE | re.DOTALL)


class Operator:
    """Types what the page says, with the office's own paths."""

    def __init__(self, office: Office, server: Postgresql | None) -> None:
        self.office = office
        self.server = server
        self.database = ""
        (office.folder / "backups").mkdir()

    def types(self, script: str) -> str:
        folder = self.office.folder
        script = script.replace("/var/lib/reconciler", str(folder / "state"))
        script = script.replace("/var/backups/reconciler/", f"{folder}/backups/")
        programs = str(self.server.programs) if self.server else ""
        path = f"{PROGRAM.parent}:{programs}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "STORE_URL": self.database}
        done = subprocess.run(
            ["/bin/sh", "-euc", STARTS + script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
        return done.stdout

    def on_postgresql(self) -> None:
        """The record is in a database of its own from now on, which is empty."""
        assert self.server is not None
        before = self.database
        made = self.server.create("template0")
        made.admin.close()
        self.database = made.url
        if before:
            name = before.rsplit("/", 1)[1]
            self.office.edit(f"/{name}", f"/{self.database.rsplit('/', 1)[1]}")
        else:
            self.office.edit(
                "policies: policies\n", f'policies: policies\nstore: "{in_file(self.office, self.database)}"\n'
            )


@pytest.fixture(params=["sqlite", "postgresql"])
def operator(fresh_office: Office, request: pytest.FixtureRequest) -> Iterator[Operator]:  # noqa: F811
    if shutil.which("sqlite3") is None and request.param == "sqlite":
        pytest.skip("sqlite3 is not installed")
    fresh_office.edit("targets:\n", "sources: {hr: {type: csv, path: people.csv}}\ntargets:\n")
    (fresh_office.folder / "people.csv").write_text(PEOPLE_FILE, "utf-8")
    if request.param == "sqlite":
        yield Operator(fresh_office, None)
        return
    required()
    with started() as server:
        operator = Operator(fresh_office, server)
        operator.on_postgresql()
        yield operator


def keeps_writing(service: Service, enough: Event) -> None:
    """Events about somebody's name, one after the other, until it is enough."""
    now = datetime.now(UTC).isoformat()
    for n in count():
        if enough.is_set():
            return
        said = {"id": f"n-{n}", "type": "attributes-changed", "person": "E6", "effective_at": now}
        assert service.post({**said, "data": {"name": f"王芳 {n}"}}).status_code == 202


def test_a_backup_of_a_running_service_is_restored_and_nobody_who_left_comes_back(operator: Operator) -> None:
    office = operator.office
    office.hire(PEOPLE, days_ago(30))
    office.settle()
    sqlite, postgresql = blocks("Back it up")
    with office.serving() as service:
        service.until_ready()
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not office.anywhere("E1"), "E1 out")
        enough = Event()
        writer = Thread(target=keeps_writing, args=(service, enough))
        writer.start()
        if operator.server:
            sqlite = sqlite.replace(sqlite.splitlines()[-1], postgresql)
        operator.types(sqlite)
        enough.set()
        writer.join()
        assert service.post(exited("E2")).status_code == 202
        until(lambda: not office.anywhere("E2"), "E2 out, and the backup knows nothing of it")
        service.until_ready()
        assert service.end() == 0

    lose(operator)
    put_back, on_postgresql, told, start = blocks("Restore it")
    if operator.server:
        stop, _, _, verify = put_back.splitlines()
        put_back = "\n".join([stop, on_postgresql, verify])
    assert "The ledger verifies" in operator.types(put_back)
    assert "1 checkpoint" in operator.types(put_back.splitlines()[-1])
    back = {each["person"] for each in changes(office) if each["op"] == "grant"}
    assert back == {"E2"}, "which is why nothing is started yet"
    (office.folder / "since.jsonl").write_text(json.dumps(exited("E2")) + "\n", "utf-8")
    operator.types(told)
    assert not [each for each in changes(office) if each["op"] == "grant"]
    assert "systemctl start" in start

    with office.serving() as service:
        service.until_ready()
        assert office.members("docs") == set(PEOPLE) - {"E1", "E2"}
        assert service.end() == 0
    assert office.entries("exited") == 2
    assert changes(office) == []


def changes(office: Office) -> list[dict[str, str]]:
    """What a plan would change now."""
    done = office.command("plan", "--output", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["changes"]
    return found


def lose(operator: Operator) -> None:
    """The disk is gone, and with it the record."""
    if operator.server:
        operator.on_postgresql()
        return
    for path in (operator.office.folder / "state").glob("reconciler.db*"):
        path.unlink()


# --- what the page lists ----------------------------------------------------------------------------------------------


def test_every_metric_stands_on_the_page_and_no_other() -> None:
    sources = Path(__file__).parents[2] / "reconciler" / "service"
    made = set()
    for name in ("metrics.py", "measures.py"):
        text = (sources / name).read_text("utf-8")
        for kind, metric in re.findall(r'(\w+)\(\s*"(reconciler_\w+)"', text):
            suffix = {"Counter": "_total", "CounterMetricFamily": "_total", "InfoMetricFamily": "_info"}.get(kind, "")
            made.add(metric + suffix)
    listed = set(re.findall(r"`(reconciler_\w+)`", section("Watch it")))

    assert listed == made


def test_every_event_of_the_service_stands_on_the_page() -> None:
    sources = Path(__file__).parents[2] / "reconciler"
    said = {
        event
        for path in (sources / "service").glob("*.py")
        for event in re.findall(r'log\.\w+\(\s*"([a-z-]+)"|tell\("([a-z-]+)"', path.read_text("utf-8"))
        for event in event
        if event
    }
    assert "pass-failed" in section("The log")
    assert {event for event in said if f"`{event}`" not in section("The log")} <= {"not-measured"}


def test_the_units_and_files_that_it_installs_are_there() -> None:
    folder = Path(__file__).parents[2]
    (install, _) = blocks("Install")
    for word in install.split():
        if word.startswith("examples/"):
            assert list(folder.glob(word)), word
