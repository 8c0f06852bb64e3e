"""Counting the record on (`reconciler.passes.tally`), a little at a time, from where the last one left it.

What is counted is kept in the store now and then, so that a start does not begin at the first entry. It is no part of
the record: losing it costs counting again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection, delete, func, insert, select

from reconciler.apply.tables import watched
from reconciler.errors import ReconcilerError
from reconciler.facts.events import EventType
from reconciler.facts.ledger import CHUNK, Entry, chunks, ledger_entries, read_entries, read_numbered
from reconciler.facts.store import Store
from reconciler.logs import log
from reconciler.passes.tally import COUNTED, Tally, Told

__all__ = ["Counted"]

TALLY = "tally"

STEP = 1000
"""Entries that are read in one transaction."""

BUDGET = 0.2
"""Seconds after which no further step is begun: whoever asks is answered, and the rest is counted the next time."""

KEEP_EVERY = 5000
"""So many entries further, what is counted is kept in the store: as many are counted again at a start, at the most."""


class Counted:
    """The tally of a store. Threads may share it; several processes come to the same numbers, each by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = Lock()
        self._tally: Tally | None = None
        self._kept = 0

    @contextmanager
    def up_to_date(self) -> Iterator[Tally]:
        """Counted on, as far as the time allows; it stays as it is for as long as the context lasts. Raises
        `StoreError`.
        """
        with self._turn:
            try:
                found = self._tally or self._taken_up()
                until = time.monotonic() + BUDGET
                while self._step(found) and time.monotonic() < until:
                    pass
            except BaseException:
                self._tally = None  # what was counted by half is counted anew
                raise
            if found.entry - self._kept >= KEEP_EVERY:
                self._keep(found)
            yield found

    def _taken_up(self) -> Tally:
        with self._store.reading() as connection:
            row = connection.execute(select(watched.c.content).where(watched.c.name == TALLY)).first()
            head = connection.execute(select(func.max(ledger_entries.c.seq))).scalar() or 0
        found = Tally.read(row.content) if row else None
        if found is None or found.entry > head:  # or the store was put back from a backup
            found = Tally()
        self._tally, self._kept = found, found.entry
        return found

    def _step(self, found: Tally) -> bool:
        """Whether there may be more."""
        c, after = ledger_entries.c, found.entry
        with self._store.reading() as connection:
            head = connection.execute(select(func.max(c.seq))).scalar() or 0
            upto = min(head, after + STEP)
            if upto == after:
                return False
            between = c.seq > after, c.seq <= upto
            kinds = connection.execute(select(c.kind, func.count()).where(*between).group_by(c.kind)).all()
            entries = list(read_entries(connection, after=after, until=upto, kinds=COUNTED))
            found.take(upto, dict(map(tuple, kinds)), entries, lambda facts: _told(connection, facts))
        return upto < head

    def _keep(self, found: Tally) -> None:
        self._kept = found.entry
        try:
            with self._store.writing() as connection:
                own = watched.c.name == TALLY
                connection.execute(delete(watched).where(own, watched.c.entry < found.entry))
                if connection.execute(select(watched.c.entry).where(own)).first() is None:  # nobody has come further
                    connection.execute(insert(watched).values(name=TALLY, entry=found.entry, content=found.text()))
        except ReconcilerError as error:  # counting goes on, and a start begins further back
            log.warning("count-not-kept", code=error.code)


def _told(connection: Connection, facts: Collection[int]) -> dict[int, Told]:
    """Since when each fact is on record and in force, and whether it is a passed proof."""
    found = {}
    for some in chunks(sorted(facts), CHUNK):
        for entry in read_numbered(connection, some):
            since = entry.recorded_at if entry.effective_at is None else max(entry.recorded_at, entry.effective_at)
            found[entry.seq] = Told(since, entry.kind == EventType.EVIDENCE_RECORDED and not _failed(entry))
    return found


def _failed(entry: Entry) -> bool:
    data = entry.payload.get("data")
    return isinstance(data, Mapping) and data.get("result") == "failed"
