"""People as the ledger knows them: the questions that the other rooms ask (`Facts`).

Promises: ids are compared exactly,
and one that differs from a known one only in case is nobody else; any question may be asked as of an older ledger
entry (`known_at`), which folds that person's entries up to there afresh.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Connection, Select, bindparam, func, or_, select

from reconciler.errors import ReconcilerError
from reconciler.facts import provenance
from reconciler.facts.days import instant_text
from reconciler.facts.events import EVENT_KINDS, EventType
from reconciler.facts.feed_state import FeedProjection
from reconciler.facts.fold import fold_evidence
from reconciler.facts.ledger import (
    CHUNK,
    ERASED,
    Ledger,
    Projection,
    Told,
    chunks,
    ledger_entries,
    read_numbered,
    read_subjects,
)
from reconciler.facts.model import EvidenceRecord, Person, Population, Recorded
from reconciler.facts.projection import LAST_NUMBER, PeopleProjection, folded, numbers_of, told_events
from reconciler.facts.scim_state import ScimProjection
from reconciler.facts.store import Store
from reconciler.facts.stored import (
    EVIDENCE_COLUMNS,
    PERSON_COLUMNS,
    Reading,
    evidence_table,
    many_objects,
    people_table,
    stream,
)

people = people_table
"""The same, as other rooms know it: whom a number stands for."""

_entry = ledger_entries.c
_ABOUT = select(_entry.seq, _entry.kind, _entry.subject, _entry.actor).where(
    _entry.subject.in_(bindparam("subjects", expanding=True))
)
_ERASURES = select(_entry.seq, _entry.kind, _entry.subject).where(_entry.kind == ERASED)
_ALIKE = select(*PERSON_COLUMNS).where(people_table.c.folded_id.in_(bindparam("folded", expanding=True)))

FACT_KINDS = EVENT_KINDS
"""The kinds of ledger entries that can change what a person should have."""

GUARDED_WINDOW = timedelta(hours=24)
"""Over how long exits and lockouts are counted together."""

ERASURE = "erased:"

_SAID_TO_LEAVE = select(*PERSON_COLUMNS).where(
    or_(
        people_table.c.id.in_(select(_entry.subject).where(_entry.kind == EventType.EXITED.value)),
        people_table.c.id.in_(select(func.substr(_entry.subject, len(ERASURE) + 1)).where(_entry.kind == ERASED)),
    )
)
"""Those of whom an exit is on record, or was erased: found by what the ledger says, and not by looking at everybody."""


def erasure_subject(person: str) -> str:
    """Whom an erasure is about: not the person, whose key it destroys."""
    return ERASURE + person


class PersonUnknown(ReconcilerError):
    """Nobody is known by this id."""

    code = "person-unknown"


def read_alike(connection: Connection, people: Collection[str]) -> list[Person]:
    """The known people of these ids, and those whose ids differ from one of these only in case."""
    reading, folded_ids = Reading(), sorted({person.casefold() for person in people})
    rows = (row for some in chunks(folded_ids, CHUNK) for row in connection.execute(_ALIKE, {"folded": some}))
    return list(reading.people(rows))


def _all_numbers(connection: Connection) -> dict[str, int]:
    return {row.id: row.number for row in connection.execute(select(people_table.c.id, people_table.c.number))}


class Facts:
    """What is known about people. One for a workspace: it holds the ledger with the projections of this room."""

    def __init__(
        self,
        store: Store,
        timezone: str | ZoneInfo = "UTC",
        projections: Sequence[Projection] = (),
        told: Told | None = None,
    ) -> None:
        """`timezone` is the workspace's (an IANA name); `projections` are those of other rooms; `told` is shown what is
        recorded.
        """
        self.store = store
        self.timezone = str(timezone)
        own: list[Projection] = [PeopleProjection(self.zone), FeedProjection(), ScimProjection()]
        self.ledger = Ledger(store, [*own, *projections], told)

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
            with many_objects():
                reading = Reading()
                found = _stored_people(connection, people, reading)
                records = _stored_evidence(connection, people, found, reading) if evidence else {}
        found.sort(key=lambda person: person.number)
        return Population(found, records, min(head, head if known_at is None else known_at), self.timezone)

    def known_at(self, moment: datetime) -> int:
        """The newest ledger entry recorded at or before the moment, 0 where there is none: what was known then is
        all up to it, in the order of the ledger.
        """
        with self.store.reading() as connection:
            return provenance.last_known(connection, moment)

    def erased(self, connection: Connection, people: Collection[str]) -> dict[str, int]:
        """Of these people, those of whom what was on record was erased → the entry that says so."""
        subjects = {erasure_subject(person) for person in people}
        few = len(subjects) <= CHUNK
        # By kind, or by subject and not by kind as well: SQLite would walk through all erasures there ever were.
        rows = connection.execute(_ABOUT if few else _ERASURES, {"subjects": sorted(subjects)} if few else {})
        found = (row for row in rows if row.kind == ERASED and row.subject in subjects)
        return {row.subject.removeprefix(ERASURE): row.seq for row in found}

    def recorded(self, entries: Collection[int]) -> dict[int, Recorded]:
        """Who recorded each of these ledger entries, and when; those that do not exist are left out."""
        with self.store.reading() as connection:
            return provenance.recorded(connection, entries)

    def first_known(self, person: str) -> Recorded | None:
        """The ledger entry by which the person became known; None where nobody is known by this id."""
        with self.store.reading() as connection:
            return provenance.first_known(connection, person)

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
        everybody = connection.execute(LAST_NUMBER).scalar_one() + 1  # numbers are dense, and given once
        leavers = Reading().people(stream(connection, _SAID_TO_LEAVE))
        return int(everybody) - sum(any(span.end is None for span in person.exited) for person in leavers)

    def event_id(self, entry: int) -> str:
        """The sender's id of the event that stands in this ledger entry; blank where there is none."""
        with self.store.reading() as connection:
            found = read_numbered(connection, [entry])
        return "".join(str(each.payload.get("id", "")) for each in found if each.kind in EVENT_KINDS)

    def locked_out_by(self, people: Collection[str], actors: Collection[str]) -> set[str]:
        """Those of the people whose lockout one of these actors recorded."""
        found: set[str] = set()
        with self.store.reading() as connection:
            for some in chunks(sorted(set(people)), CHUNK):
                rows = connection.execute(_ABOUT, {"subjects": some})
                found |= {row.subject for row in rows if row.kind == EventType.LOCKED_OUT and row.actor in actors}
        return found

    def waiting(self) -> dict[str, int]:
        """The ids of whom events are on record and whom nobody has hired → how many events wait for that."""
        c = ledger_entries.c
        known = select(people_table.c.id).where(people_table.c.id == c.subject)
        asked = select(c.subject, func.count().label("events")).where(c.kind.in_(sorted(EVENT_KINDS)), ~known.exists())
        with self.store.reading() as connection:
            return {row.subject: row.events for row in connection.execute(asked.group_by(c.subject))}

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
        numbers = _all_numbers(connection) if people is None else numbers_of(connection, people)
        found, evidence = [], {}
        with many_objects():
            for person, entries in read_subjects(connection, numbers, kinds=EVENT_KINDS, until=known_at):
                if not any(entry.kind == EventType.HIRED for entry in entries):
                    continue  # what was told of them so far waited
                found.append(folded(numbers[person], person, entries, self.zone))
                if records := fold_evidence(person, told_events(entries), self.zone):
                    evidence[person] = list(records)
        return found, evidence


