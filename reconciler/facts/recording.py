"""Recording events: each is taken once, refused with a reason, or told apart from the one whose id it uses again.

Promises: an event is known by (source, id); the same one twice is one event; the same id with other content is
refused. Nobody becomes known but by `hired`; what is said of somebody before that is on record and waits, so that the
order in which news arrives decides nothing. All that is taken of one call stands in the ledger together, or nothing of
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, select

from reconciler.facts.decision import trips
from reconciler.facts.events import (
    EVENT_SHAPES,
    MAIN,
    Event,
    EventConflict,
    EventError,
    EventType,
    check_attributes,
    effective_instant,
)
from reconciler.facts.ledger import CHUNK, Json, NewEntry, chunks, part, read_entries, read_numbered
from reconciler.facts.people import Facts, read_alike
from reconciler.facts.projection import events_seen
from reconciler.policy.model import Limit

_SEEN = select(events_seen.c.source, events_seen.c.id, events_seen.c.seq).where(
    events_seen.c.source == bindparam("told_by"), events_seen.c.id.in_(bindparam("names", expanding=True))
)
"""By source first, as the table's key begins: by id alone each event would walk through all that were ever told."""


class ExitsBeyondGuard(EventError):
    """An exit or a lockout that is too many within 24 hours, and that nobody has confirmed."""


class EventOutcome(StrEnum):
    """What became of an event."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event: `entry` is its ledger entry (of a duplicate, the first one's), `error` why it was
    refused.

    `note` says what somebody should know about an event that was taken. `waits`: it has no effect until something else
    is told, the hiring of the person or the proof that it revokes; or it names the wrong one.
    """

    event: Event
    outcome: EventOutcome
    entry: int = 0
    error: EventError | None = None
    note: str = ""
    waits: bool = False


def record_events(
    facts: Facts,
    events: Sequence[Event],
    *,
    source: str,
    now: datetime,
    actor: str,
    attributes: Collection[str] | None = None,
    kinds: Collection[str] | None = None,
    exits: Limit | None = None,
    known_only: bool = False,
) -> list[EventResult]:
    """Record the events in this order; one result for each. `source` stands in where an event names none.

    `attributes` and `kinds` (of evidence): those that policies declare (None: not checked). `exits`: the guard on exits
    and lockouts within 24 hours; beyond it those that are not `confirmed` are refused. `known_only`: what would wait is
    refused.
    """
    with facts.store.writing() as connection:
        return record_events_in(
            connection,
            facts,
            events,
            source=source,
            now=now,
            actor=actor,
            attributes=attributes,
            kinds=kinds,
            exits=exits,
            known_only=known_only,
        )


def record_events_in(
    connection: Connection,
    facts: Facts,
    events: Sequence[Event],
    *,
    source: str,
    now: datetime,
    actor: str,
    attributes: Collection[str] | None = None,
    kinds: Collection[str] | None = None,
    exits: Limit | None = None,
    known_only: bool = False,
) -> list[EventResult]:
    """`record_events` in the caller's writing transaction."""
    taking = _Taking(connection, facts, events, source, attributes, kinds, known_only=known_only)
    refused = _beyond_guard(connection, facts, events, taking, now, exits)
    verdicts = [refused.get(index) or taking.judge(event) for index, event in enumerate(events)]
    entries = [
        _entry(facts, event, source, actor)
        for event, verdict in zip(events, verdicts, strict=True)
        if verdict.outcome is EventOutcome.RECORDED
    ]
    appended = iter(facts.ledger.append(connection, entries, now.astimezone(UTC)))
    seqs: dict[tuple[str, str], int] = {}
    results = []
    for verdict in verdicts:
        key = (verdict.event.source or source, verdict.event.id)
        if verdict.outcome is EventOutcome.RECORDED:
            seqs[key] = next(appended).seq
        entry = verdict.entry or seqs.get(key, 0)
        results.append(replace(verdict, entry=entry))
    return results


def judge_events(
    connection: Connection,
    facts: Facts,
    events: Sequence[Event],
    *,
    source: str,
    attributes: Collection[str] | None = None,
) -> list[EventResult]:
    """What would become of the events if they were recorded in this order, guards aside. Writes nothing."""
    taking = _Taking(connection, facts, events, source, attributes)
    return [taking.judge(event) for event in events]


