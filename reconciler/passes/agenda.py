"""When time alone next changes something, and about whom: what wakes a service without an event. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.boundaries import Boundaries
from reconciler.access.days import add_period
from reconciler.facts.model import Person

__all__ = ["EVERYBODY", "Agenda", "Calendar", "calendar_of", "turns_of"]

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


@dataclass(frozen=True, slots=True)
class Calendar:
    """Everybody's next moment after that one, by what the record said at its entry `known`: the moments in order, each
    with those whom it is about. Whoever stands nowhere has none to come.

    It is all there is to say, so that it may be lost, or come twice, or be another process's; and it is made so that
    whoever is told of a large company has nothing to do for each person.
    """

    after: datetime
    known: int
    coming: Sequence[tuple[datetime, Sequence[str]]]

    def until(self, moment: datetime) -> frozenset[str]:
        """Those whose moment has come by then."""
        return frozenset(person for instant, people in self.coming if instant <= moment for person in people)


def calendar_of(turns: Iterable[tuple[str, datetime | None]], *, after: datetime, known: int) -> Calendar:
    """That of everybody, each with the next moment; of those after `after` alone."""
    found: dict[datetime, list[str]] = {}
    for person, instant in turns:
        if instant is not None and instant > after:
            found.setdefault(instant, []).append(person)
    return Calendar(after, known, tuple((instant, tuple(found[instant])) for instant in sorted(found)))


class Agenda:
    """The next moment of everybody: the last calendar, and what was said of single people since. Of two things said
    about a person, that counts which knows more of the record.
    """

    def __init__(self) -> None:
        self._known = 0
        self._coming: Sequence[tuple[datetime, Sequence[str]]] = ()
        self._turned = 0
        self._own: dict[str, tuple[datetime | None, int]] = {}
        """Of whom something else is known than the calendar says."""
        self._in_order: list[tuple[datetime, str]] = []

    def adopt(self, calendar: Calendar) -> None:
        """What is to come for everybody."""
        if calendar.known < self._known:
            return
        self._known, self._coming, self._turned = calendar.known, calendar.coming, 0
        self._own = {person: own for person, own in self._own.items() if own[1] > calendar.known}
        self._in_order = [(instant, person) for person, (instant, _) in self._own.items() if instant is not None]
        heapq.heapify(self._in_order)

    def put(self, person: str, turns: Iterable[datetime], *, after: datetime, known: int) -> None:
        """When the person's next moment after that one comes, by what the record said at its entry `known`."""
        before = self._own.get(person)
        if known < (self._known if before is None else before[1]):
            return
        coming = min((instant for instant in turns if instant > after), default=None)
        self._own[person] = coming, known
        if coming is not None and (before is None or before[0] != coming):
            heapq.heappush(self._in_order, (coming, person))

    def take(self, now: datetime) -> frozenset[str]:
        """Those whose moment has come by now. They have none any more, until it is put anew."""
        found: set[str] = set()
        while self._turned < len(self._coming) and self._coming[self._turned][0] <= now:
            found.update(person for person in self._coming[self._turned][1] if person not in self._own)
            self._turned += 1
        while self._in_order and self._in_order[0][0] <= now:
            instant, person = heapq.heappop(self._in_order)
            planned, known = self._own[person]
            if planned == instant:
                self._own[person] = None, known
                found.add(person)
        return frozenset(found)

    @property
    def next(self) -> datetime | None:
        """The moment that comes first."""
        while self._in_order and self._own[self._in_order[0][1]][0] != self._in_order[0][0]:
            heapq.heappop(self._in_order)
        while self._turned < len(self._coming) and all(each in self._own for each in self._coming[self._turned][1]):
            self._turned += 1
        firsts = [coming[0][0] for coming in (self._in_order, self._coming[self._turned :][:1]) if coming]
        return min(firsts, default=None)
