"""The projection of people: everybody's folded record, their evidence, and which events are known already.

Promises: a person's number is dense, given in the order of the ledger, and never re-used; whatever batches the entries
come in, the rows are the same; of whom anything was erased nothing is left but that they are out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Connection, Table, Text, bindparam, delete, func, insert, select, update

from reconciler.facts.events import EVENT_KINDS, EVIDENCE_KINDS, PERSON_KINDS, EventType
from reconciler.facts.feed_state import FEED_KINDS
from reconciler.facts.fold import PersonEvent, fold, fold_evidence, person_event
from reconciler.facts.ledger import (
    CHUNK,
    ERASED,
    Entry,
    Sequence64,
    chunks,
    ledger_entries,
    read_subjects,
)
from reconciler.facts.model import Person, Span
from reconciler.facts.store import metadata
from reconciler.facts.stored import evidence_row, evidence_table, people_table, person_row

__all__ = ["LAST_NUMBER", "PeopleProjection", "erased", "events_seen", "folded", "numbers_of", "told_events"]

events_seen = Table(
    "events_seen",
    metadata,
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("seq", Sequence64, nullable=False),
)

_entry = ledger_entries.c
# Statements that every event needs are made once: making one costs more than carrying it out.
_NUMBERS = select(people_table.c.id, people_table.c.number).where(
    people_table.c.id.in_(bindparam("people", expanding=True))
)
LAST_NUMBER = select(func.coalesce(func.max(people_table.c.number), -1))
"""The newest person's number; -1 where there is nobody."""
_TOLD_BEFORE = (
    select(_entry.subject)
    .where(_entry.subject.in_(bindparam("people", expanding=True)), _entry.seq < bindparam("first"))
    .distinct()
)
_INSERT_PEOPLE, _INSERT_SEEN = insert(people_table), insert(events_seen)
_UPDATE_PERSON = update(people_table).where(people_table.c.number == bindparam("at"))


