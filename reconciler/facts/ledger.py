"""The ledger: the append-only, hash-chained record of every fact, decision and effect.

Promises: sequence numbers without gaps from 1; each entry's digest covers its header and the digest before it
(SHA-256 over canonical JSON, RFC 8785), and the header holds a digest of the payload, keyed by subject (HMAC-SHA-256,
RFC 2104), so that an erased payload cannot be guessed. `verify` finds any changed byte. A payload may be missing only
where a later entry says that it was erased. Everything else in the store is a projection, which `rebuild` can make
again. What an entry *means* belongs to the projections, not here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Protocol, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from reconciler.errors import ReconcilerError
from reconciler.facts.adding import add_rows
from reconciler.facts.canonical_json import canonical_json
from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.store import Store, metadata

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""What a payload may hold."""

GENESIS = "0" * 64
"""The digest before the first entry."""

ERASED = "erased"
"""The kind of the entry that says whose payloads were erased, and which (`entries`: their numbers)."""

CHUNK = 500
"""How many keys one query asks for at most: databases bound the number of parameters."""

BATCH = 2000
"""How many entries are read or projected at a time."""

Sequence64 = BigInteger().with_variant(Integer, "sqlite")
"""A ledger sequence number; SQLite wants its own word for the key of a table."""

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=False),
    Column("recorded_at", String(27), nullable=False),
    Column("kind", Text, nullable=False, index=True),
    Column("subject", Text, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("effective_at", String(27)),
    Column("payload_digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
)
ledger_payloads = Table(
    "ledger_payloads",
    metadata,
    Column("seq", Sequence64, ForeignKey("ledger_entries.seq"), primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),
)
subject_keys = Table(
    "subject_keys",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)
erased_payloads = Table(
    "erased_payloads",
    metadata,
    Column("seq", Sequence64, ForeignKey("ledger_entries.seq"), primary_key=True, autoincrement=False),
    Column("entry", Sequence64, nullable=False),
)
"""Which payloads may go, by which entry: what the ledger's `erased` entries list, where the database can see it."""

projection_positions = Table(
    "projections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Sequence64, nullable=False),
)

_WITH_PAYLOADS = (
    select(ledger_entries, ledger_payloads.c.payload)
    .select_from(ledger_entries.outerjoin(ledger_payloads, ledger_payloads.c.seq == ledger_entries.c.seq))
    .order_by(ledger_entries.c.seq)
)
# Statements that every event needs are made once: making one costs more than carrying it out.
_NUMBERED = _WITH_PAYLOADS.where(ledger_entries.c.seq.in_(bindparam("numbers", expanding=True)))
_ABOUT = _WITH_PAYLOADS.where(
    ledger_entries.c.subject.in_(bindparam("subjects", expanding=True)), ledger_entries.c.seq <= bindparam("until")
)
_NEWEST = select(ledger_entries.c.seq, ledger_entries.c.digest).order_by(ledger_entries.c.seq.desc()).limit(1)
_KEYS_OF = select(subject_keys.c.subject, subject_keys.c.key).where(
    subject_keys.c.subject.in_(bindparam("subjects", expanding=True))
)
_SUBJECTS_SINCE = (
    select(ledger_entries.c.subject)
    .where(ledger_entries.c.seq > bindparam("after"), ledger_entries.c.kind.in_(bindparam("kinds", expanding=True)))
    .distinct()
)
_TOLD_SINCE = (
    select(ledger_entries.c.seq, ledger_entries.c.kind, ledger_entries.c.subject)
    .where(ledger_entries.c.seq > bindparam("after"), ledger_entries.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(ledger_entries.c.seq)
)
_LAST_TOLD_SINCE = (
    select(ledger_entries.c.subject, func.max(ledger_entries.c.recorded_at).label("at"))
    .where(ledger_entries.c.seq > bindparam("after"), ledger_entries.c.kind.in_(bindparam("kinds", expanding=True)))
    .group_by(ledger_entries.c.subject)
)
_MOVE_POSITIONS = (
    update(projection_positions)
    .where(projection_positions.c.name.in_(bindparam("names", expanding=True)))
    .values(position=bindparam("at"))
)
_NO_LIMIT = 2**63 - 1
"""A sequence number beyond any."""

HEADER = ("seq", "recorded_at", "kind", "subject", "actor", "effective_at", "payload_digest", "previous")
"""The columns that an entry's digest covers."""


class LedgerBroken(ReconcilerError):
    """The record was altered, or the store is damaged; `seq` is the first entry at fault (0: none can be named)."""

    code = "ledger-broken"

    def __init__(self, seq: int, what: str) -> None:
        where = f"ledger entry {seq}" if seq else "the ledger"
        super().__init__(
            f"{where}: {what}",
            remedy="do not go on with this store: compare it with a backup and find out who changed it",
        )
        self.seq = seq
        self.what = what


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to be appended. `subject` is whom or what it is about; `effective_at` an aware instant."""

    kind: str
    subject: str
    actor: str
    payload: Mapping[str, Json]
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger. Times are instants in UTC; digests are hexadecimal SHA-256. Of an `erased` one the
    payload is gone, and empty here.
    """

    seq: int
    recorded_at: datetime
    kind: str
    subject: str
    actor: str
    effective_at: datetime | None
    payload: Mapping[str, Json]
    payload_digest: str
    previous: str
    digest: str
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """The ledger is as it was written: how many entries, and the digest of the last one (`GENESIS` where there is
    none).
    """

    entries: int
    head: str


class Projection(Protocol):
    """A view of the ledger kept in tables of its own.

    `apply` is given entries of its `kinds` in order, in the transaction that appends them, and must come to the same
    rows whatever the batches are; of entries whose payload was erased it only knows that they were there. `clear`
    removes all its rows.
    """

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> frozenset[str]: ...

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None: ...

    def clear(self, connection: Connection) -> None: ...


Told = Callable[[Connection, Sequence[Entry]], None]
"""Whoever is shown what was appended."""

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def canonical(value: Json) -> bytes:
    """The value as canonical JSON (RFC 8785), UTF-8."""
    return canonical_json(value)


def part(value: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """A mapping inside a payload; an empty one where there is none."""
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def header_digest(header: Mapping[str, str | int | None]) -> str:
    """SHA-256 over the header's canonical JSON, hexadecimal.

    INVARIANT: for texts, integers and nulls under ASCII names the standard library writes what RFC 8785 asks for; it
    is six times faster, and verifying a long ledger is mostly this. A test holds the two together.
    """
    return hashlib.sha256(_plain_json(header).encode()).hexdigest()


_plain_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class Ledger:
    """The ledger of a store, with the projections that follow it."""

    def __init__(self, store: Store, projections: Sequence[Projection] = (), told: Told | None = None) -> None:
        """`told` is shown every entry that is appended, in the same transaction, when the projections know it; not
        those that are only read again.
        """
        self.store = store
        self.projections = tuple(projections)
        self._told = told

    def append(self, connection: Connection, entries: Sequence[NewEntry], recorded_at: datetime) -> list[Entry]:
        """Append in this order, in the caller's writing transaction, and bring the projections along."""
        appended: list[Entry] = []
        at, known = instant_text(recorded_at), recorded_at.astimezone(UTC)
        seq, previous = read_newest(connection)
        for batch in chunks(entries, BATCH):
            keys = _keys(connection, {entry.subject for entry in batch})
            rows = [_row(seq + n, at, entry, keys[entry.subject]) for n, entry in enumerate(batch, start=1)]
            for row, _ in rows:
                row["previous"] = previous
                row["digest"] = previous = header_digest(row)
            add_rows(connection, ledger_entries, [row for row, _ in rows])
            add_rows(connection, ledger_payloads, [{"seq": row["seq"], "payload": text} for row, text in rows])
            done = [_appended(row, entry, known) for (row, _), entry in zip(rows, batch, strict=True)]
            _note_erasures(connection, done)
            self._project(connection, done)
            appended += done
            seq += len(done)
        if self._told is not None and appended:
            self._told(connection, appended)
        return appended

    def head(self) -> int:
        """The newest sequence number, 0 where there is none."""
        with self.store.reading() as connection:
            return read_newest(connection)[0]

    def entries(
        self, after: int = 0, kinds: Collection[str] | None = None, subject: str | None = None
    ) -> Iterator[Entry]:
        """The entries after that sequence number, in order. Raises `LedgerBroken` where one cannot be read."""
        while True:
            with self.store.reading() as connection:
                batch = list(read_entries(connection, after=after, kinds=kinds, subject=subject, limit=BATCH))
            yield from batch
            if len(batch) < BATCH:
                return
            after = batch[-1].seq

    def verify(self) -> Verified:
        """Check every entry, payload and key, and the projections' positions. Raises `LedgerBroken` at the first
        fault.
        """
        from reconciler.facts.verifying import verify_in  # which reads what is described here

        with self.store.reading() as connection:
            return verify_in(connection)

    def erase(self, connection: Connection, person: str, news: NewEntry, recorded_at: datetime) -> Entry:
        """Append `news` (of kind `ERASED`, with the entries' numbers), and destroy those entries' payloads and the
        person's key.
        """
        (entry,) = self.append(connection, [news], recorded_at)
        for some in chunks(_erased_by(entry), CHUNK):
            connection.execute(delete(ledger_payloads).where(ledger_payloads.c.seq.in_(some)))
        connection.execute(delete(subject_keys).where(subject_keys.c.subject == person))
        return entry

    def rebuild(self, connection: Connection, progress: Callable[[int], None] = lambda _: None) -> None:
        """Make all projections again from the entries; `progress` is told how many have been read."""
        for projection in reversed(self.projections):
            projection.clear(connection)
        connection.execute(delete(erased_payloads))
        _note_erasures(connection, list(read_entries(connection, kinds={ERASED})))
        after = 0
        while batch := list(read_entries(connection, after=after, limit=BATCH)):
            self._project(connection, batch)
            after = batch[-1].seq
            progress(after)

    def _project(self, connection: Connection, entries: Sequence[Entry]) -> None:
        for projection in self.projections:
            mine = [entry for entry in entries if entry.kind in projection.kinds]
            if mine:
                projection.apply(connection, mine)
        names = sorted({projection.name for projection in self.projections})
        moved = connection.execute(_MOVE_POSITIONS, {"names": names, "at": entries[-1].seq}).rowcount
        if moved != len(names):  # some of them are new here
            connection.execute(delete(projection_positions).where(projection_positions.c.name.in_(names)))
            positions = [{"name": name, "position": entries[-1].seq} for name in names]
            connection.execute(insert(projection_positions), positions)


def read_entries(
    connection: Connection,
    *,
    after: int = 0,
    until: int | None = None,
    kinds: Collection[str] | None = None,
    subject: str | None = None,
    limit: int | None = None,
) -> Iterator[Entry]:
    """Entries with ``after < seq <= until``, in order, as this transaction sees them."""
    query = _WITH_PAYLOADS.where(ledger_entries.c.seq > after)
    if until is not None:
        query = query.where(ledger_entries.c.seq <= until)
    if kinds is not None:
        query = query.where(ledger_entries.c.kind.in_(sorted(kinds)))
    if subject is not None:
        query = query.where(ledger_entries.c.subject == subject)
    yield from (_entry(row, connection) for row in connection.execute(query.limit(limit)))


def read_news(connection: Connection, *, after: int, kinds: Collection[str]) -> tuple[int, frozenset[str]]:
    """The newest sequence number, and whom the entries of these kinds after that one are about."""
    asked = {"after": after, "kinds": sorted(kinds)}
    return read_newest(connection)[0], frozenset(connection.execute(_SUBJECTS_SINCE, asked).scalars())


def read_told(connection: Connection, *, after: int, kinds: Collection[str]) -> tuple[int, list[tuple[int, str, str]]]:
    """The newest sequence number; and of the entries of these kinds after that one the number, kind and subject."""
    rows = connection.execute(_TOLD_SINCE, {"after": after, "kinds": sorted(kinds)})
    return read_newest(connection)[0], [(row.seq, row.kind, row.subject) for row in rows]


def read_last_told(connection: Connection, *, after: int, kinds: Collection[str]) -> tuple[int, dict[str, datetime]]:
    """The newest sequence number; and whom the entries of these kinds after that one are about, with when the last of
    them was recorded.
    """
    rows = connection.execute(_LAST_TOLD_SINCE, {"after": after, "kinds": sorted(kinds)})
    return read_newest(connection)[0], {row.subject: parse_instant(row.at) for row in rows}


def read_numbered(connection: Connection, numbers: Collection[int]) -> list[Entry]:
    """The entries of these numbers, in order; those that do not exist are left out."""
    return [_entry(row, connection) for row in connection.execute(_NUMBERED, {"numbers": list(numbers)})]


def read_subjects(
    connection: Connection, subjects: Collection[str], *, kinds: Collection[str], until: int | None = None
) -> Iterator[tuple[str, list[Entry]]]:
    """For each of the subjects that has any, its entries of these kinds in order, up to and including `until`."""
    for some in chunks(sorted(subjects), CHUNK):
        # By subject alone: asked for the kinds as well, SQLite would rather walk through all entries of a kind.
        asked = connection.execute(_ABOUT, {"subjects": some, "until": _NO_LIMIT if until is None else until})
        rows = (row for row in asked if row.kind in kinds)
        found = sorted((_entry(row, connection) for row in rows), key=lambda entry: (entry.subject, entry.seq))
        for subject, entries in groupby(found, key=lambda entry: entry.subject):
            yield subject, list(entries)


def read_newest(connection: Connection) -> tuple[int, str]:
    """The newest entry's number and digest; 0 and `GENESIS` where there is none."""
    row = connection.execute(_NEWEST).first()
    return (row.seq, row.digest) if row else (0, GENESIS)


def _keys(connection: Connection, subjects: Collection[str]) -> dict[str, bytes]:
    """Each subject's key, made where it has none yet."""
    keys: dict[str, bytes] = {}
    for some in chunks(sorted(subjects), CHUNK):
        keys.update((row.subject, row.key) for row in connection.execute(_KEYS_OF, {"subjects": some}))
    new = {subject: secrets.token_bytes(32) for subject in sorted(subjects) if subject not in keys}
    if new:
        add_rows(connection, subject_keys, [{"subject": subject, "key": key} for subject, key in new.items()])
    return keys | new


def _row(seq: int, at: str, entry: NewEntry, key: bytes) -> tuple[dict[str, str | int | None], str]:
    payload = canonical(entry.payload)
    header: dict[str, str | int | None] = {
        "seq": seq,
        "recorded_at": at,
        "kind": entry.kind,
        "subject": entry.subject,
        "actor": entry.actor,
        "effective_at": None if entry.effective_at is None else instant_text(entry.effective_at),
        "payload_digest": hmac.digest(key, payload, "sha256").hex(),
    }
    return header, payload.decode()


def _appended(row: Mapping[str, str | int | None], entry: NewEntry, at: datetime) -> Entry:
    return Entry(
        seq=int(row["seq"] or 0),
        recorded_at=at,
        kind=entry.kind,
        subject=entry.subject,
        actor=entry.actor,
        effective_at=None if entry.effective_at is None else entry.effective_at.astimezone(UTC),
        payload=entry.payload,
        payload_digest=str(row["payload_digest"]),
        previous=str(row["previous"]),
        digest=str(row["digest"]),
    )


def _entry(row: Row[tuple[object, ...]], connection: Connection) -> Entry:
    erased = row.payload is None and _is_erased(connection, row.seq)
    try:
        return Entry(
            seq=row.seq,
            recorded_at=parse_instant(row.recorded_at),
            kind=row.kind,
            subject=row.subject,
            actor=row.actor,
            effective_at=None if row.effective_at is None else parse_instant(row.effective_at),
            payload={} if erased else json.loads(row.payload),
            payload_digest=row.payload_digest,
            previous=row.previous,
            digest=row.digest,
            erased=erased,
        )
    except (TypeError, ValueError):
        raise LedgerBroken(row.seq, "it cannot be read (run `reconciler ledger verify`)") from None


def _is_erased(connection: Connection, seq: int) -> bool:
    asked = select(erased_payloads.c.entry).where(erased_payloads.c.seq == seq)
    return connection.execute(asked).first() is not None


def _erased_by(entry: Entry) -> list[int]:
    """The numbers of the entries whose payloads this entry says are erased; none after itself."""
    listed = entry.payload.get("entries")
    numbers = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    return sorted({number for number in numbers if isinstance(number, int) and 0 < number < entry.seq})


def _note_erasures(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [{"seq": seq, "entry": e.seq} for e in entries if e.kind == ERASED for seq in _erased_by(e)]
    if rows:
        connection.execute(insert(erased_payloads), rows)
