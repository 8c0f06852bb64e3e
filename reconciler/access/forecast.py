"""Who will lose or gain what when nothing happens but time: from what, and what prevents it.

An answer about a person changes only at that person's own boundaries, or at a date of the policy that touches them. So
everybody is evaluated once, and then for every day of the window only those of whom something begins or ends that day,
as they stand when it is over. What is lost and regained within one day is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.boundaries import Boundaries
from reconciler.access.columns import union
from reconciler.access.days import day_end, day_start
from reconciler.access.evaluate import evaluate
from reconciler.access.explain import Explainer
from reconciler.access.model import Desired, EndKind, Explanation, FactKind, NeededFact
from reconciler.access.sponsorship import people_needed
from reconciler.access.subject import moment_of
from reconciler.errors import Place
from reconciler.facts.model import Person, Population
from reconciler.policy.model import Permission, Policy

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What one subject will lose (or, with `gained`, gain) at an instant, because of one thing.

    `kind` says what sort of thing that is, `what` is its stable word, `text` tells it, and `entry` and `place` lead to
    the ledger entry and the clause behind it (0 and None: none). `prevents` are the facts that would keep what is lost
    (none for what is gained).
    """

    at: datetime
    subject: str
    gained: bool
    permissions: tuple[Permission, ...]
    kind: EndKind | None
    what: str
    text: str
    prevents: tuple[NeededFact, ...]
    entry: int = 0
    place: Place | None = None


def forecast(policy: Policy, population: Population, at: datetime, until: datetime) -> tuple[Foreseen, ...]:
    """What changes after `at`, up to and including `until`, by the time, then by the subject."""
    found = [*_of_people(policy, population, at, until), *_of_service_accounts(policy, population, at, until)]
    return tuple(sorted(found, key=lambda each: (each.at, each.subject, each.gained, each.what, each.permissions)))


def next_change(policy: Policy, population: Population, at: datetime, until: datetime) -> tuple[Foreseen, ...]:
    """All that changes at the first moment after `at`, up to and including `until`, at which time alone changes
    somebody's access; empty where nothing does.
    """
    zone = ZoneInfo(population.timezone)
    of_people = groupby(_of_people(policy, population, at, until), lambda each: each.at.astimezone(zone).date())
    first_day = next((list(of_day) for _, of_day in of_people), [])
    found = [*first_day, *_of_service_accounts(policy, population, at, until)]
    first = min((each.at for each in found), default=until)
    return tuple(sorted((each for each in found if each.at == first), key=lambda each: (each.subject, each.gained)))


# --- the days on which something begins or ends ---------------------------------------------------------------------

_Day = dict[int, list[datetime]]
"""Person number → the instants of that person's boundaries on one day."""


class _Calendar:
    """Whose answer can change on which day of the window."""

    def __init__(self, policy: Policy, population: Population, at: datetime, until: datetime) -> None:
        self._at, self._until = at, until
        self._policy, self._population = policy, population
        self._zone = ZoneInfo(population.timezone)
        self.days: dict[date, _Day] = {}
        named = moment_of(policy, population, at).named
        self._boundaries = Boundaries(policy, population, named, self._zone)

    def fill(self, now: Desired) -> None:
        """Everybody's own boundaries, and the policy's dates for those whom they touch."""
        for person in self._population:
            for instant in self._boundaries.of_person(person):
                self._note(instant, person.number)
        touched = BitMap([number for day in self.days.values() for number in day])
        for instant, people in self._policy_dates(now, touched):
            for number in people:
                self._note(instant, number)

    def _note(self, instant: datetime, number: int) -> None:
        if self._at < instant <= self._until:
            day = self.days.setdefault(instant.astimezone(self._zone).date(), {})
            day.setdefault(number, []).append(instant)

    def _policy_dates(self, now: Desired, touched: BitMap) -> Iterator[tuple[datetime, Iterable[int]]]:
        """Whom each date concerns. Of a resource's end: whoever is given it, or may have been given it since, being
        `touched` by something of their own.
        """
        for resource in self._policy.resources.values():
            if resource.until is not None:
                given = (now.given[Permission(resource.name, action)] for action in resource.actions)
                yield day_end(resource.until, self._zone), union((touched, *given))
        for kind in self._policy.evidence.values():
            if kind.superseded_on is not None:
                yield day_start(kind.superseded_on, self._zone), self._with_older(kind.name, kind.version)

    def _with_older(self, kind: str, version: int) -> list[int]:
        evidence = self._population.evidence
        return [
            person.number
            for person in self._population
            if any(record.kind == kind and record.version < version for record in evidence.get(person.id, ()))
        ]


# --- people ---------------------------------------------------------------------------------------------------------


def _of_people(policy: Policy, population: Population, at: datetime, until: datetime) -> Iterator[Foreseen]:
    now = evaluate(policy, population, at)
    calendar = _Calendar(policy, population, at, until)
    calendar.fill(now)
    allowed = dict(now.allowed)
    by_number = {person.number: person for person in population}
    for day in sorted(calendar.days):
        touched = calendar.days[day]
        some = _part(policy, population, [by_number[number] for number in touched])
        instants = [instant for each in touched.values() for instant in each]
        then = evaluate(policy, some, max(instants))
        changes = _changes(allowed, then, BitMap(touched))
        if changes:
            before = max(at, min(instants) - _TICK)
            yield from _Told(policy, some, before, max(instants)).all(changes, by_number, touched)


