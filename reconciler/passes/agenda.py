"""When time alone next changes something, and about whom: what wakes a service without an event. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime

from reconciler.access.boundaries import Boundaries
from reconciler.access.days import add_period
from reconciler.facts.model import Person

__all__ = ["EVERYBODY", "Agenda", "turns_of"]

EVERYBODY = ""
"""Whom the policy's own dates are about; no person has this id."""


def turns_of(boundaries: Boundaries, person: Person) -> Iterator[datetime]:
    """All moments, past and to come, at which time alone may change something about the person: what the rule says of
    them, or what becomes of their account.
    """
    yield from boundaries.of_person(person)
    ends = boundaries.policy.lifecycle.delete_after
    if ends is not None:
        left = [*(span.start for span in person.exited), *(post.span.end for post in person.assignments)]
        yield from (add_period(instant, ends, boundaries.zone) for instant in left if instant is not None)


class Agenda:
    """The next moment of everybody. Of two things said about a person, that counts which knows more of the record."""

    def __init__(self) -> None:
        self._next: dict[str, tuple[datetime | None, int]] = {}
        self._in_order: list[tuple[datetime, str]] = []

    def put(self, person: str, turns: Iterable[datetime], *, after: datetime, known: int) -> None:
        """When the person's next moment after that one comes, by what the record said at its entry `known`."""
        before = self._next.get(person)
        if before is not None and before[1] > known:
            return
        coming = min((instant for instant in turns if instant > after), default=None)
        self._next[person] = coming, known
        if coming is not None and (before is None or before[0] != coming):
            heapq.heappush(self._in_order, (coming, person))

    def take(self, now: datetime) -> frozenset[str]:
        """Those whose moment has come by now. They have none any more, until it is put anew."""
        found = set()
        while self._in_order and self._in_order[0][0] <= now:
            instant, person = heapq.heappop(self._in_order)
            planned, known = self._next[person]
            if planned == instant:
                self._next[person] = None, known
                found.add(person)
        return frozenset(found)

    @property
    def next(self) -> datetime | None:
        """The moment that comes first."""
        while self._in_order and self._next[self._in_order[0][1]][0] != self._in_order[0][0]:
            heapq.heappop(self._in_order)
        return self._in_order[0][0] if self._in_order else None