class _Taking:
    """What is known while a batch of events is judged, the events before each included."""

    def __init__(
        self,
        connection: Connection,
        facts: Facts,
        events: Sequence[Event],
        source: str,
        attributes: Collection[str] | None,
        kinds: Collection[str] | None = None,
        *,
        known_only: bool = False,
    ) -> None:
        self.known_only = known_only
        self.facts = facts
        self.source = source
        self.attributes = attributes
        self.kinds = kinds
        asked = {event.person for event in events}
        alike = read_alike(connection, asked)
        self.folded = {person.id.casefold(): person.id for person in alike}
        self.people = {person.id: person for person in alike if person.id in asked}
        self.known = set(self.people)
        self.posts = {(person.id, post.name) for person in self.people.values() for post in person.assignments}
        self.seen = _seen(connection, events, source)
        self.evidence = _evidence_names(connection, facts, events)
        self.erased = facts.erased(connection, asked)

    def judge(self, event: Event) -> EventResult:
        """What is to become of this event."""
        key = (event.source or self.source, event.id)
        if (before := self.seen.get(key)) is not None:
            seq, content = before
            if content == event.content():
                return EventResult(event, EventOutcome.DUPLICATE, seq)
            return _refused(event, _conflict(event, seq))
        if (error := self._error(event)) is not None:
            return _refused(event, error)
        lacks = self._lacks(event)
        if lacks is not None and self.known_only:
            return _refused(event, lacks)
        note = f"{lacks.message}: {lacks.remedy}" if lacks else self._note(event)
        self._learn(key, event)
        return EventResult(event, EventOutcome.RECORDED, note=note, waits=lacks is not None)

    def _error(self, event: Event) -> EventError | None:
        if event.person in self.erased:
            return EventError(
                f"event {event.id}: what was on record of `{event.person}` was erased "
                f"(ledger entry {self.erased[event.person]}), and no id is used again",
                remedy="whoever begins again gets an id of their own",
            )
        other = self.folded.get(event.person.casefold())
        if event.person not in self.known and other is not None:
            return EventError(
                f"event {event.id}: `{event.person}` differs from the known id `{other}` only in case",
                remedy=f"write `{other}`",
            )
        if event.type is EventType.HIRED and event.person in self.known:
            return EventError(
                f"event {event.id}: `{event.person}` is known already",
                remedy="use `rehired` after an exit, `assignment-added` for another post, `transferred` for a move",
            )
        if event.type is EventType.UNLOCKED and not event.confirmed:
            return EventError(
                f"event {event.id}: ending a lockout opens doors again, and nobody has confirmed that it shall",
                remedy='send it again with "confirmed": true (on the command line: --confirmed)',
            )
        if self.attributes is not None and (wrong := check_attributes(event, self.attributes)):
            return EventError(f"event {event.id}: {wrong}", remedy="declare it under `attributes` in the policy")
        return None

    def _lacks(self, event: Event) -> EventError | None:
        """What has to be told before the event has any effect, or None."""
        if event.person not in self.known and event.type is not EventType.HIRED:
            near = self.facts.suggest(event.person)
            return EventError(
                f"nobody is known by the id `{event.person}`",
                remedy=f"did you mean {', '.join(near)}?" if near else "it counts once `hired` is recorded",
            )
        return self._no_evidence(event) if event.type is EventType.EVIDENCE_REVOKED else None

    def _no_evidence(self, event: Event) -> EventError | None:
        name, known = str(event.data["evidence"]), self.evidence.get(event.person, set())
        if name in known:
            return None
        near = difflib.get_close_matches(name, sorted(known), n=1)
        return EventError(
            f"`{event.person}` has no evidence of the id or reference `{name}`",
            remedy=f"did you mean `{near[0]}`?" if near else "look at the person's evidence for its reference",
        )

    def _note(self, event: Event) -> str:
        needs = (EventType.TRANSFERRED, EventType.ATTRIBUTES_CHANGED, EventType.ASSIGNMENT_ENDED)
        post = str(event.data.get("assignment") or MAIN)
        if event.type in needs and (event.person, post) not in self.posts:
            return f"`{event.person}` has no assignment `{post}`: without effect until one is known"
        if event.type is EventType.EXITED:
            return self._before_the_hire(event)
        if event.type is EventType.EVIDENCE_RECORDED:
            return self._of_no_kind(event)
        return self._without_effect(event) if event.type is EventType.UNLOCKED else ""

    def _of_no_kind(self, event: Event) -> str:
        """What nobody asks for is on record all the same; a policy may ask for it later."""
        kind = str(event.data["kind"])
        if self.kinds is None or kind in self.kinds:
            return ""
        near = difflib.get_close_matches(kind, sorted(self.kinds), n=1)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        return f"no policy declares the evidence `{kind}`{hint}: without effect until one does"

    def _before_the_hire(self, event: Event) -> str:
        person, at = self.people.get(event.person), effective_instant(event.type, event.effective_at, self.facts.zone)
        since = person.employed_since if person else None
        if since is None or at >= since:
            return ""
        return (
            f"that is before they were hired ({since.astimezone(self.facts.zone):%Y-%m-%d}); they are out all the same"
        )

    def _without_effect(self, event: Event) -> str:
        """Why an `unlocked` ends nothing: the most likely mistake is a day that begins before the lockout."""
        person, at = self.people.get(event.person), effective_instant(event.type, event.effective_at, self.facts.zone)
        later = [span for span in (person.lockouts if person else ()) if span.start is not None and span.start > at]
        if later and not any(span.covers(at) for span in (person.lockouts if person else ())):
            return "the lockout begins after that moment, and goes on: give the moment from which it is over"
        return ""

    def _learn(self, key: tuple[str, str], event: Event) -> None:
        self.seen[key] = (0, event.content())
        if event.type is EventType.HIRED:
            self.known.add(event.person)
            self.folded[event.person.casefold()] = event.person
        if EVENT_SHAPES[event.type].attributes:
            self.posts.add((event.person, str(event.data.get("assignment") or MAIN)))
        if event.type is EventType.EVIDENCE_RECORDED:
            names = {event.id, str(event.data.get("reference") or event.id)}
            self.evidence.setdefault(event.person, set()).update(names)