def _part(policy: Policy, population: Population, people: Sequence[Person]) -> Population:
    """These people, with whoever answers for them, as a population of their own."""
    ids = people_needed(policy, people)
    chosen = [population.by_id[id_] for id_ in sorted(ids) if id_ in population.by_id]
    evidence = {id_: population.evidence[id_] for id_ in ids if id_ in population.evidence}
    return Population(chosen, evidence, population.ledger_seq, population.timezone)


_Change = tuple[int, Permission, bool]
"""A person's number, the permission, and whether it is gained."""


def _changes(allowed: dict[Permission, BitMap], then: Desired, touched: BitMap) -> list[_Change]:
    """What is otherwise for the people touched; `allowed` is brought up to then."""
    found: list[_Change] = []
    for permission, was in allowed.items():
        had, has = was & touched, then.allowed[permission] & touched
        if had != has:
            found += [(number, permission, False) for number in had - has]
            found += [(number, permission, True) for number in has - had]
            allowed[permission] = (was - touched) | has
    return found


class _Told:
    """Says of the changes of one day what each comes from."""

    def __init__(self, policy: Policy, people: Population, before: datetime, after: datetime) -> None:
        self._policy, self._people = policy, people
        self._before = Explainer(policy, people, before)
        self._after = Explainer(policy, people, after)
        self._at: dict[datetime, Explainer] = {after: self._after}

    def all(
        self, changes: Sequence[_Change], people: Mapping[int, Person], touched: Mapping[int, Sequence[datetime]]
    ) -> Iterator[Foreseen]:
        """One for each person, instant and cause, with all the permissions that it concerns."""
        together: dict[Foreseen, list[Permission]] = {}
        for number, permission, gained in changes:
            person = people[number].id
            foreseen = (
                self._gain(person, permission, sorted(touched[number])) if gained else self._loss(person, permission)
            )
            together.setdefault(foreseen, []).append(permission)
        for foreseen, permissions in together.items():
            yield _with(foreseen, tuple(sorted(permissions)))

    def _explainer(self, at: datetime) -> Explainer:
        if at not in self._at:
            self._at[at] = Explainer(self._policy, self._people, at)
        return self._at[at]

    def _loss(self, person: str, permission: Permission) -> Foreseen:
        had = self._before.explain(person, permission)
        at = had.until or self._after.at
        then = self._explainer(at).explain(person, permission)
        return _lost(had, then, at)

    def _gain(self, person: str, permission: Permission, instants: Sequence[datetime]) -> Foreseen:
        at = next(
            (each for each in instants if self._explainer(each).explain(person, permission).allowed), instants[-1]
        )
        lacked = self._before.explain(person, permission)
        has = self._explainer(at).explain(person, permission)
        return _gained(lacked, has, at)


def _with(foreseen: Foreseen, permissions: tuple[Permission, ...]) -> Foreseen:
    return Foreseen(
        foreseen.at,
        foreseen.subject,
        foreseen.gained,
        permissions,
        foreseen.kind,
        foreseen.what,
        foreseen.text,
        foreseen.prevents,
        foreseen.entry,
        foreseen.place,
    )


def _lost(had: Explanation, then: Explanation, at: datetime) -> Foreseen:
    end = next(each for each in had.ends if each.decides)
    prevents = _goes_on(end.what) if end.kind is EndKind.ASSIGNMENT and end.what else then.needed
    return Foreseen(at, had.subject, False, (), end.kind, end.what, end.text, prevents, end.entry, end.place)


def _goes_on(assignment: str) -> tuple[NeededFact, ...]:
    return (NeededFact(FactKind.ASSIGNMENT, f"assignment {assignment} goes on", wanted="active"),)


def _gained(lacked: Explanation, has: Explanation, at: datetime) -> Foreseen:
    if lacked.reasons and lacked.denials:
        denial = lacked.denials[0]
        text = f"no longer withheld: {denial.text}"
        return Foreseen(at, has.subject, True, (), None, denial.what, text, (), denial.entry, denial.place)
    reason = has.reasons[0]
    what = reason.roles[0] if reason.roles else reason.kind.value
    return Foreseen(at, has.subject, True, (), None, what, reason.text, (), reason.entry, reason.holds_place)


# --- service accounts -----------------------------------------------------------------------------------------------


def _of_service_accounts(policy: Policy, population: Population, at: datetime, until: datetime) -> Iterator[Foreseen]:
    explainer = Explainer(policy, population, at)
    for account in policy.service_accounts.values():
        together: dict[Foreseen, list[Permission]] = {}
        for permission in dict.fromkeys(grant.permission for grant in account.grants):
            had = explainer.explain(account.name, permission)
            if had.until is not None and had.until <= until:
                then = Explainer(policy, population, had.until).explain(account.name, permission)
                together.setdefault(_lost(had, then, had.until), []).append(permission)
        for foreseen, permissions in together.items():
            yield _with(foreseen, tuple(sorted(permissions)))
