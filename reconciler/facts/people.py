"""People as the ledger knows them: the projection, and the questions that the other rooms ask of it (`Facts`).

Promises: a person's number is dense, given in the order of the ledger, and never re-used; ids are compared exactly,
and one that differs from a known one only in case is nobody else; any question may be asked as of an older ledger
entry (`known_at`), which folds that person's entries up to there afresh.
"""

from __future__ import annotations

import difflib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Connection, Integer, Table, Text, delete, func, insert, or_, select, update

from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.events import EVENT_KINDS, EVIDENCE_KINDS, PERSON_KINDS, EventType
from reconciler.facts.feed_state import FEED_KINDS, FeedProjection
from reconciler.facts.fold import PersonEvent, fold, fold_evidence, person_event
from reconciler.facts.ledger import (
    CHUNK,
    Entry,
    Ledger,
    Projection,
    Sequence64,
    chunks,
    ledger_entries,
    read_entries,
    read_subjects,
)
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.facts.store import Store, metadata

people_table = Table(
    "people",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("folded_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("last_entry", Sequence64, nullable=False),
)
people = people_table
"""The same, as other rooms know it: whom a number stands for."""

evidence_table = Table(
    "evidence",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("person", Text, nullable=False, index=True),
    Column("record", Text, nullable=False),
)
events_seen = Table(
    "events_seen",
    metadata,
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("seq", Sequence64, nullable=False),
)

FACT_KINDS = EVENT_KINDS
"""The kinds of ledger entries that can change what a person should have."""

GUARDED_WINDOW = timedelta(hours=24)
"""Over how long exits and lockouts are counted together."""


class PersonUnknown(ReconcilerError):
    """Nobody is known by this id."""

    code = "person-unknown"


class PeopleProjection:
    """Everybody's folded record, their evidence, and which events are known already."""

    name = "people"
    kinds = EVENT_KINDS | FEED_KINDS

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Fold those whom the entries are about afresh."""
        events = [entry for entry in entries if entry.kind in EVENT_KINDS]
        if not events:
            return
        _see(connection, events)
        last = {entry.subject: entry.seq for entry in events}
        numbers = _numbers(connection, last)
        new = self._insert(connection, [entry for entry in events if entry.subject not in numbers], last)
        changed = {entry.subject for entry in events if entry.kind in PERSON_KINDS} - new
        self._refold(connection, {person: numbers[person] for person in changed if person in numbers}, entries[-1].seq)
        self._update_evidence(connection, events)
        others = last.keys() - changed - new
        for person in sorted(others):
            query = update(people_table).where(people_table.c.id == person)
            connection.execute(query.values(last_entry=last[person]))

    def clear(self, connection: Connection) -> None:
        """Remove all rows."""
        for table in (people_table, evidence_table, events_seen):
            connection.execute(delete(table))

    def _insert(self, connection: Connection, entries: Sequence[Entry], last: Mapping[str, int]) -> set[str]:
        """People of whom nothing was known: all there is about them stands in these entries."""
        grouped: dict[str, list[PersonEvent]] = defaultdict(list)
        for entry in entries:
            grouped[entry.subject].append(person_event(entry))
        number = connection.execute(select(func.coalesce(func.max(people_table.c.number), -1))).scalar_one()
        rows = [
            _person_row(fold(number + n, person, events, self.zone, last[person]))
            for n, (person, events) in enumerate(grouped.items(), start=1)
        ]
        if rows:
            connection.execute(insert(people_table), rows)
        return set(grouped)

    def _refold(self, connection: Connection, numbers: Mapping[str, int], until: int) -> None:
        for person, entries in read_subjects(connection, numbers, kinds=EVENT_KINDS, until=until):
            events = [person_event(entry) for entry in entries]
            row = _person_row(fold(numbers[person], person, events, self.zone, entries[-1].seq))
            connection.execute(update(people_table).where(people_table.c.number == numbers[person]).values(**row))

    def _update_evidence(self, connection: Connection, events: Sequence[Entry]) -> None:
        touched = {entry.subject for entry in events if entry.kind in EVIDENCE_KINDS}
        for part in chunks(sorted(touched), CHUNK):
            connection.execute(delete(evidence_table).where(evidence_table.c.person.in_(part)))
        rows = [
            {"entry": record.entry, "person": person, "record": _dump(_evidence_json(record))}
            for person, entries in read_subjects(connection, touched, kinds=EVIDENCE_KINDS, until=events[-1].seq)
            for record in fold_evidence(person, map(person_event, entries), self.zone)
        ]
        if rows:
            connection.execute(insert(evidence_table), rows)


def _see(connection: Connection, events: Sequence[Entry]) -> None:
    keys = {(str(entry.payload.get("source", "")), str(entry.payload["id"])): entry.seq for entry in reversed(events)}
    rows = [{"source": source, "id": name, "seq": seq} for (source, name), seq in keys.items()]
    connection.execute(insert(events_seen), rows)


def _numbers(connection: Connection, people: Iterable[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for part in chunks(people, CHUNK):
        query = select(people_table.c.id, people_table.c.number).where(people_table.c.id.in_(part))
        numbers.update((row.id, row.number) for row in connection.execute(query))
    return numbers


# --- questions ------------------------------------------------------------------------------------------------------


class Facts:
    """What is known about people. One for a workspace: it holds the ledger with the projections of this room."""

    def __init__(self, store: Store, timezone: str | ZoneInfo = "UTC", projections: Sequence[Projection] = ()) -> None:
        """`timezone` is the workspace's (an IANA name); `projections` are those of other rooms."""
        self.store = store
        self.timezone = str(timezone)
        self.ledger = Ledger(store, [PeopleProjection(self.zone), FeedProjection(), *projections])

    @property
    def projections(self) -> tuple[Projection, ...]:
        """All that follow this ledger, for whoever makes another one on the same store."""
        return self.ledger.projections

    @cached_property
    def zone(self) -> ZoneInfo:
        """What a whole day means here. Raises `ReconcilerError` for a name that is no timezone."""
        try:
            return ZoneInfo(self.timezone)
        except (ValueError, OSError, KeyError):
            raise ReconcilerError(
                f"there is no timezone `{self.timezone}`", remedy="write an IANA name, such as Asia/Shanghai"
            ) from None

    def population(self, people: Collection[str] | None = None, known_at: int | None = None) -> Population:
        """Everybody, or those of these ids that are known, with their evidence.

        `known_at` is a ledger sequence number: what was known then; None is now.
        """
        with self.store.reading() as connection:
            return self.population_in(connection, people, known_at)

    def population_in(
        self,
        connection: Connection,
        people: Collection[str] | None = None,
        known_at: int | None = None,
        *,
        evidence: bool = True,
    ) -> Population:
        """`population`, as a transaction sees it; without anybody's evidence where that is not needed."""
        head = connection.execute(select(func.coalesce(func.max(ledger_entries.c.seq), 0))).scalar_one()
        if known_at is not None and known_at < head:
            found, records = self._known_at(connection, people, known_at)
        else:
            found = _stored_people(connection, people)
            records = _stored_evidence(connection, people) if evidence else {}
        found.sort(key=lambda person: person.number)
        return Population(found, records, min(head, head if known_at is None else known_at), self.timezone)

    def person(self, person: str, known_at: int | None = None) -> Person | None:
        """The person of exactly this id, or None."""
        return self.population([person], known_at).by_id.get(person)

    def find_person(self, text: str, known_at: int | None = None) -> Person:
        """The person of exactly this id. Raises `PersonUnknown`, naming whom it might have meant."""
        person = self.person(text, known_at)
        if person is None:
            near = self.suggest(text)
            remedy = f"did you mean {', '.join(near)}?" if near else "import people first, or check the id"
            raise PersonUnknown(f"nobody is known by the id `{text}`", remedy=remedy)
        return person

    def suggest(self, text: str, count: int = 3) -> list[str]:
        """Whom a wrong id might have meant: "E1007 (王芳)", nearest first; a name finds its bearers, too."""
        with self.store.reading() as connection:
            named = {row.id: row.name for row in connection.execute(select(people_table.c.id, people_table.c.name))}
        folded = {person.casefold(): person for person in named}
        near = [folded[key] for key in difflib.get_close_matches(text.casefold(), folded, n=count, cutoff=0.7)]
        bearers = [person for person, name in named.items() if text and text in name]
        return [f"{person} ({named[person]})" if named[person] else person for person in [*near, *bearers]][:count]

    def count_employed(self, connection: Connection) -> int:
        """How many people have not been said to leave."""
        return sum(all(span.end for span in person.exited) for person in _stored_people(connection, None))

    def departures(self, connection: Connection, now: datetime) -> set[str]:
        """People whose exit or lockout was recorded or fell due within the last 24 hours, by whatever channel.

        Those confirmed one by one do not count, nor those who were out already when they became known.
        """
        since, until = instant_text(now - GUARDED_WINDOW), instant_text(now)
        entry = ledger_entries.c
        query = select(entry.seq, entry.subject, entry.recorded_at).where(
            entry.kind.in_([EventType.EXITED.value, EventType.LOCKED_OUT.value]),
            or_(entry.recorded_at > since, entry.effective_at.between(since, until)),
        )
        rows = connection.execute(query).all()
        found: set[str] = set()
        for part in chunks(sorted({row.subject for row in rows}), CHUNK):
            first = (
                select(entry.subject, func.min(entry.recorded_at).label("at"))
                .where(entry.subject.in_(part))
                .group_by(entry.subject)
            )
            known_since = {row.subject: row.at for row in connection.execute(first)}
            found |= {row.subject for row in rows if known_since.get(row.subject, row.recorded_at) < row.recorded_at}
        return found - _confirmed(connection, {row.seq for row in rows if row.subject in found})

    def _known_at(
        self, connection: Connection, people: Collection[str] | None, known_at: int
    ) -> tuple[list[Person], dict[str, list[EvidenceRecord]]]:
        grouped: dict[str, list[Entry]] = defaultdict(list)
        if people is None:
            for entry in read_entries(connection, until=known_at, kinds=EVENT_KINDS):
                grouped[entry.subject].append(entry)
        else:
            grouped.update(read_subjects(connection, people, kinds=EVENT_KINDS, until=known_at))
        numbers = _numbers(connection, grouped)
        events = {person: [person_event(entry) for entry in entries] for person, entries in grouped.items()}
        found = [fold(numbers[person], person, told, self.zone) for person, told in events.items()]
        evidence = {person: list(fold_evidence(person, told, self.zone)) for person, told in events.items()}
        return found, {person: records for person, records in evidence.items() if records}


def _confirmed(connection: Connection, seqs: Collection[int]) -> set[str]:
    """The people among these exits and lockouts whose every one was confirmed by somebody."""
    by_person: dict[str, list[bool]] = defaultdict(list)
    for part in chunks(sorted(seqs), CHUNK):
        for seq in part:
            for entry in read_entries(connection, after=seq - 1, until=seq):
                by_person[entry.subject].append(entry.payload.get("confirmed") is True)
    return {person for person, confirmed in by_person.items() if all(confirmed)}


def _stored_people(connection: Connection, people: Collection[str] | None) -> list[Person]:
    query = select(people_table)
    if people is None:
        return [_person(row) for row in connection.execute(query)]
    parts = chunks(sorted(set(people)), CHUNK)
    return [_person(row) for part in parts for row in connection.execute(query.where(people_table.c.id.in_(part)))]


def _stored_evidence(connection: Connection, people: Collection[str] | None) -> dict[str, list[EvidenceRecord]]:
    query = select(evidence_table.c.person, evidence_table.c.record).order_by(evidence_table.c.entry)
    found: dict[str, list[EvidenceRecord]] = {}
    parts: Iterator[list[str] | None] = iter([None]) if people is None else chunks(sorted(set(people)), CHUNK)
    for part in parts:
        limited = query if part is None else query.where(evidence_table.c.person.in_(part))
        for person, record in connection.execute(limited):
            found.setdefault(person, []).append(_evidence(person, json.loads(record)))
    return found


# --- how a person stands in the projection --------------------------------------------------------------------------


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _person_row(person: Person) -> dict[str, Any]:
    record = {
        "assignments": [[post.name, dict(post.attributes), *_span_json(post.span)] for post in person.assignments],
        "notice": [_span_json(span) for span in person.notice],
        "leave": [_span_json(span) for span in person.leave],
        "exited": [_span_json(span) for span in person.exited],
        "lockouts": [_span_json(span) for span in person.lockouts],
        "employed_since": _instant(person.employed_since),
        "rehired": person.rehired,
    }
    return {
        "number": person.number,
        "id": person.id,
        "folded_id": person.id.casefold(),
        "name": person.name,
        "email": person.email,
        "record": _dump({key: value for key, value in record.items() if value}),
        "last_entry": person.last_entry,
    }


def _person(row: Any) -> Person:
    record = json.loads(row.record)
    return Person(
        number=row.number,
        id=row.id,
        name=row.name,
        email=row.email,
        assignments=tuple(
            Assignment(name, attributes, _span(span)) for name, attributes, *span in record.get("assignments", ())
        ),
        notice=tuple(map(_span, record.get("notice", ()))),
        leave=tuple(map(_span, record.get("leave", ()))),
        exited=tuple(map(_span, record.get("exited", ()))),
        lockouts=tuple(map(_span, record.get("lockouts", ()))),
        employed_since=_moment(record.get("employed_since")),
        rehired=record.get("rehired", False),
        last_entry=row.last_entry,
    )


def _evidence_json(record: EvidenceRecord) -> list[object]:
    return [
        record.entry,
        record.kind,
        record.scope,
        record.version,
        _instant(record.valid_from),
        _instant(record.valid_until),
        record.failed,
        record.reference,
        record.source,
        _instant(record.recorded_at),
        None if record.revoked is None else _span_json(record.revoked),
    ]


def _evidence(person: str, stored: list[Any]) -> EvidenceRecord:
    entry, kind, scope, version, valid_from, valid_until, failed, reference, source, recorded_at, revoked = stored
    return EvidenceRecord(
        entry=entry,
        person=person,
        kind=kind,
        scope=scope,
        version=version,
        valid_from=parse_instant(valid_from),
        valid_until=_moment(valid_until),
        failed=failed,
        reference=reference,
        source=source,
        recorded_at=parse_instant(recorded_at),
        revoked=None if revoked is None else _span(revoked),
    )


def _span_json(span: Span) -> list[object]:
    return [_instant(span.start), _instant(span.end), span.entry, span.end_entry]


def _span(stored: Sequence[Any]) -> Span:
    start, end, entry, end_entry = stored
    return Span(_moment(start), _moment(end), entry, end_entry)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)
