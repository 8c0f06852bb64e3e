"""Facts in: a large HR file, the same again, and the record verified."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from adapters.csv import CsvSource
from reconciler.errors import Place
from reconciler.facts.events import parse_event
from reconciler.facts.feed import REQUIRED_COLUMNS, ImportReport, feed_columns, import_people
from reconciler.facts.people import Facts
from reconciler.facts.recording import record_events
from reconciler.facts.store import Store
from reconciler.policy.model import Attribute, AttributeKind, Guards
from reconciler.sources import SourceContext
from tests.bench.measuring import Measurement

PEOPLE = 100_000
EVENTS = 100
_NUMBERS = count()
NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
ATTRIBUTES = {name: Attribute(name, AttributeKind.TREE, {}, Place("bench")) for name in ("department", "location")}


def write(path: Path, *, moved: int) -> None:
    """An HR file in which the first people have moved to another department."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "name", "department", "location", "starts_on", "status"])
        for number in range(PEOPLE):
            department = "rd/moved" if number < moved else f"rd/d{number % 200}"
            rows.writerow([f"E{number:06}", f"员工{number}", department, "cn/shanghai", "2020-01-01", "active"])


def read_by_csv(path: Path) -> int:
    """The floor: reading the file alone."""
    with path.open(encoding="utf-8", newline="") as stream:
        return sum(1 for _ in csv.DictReader(stream))


def tell(facts: Facts) -> None:
    """Events as HR's system sends them, each durable before the next."""
    for number in range(EVENTS):
        raw = {"type": "leave-started", "person": f"E{number:06}", "effective_at": "2026-11-23"}
        told = parse_event({"id": f"bench-{next(_NUMBERS)}", **raw})
        record_events(facts, [told], source="bench", now=NOW, actor="bench", attributes=ATTRIBUTES)


def room() -> Iterator[Measurement]:
    """First import, the same file, a thousand changes, single events, verification."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        facts = Facts(Store.open("sqlite:///bench.db", folder=folder), "Asia/Shanghai")
        path = folder / "people.csv"
        context = SourceContext("hr", folder, Place("bench"))

        def bring_in() -> ImportReport:
            feed = CsvSource(context, {"path": str(path), "feed": "full"}).read(
                feed_columns(ATTRIBUTES), REQUIRED_COLUMNS
            )
            return import_people(
                facts, feed, source="hr", attributes=ATTRIBUTES, guards=Guards(), now=NOW, actor="bench"
            )

        floor = "csv.DictReader over the same file"
        write(path, moved=0)
        size = f"{PEOPLE} people"
        yield "people import, first", size, bring_in, floor, lambda: read_by_csv(path)
        yield "people import, the same again", size, bring_in, floor, lambda: read_by_csv(path)
        write(path, moved=1000)
        yield "people import, 1000 changes", size, bring_in, floor, lambda: read_by_csv(path)
        yield f"{EVENTS} events, one by one", size, lambda: tell(facts), "", None
        yield "ledger verify", f"{facts.ledger.head()} entries", facts.ledger.verify, "", None
        yield "population read", size, facts.population, "", None
