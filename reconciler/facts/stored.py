"""How people and their proofs stand in the projection: a row for each value, and from many rows the values again.

Promises: what is written is what is read; of a reading, equal attributes, texts and instants are one object, so that a
million people take the room of what differs between them. That is also why a row keeps apart what hardly two people
share (numbers of entries, references) from what many do: a text that was seen before is not parsed again.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Integer, Select, Table, Text

from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.ledger import Sequence64
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Span
from reconciler.facts.store import metadata

people_table = Table(
    "people",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("folded_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("last_entry", Sequence64, nullable=False),
)
"""`attributes` has those of each assignment, in the order in which `record` has the rest of them."""

evidence_table = Table(
    "evidence",
    metadata,
    Column("entry", Sequence64, primary_key=True, autoincrement=False),
    Column("person", Text, nullable=False, index=True),
    Column("reference", Text, nullable=False),
    Column("record", Text, nullable=False),
)

PERSON_COLUMNS = tuple(
    people_table.c[name] for name in ("number", "id", "name", "email", "attributes", "record", "last_entry")
)
EVIDENCE_COLUMNS = tuple(evidence_table.c[name] for name in ("entry", "person", "reference", "record"))

_SPANS = ("notice", "leave", "exited", "lockouts")

_NO_SPANS: tuple[tuple[Span, ...], ...] = ((), (), (), ())

_STREAMED = 5000
"""How many rows are held at a time while many are read."""

_REMEMBERED = 100_000
"""How many parsed texts of a kind a reading remembers: where more differ, what is shared does not pay for the room."""


# --- a row for a value ------------------------------------------------------------------------------------------------


def person_row(person: Person) -> dict[str, Any]:
    """How a person stands in the projection."""
    posts = [[post.name, *_span_json(post.span), int(post.transferred)] for post in person.assignments]
    rare = {name: [_span_json(span) for span in getattr(person, name)] for name in _SPANS if getattr(person, name)}
    if person.rehired:
        rare["rehired"] = []
    record = [posts, _instant(person.employed_since), *([rare] if rare else [])]
    return {
        "number": person.number,
        "id": person.id,
        "folded_id": person.id.casefold(),
        "name": person.name,
        "email": person.email,
        "attributes": _dump([dict(post.attributes) for post in person.assignments]),
        "record": _dump(record),
        "last_entry": person.last_entry,
    }


def evidence_row(record: EvidenceRecord) -> dict[str, Any]:
    """How a proof stands in the projection."""
    shared = [
        record.kind,
        record.scope,
        record.version,
        _instant(record.valid_from),
        _instant(record.valid_until),
        record.failed,
        record.source,
        _instant(record.recorded_at),
        None if record.revoked is None else _span_json(record.revoked),
    ]
    return {"entry": record.entry, "person": record.person, "reference": record.reference, "record": _dump(shared)}


_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _span_json(span: Span) -> list[object]:
    return [_instant(span.start), _instant(span.end), span.entry, span.end_entry]


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)


# --- values from rows -------------------------------------------------------------------------------------------------


class Reading:
    """One reading of many rows: remembers what it has seen, so that equal values are one object."""

    def __init__(self) -> None:
        self._attributes: dict[str, tuple[Mapping[str, str], ...]] = {}
        self._proofs: dict[str, tuple[Any, ...]] = {}
        self._instants: dict[str | None, datetime | None] = {None: None}
        self._texts: dict[str, str] = {}

    def people(self, rows: Iterable[Sequence[Any]]) -> Iterator[Person]:
        """The people of rows that hold `PERSON_COLUMNS`."""
        for number, name_id, name, email, said, stored, last_entry in rows:
            posts, since, *rest = _load(stored)
            assignments = self._posts(posts, self._attributes.get(said) or self._parse_attributes(said))
            notice, leave, exited, lockouts = [self._spans(rest[0].get(name)) for name in _SPANS] if rest else _NO_SPANS
            rehired = bool(rest) and "rehired" in rest[0]
            yield Person(
                number,
                name_id,
                name,
                email,
                assignments,
                notice,
                leave,
                exited,
                lockouts,
                self._moment(since),
                rehired,
                last_entry,
            )

    def evidence(self, rows: Iterable[Sequence[Any]], people: Iterable[Person]) -> dict[str, list[EvidenceRecord]]:
        """Person id → records in the order of the rows, which hold `EVIDENCE_COLUMNS`; `people`: whose ids to use."""
        ids = {person.id: person.id for person in people}
        proofs = self._proofs
        found: dict[str, list[EvidenceRecord]] = {}
        for entry, person, reference, stored in rows:
            kind, scope, version, start, end, failed, source, recorded_at, revoked = proofs.get(
                stored
            ) or self._parse_proof(stored)
            whose = ids.get(person, person)
            mine = found.get(whose)
            if mine is None:
                mine = found[whose] = []
            mine.append(
                EvidenceRecord(
                    entry, whose, kind, scope, version, start, end, failed, reference, source, recorded_at, revoked
                )
            )
        return found

    def _parse_attributes(self, said: str) -> tuple[Mapping[str, str], ...]:
        one = self._texts.setdefault
        parsed = tuple([{one(key, key): one(value, value) for key, value in each.items()} for each in _load(said)])
        return _remember(self._attributes, said, parsed)

    def _parse_proof(self, stored: str) -> tuple[Any, ...]:
        kind, scope, version, valid_from, valid_until, failed, source, recorded_at, revoked = _load(stored)
        proof = (
            self._texts.setdefault(kind, kind),
            self._texts.setdefault(scope, scope),
            version,
            self._moment(valid_from),
            self._moment(valid_until),
            failed,
            self._texts.setdefault(source, source),
            self._moment(recorded_at),
            None if revoked is None else self._span(revoked),
        )
        return _remember(self._proofs, stored, proof)

    def _posts(self, stored: Sequence[Sequence[Any]], given: Sequence[Mapping[str, str]]) -> tuple[Assignment, ...]:
        one, span = self._texts.setdefault, self._span
        return tuple(
            [
                Assignment(one(name, name), attributes, span(during), bool(transferred))
                for (name, *during, transferred), attributes in zip(stored, given, strict=True)
            ]
        )

    def _spans(self, stored: Sequence[Sequence[Any]] | None) -> tuple[Span, ...]:
        return tuple(map(self._span, stored or ()))

    def _span(self, stored: Sequence[Any]) -> Span:
        start, end, entry, end_entry = stored
        return Span(self._moment(start), self._moment(end), entry, end_entry)

    def _moment(self, text: str | None) -> datetime | None:
        found = self._instants.get(text)
        if found is None and text is not None:
            found = _remember(self._instants, text, parse_instant(text))
        return found


_Value = TypeVar("_Value")


def _remember(seen: dict[Any, Any], text: str, value: _Value) -> _Value:
    if len(seen) < _REMEMBERED:
        seen[text] = value
    return value


_decode = json.JSONDecoder().raw_decode


def _load(text: str) -> Any:
    """As `json.loads`, without looking for blanks around what was written here: that costs more than the rest."""
    return _decode(text)[0]


def stream(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """The rows of the query, a few at a time and as plain tuples."""
    result = connection.execute(query, execution_options={"yield_per": _STREAMED})
    for some in result.partitions():
        yield from some


@contextmanager
def many_objects() -> Iterator[None]:
    """While so many objects come to be that all stay, looking again and again for those that do not is wasted time."""
    working = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if working:
            gc.enable()
