"""The instants at which the rule's answer about a person can change when nothing but time passes.

Between two neighbouring ones of these nothing about the person changes; at most of them nothing does either. They come
from the spans and the evidence of the person and of their sponsors, from the clauses that name them, and from the
policy's own dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from reconciler.access.days import FOREVER, add_period, day_end, day_start
from reconciler.access.sponsors import sponsor_of
from reconciler.access.subject import Named, named_in
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import EvidenceKind, Period, Policy

_TICK = timedelta(microseconds=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Finds the instants; remembers the calendar sums that people share."""

    policy: Policy
    population: Population
    named: Named
    zone: ZoneInfo
    _own: dict[str, set[datetime]] = field(default_factory=dict)
    _ends: dict[tuple[str, datetime, datetime | None], datetime] = field(default_factory=dict)
    _openings: dict[tuple[datetime, Period], tuple[datetime, ...]] = field(default_factory=dict)

    def of_person(self, person: Person) -> set[datetime]:
        """All instants, past and to come, at which something of the person's own begins or ends."""
        found = set(self._spans(person))
        for each in person.assignments:
            found.update(self._assignment(each))
        for record in self.population.evidence.get(person.id, ()):
            found.update(self._record(record))
        found.update(self._clauses(person.id))
        if self.policy.sponsors:
            found.update(self._sponsors(person))
        return found

    def turned(self, people: Iterable[Person], one: datetime, other: datetime) -> list[Person]:
        """Those about whom the answer may not be the same at both moments, whichever is the earlier."""
        first, last = min(one, other), max(one, other)
        if any(first < instant <= last for instant in self.of_policy()):
            return list(people)
        return [each for each in people if any(first < instant <= last for instant in self._remembered(each))]

    def _remembered(self, person: Person) -> set[datetime]:
        if person.id not in self._own:
            self._own[person.id] = self.of_person(person)
        return self._own[person.id]

    def of_policy(self) -> set[datetime]:
        """The instants at which the policy itself says something else, for whomever."""
        ends = {day_end(each.until, self.zone) for each in self.policy.resources.values() if each.until is not None}
        kinds = self.policy.evidence.values()
        return ends | {day_start(kind.superseded_on, self.zone) for kind in kinds if kind.superseded_on is not None}

    def _spans(self, person: Person) -> Iterator[datetime]:
        for spans in (person.notice, person.exited, person.lockouts, person.leave):
            yield from _both(spans)
        for rule in self.policy.lifecycle.leave:
            for span in person.leave:
                if span.start is not None:
                    yield add_period(span.start, rule.after, self.zone)
        if person.rehired and person.employed_since is not None:
            yield person.employed_since

    def _assignment(self, each: Assignment) -> Iterator[datetime]:
        yield from _both([each.span])
        lifecycle = self.policy.lifecycle
        if each.span.start is not None:
            for rule in lifecycle.preboarding:
                yield from self._opening(each.span.start, rule.opens)
        if each.transferred and each.span.end is not None and lifecycle.transfer is not None:
            yield add_period(each.span.end, lifecycle.transfer.lasts, self.zone)

    def _opening(self, start: datetime, opens: Period) -> Sequence[datetime]:
        key = (start, opens)
        if key not in self._openings:
            self._openings[key] = tuple(_opening_instants(start, opens, self.zone))
        return self._openings[key]

    def _record(self, record: EvidenceRecord) -> Iterator[datetime]:
        kind = self.policy.evidence.get(record.kind)
        if kind is None:
            return
        yield record.valid_from
        if record.revoked is not None:
            yield from _both([record.revoked])
        if not record.failed and (record.valid_until is not None or kind.valid_for is not None):
            yield self._end(record, kind)

    def _end(self, record: EvidenceRecord, kind: EvidenceKind) -> datetime:
        key = (record.kind, record.valid_from, record.valid_until)
        if key not in self._ends:
            end = record.valid_until or add_period(record.valid_from, kind.valid_for or Period(), self.zone)
            self._ends[key] = end if kind.grace is None else add_period(end, kind.grace, self.zone)
        return self._ends[key]

    def _clauses(self, id_: str) -> Iterator[datetime]:
        for _, member in self.named.members.get(id_, ()):
            if member.since is not None:
                yield day_start(member.since, self.zone)
            yield day_end(member.until, self.zone)
        for exception in self.named.exceptions.get(id_, ()):
            if exception.since is not None:
                yield day_start(exception.since, self.zone)
            yield day_end(exception.until, self.zone)
        for lockout in self.named.lockouts.get(id_, ()):
            if lockout.since is not None:
                yield day_start(lockout.since, self.zone)

    def _sponsors(self, person: Person) -> Iterator[datetime]:
        for rule in self.policy.sponsors:
            for each in person.assignments:
                sponsor = self.population.by_id.get(sponsor_of(rule, each))
                if sponsor is not None:
                    for instant in _both([*(post.span for post in sponsor.assignments), *sponsor.exited]):
                        yield instant
                        yield add_period(instant, rule.lapse, self.zone)


def boundaries_of(policy: Policy, population: Population) -> Boundaries:
    """Those of a policy and the people of a population."""
    return Boundaries(policy, population, policy.once(named_in), ZoneInfo(population.timezone))


def _both(spans: Iterable[Span]) -> Iterator[datetime]:
    for span in spans:
        if span.start is not None:
            yield span.start
        if span.end is not None:
            yield span.end


def _opening_instants(start: datetime, opens: Period, zone: ZoneInfo) -> Iterator[datetime]:
    """Where an assignment that begins then opens; a month's end or a clock change can make it more than one instant."""
    wall = start.astimezone(zone).replace(tzinfo=None)
    try:
        about = wall - relativedelta(years=opens.years, months=opens.months, days=opens.days)
        days = [(about + timedelta(days=n)).date() for n in range(-1, 5)]
    except OverflowError:
        return
    moments = {
        datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) + shift
        for day in days
        for clock in (time.min, wall.time())
        for fold in (0, 1)
        for shift in (-_HOUR, timedelta(), _HOUR)
    }
    for moment in sorted(moments):
        if _is_open(moment, start, opens, zone) != _is_open(moment - _TICK, start, opens, zone):
            yield moment


def _is_open(at: datetime, start: datetime, opens: Period, zone: ZoneInfo) -> bool:
    reached = add_period(at, opens, zone)
    return reached == FOREVER or start <= reached
