"""Explanation: of one person, the assignments for which nobody answers, with the sponsor and the instant behind it.

`sponsorship` finds all such people at once, in a bitmap and without reasons.

Whoever has an assignment that counts, and of which the rule's `of` is not false, needs the sponsor whom that assignment
names: a person with an active assignment of which `must` is true. What they have lapses some time after that ceased; at
once where it never was so, or where nobody is named. Where the rule asks for an end, too, an assignment without one
gives nothing from its first day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.days import BEGINNING, FOREVER, add_period
from reconciler.access.lifecycle import covering
from reconciler.access.sponsorship import has_end, service_of
from reconciler.access.subject import Moment, PersonAt
from reconciler.facts.model import Assignment, Person, Span
from reconciler.policy.model import SponsorRule

SPONSOR = "sponsor"
"""The word of a denial for a lapsed sponsor."""
END_DATE = "end-date"
"""The word of a denial for an assignment that needs an end and has none."""


@dataclass(frozen=True, slots=True)
class Lapse:
    """An assignment that nobody answers for (any more).

    `sponsor` is the id named, "" where none is. `ceased` is when the sponsor last qualified (None: never), `since` when
    the access lapsed, `entry` what ended the sponsor's assignment.
    """

    rule: SponsorRule
    assignment: Assignment
    sponsor: str
    known: bool
    ceased: datetime | None
    since: datetime | None
    entry: int


def lapses(moment: Moment, who: PersonAt) -> Iterator[Lapse]:
    """Every assignment of the person that a rule asks a sponsor for and that has none at the moment."""
    for rule, each in sponsored(moment, who.assignments):
        lapse = _lapse(rule, each, moment, who.person)
        if lapse is not None:
            yield lapse


def endless(moment: Moment, who: PersonAt) -> Iterator[tuple[SponsorRule, Assignment]]:
    """Every assignment of the person that a rule asks an end for and that has none, once, with the first such rule."""
    told: set[str] = set()
    for rule, each in sponsored(moment, who.assignments):
        if rule.ends and each.name not in told and not has_end(each, who.person, rule.of, moment.reads):
            told.add(each.name)
            yield rule, each


def sponsored(moment: Moment, assignments: Sequence[Assignment]) -> Iterator[tuple[SponsorRule, Assignment]]:
    """The assignments that need a sponsor, each with the rule that asks for one."""
    for rule in moment.policy.sponsors:
        for each in assignments:
            if moment.reads(rule.of, each.attributes) is not False:
                yield rule, each


def sponsor_of(rule: SponsorRule, assignment: Assignment) -> str:
    """The id of the person whom the assignment names, "" where it names nobody."""
    return assignment.attributes.get(rule.by, "").strip()


def _lapse(rule: SponsorRule, each: Assignment, moment: Moment, person: Person) -> Lapse | None:
    id_ = sponsor_of(rule, each)
    sponsor = _answering(id_, moment, person)
    if sponsor is None:
        return Lapse(rule, each, id_, id_ == person.id, None, each.span.start, each.span.entry)
    begun = [span for span in _service(sponsor, rule, moment) if span.start is None or span.start <= moment.at]
    if covering(begun, moment.at) is not None:
        return None
    last = max(begun, key=_end, default=None)
    if last is None:
        return Lapse(rule, each, id_, True, None, each.span.start, each.span.entry)
    lapsed = add_period(_end(last), rule.lapse, moment.zone)
    if moment.at < lapsed:
        return None
    return Lapse(rule, each, id_, True, last.end, lapsed, last.end_entry or last.entry)


def _answering(id_: str, moment: Moment, person: Person) -> Person | None:
    return moment.population.by_id.get(id_) if id_ != person.id else None  # nobody answers for themselves


def _service(sponsor: Person, rule: SponsorRule, moment: Moment) -> tuple[Span, ...]:
    return service_of(sponsor, rule.must, moment.reads)


def _end(span: Span) -> datetime:
    return span.end or FOREVER


# --- to come --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LapseToCome:
    """An assignment that somebody answers for until `at`, as far as is known; `entry` is what ends the sponsor's."""

    rule: SponsorRule
    assignment: Assignment
    sponsor: str
    at: datetime
    entry: int


def lapses_to_come(moment: Moment, who: PersonAt) -> Iterator[LapseToCome]:
    """For every assignment of the person that has a sponsor at the moment, the first lapse after it, if any."""
    for rule, each in sponsored(moment, who.assignments):
        sponsor = _answering(sponsor_of(rule, each), moment, who.person)
        if sponsor is not None and _lapse(rule, each, moment, who.person) is None:
            found = _first_lapse(_service(sponsor, rule, moment), rule, moment)
            if found is not None:
                at, last = found
                yield LapseToCome(rule, each, sponsor.id, at, last.end_entry or last.entry)


def _first_lapse(served: Sequence[Span], rule: SponsorRule, moment: Moment) -> tuple[datetime, Span] | None:
    for span in sorted(served, key=_end):
        lapsed = add_period(_end(span), rule.lapse, moment.zone)
        follows = any((other.start or BEGINNING) <= lapsed and _end(other) > _end(span) for other in served)
        if span.end is not None and lapsed > moment.at and not follows:
            return lapsed, span
    return None