def _confirmed(connection: Connection, seqs: Collection[int]) -> set[str]:
    """The people among these exits and lockouts whose every one was confirmed by somebody."""
    by_person: dict[str, list[bool]] = defaultdict(list)
    for part in chunks(sorted(seqs), CHUNK):
        for entry in read_numbered(connection, part):
            by_person[entry.subject].append(entry.payload.get("confirmed") is True)
    return {person for person, confirmed in by_person.items() if all(confirmed)}


def _stored_people(connection: Connection, people: Collection[str] | None, reading: Reading) -> list[Person]:
    return list(reading.people(_rows(connection, select(*PERSON_COLUMNS), people_table.c.id, people)))


def _stored_evidence(
    connection: Connection, people: Collection[str] | None, found: Sequence[Person], reading: Reading
) -> dict[str, list[EvidenceRecord]]:
    query = select(*EVIDENCE_COLUMNS).order_by(evidence_table.c.entry)
    return reading.evidence(_rows(connection, query, evidence_table.c.person, people), found)


def _rows(
    connection: Connection, query: Select[Any], whose: Column[str], people: Collection[str] | None
) -> Iterator[Sequence[Any]]:
    """The rows about everybody, or about these people."""
    if people is None:
        yield from stream(connection, query)
        return
    for part in chunks(sorted(set(people)), CHUNK):
        yield from connection.execute(query.where(whose.in_(part)))