class PeopleProjection:
    """Everybody's folded record, their evidence, and which events are known already."""

    name = "people"
    kinds = EVENT_KINDS | FEED_KINDS | {ERASED}

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Fold those whom the entries are about afresh."""
        for batch in _between_erasures(entries):
            if batch[0].kind == ERASED:
                self._erase(connection, batch[0])
            else:
                self._tell(connection, batch)

    def _tell(self, connection: Connection, entries: Sequence[Entry]) -> None:
        events = [entry for entry in entries if entry.kind in EVENT_KINDS]
        if not events:
            return
        _see(connection, events)
        last = {entry.subject: entry.seq for entry in events}
        numbers = numbers_of(connection, last)
        new = self._insert(connection, [entry for entry in events if entry.subject not in numbers], last)
        changed = {entry.subject for entry in events if entry.kind in PERSON_KINDS} & numbers.keys()
        self._refold(connection, {person: numbers[person] for person in changed}, entries[-1].seq)
        proven = {entry.subject for entry in events if entry.kind in EVIDENCE_KINDS} & (numbers.keys() | new.keys())
        waited = {person for person, before in new.items() if before}
        self._update_evidence(connection, proven | waited, entries[-1].seq)
        if proved := sorted(numbers.keys() - changed):
            newest = [{"at": numbers[person], "last_entry": last[person]} for person in proved]
            connection.execute(_UPDATE_PERSON, newest)

    def _erase(self, connection: Connection, entry: Entry) -> None:
        """Nothing is left of the person but the id, the number, and that they are out."""
        person = str(entry.payload["person"])
        number = numbers_of(connection, [person])[person]
        connection.execute(
            update(people_table)
            .where(people_table.c.id == person)
            .values(person_row(erased(number, person, entry.seq)))
        )
        connection.execute(delete(evidence_table).where(evidence_table.c.person == person))
        for some in chunks(_listed(entry), CHUNK):
            connection.execute(delete(events_seen).where(events_seen.c.seq.in_(some)))

    def clear(self, connection: Connection) -> None:
        """Remove all rows."""
        for table in (people_table, evidence_table, events_seen):
            connection.execute(delete(table))

    def _insert(self, connection: Connection, entries: Sequence[Entry], last: Mapping[str, int]) -> dict[str, bool]:
        """Those who are hired in these entries, in that order → whether something was told of them before, which has
        waited for this. Of others in them nobody is known yet.
        """
        told: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            told[entry.subject].append(entry)
        hired = dict.fromkeys(entry.subject for entry in entries if entry.kind == EventType.HIRED)
        if not hired:
            return {}
        before = dict(self._before(connection, hired, entries[0].seq))
        number = connection.execute(LAST_NUMBER).scalar_one()
        rows = [
            person_row(folded(number + n, person, [*before.get(person, ()), *told[person]], self.zone, last[person]))
            for n, person in enumerate(hired, start=1)
        ]
        connection.execute(_INSERT_PEOPLE, rows)
        return {person: person in before for person in hired}

    def _before(
        self, connection: Connection, people: Iterable[str], first: int
    ) -> Iterator[tuple[str, Sequence[Entry]]]:
        """What was told of these people before that entry; of most nothing."""
        for some in chunks(people, CHUNK):
            if early := connection.execute(_TOLD_BEFORE, {"people": some, "first": first}).scalars().all():
                yield from read_subjects(connection, early, kinds=EVENT_KINDS, until=first - 1)

    def _refold(self, connection: Connection, numbers: Mapping[str, int], until: int) -> None:
        rows = [
            {"at": numbers[person], **person_row(folded(numbers[person], person, told, self.zone, told[-1].seq))}
            for person, told in read_subjects(connection, numbers, kinds=EVENT_KINDS, until=until)
        ]
        if rows:
            connection.execute(_UPDATE_PERSON, rows)

    def _update_evidence(self, connection: Connection, people: Collection[str], until: int) -> None:
        for part in chunks(sorted(people), CHUNK):
            connection.execute(delete(evidence_table).where(evidence_table.c.person.in_(part)))
        rows = [
            evidence_row(record)
            for person, entries in read_subjects(connection, people, kinds=EVIDENCE_KINDS, until=until)
            for record in fold_evidence(person, told_events(entries), self.zone)
        ]
        if rows:
            connection.execute(insert(evidence_table), rows)


def folded(number: int, person: str, entries: Sequence[Entry], zone: ZoneInfo, last: int = 0) -> Person:
    """The person of whom these entries tell; of whom anything was erased nothing is known but that they are out."""
    gone = [entry.seq for entry in entries if entry.erased]
    return erased(number, person, gone[-1]) if gone else fold(number, person, told_events(entries), zone, last)


def erased(number: int, person: str, entry: int) -> Person:
    """What is left of a person: out for good, so that whatever still bears the id is a leaver's."""
    return Person(number, person, "", "", (), exited=(Span(None, None, entry),), last_entry=entry)


def told_events(entries: Iterable[Entry]) -> list[PersonEvent]:
    """The events of these entries that were not erased."""
    return [person_event(entry) for entry in entries if not entry.erased]


def _between_erasures(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries in their order, each erasure by itself."""
    for erasing, batch in groupby(entries, key=lambda entry: entry.kind == ERASED):
        told = list(batch)
        yield from ([entry] for entry in told) if erasing else (told,)


def _listed(entry: Entry) -> list[int]:
    numbers: Any = entry.payload["entries"]
    return [int(number) for number in numbers]


def _see(connection: Connection, events: Sequence[Entry]) -> None:
    told = [entry for entry in reversed(events) if not entry.erased]
    keys = {(str(entry.payload.get("source", "")), str(entry.payload["id"])): entry.seq for entry in told}
    rows = [{"source": source, "id": name, "seq": seq} for (source, name), seq in keys.items()]
    if rows:
        connection.execute(_INSERT_SEEN, rows)


def numbers_of(connection: Connection, people: Iterable[str]) -> dict[str, int]:
    """The numbers of those of these people who are known."""
    numbers: dict[str, int] = {}
    for part in chunks(people, CHUNK):
        numbers.update((row.id, row.number) for row in connection.execute(_NUMBERS, {"people": part}))
    return numbers