def _refused(event: Event, error: EventError) -> EventResult:
    return EventResult(event, EventOutcome.REFUSED, error=error)


def _conflict(event: Event, seq: int) -> EventConflict:
    where = f"ledger entry {seq}" if seq else "an event before it in this delivery"
    return EventConflict(
        f"event {event.id}: its id is known from {where}, with other content",
        remedy="give the new event an id of its own; an event is never changed, it is followed by another one",
    )


def _entry(facts: Facts, event: Event, source: str, actor: str) -> NewEntry:
    payload: dict[str, Json] = {**event.content(), "source": event.source or source}
    if event.confirmed:
        payload["confirmed"] = True
    effective = effective_instant(event.type, event.effective_at, facts.zone)
    return NewEntry(event.type.value, event.person, actor, payload, effective)


def _seen(
    connection: Connection, events: Sequence[Event], source: str
) -> dict[tuple[str, str], tuple[int, Mapping[str, Json] | None]]:
    """(source, id) → the ledger entry that has it, and its content."""
    wanted = {(event.source or source, event.id) for event in events}
    seqs: dict[int, tuple[str, str]] = {}
    for told_by in sorted({told_by for told_by, _ in wanted}):
        for some in chunks(sorted(name for whose, name in wanted if whose == told_by), CHUNK):
            rows = connection.execute(_SEEN, {"told_by": told_by, "names": some})
            seqs.update((row.seq, (row.source, row.id)) for row in rows)
    found: dict[tuple[str, str], tuple[int, Mapping[str, Json] | None]] = {}
    for entry in (entry for some in chunks(sorted(seqs), CHUNK) for entry in read_numbered(connection, some)):
        content = {key: entry.payload[key] for key in ("id", "type", "person", "effective_at", "data")}
        found[seqs[entry.seq]] = (entry.seq, content)
    return found


def _evidence_names(connection: Connection, facts: Facts, events: Sequence[Event]) -> dict[str, set[str]]:
    """By what the evidence can be named that these events revoke."""
    people = {event.person for event in events if event.type is EventType.EVIDENCE_REVOKED}
    names: dict[str, set[str]] = {}
    for person in sorted(people):
        kinds = {EventType.EVIDENCE_RECORDED.value}
        for entry in read_entries(connection, kinds=kinds, subject=person):
            name = str(entry.payload["id"])
            reference = str(part(entry.payload, "data").get("reference") or name)
            names.setdefault(person, set()).update({name, reference})
    return names


_CONFIRM = 'send those that are right again, with "confirmed": true (on the command line: --confirmed)'


def _beyond_guard(
    connection: Connection,
    facts: Facts,
    events: Sequence[Event],
    taking: _Taking,
    now: datetime,
    exits: Limit | None,
) -> dict[int, EventResult]:
    """The exits and lockouts that are too many, by their place in the delivery; confirmed ones and duplicates are
    none of them.
    """
    kinds = (EventType.EXITED, EventType.LOCKED_OUT)
    asked = {
        index: event
        for index, event in enumerate(events)
        if event.type in kinds and not event.confirmed and (event.source or taking.source, event.id) not in taking.seen
    }
    if exits is None or not asked:
        return {}
    people = {event.person for event in asked.values()} & taking.known
    count = len(people | facts.departures(connection, now))
    few = not trips(exits, count, 0)  # so few that they are never too many, however small the company
    if few or not trips(exits, count, facts.count_employed(connection)):
        return {}
    text = f"{count} people would leave or be locked out within 24 hours, more than `guards.exits` lets through"
    return {
        index: _refused(
            event,
            ExitsBeyondGuard(f"event {event.id}: {text}", remedy=_CONFIRM),
        )
        for index, event in asked.items()
    }
