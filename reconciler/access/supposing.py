"""What a policy test supposes, as a population: days become instants in the timezone, the moment is noon of the day.

An exit with only a day takes effect at that day's end, as an event with only a day does; notice and leave begin with
their day. Evidence without a day is valid from the test's day on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from reconciler.access.days import day_end, day_start
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import PolicyTest
from reconciler.policy.supposed import SupposedAssignment, SupposedEvidence, SupposedPerson

_NOON = time(12)


def moment_of_test(test: PolicyTest, zone: ZoneInfo) -> datetime:
    """The moment that the test asks about."""
    return datetime.combine(test.on, _NOON, zone).astimezone(UTC)


def population_of(test: PolicyTest, timezone: str) -> Population:
    """The people whom the test supposes; the one it is about has the number 0."""
    zone = ZoneInfo(timezone)
    everybody = (test.person, *test.others)
    return Population(
        people=[_person(number, supposed, zone) for number, supposed in enumerate(everybody)],
        evidence={supposed.id: _records(supposed, test.on, zone) for supposed in everybody},
        ledger_seq=0,
        timezone=timezone,
    )


def _person(number: int, supposed: SupposedPerson, zone: ZoneInfo) -> Person:
    return Person(
        number=number,
        id=supposed.id,
        name="",
        email="",
        assignments=tuple(_assignment(index, each, zone) for index, each in enumerate(supposed.assignments)),
        notice=_from(supposed.notice, zone),
        leave=_from(supposed.leave, zone),
        exited=() if supposed.exited is None else (Span(day_end(supposed.exited, zone), None, 0),),
        lockouts=(Span(None, None, 0),) if supposed.locked_out else (),
    )


def _from(day: date | None, zone: ZoneInfo) -> tuple[Span, ...]:
    return () if day is None else (Span(day_start(day, zone), None, 0),)


def _assignment(index: int, supposed: SupposedAssignment, zone: ZoneInfo) -> Assignment:
    start = None if supposed.since is None else day_start(supposed.since, zone)
    end = None if supposed.until is None else day_end(supposed.until, zone)
    name = "main" if index == 0 else f"assignment-{index + 1}"
    return Assignment(name, supposed.attributes, Span(start, end, 0), supposed.transferred)


def _records(supposed: SupposedPerson, on: date, zone: ZoneInfo) -> Sequence[EvidenceRecord]:
    return [_record(supposed.id, evidence, on, zone) for evidence in supposed.evidence]


def _record(person: str, supposed: SupposedEvidence, on: date, zone: ZoneInfo) -> EvidenceRecord:
    start = day_start(supposed.valid_from or on, zone)
    return EvidenceRecord(
        entry=0,
        person=person,
        kind=supposed.kind,
        scope=supposed.scope,
        version=supposed.version,
        valid_from=start,
        valid_until=None if supposed.valid_until is None else day_end(supposed.valid_until, zone),
        failed=supposed.failed,
        reference="",
        source="policy test",
        recorded_at=start,
    )
