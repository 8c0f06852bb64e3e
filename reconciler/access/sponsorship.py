"""Evaluation: all people for whom nobody answers (any more), as a bitmap, found rule by rule and sponsor by sponsor;
and those whose work has no end though a rule asks for one.

A sponsor is asked about once, however many people they answer for. `sponsors` tells of one person which assignment
lacks whom, and since when; how long a sponsor serves is said here for both (`service_of`), and whether an assignment
has an end (`has_end`). To ask about some people alone, those who answer for them have to be in the population too:
`people_needed`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from pyroaring import BitMap

from reconciler.access.columns import Columns
from reconciler.access.days import BEGINNING, FOREVER, add_period
from reconciler.access.lifecycle import covering, horizon_of, stand_at
from reconciler.access.matching import matches
from reconciler.access.readings import MatchReader
from reconciler.facts.model import Assignment, Person, Population, Span
from reconciler.policy.model import Match, Policy, SponsorRule


def lapsed_at(policy: Policy, population: Population, columns: Columns) -> BitMap:
    """Whoever has an assignment that needs a sponsor and has none, or none any more, at the columns' moment; or one
    that needs an end and has none.
    """
    lapsed = BitMap()
    for rule in policy.sponsors:
        lapsed |= _lapsed(rule, policy, population, columns)
        if rule.ends:
            lapsed |= _endless(rule, policy, population, columns)
    return lapsed


def people_needed(policy: Policy, people: Iterable[Person]) -> frozenset[str]:
    """The ids of everybody who has to be in a population for these people to be evaluated in it: themselves, and
    whoever may answer for them. (Whether a sponsor qualifies depends on nobody further.)
    """
    attributes = {rule.by for rule in policy.sponsors}
    needed: set[str] = set()
    for person in people:
        needed.add(person.id)
        needed.update(_sponsors(person, attributes))
    return frozenset(needed)


def people_sponsored(policy: Policy, people: Iterable[Person], sponsors: Collection[str]) -> frozenset[str]:
    """The ids of those among the people who name one of the sponsors: whom a fact about a sponsor may touch."""
    attributes = {rule.by for rule in policy.sponsors}
    return frozenset(person.id for person in people if any(each in sponsors for each in _sponsors(person, attributes)))


def _sponsors(person: Person, attributes: Iterable[str]) -> Iterator[str]:
    for assignment in person.assignments:
        for attribute in attributes:
            named = assignment.attributes.get(attribute, "").strip()
            if named:
                yield named


def _lapsed(rule: SponsorRule, policy: Policy, population: Population, columns: Columns) -> BitMap:
    unanswered = columns.truth(rule.of).possible & columns.counting
    for id_, assignments in columns.attributes[rule.by].assignments.items():
        sponsor = population.by_id.get(id_)
        if sponsor is None or unanswered.isdisjoint(assignments):
            continue
        if _answers(sponsor, rule, policy, columns):
            # Nobody answers for themselves.
            unanswered = unanswered - (assignments - columns.assignments_of(BitMap([sponsor.number])))
    return columns.people_of(unanswered)


def _answers(sponsor: Person, rule: SponsorRule, policy: Policy, columns: Columns) -> bool:
    """Whether the sponsor qualifies, or ceased to less than `lapse` ago."""
    at = columns.at
    served = service_of(sponsor, rule.must, lambda must, values: matches(must, values, policy.attributes))
    if covering(served, at) is not None:
        return True
    ceased = max((span.end for span in served if span.end is not None and span.end <= at), default=None)
    return ceased is not None and at < add_period(ceased, rule.lapse, columns.zone)


# --- work that has to end -------------------------------------------------------------------------------------------


def _endless(rule: SponsorRule, policy: Policy, population: Population, columns: Columns) -> BitMap:
    asked = columns.truth(rule.of).possible & columns.counting
    people, reads = columns.people_of(asked), MatchReader(policy.attributes)
    horizon = horizon_of(policy, columns.at, columns.zone)
    return BitMap(
        person.number
        for person in population
        if person.number in people
        for depth, each in enumerate(stand_at(person, columns.at, horizon).assignments)
        if person.number + depth * columns.stride in asked and not has_end(each, person, rule.of, reads)
    )


def has_end(assignment: Assignment, person: Person, of: Match, reads: Reads) -> bool:
    """Whether the assignment, of which `of` is not false, ends some day.

    What carries on from it without a gap is the same post with other attributes, so that it has to end as well, unless
    `of` is false of it.
    """
    end = assignment.span.end
    if end is None:
        return False
    return all(
        has_end(each, person, of, reads)
        for each in person.assignments
        if each.name == assignment.name
        and each.span.start == end
        and (each.span.end is None or end < each.span.end)
        and reads(of, each.attributes) is not False
    )


# --- how long a sponsor serves --------------------------------------------------------------------------------------

Reads = Callable[[Match, Mapping[str, str]], bool | None]
"""Whether a match holds for an assignment with these values."""


def service_of(sponsor: Person, must: Match | None, reads: Reads) -> tuple[Span, ...]:
    """When the sponsor has an assignment that qualifies, and is not out by word of HR."""
    return tuple(
        span
        for each in sponsor.assignments
        if must is None or reads(must, each.attributes) is True
        for span in _without(each.span, sponsor.exited)
    )


def _without(span: Span, exits: Iterable[Span]) -> Iterator[Span]:
    start, end = span.start or BEGINNING, span.end or FOREVER
    ended_by = span.end_entry or span.entry
    for out in sorted(exits, key=lambda each: each.start or BEGINNING):
        left = out.start or BEGINNING
        if start < min(left, end):
            yield Span(start, min(left, end), span.entry, out.entry if left < end else ended_by)
        start = max(start, out.end or FOREVER)
    if start < end:
        yield Span(start, None if end == FOREVER else end, span.entry, ended_by)
