"""When we learned of something, and who told us: what the ledger knows about its entries beside what they say.

The order of the ledger is the order of knowing. `recorded_at` follows it but for a clock that was set back or ran
ahead; so what was known at a moment is everything up to the last entry recorded by then, whatever the entries before
it say of their own time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import Connection, Select, func, select

from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.events import EventType
from reconciler.facts.ledger import CHUNK, chunks, ledger_entries
from reconciler.facts.model import Recorded

_entry = ledger_entries.c


def last_known(connection: Connection, moment: datetime) -> int:
    """The newest entry recorded at or before the moment, 0 where there is none."""
    newest = select(_entry.seq).where(_entry.recorded_at <= instant_text(moment)).order_by(_entry.seq.desc()).limit(1)
    return int(connection.execute(newest).scalar() or 0)


def last_recorded(connection: Connection) -> datetime | None:
    """When the newest entry was recorded, by the clock of whoever did."""
    at = connection.execute(select(_entry.recorded_at).order_by(_entry.seq.desc()).limit(1)).scalar()
    return parse_instant(at) if at is not None else None


def recorded(connection: Connection, entries: Collection[int]) -> dict[int, Recorded]:
    """Who recorded each of these entries, and when; those that do not exist are left out."""
    found: dict[int, Recorded] = {}
    for part in chunks(sorted(set(entries)), CHUNK):
        found |= {each.entry: each for each in _read(connection, _headers().where(_entry.seq.in_(part)))}
    return found


def first_known(connection: Connection, person: str) -> Recorded | None:
    """The entry by which the person became known; None where nobody is known by this id."""
    first = select(func.min(_entry.seq)).where(_entry.subject == person, _entry.kind == EventType.HIRED.value)
    return next(_read(connection, _headers().where(_entry.seq == first.scalar_subquery())), None)


def _headers() -> Select[tuple[int, str, str, str, str]]:
    return select(_entry.seq, _entry.kind, _entry.subject, _entry.recorded_at, _entry.actor)


def _read(connection: Connection, query: Select[tuple[int, str, str, str, str]]) -> Iterator[Recorded]:
    for row in connection.execute(query):
        yield Recorded(row.seq, row.kind, row.subject, parse_instant(row.recorded_at), row.actor)
