"""What the records say at one moment: who stands where, which assignments count, which proofs are valid, who answers
for whom. These are the facts that casbin is given; what they allow, it decides by itself.

A reading of its own: nothing of the evaluation is used but the calendar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from reconciler.access.casbin.formula import is_true, negated
from reconciler.access.casbin.vocabulary import Vocabulary
from reconciler.access.days import add_period, day_end, day_start, days_cover
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import EvidenceKind, Match, Permission, Policy, Proof, SponsorRule, StateRule


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one person stands: the assignments that count, those that a transfer ended lately, and the states."""

    person: Person
    counting: tuple[Assignment, ...]
    former: tuple[Assignment, ...]
    active: bool
    exited: bool
    preboarding: bool
    notice: bool
    leave: bool


class Records:
    """A policy and a population, read at one moment."""

    def __init__(self, policy: Policy, population: Population, at: datetime) -> None:
        self.policy = policy
        self.population = population
        self.at = at
        self.zone = ZoneInfo(population.timezone)

    # --- where somebody stands --------------------------------------------------------------------------------------

    def standing(self, person: Person) -> Standing:
        """Where the person stands at the moment."""
        active = tuple(each for each in person.assignments if each.span.covers(self.at))
        exited = self.has_exited(person)
        coming = () if active or exited else tuple(each for each in person.assignments if self._opens(each))
        return Standing(
            person=person,
            counting=active or coming,
            former=tuple(each for each in person.assignments if self._overlaps(each)) if active else (),
            active=bool(active),
            exited=exited,
            preboarding=not active and not exited,
            notice=not exited and _covered(person.notice, self.at),
            leave=not exited and _covered(person.leave, self.at),
        )

    def has_exited(self, person: Person) -> bool:
        """Whether they are out: by word of HR, or since the last assignment has ended and none is to come."""
        ends = [each.span.end for each in person.assignments]
        return _covered(person.exited, self.at) or (bool(ends) and all(end and end <= self.at for end in ends))

    def begun(self, rule: StateRule, person: Person) -> bool:
        """Whether a rule of `leave` has begun for somebody who is on leave."""
        starts = [span.start for span in person.leave if span.covers(self.at)]
        return any(start is None or add_period(start, rule.after, self.zone) <= self.at for start in starts)

    def _opens(self, assignment: Assignment) -> bool:
        span = assignment.span
        if span.start is None or span.start <= self.at or (span.end is not None and span.end <= span.start):
            return False
        rules = self.policy.lifecycle.preboarding
        rule = next((each for each in rules if not self._is_false(each.match, assignment)), None)
        return rule is not None and span.start <= add_period(self.at, rule.opens, self.zone)

    def _overlaps(self, assignment: Assignment) -> bool:
        overlap, end = self.policy.lifecycle.transfer, assignment.span.end
        if overlap is None or end is None or not assignment.transferred:
            return False
        return end <= self.at < add_period(end, overlap.lasts, self.zone)

    # --- proofs -----------------------------------------------------------------------------------------------------

    def proven(self, person: Person, proofs: Iterable[Proof]) -> tuple[Proof, ...]:
        """Which of these proofs the person has."""
        records = self.population.evidence.get(person.id, ())
        return tuple(proof for proof in proofs if self._proves(records, proof, person))

    def _proves(self, records: Sequence[EvidenceRecord], proof: Proof, person: Person) -> bool:
        kind = self.policy.evidence[proof.kind]
        said = [each for each in records if _is_of(each, kind, proof) and self._stands(each)]
        failures = [each.valid_from for each in said if each.failed]
        last_failure = max(failures, default=None)
        return any(
            not each.failed
            and (last_failure is None or each.valid_from > last_failure)
            and self._is_valid(each, kind, person)
            for each in said
        )

    def _stands(self, record: EvidenceRecord) -> bool:
        return record.valid_from <= self.at and not (record.revoked and record.revoked.covers(self.at))

    def _is_valid(self, record: EvidenceRecord, kind: EvidenceKind, person: Person) -> bool:
        if record.version < kind.version and not self._is_before(kind.superseded_on):
            return False
        if not kind.survives_rehire and any(record.valid_from < back <= self.at for back in _rehires(person)):
            return False
        end = record.valid_until
        if end is None and kind.valid_for is not None:
            end = add_period(record.valid_from, kind.valid_for, self.zone)
        if end is not None and kind.grace is not None:
            end = add_period(end, kind.grace, self.zone)
        return end is None or self.at < end

    def _is_before(self, day: date | None) -> bool:
        return day is not None and self.at < day_start(day, self.zone)

    # --- days -------------------------------------------------------------------------------------------------------

    def covers(self, since: date | None, until: date | None) -> bool:
        """Whether the moment lies in these whole days, both included."""
        return days_cover(self.at, since, until, self.zone)

    def is_over(self, permission: Permission) -> bool:
        """Whether the permission's resource is past its last day."""
        until = self.policy.resources[permission.resource].until
        return until is not None and self.at >= day_end(until, self.zone)

    # --- sponsors ---------------------------------------------------------------------------------------------------

    def is_answered_for(self, person: Person, assignment: Assignment, rule: SponsorRule) -> bool:
        """Whether somebody else answers for the assignment, or ceased to less than `lapse` ago."""
        sponsor = self.population.by_id.get(assignment.attributes.get(rule.by, "").strip())
        if sponsor is None or sponsor.id == person.id:
            return False
        return any(
            (start is None or start <= self.at) and (end is None or self.at < add_period(end, rule.lapse, self.zone))
            for start, end in self._times_there(sponsor, rule)
        )

    def has_end(self, person: Person, assignment: Assignment, rule: SponsorRule) -> bool:
        """Whether the assignment ends, followed through what it becomes as long as the rule may concern that."""
        end = assignment.span.end
        if end is None:
            return False
        carried_on = (
            each
            for each in person.assignments
            if each.name == assignment.name
            and each.span.start == end
            and (each.span.end is None or end < each.span.end)
            and not self._is_false(rule.of, each)
        )
        return all(self.has_end(person, each, rule) for each in carried_on)

    def _times_there(self, sponsor: Person, rule: SponsorRule) -> Iterator[tuple[datetime | None, datetime | None]]:
        for each in sponsor.assignments:
            if rule.must is None or self._is_true(rule.must, each):
                yield from _without((each.span.start, each.span.end), sponsor.exited)

    # --- matches, for the facts alone -------------------------------------------------------------------------------

    def _is_true(self, match: Match, assignment: Assignment) -> bool:
        words = Vocabulary(self.policy.attributes)
        condition = words.true(match, "")
        facts = words.reached(assignment.attributes)
        return is_true(condition, lambda fact, _: fact in facts)

    def _is_false(self, match: Match | None, assignment: Assignment) -> bool:
        words = Vocabulary(self.policy.attributes)
        condition = negated(words.false(match, ""))
        facts = words.reached(assignment.attributes)
        return not is_true(condition, lambda fact, _: fact in facts)


def _covered(spans: Iterable[Span], at: datetime) -> bool:
    return any(span.covers(at) for span in spans)


def _is_of(record: EvidenceRecord, kind: EvidenceKind, proof: Proof) -> bool:
    return record.kind == kind.name and (kind.per is None or record.scope.strip() == proof.scope)


def _rehires(person: Person) -> Iterator[datetime]:
    yield from (span.end for span in person.exited if span.end is not None)
    if person.rehired and person.employed_since is not None:
        yield person.employed_since


def _without(
    time: tuple[datetime | None, datetime | None], gaps: Sequence[Span]
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """The pieces of a time that lie in none of the gaps."""
    if not gaps:
        if time[0] is None or time[1] is None or time[0] < time[1]:
            yield time
        return
    gap, rest = gaps[0], gaps[1:]
    start, end = time
    if gap.start is not None and (start is None or start < gap.start):
        yield from _without((start, gap.start if end is None else min(end, gap.start)), rest)
    if gap.end is not None and (end is None or gap.end < end):
        yield from _without((gap.end if start is None else max(start, gap.end), end), rest)
