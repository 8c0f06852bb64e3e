"""What each source's last accepted feed said: the projection that the next feed is compared with.

Kinds of ledger entries of its own: `row-accepted` (a row says something else than before, and no event follows from
it), `row-missing` (a row is not there any more), `feed-accepted` (a delivery was taken, with what waits for a
decision) and `import-confirmed`. An event that came of a feed carries the row in its payload: under ``feed``, the
assignment and those cells that its data does not say already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Integer, Table, Text, bindparam, delete, func, insert, select, update

from reconciler.facts.events import PERSON_KINDS
from reconciler.facts.ledger import CHUNK, ERASED, Entry, Json, Sequence64, chunks, part, read_numbered
from reconciler.facts.store import metadata

ROW_ACCEPTED = "row-accepted"
ROW_MISSING = "row-missing"
FEED_ACCEPTED = "feed-accepted"
IMPORT_CONFIRMED = "import-confirmed"
FEED_KINDS = frozenset({ROW_ACCEPTED, ROW_MISSING, FEED_ACCEPTED, IMPORT_CONFIRMED})

feed_rows = Table(
    "feed_rows",
    metadata,
    Column("source", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("assignment", Text, primary_key=True),
    Column("cells", Text, nullable=False),
    Column("missing_since", Text, nullable=False),
)
feed_imports = Table(
    "feed_imports",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False, index=True),
    Column("import_id", Text, nullable=False, index=True),
    Column("content", Text, nullable=False),
    Column("people", Integer, nullable=False),
    Column("waiting", Text, nullable=False),
    Column("cursor", Text, nullable=False, server_default=""),
)


@dataclass(frozen=True, slots=True)
class SeenRow:
    """A row as it was last accepted. `missing_since` is the import in which it was first not there, or blank."""

    cells: Mapping[str, str]
    missing_since: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedImport:
    """One accepted delivery. `content` is the digest of what it said, whatever its encoding; `waiting` what awaits a
    decision.
    """

    source: str
    import_id: str
    content: str
    people: int
    waiting: Sequence[Mapping[str, Json]] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """What a source said last: person → assignment → row, and its last accepted import."""

    rows: Mapping[str, Mapping[str, SeenRow]] = field(default_factory=dict)
    last: AcceptedImport | None = None


class FeedProjection:
    """Keeps `feed_rows` and `feed_imports`."""

    name = "feeds"
    kinds = FEED_KINDS | PERSON_KINDS | {ERASED}

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Take over what the entries say about rows and imports."""
        told = [entry for entry in entries if not entry.erased]
        rows = [entry for entry in told if "feed" in entry.payload]
        if rows:
            _apply_rows(connection, rows)
        for entry in told:
            if entry.kind == ERASED:
                _erase(connection, entry)
            elif entry.kind == FEED_ACCEPTED:
                connection.execute(insert(feed_imports), _import_row(entry))
            elif entry.kind == IMPORT_CONFIRMED:
                mine = feed_imports.c.import_id == str(entry.payload["import"])
                connection.execute(update(feed_imports).where(mine).values(waiting="[]"))

    def clear(self, connection: Connection) -> None:
        """Remove all rows."""
        connection.execute(delete(feed_rows))
        connection.execute(delete(feed_imports))


def _erase(connection: Connection, entry: Entry) -> None:
    connection.execute(delete(feed_rows).where(feed_rows.c.person == str(entry.payload["person"])))
    listed: Any = entry.payload["entries"]
    for some in chunks(listed, CHUNK):
        connection.execute(delete(feed_imports).where(feed_imports.c.seq.in_(some)))


def imports_naming(connection: Connection, person: str) -> list[int]:
    """The ledger entries of deliveries that a newer one of the same source has followed, and in which the person's
    exit waited for a decision: what their rows said stands in them.
    """
    newest = select(func.max(feed_imports.c.seq)).group_by(feed_imports.c.source)
    older = select(feed_imports.c.seq).where(feed_imports.c.seq.not_in(newest)).order_by(feed_imports.c.seq)
    found = []
    for some in chunks(connection.execute(older).scalars(), CHUNK):
        for entry in read_numbered(connection, some):
            waiting: Any = entry.payload.get("waiting", ())
            if any(item["person"] == person for item in waiting):
                found.append(entry.seq)
    return found


