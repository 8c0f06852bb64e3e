"""What judging a feed results in, and how its entries are written. Pure values and the functions that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo

from reconciler.errors import Place, Problem
from reconciler.facts.days import day_end, day_start, instant_text
from reconciler.facts.events import EventType, effective_instant, when_text
from reconciler.facts.feed_state import ROW_ACCEPTED, ROW_MISSING
from reconciler.facts.ledger import Json, NewEntry
from reconciler.facts.model import Person, Span
from reconciler.facts.rows import ReadRow
from reconciler.policy.model import Guards, Limit


@dataclass(frozen=True, slots=True)
class FeedFinding:
    """Something in a feed that a person should look at. `kind` is a stable word, `subject` the person's id or the
    source.
    """

    kind: str
    subject: str
    text: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An exit that waits for a decision: by absence ("absent") or because there are too many ("exits")."""

    person: str
    reason: str
    text: str
    entries: tuple[Mapping[str, Json], ...]
    """What is recorded once confirmed: kind, effective time (null: the moment of the decision), data, feed."""

    def stored(self) -> dict[str, Json]:
        """How it stands in the ledger."""
        return {"person": self.person, "reason": self.reason, "text": self.text, "entries": list(self.entries)}


@dataclass(frozen=True, slots=True)
class Ahead:
    """An event on record that is true only from now or later on. `name`: the id by which events of that moment stand
    in order; whatever is to come after it bears an id that begins so.
    """

    effective_at: datetime
    name: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """Under which circumstances a feed is judged. `departures`: people whose exits of the last 24 hours count
    already. `ahead`: ledger entry → the event in it, where an assignment that is yet to come follows from that.
    """

    source: str
    import_id: str
    content: str
    actor: str
    now: datetime
    zone: tzinfo
    guards: Guards
    departures: frozenset[str] = frozenset()
    ahead: Mapping[int, Ahead] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """What a feed leads to."""

    entries: list[NewEntry] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    quarantined: list[Problem] = field(default_factory=list)
    findings: list[FeedFinding] = field(default_factory=list)
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    people: int = 0


def trips(limit: Limit, count: int, everybody: int) -> bool:
    """Whether so many are too many: beyond the number, or beyond 2 and the percentage."""
    return count > limit.people or (count > 2 and count * 100 > limit.percent * everybody)


def is_out(person: Person) -> bool:
    """Whether HR has said that the person leaves or has left, and no rehire ends that."""
    return bool(open_span(person.exited))


def open_span(spans: Sequence[Span]) -> Span | None:
    """The one of these that goes on for good, or None."""
    return next((span for span in spans if span.end is None), None)


def starts_at(at: Occasion, row: ReadRow) -> datetime:
    """When the assignment starts by this row: now, where it does not say."""
    starts = row.cells.get("starts_on")
    return day_start(date.fromisoformat(starts), at.zone) if starts else at.now


def said_span(at: Occasion, row: ReadRow) -> Span:
    """From when until when the assignment runs by this row."""
    ends = row.cells.get("ends_on")
    return Span(starts_at(at, row), day_end(date.fromisoformat(ends), at.zone) if ends else None, 0)


def begun_on(at: Occasion, row: ReadRow) -> date | datetime:
    """From when it is true that the assignment began or will begin: of one that is to come from now on, so that what
    later feeds say of it comes after that, and not before.
    """
    starts = row.cells.get("starts_on")
    return date.fromisoformat(starts) if starts and starts_at(at, row) <= at.now else at.now


def left_on(at: Occasion, row: ReadRow) -> date | datetime:
    """When somebody leaves by this row: now, where it does not say."""
    ends = row.cells.get("ends_on")
    return date.fromisoformat(ends) if ends else at.now


NAMES_ASSIGNMENT = frozenset(
    {
        EventType.HIRED,
        EventType.REHIRED,
        EventType.ASSIGNMENT_ADDED,
        EventType.ASSIGNMENT_ENDED,
        EventType.TRANSFERRED,
        EventType.ATTRIBUTES_CHANGED,
    }
)
STATUS_EVENTS = {"notice": EventType.RESIGNATION_SUBMITTED, "leave": EventType.LEAVE_STARTED}


def event_id(
    import_id: str, person: str, assignment: str, kind: str, *, after: str = "", now: datetime | None = None
) -> str:
    """The id of an event that comes of a feed: the same feed on the same ground gives the same ids.

    `after`: the `Ahead.name` of what it has to come after, and `now` when that was said: what is said later of the same
    moment comes later.
    """
    first = f"{after}~{instant_text(now)}:" if after and now is not None else ""
    return f"{first}feed:{import_id}:{person}:{assignment}:{kind}"


def event_entry(
    at: Occasion,
    kind: EventType,
    person: str,
    assignment: str,
    when: date | datetime,
    data: Mapping[str, str] | None = None,
    cells: Mapping[str, str] | None = None,
    *,
    forgotten: bool = False,
    tag: str = "",
    after: str = "",
) -> NewEntry:
    """An event that comes of a feed, with the cells of its row that its data does not say already."""
    feed: dict[str, Json] = {"assignment": assignment, "import": at.import_id}
    if forgotten:
        feed["forgotten"] = True
    elif cells:
        feed["cells"] = dict(cells)
    if after:
        feed["after"] = after
    named = {"assignment": assignment} if kind in NAMES_ASSIGNMENT else {}
    payload: dict[str, Json] = {
        "id": event_id(at.import_id, person, assignment, tag or kind, after=after, now=at.now),
        "type": kind.value,
        "person": person,
        "effective_at": when_text(when.astimezone(UTC) if isinstance(when, datetime) else when),
        "data": named | dict(data or {}),
        "source": at.source,
        "feed": feed,
    }
    return NewEntry(kind.value, person, at.actor, payload, effective_instant(kind, when, at.zone))


def accepted_row(at: Occasion, person: str, assignment: str, cells: Mapping[str, str]) -> NewEntry:
    """A row says something else than before, and no event follows from it."""
    feed: dict[str, Json] = {"assignment": assignment, "import": at.import_id, "cells": dict(cells)}
    return NewEntry(ROW_ACCEPTED, person, at.actor, {"source": at.source, "feed": feed})


def missing_row(at: Occasion, person: str, assignment: str, *, forgotten: bool = False) -> NewEntry:
    """A row is not there any more; `forgotten`: it is not waited for, either."""
    feed: dict[str, Json] = {"assignment": assignment, "import": at.import_id, "forgotten": forgotten}
    return NewEntry(ROW_MISSING, person, at.actor, {"source": at.source, "feed": feed})
