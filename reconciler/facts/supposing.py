"""What people would be if these events were on record. Nothing is written: the events are folded beside those that are.

An event is judged as `recording` judges it, so that what is supposed here could be recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.facts.events import EVENT_KINDS, Event, EventError, effective_instant
from reconciler.facts.fold import PersonEvent, fold, fold_evidence, person_event
from reconciler.facts.ledger import read_subjects
from reconciler.facts.model import Person, Population
from reconciler.facts.people import Facts
from reconciler.facts.recording import judge_events

SOURCE = "supposed"


@dataclass(frozen=True, slots=True)
class Supposition:
    """Everybody as they are known, and as they would be; the people whom the events are about; from when they are."""

    known: Population
    supposed: Population
    people: tuple[str, ...]
    effective: datetime


def suppose(facts: Facts, events: Sequence[Event], *, now: datetime, attributes: Collection[str]) -> Supposition:
    """What the events, of which there is at least one, would make of people. Raises the `EventError` of the first that
    could not be recorded.
    """
    people = tuple(dict.fromkeys(event.person for event in events))
    with facts.store.reading() as connection:
        for result in judge_events(connection, facts, events, source=SOURCE, attributes=attributes):
            if result.error is not None:
                raise result.error
            if result.waits:
                text = f"event {result.event.id}: {result.note}"
                raise EventError(text, remedy="correct it, or record `hired` first")
        known = facts.population_in(connection)
        recorded = dict(read_subjects(connection, people, kinds=EVENT_KINDS))
    told = {person: list(map(person_event, recorded.get(person, ()))) for person in people}
    for step, event in enumerate(events, 1):
        told[event.person].append(_supposed(event, known.ledger_seq + step, facts, now))
    return Supposition(
        known,
        _with(known, told, facts),
        people,
        max(effective_instant(event.type, event.effective_at, facts.zone) for event in events),
    )


def _supposed(event: Event, seq: int, facts: Facts, now: datetime) -> PersonEvent:
    return PersonEvent(
        seq=seq,
        kind=event.type.value,
        effective_at=effective_instant(event.type, event.effective_at, facts.zone),
        recorded_at=now.astimezone(UTC),
        source=SOURCE,
        id=event.id,
        whole_day=not isinstance(event.effective_at, datetime),
        data=event.data,
    )


def _with(known: Population, told: dict[str, list[PersonEvent]], facts: Facts) -> Population:
    highest = max((person.number for person in known), default=-1)
    changed: dict[str, Person] = {}
    evidence = dict(known.evidence)
    for person, events in told.items():
        there = known.by_id.get(person)
        if there is None:
            highest += 1
        changed[person] = fold(there.number if there else highest, person, events, facts.zone)
        evidence[person] = fold_evidence(person, events, facts.zone)
    everybody = [person for person in known if person.id not in changed] + list(changed.values())
    everybody.sort(key=lambda person: person.number)
    return Population(everybody, evidence, known.ledger_seq, known.timezone)