def read_feed_state(connection: Connection, source: str) -> FeedState:
    """What this source said last."""
    rows: dict[str, dict[str, SeenRow]] = {}
    query = select(feed_rows.c.person, feed_rows.c.assignment, feed_rows.c.cells, feed_rows.c.missing_since)
    for person, assignment, cells, missing in connection.execute(query.where(feed_rows.c.source == source)):
        rows.setdefault(person, {})[assignment] = SeenRow(_decode(cells)[0], missing)
    return FeedState(rows, _last(connection, source))


def last_cursor(connection: Connection, source: str) -> str:
    """Where the next delivery of this source goes on; blank where everything has to be read."""
    query = select(feed_imports.c.cursor).where(feed_imports.c.source == source)
    return str(connection.execute(query.order_by(feed_imports.c.seq.desc()).limit(1)).scalar() or "")


def read_import(connection: Connection, import_id: str) -> tuple[AcceptedImport | None, AcceptedImport | None]:
    """The import of this id, and the last one of the same source."""
    query = select(feed_imports).where(feed_imports.c.import_id == import_id)
    row = connection.execute(query).first()
    return (None, None) if row is None else (_accepted(row), _last(connection, row.source))


def _last(connection: Connection, source: str) -> AcceptedImport | None:
    query = select(feed_imports).where(feed_imports.c.source == source).order_by(feed_imports.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _accepted(row)


def _accepted(row: object) -> AcceptedImport:
    values = row._mapping  # type: ignore[attr-defined]
    return AcceptedImport(
        values["source"], values["import_id"], values["content"], values["people"], json.loads(values["waiting"])
    )


def _import_row(entry: Entry) -> dict[str, object]:
    payload = entry.payload
    return {
        "seq": entry.seq,
        "source": payload["source"],
        "import_id": payload["import"],
        "content": payload["content"],
        "people": payload["people"],
        "waiting": json.dumps(payload["waiting"], ensure_ascii=False, sort_keys=True),
        "cursor": payload.get("cursor", ""),
    }


Key = tuple[str, str, str]

_KEY = ("of_source", "of_person", "of_assignment")
_FORGET = delete(feed_rows).where(
    feed_rows.c.source == bindparam("of_source"),
    feed_rows.c.person == bindparam("of_person"),
    feed_rows.c.assignment == bindparam("of_assignment"),
)
_REMEMBER = insert(feed_rows)
# By source first, as the table's key begins: by person alone each asking would walk through all rows.
_ROWS_OF = select(feed_rows).where(
    feed_rows.c.source == bindparam("asked"), feed_rows.c.person.in_(bindparam("people", expanding=True))
)
_dump = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_decode = json.JSONDecoder().raw_decode


def _apply_rows(connection: Connection, entries: Sequence[Entry]) -> None:
    """Merge each entry's cells into its row, many rows at a time."""
    told = [(_key(entry), entry) for entry in entries]
    rows = _stored(connection, {key for key, _ in told})
    before = set(rows)
    for key, entry in told:
        _tell(rows, key, entry)
    if before:
        connection.execute(_FORGET, [dict(zip(_KEY, key, strict=True)) for key in sorted(before)])
    new = [
        {
            "source": source,
            "person": person,
            "assignment": assignment,
            "cells": _dump(row.cells),
            "missing_since": row.missing_since,
        }
        for (source, person, assignment), row in sorted(rows.items())
    ]
    if new:
        connection.execute(_REMEMBER, new)


def _tell(rows: dict[Key, SeenRow], key: Key, entry: Entry) -> None:
    feed = part(entry.payload, "feed")
    if feed.get("forgotten"):
        rows.pop(key, None)
    elif entry.kind == ROW_MISSING:
        rows[key] = SeenRow(rows[key].cells if key in rows else {}, str(feed["import"]))
    else:
        cells = dict(rows[key].cells) if key in rows else {}
        for said in (part(entry.payload, "data"), part(feed, "cells")):
            cells |= {name: str(value) for name, value in said.items() if name != "assignment"}
        rows[key] = SeenRow({name: value for name, value in cells.items() if value})


def _key(entry: Entry) -> Key:
    feed = part(entry.payload, "feed")
    return str(entry.payload["source"]), entry.subject, str(feed["assignment"])


def _stored(connection: Connection, keys: set[Key]) -> dict[Key, SeenRow]:
    found: dict[Key, SeenRow] = {}
    for source in sorted({source for source, _, _ in keys}):
        for some in chunks(sorted({person for whose, person, _ in keys if whose == source}), CHUNK):
            for row in connection.execute(_ROWS_OF, {"asked": source, "people": some}):
                key = (row.source, row.person, row.assignment)
                if key in keys:
                    found[key] = SeenRow(json.loads(row.cells), row.missing_since)
    return found
