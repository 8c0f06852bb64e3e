"""What follows from the record about somebody, kept at hand while nothing new is on record about them.

Promises: an answer is what the record says in the transaction that it is given in. Every look at it begins with the
ledger's newest entry; where that is another one than the last time, whatever rests on a subject that one of the new
entries is about is forgotten first. That entry is known by its digest, which covers all before it: a record that was
put back from a backup is another one. It holds for entries of any process, and of any kind.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, bindparam, select

from reconciler.facts.ledger import GENESIS, ledger_entries, read_newest
from reconciler.facts.store import Store

__all__ = ["AtHand", "Glance"]

MOST = 10_000
"""So many values are kept; the one that was asked for least lately goes first."""

MANY = 20_000
"""So many new entries are not gone through: all is forgotten."""

T = TypeVar("T")

Position = tuple[int, str]
"""The newest entry's number and digest."""

_entry = ledger_entries.c
_SINCE = (
    select(_entry.seq, _entry.digest, _entry.subject)
    .where(_entry.seq >= bindparam("since"))
    .order_by(_entry.seq)
    .limit(MANY)
)


class AtHand:
    """One for a store; asked from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = Lock()
        self._at: Position = (0, GENESIS)
        self._values: OrderedDict[Hashable, tuple[Any, frozenset[str]]] = OrderedDict()
        self._resting: dict[str, set[Hashable]] = {}

    @contextmanager
    def glance(self) -> Iterator[Glance]:
        """One consistent look at the record as it is now. Raises `StoreError`."""
        with self._store.reading() as connection:
            yield Glance(self, connection, self._caught_up(connection))

    def find(self, key: Hashable, at: Position) -> tuple[bool, Any]:
        """Whether there is a value for that position, and which."""
        with self._turn:
            if self._at != at or key not in self._values:
                return False, None
            self._values.move_to_end(key)
            return True, self._values[key][0]

    def keep(self, key: Hashable, at: Position, value: object, subjects: Collection[str]) -> None:
        """Keep what rests on these subjects, unless the record has gone on meanwhile."""
        with self._turn:
            if self._at != at:
                return
            self._drop(key)
            self._values[key] = value, frozenset(subjects)
            for subject in subjects:
                self._resting.setdefault(subject, set()).add(key)
            while len(self._values) > MOST:
                self._drop(next(iter(self._values)))

    def _caught_up(self, connection: Connection) -> Position:
        """Where this transaction stands, with everything forgotten that is no longer so there."""
        now, known = read_newest(connection), self._at
        # A transaction that began before another one's news has nothing to teach: it goes by the record alone.
        if now != known and now[0] > known[0]:
            told = _told_since(connection, known)
            with self._turn:
                if self._at == known:
                    self._forget(told)
                    self._at = now
        return now

    def _forget(self, told: frozenset[str] | None) -> None:
        if told is None:
            self._values.clear()
            self._resting.clear()
            return
        for subject in told & self._resting.keys():
            for key in tuple(self._resting.get(subject, ())):
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        _, subjects = self._values.pop(key, (None, frozenset[str]()))
        for subject in subjects:
            keys = self._resting[subject]
            keys.discard(key)
            if not keys:
                del self._resting[subject]


class Glance:
    """One transaction's view of the record, and what is at hand of it."""

    def __init__(self, at_hand: AtHand, connection: Connection, at: Position) -> None:
        self.connection = connection
        self._at_hand = at_hand
        self._at = at

    @property
    def seq(self) -> int:
        """The newest entry's number."""
        return self._at[0]

    def get(self, key: Hashable, make: Callable[[Connection], tuple[T, Collection[str]]]) -> T:
        """The value of this key: the one at hand, or what `make` reads now, with the subjects that it rests on. None is
        not kept: who asks for what there is not would drive out what there is.
        """
        found, value = self._at_hand.find(key, self._at)
        if found:
            return cast("T", value)
        made, subjects = make(self.connection)
        if made is not None:
            self._at_hand.keep(key, self._at, made, subjects)
        return made


def _told_since(connection: Connection, known: Position) -> frozenset[str] | None:
    """Whom the entries after that one are about; None: anybody, since there are many, or it is another record."""
    if not known[0]:
        return None
    rows = connection.execute(_SINCE, {"since": known[0]}).all()
    if len(rows) == MANY or not rows or (rows[0].seq, rows[0].digest) != known:
        return None
    return frozenset(row.subject for row in rows[1:])
