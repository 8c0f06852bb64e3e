"""Whether the people who answer for somebody are there.

Whoever has an assignment that counts, and of which the rule's `of` is not false, needs the sponsor whom that assignment
names: a person with an active assignment of which `must` is true. What they have lapses some time after that ceased; at
once where it never was so, or where nobody is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.days import BEGINNING, FOREVER, add_period
from reconciler.access.subject import Moment, PersonAt
from reconciler.facts.model import Assignment, Person, Span
from reconciler.policy.model import Match, SponsorRule


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
    sponsor = moment.population.by_id.get(id_) if id_ != person.id else None  # nobody answers for themselves
    if sponsor is None:
        return Lapse(rule, each, id_, id_ == person.id, None, each.span.start, each.span.entry)
    served = [span for span in _service(sponsor, rule.must, moment) if span.start is None or span.start <= moment.at]
    if any(span.covers(moment.at) for span in served):
        return None
    last = max(served, key=lambda span: span.end or FOREVER, default=None)
    if last is None or last.end is None:
        return Lapse(rule, each, id_, True, None, each.span.start, each.span.entry)
    lapsed = add_period(last.end, rule.lapse, moment.zone)
    if moment.at < lapsed:
        return None
    return Lapse(rule, each, id_, True, last.end, lapsed, last.end_entry or last.entry)


def _service(sponsor: Person, must: Match | None, moment: Moment) -> Iterator[Span]:
    """When the sponsor has an assignment that qualifies, and is not out by word of HR."""
    for each in sponsor.assignments:
        if must is None or moment.reads(must, each.attributes) is True:
            yield from _without(each.span, sponsor.exited)


def _without(span: Span, exits: Sequence[Span]) -> Iterator[Span]:
    start = span.start or BEGINNING
    end = span.end or FOREVER
    ended_by = span.end_entry or span.entry
    for out in sorted(exits, key=lambda each: each.start or BEGINNING):
        left = out.start or BEGINNING
        if start < min(left, end):
            yield Span(start, min(left, end), span.entry, out.entry if left < end else ended_by)
        start = max(start, out.end or FOREVER)
    if start < end:
        yield Span(start, None if end == FOREVER else end, span.entry, ended_by)
