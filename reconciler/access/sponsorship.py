"""For whom nobody answers: everybody whose sponsor is not there (any more), by rule and by sponsor.

A sponsor is asked about once, however many people they answer for. `sponsors` says the same of one person, with the
reasons. To ask about some people alone, those who answer for them have to be in the population too: `people_needed`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from pyroaring import BitMap

from reconciler.access.columns import Columns
from reconciler.access.days import BEGINNING, FOREVER, add_period
from reconciler.access.lifecycle import covering
from reconciler.access.matching import matches
from reconciler.facts.model import Person, Population, Span
from reconciler.policy.model import Policy, SponsorRule


def lapsed_at(policy: Policy, population: Population, columns: Columns) -> BitMap:
    """Whoever has an assignment that needs a sponsor and has none, or none any more, at the columns' moment."""
    lapsed = BitMap()
    for rule in policy.sponsors:
        lapsed |= _lapsed(rule, policy, population, columns)
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
    qualifying = [
        each.span
        for each in sponsor.assignments
        if rule.must is None or matches(rule.must, each.attributes, policy.attributes) is True
    ]
    if covering(sponsor.exited, at) is None and covering(qualifying, at) is not None:
        return True
    ceased = max((end for span in qualifying for end in _ends(span, sponsor.exited, at)), default=None)
    return ceased is not None and at < add_period(ceased, rule.lapse, columns.zone)


def _ends(span: Span, exits: Iterable[Span], at: datetime) -> Iterator[datetime]:
    """Where the span, less the exits, stops by the moment."""
    start, end = span.start or BEGINNING, span.end or FOREVER
    for out in sorted(exits, key=lambda each: each.start or BEGINNING):
        left = min(out.start or BEGINNING, end)
        if start < left <= at:
            yield left
        start = max(start, out.end or FOREVER)
    if start < end <= at:
        yield end
