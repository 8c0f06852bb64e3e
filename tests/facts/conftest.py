"""A small company to test with: a store in a folder of its own, a clock that is moved by hand, feeds from a list of
rows.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.csv import CsvSource
from reconciler.errors import Place
from reconciler.facts.events import parse_event
from reconciler.facts.feed import REQUIRED_COLUMNS, ImportReport, feed_columns, import_people
from reconciler.facts.model import Person
from reconciler.facts.people import Facts
from reconciler.facts.recording import EventResult, record_events
from reconciler.facts.store import Store
from reconciler.policy.model import Attribute, AttributeKind, Guards, Limit
from reconciler.sources import SourceContext
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database, Postgresql

__all__ = ["database", "postgresql"]

PLACE = Place("policies.yaml", 1, 1)
ATTRIBUTES = {
    "department": Attribute("department", AttributeKind.TREE, {}, PLACE),
    "post": Attribute("post", AttributeKind.ONE_OF, {"engineer": 0, "architect": 0, "hr": 0}, PLACE),
    "projects": Attribute("projects", AttributeKind.SET, {}, PLACE),
}
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
"""12:00 in Shanghai."""
LOOSE = Guards(shrink_percent=60, exits=Limit(100, 1000))

AT_ONCE = 6
"""No test looks at more worlds at a time; of those that draw hundreds, the oldest are used again."""

Rows = Sequence[Mapping[str, str]]


def csv_bytes(rows: Rows, encoding: str = "utf-8") -> bytes:
    out = io.StringIO(newline="")
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["id", "status"]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def person_row(person: str, **cells: str) -> dict[str, str]:
    row = {"id": person, "name": "王芳", "department": "rd/ai", "post": "engineer", "starts_on": "2020-01-06"}
    return {**row, "ends_on": "", "status": "active", "assignment": "", **cells}


@dataclass
class World:
    """One workspace's facts; `database` is where its store is, unless that is a file."""

    folder: Path
    facts: Facts
    database: Database | None = None
    guards: Guards = field(default_factory=lambda: LOOSE)
    now: datetime = NOON

    def vandalise(self, *statements: str) -> None:
        """Change the store behind its back, as somebody with the file or the database would."""
        for statement in statements:
            if self.database is not None:
                self.database.vandalise(statement)
                continue
            with closing(sqlite3.connect(self.facts.store.path)) as raw, raw:
                for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                    raw.execute(f"DROP TRIGGER {name}")
                raw.execute(statement)

    def feed_bytes(self, data: bytes, source: str = "hr") -> ImportReport:
        self.now += timedelta(minutes=1)
        (self.folder / "people.csv").write_bytes(data)
        csv_source = CsvSource(SourceContext(source, self.folder, PLACE), {"path": "people.csv"})
        feed = csv_source.read(feed_columns(ATTRIBUTES), REQUIRED_COLUMNS)
        return import_people(
            self.facts, feed, source=source, attributes=ATTRIBUTES, guards=self.guards, now=self.now, actor="hr-bot"
        )

    def feed(self, *rows: Mapping[str, str], source: str = "hr") -> ImportReport:
        return self.feed_bytes(csv_bytes(rows), source)

    def tell(self, *events: Mapping[str, Any], **options: Any) -> list[EventResult]:
        self.now += timedelta(minutes=1)
        parsed = [parse_event(event) for event in events]
        return record_events(self.facts, parsed, source="api", now=self.now, actor="hr", **options)

    def say(self, kind: str, person: str, when: str = "", /, **data: Any) -> EventResult:
        """One event, true from now on unless another time is given."""
        when = when or (self.now + timedelta(minutes=1)).isoformat()
        name = f"{kind}-{person}-{when}"
        return self.tell({"id": name, "type": kind, "person": person, "effective_at": when, "data": data})[0]

    def person(self, person: str) -> Person:
        return self.facts.find_person(person)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.facts.ledger.entries()]

    def post(self, person: str, name: str = "main") -> Mapping[str, str] | None:
        """The attributes of the assignment now, None where there is none now."""
        held = (post for post in self.person(person).assignments if post.name == name and post.span.covers(self.now))
        return next((post.attributes for post in held), None)

    def out(self, person: str) -> bool:
        return any(span.covers(self.now) for span in self.person(person).exited)


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty store's file: migrating costs more than copying."""
    folder = tmp_path_factory.mktemp("migrated")
    store = Store.open("sqlite:///empty.db", folder=folder)
    store.close()  # into the one file
    return store.path.read_bytes()


@pytest.fixture(params=["sqlite", "postgresql"])
def make_world(request: pytest.FixtureRequest, tmp_path: Path, _migrated: bytes) -> Iterator[Callable[[], World]]:
    """Makes worlds that know nobody, each in a folder of its own, with a store of either kind."""
    if request.param == "sqlite":
        yield partial(_world_in_a_file, tmp_path, _migrated)
    else:
        yield from _worlds_on(request.getfixturevalue("postgresql"), tmp_path)


def _folder(within: Path) -> Path:
    folder = within / str(len(list(within.iterdir())))
    folder.mkdir()
    return folder


def _world_in_a_file(within: Path, migrated: bytes) -> World:
    folder = _folder(within)
    (folder / "r.db").write_bytes(migrated)
    (folder / "r.db").chmod(0o600)
    return World(folder, Facts(Store.open("sqlite:///r.db", folder=folder), "Asia/Shanghai"))


def _worlds_on(server: Postgresql, within: Path) -> Iterator[Callable[[], World]]:
    taken: deque[Database] = deque()

    def make() -> World:
        if len(taken) == AT_ONCE:
            server.give_back(taken.popleft())
        taken.append(server.take())
        folder = _folder(within)
        return World(folder, Facts(Store.open(taken[-1].url, folder=folder), "Asia/Shanghai"), taken[-1])

    yield make
    for each in taken:
        server.give_back(each)


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()
