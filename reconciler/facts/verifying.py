"""Whether the ledger is as it was written: every header, payload, key and link of the chain; what follows it, too."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select
from sqlalchemy.exc import DBAPIError

from reconciler.facts.days import parse_instant
from reconciler.facts.ledger import (
    BATCH,
    ERASED,
    GENESIS,
    HEADER,
    LedgerBroken,
    Verified,
    erased_payloads,
    header_digest,
    ledger_entries,
    ledger_payloads,
    projection_positions,
    subject_keys,
)

__all__ = ["read_verifiable", "verify_in"]

_TEXTS = ("recorded_at", "kind", "subject", "actor", "payload_digest", "previous", "digest")


def verify_in(connection: Connection) -> Verified:
    """`Ledger.verify`, as this transaction sees it."""
    count, head, gone = 0, GENESIS, _Gone()
    for row in read_verifiable(connection):
        count += 1
        head = _verify_row(row, count, head)
        gone.see(row)
    gone.check(connection)
    _verify_rest(connection, count)
    return Verified(count, head)


def read_verifiable(connection: Connection, after: int = 0, until: int | None = None) -> Iterator[Row[tuple[Any, ...]]]:
    """Every entry with ``after < seq <= until`` as it stands in the store, with its payload and its subject's key; what
    cannot even be decoded is a finding, not an accident.
    """
    joined = ledger_entries.outerjoin(ledger_payloads, ledger_payloads.c.seq == ledger_entries.c.seq).outerjoin(
        subject_keys, subject_keys.c.subject == ledger_entries.c.subject
    )
    query = (
        select(ledger_entries, ledger_payloads.c.payload, subject_keys.c.key)
        .select_from(joined)
        .order_by(ledger_entries.c.seq)
    )
    if until is not None:
        query = query.where(ledger_entries.c.seq <= until)
    while batch := _rows(connection, query.where(ledger_entries.c.seq > after).limit(BATCH)):
        yield from batch
        after = batch[-1].seq


def _rows(connection: Connection, query: Select[tuple[object, ...]]) -> Sequence[Row[tuple[object, ...]]]:
    try:
        return connection.execute(query).all()
    except DBAPIError as error:
        if connection.dialect.name != "sqlite" or getattr(error.orig, "sqlite_errorcode", None) is not None:
            raise  # the database itself speaks: it is the store that is damaged
    rows: list[Row[tuple[object, ...]]] = []  # a text that is no text: go one by one to name the entry
    for seq in connection.execute(query.with_only_columns(ledger_entries.c.seq)).scalars().all():
        try:
            rows.append(connection.execute(query.where(ledger_entries.c.seq == seq)).one())
        except DBAPIError:
            if not rows:
                raise LedgerBroken(int(str(seq)), "its header or payload was altered: it is not UTF-8 text") from None
            return rows  # what stands before it is judged first
    return rows


def _verify_row(row: Row[tuple[object, ...]], expected: int, previous: str) -> str:
    """The entry's digest, if all of it is as it was written."""
    if row.seq != expected:
        raise LedgerBroken(expected, f"it is missing: the sequence goes on with {row.seq}")
    header = row._mapping
    if not all(isinstance(header[name], str) for name in _TEXTS) or not isinstance(row.effective_at, str | None):
        raise LedgerBroken(expected, "its header was altered: a column holds no text")
    if row.previous != previous:
        raise LedgerBroken(expected, "the chain is broken: it does not name the digest of the entry before it")
    if header_digest({name: header[name] for name in HEADER}) != row.digest:
        raise LedgerBroken(expected, "its header was altered")
    _verify_times(row, expected)
    _verify_payload(row, expected)
    return str(row.digest)


def _verify_times(row: Row[tuple[object, ...]], seq: int) -> None:
    try:
        for text in filter(None, (row.recorded_at, row.effective_at)):
            parse_instant(text)
    except ValueError as error:
        raise LedgerBroken(seq, f"a time cannot be read: {error}") from None


def _verify_payload(row: Row[tuple[object, ...]], seq: int) -> None:
    if row.payload is None:
        return  # judged at the end, when all erasures are known
    if row.key is None:
        raise LedgerBroken(seq, f"the key of its subject `{row.subject}` is missing")
    if not isinstance(row.payload, str) or not isinstance(row.key, bytes):
        raise LedgerBroken(seq, "its payload, or the key of its subject, was altered")
    if not hmac.compare_digest(hmac.digest(row.key, row.payload.encode(), "sha256").hex(), row.payload_digest):
        raise LedgerBroken(seq, "its payload, or the key of its subject, was altered")


class _Gone:
    """Payloads that are missing, and those that may be: because a later entry, itself verified, says so."""

    def __init__(self) -> None:
        self._missing: list[int] = []
        self._excused: set[int] = set()

    def see(self, row: Row[tuple[object, ...]]) -> None:
        """Take one verified row into account."""
        if row.payload is None:
            self._missing.append(row.seq)
        elif row.kind == ERASED:
            listed = json.loads(row.payload).get("entries", ())
            self._excused.update(seq for seq in listed if isinstance(seq, int) and seq < row.seq)

    def check(self, connection: Connection) -> None:
        """Raises `LedgerBroken` for the first payload that is missing without an erasure, or said to be erased by
        nobody.
        """
        for seq in self._missing:
            if seq not in self._excused:
                raise LedgerBroken(seq, "its payload is missing, and no entry says that it was erased")
        for seq in connection.execute(select(erased_payloads.c.seq).order_by(erased_payloads.c.seq)).scalars():
            if seq not in self._excused:
                raise LedgerBroken(seq, "it is listed as erased, and no entry says so")


def _verify_rest(connection: Connection, head: int) -> None:
    """Payloads and keys that belong to no entry, and projections that are ahead of the record."""
    stray = connection.execute(
        select(func.min(ledger_payloads.c.seq)).where(ledger_payloads.c.seq.not_in(select(ledger_entries.c.seq)))
    ).scalar()
    if stray is not None:
        raise LedgerBroken(int(stray), "there is a payload, and no entry")
    known = select(ledger_entries.c.subject).where(ledger_entries.c.subject == subject_keys.c.subject)
    keys = connection.execute(select(subject_keys.c.subject).where(~known.exists()).limit(1)).scalar()
    if keys is not None:
        raise LedgerBroken(0, f"there is a key for `{keys}`, about whom there is no entry")
    for name, position in connection.execute(select(projection_positions.c.name, projection_positions.c.position)):
        if not isinstance(position, int) or position > head:
            raise LedgerBroken(
                head, f"the record ends here, but `{name}` has followed it up to {position}: its end was cut off"
            )
