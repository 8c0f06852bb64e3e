"""A store into another one, of whatever kind: the whole record as it stands, byte for byte, with all that follows it.

Promises: all of it or nothing, in one transaction of the target, so that whoever is interrupted begins again; nobody
writes to the source meanwhile; the target was empty; before anything counts there, the ledger verifies in the target,
and every row of every table is read back and is the one it was. Who acts now, and who is due, are not copied: those
belong to the processes that work with a store, and are made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select

from reconciler.errors import ReconcilerError
from reconciler.facts.adding import add_rows
from reconciler.facts.ledger import BATCH, Verified
from reconciler.facts.store import Store, metadata
from reconciler.facts.verifying import verify_in

__all__ = ["CopyRefused", "copy_store"]

NOT_COPIED = frozenset({"leases", "due"})
"""What is no part of the record."""

_AT_WORK: Mapping[str, str] = {
    "lease": "a run is in progress on it",
    "service": "a service is at work on it",
    "watch": "a service or a worker is at work on it",
}


class CopyRefused(ReconcilerError):
    """The store is not copied there, and nothing has changed."""

    code = "store-copy"


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows a table has, and what they are, in whatever order."""

    count: int
    digest: int


def copy_store(
    source: Store, target: Store, progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None
) -> Verified:
    """Copy everything. Raises `CopyRefused` where the target is not empty or somebody is at work on one of the two, and
    `LedgerBroken` where the source's ledger does not verify; then the target is as it was.
    """
    with _alone(source), _alone(target), source.writing() as reading, target.writing() as writing:
        _check_empty(target, writing)
        progress("verifying what is there", 0, 0)
        before = verify_in(reading)
        for table in _tables():
            there = _copy(reading, writing, table, progress)
            progress(f"comparing {table.name}", 0, 0)
            if _rows(writing, table) != there:
                text = f"the table {table.name} is not the same in {target.name} as it is in {source.name}"
                raise CopyRefused(text, remedy="nothing was kept there; see the server's log, then try again")
        progress("verifying what was copied", 0, 0)
        after = verify_in(writing)
        if after != before:
            raise CopyRefused(f"the ledger is another one in {target.name}", remedy="nothing was kept there; try again")
    return after


def _tables() -> list[Table]:
    return [table for table in metadata.sorted_tables if table.name not in NOT_COPIED]


@contextmanager
def _alone(store: Store, names: tuple[str, ...] = tuple(_AT_WORK)) -> Iterator[None]:
    if not names:
        yield
        return
    with store.lease(names[0]) as ours:
        if not ours:
            text = f"the store {store.name} is not copied now: {_AT_WORK[names[0]]}"
            raise CopyRefused(text, remedy="stop the services and workers, and wait for runs; then try again")
        with _alone(store, names[1:]):
            yield


def _check_empty(target: Store, connection: Connection) -> None:
    for table in _tables():
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            text = f"the store {target.name} is not empty: its table {table.name} has rows"
            raise CopyRefused(text, remedy="name one that is new: a record is never put over another one")


def _copy(reading: Connection, writing: Connection, table: Table, progress: Callable[[str, int, int], None]) -> Rows:
    total = reading.execute(select(func.count()).select_from(table)).scalar_one()
    done, digest = 0, 0
    for batch in _batches(reading, table):
        add_rows(writing, table, batch)
        done, digest = done + len(batch), _summed(digest, batch)
        progress(f"copying {table.name}", done, total)
    return Rows(done, digest)


def _rows(connection: Connection, table: Table) -> Rows:
    count, digest = 0, 0
    for batch in _batches(connection, table):
        count, digest = count + len(batch), _summed(digest, batch)
    return Rows(count, digest)


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    found = connection.execute(select(table).execution_options(yield_per=BATCH))
    for part in found.mappings().partitions():
        yield [dict(row) for row in part]


def _summed(digest: int, rows: list[dict[str, object]]) -> int:
    """The sum of the rows' digests: no two databases sort texts alike."""
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, sort_keys=True, default=_plain)
        digest += int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return digest % (1 << 256)


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no column of ours holds {type(value).__name__}")
