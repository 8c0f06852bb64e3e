"""Why one subject has a permission, or why not: all reasons, strongest first, all denials, and what would change them.

For a yes also what it rests on and when that ends; for a no the facts that it takes. Everything is recomputed for the
one asked about, assignment by assignment and record by record, apart from the bitmaps of `evaluate`; a property test
holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.access.boundaries import Boundaries
from reconciler.access.dossier import Asked, Book, Dossier, Footing
from reconciler.access.evidence import kinds_at
from reconciler.access.holdings import earliest
from reconciler.access.lifecycle import horizon_of
from reconciler.access.model import Denial, End, EndKind, Explanation, FactKind, NeededFact, Reason, Way
from reconciler.access.needed import needed_facts
from reconciler.access.outlook import denial_end, in_order, last_day, reason_ends, reasons_end, resource_end
from reconciler.access.service_accounts import explain_service_account
from reconciler.access.subject import Moment, Named, moment_of
from reconciler.access.ways import MOST_SHOWN, Route, ended_way, no_way, routes_to
from reconciler.facts.model import Person, Population
from reconciler.policy.model import Permission, Policy

_TICK = timedelta(microseconds=1)


def explain(policy: Policy, population: Population, subject: str, permission: Permission, at: datetime) -> Explanation:
    """Why the subject (a person's id or a service account's name) has the permission at the moment, or why not.

    Raises `UnknownPerson` and `UnknownPermission`.
    """
    return Explainer(policy, population, at).explain(subject, permission)


def explain_many(
    policy: Policy, population: Population, pairs: Iterable[tuple[str, Permission]], at: datetime
) -> Iterator[Explanation]:
    """`explain` for many (subject, permission), in their order, with what they share worked out once.

    Lazy; raises as `explain` does when it comes to the pair.
    """
    explainer = Explainer(policy, population, at)
    for subject, permission in pairs:
        yield explainer.explain(subject, permission)


class Explainer:
    """Answers `explain` again and again for one policy, population and moment; remembers what people share."""

    def __init__(
        self, policy: Policy, population: Population, at: datetime, book: tuple[Named, Book] | None = None
    ) -> None:
        """`book` is another one's `book`, of the same policy."""
        self._moment = moment_of(policy, population, at, book[0] if book else None)
        self._book = book[1] if book else Book(self._moment)
        self._dossiers: dict[str, Dossier] = {}
        self._future = _Future(self._moment, self._book)

    @property
    def book(self) -> tuple[Named, Book]:
        """What was worked out of the policy alone: whoever asks about one person after the other hands it on."""
        return self._moment.named, self._book

    @property
    def at(self) -> datetime:
        """The moment asked about."""
        return self._moment.at

    def explain(self, subject: str, permission: Permission) -> Explanation:
        """As the function `explain`. Raises `UnknownPerson` and `UnknownPermission`."""
        asked = self._book.asked(permission)
        services = self._moment.policy.service_accounts
        if subject in services and subject not in self._moment.population.by_id:
            return explain_service_account(services[subject], asked, self._moment)
        return self._explain_person(self.dossier(subject), asked)

    def denials(self, person: str, permission: Permission) -> tuple[Denial, ...]:
        """What would withhold the permission from the person, and nothing else of `explain`. Raises as that does."""
        return self.dossier(person).denials(self._book.asked(permission))

    def dossier(self, person: str) -> Dossier:
        """The person at the moment. Raises `UnknownPerson`."""
        found = self._dossiers.get(person)
        if found is None:
            found = self._dossiers[person] = Dossier(self._book, self._moment, self._moment.person(person))
        return found

    def _explain_person(self, dossier: Dossier, asked: Asked) -> Explanation:
        moment, who = self._moment, dossier.who
        footing = dossier.footing(asked)
        reasons, denials = dossier.reasons(asked), dossier.denials(asked)
        allowed = bool(reasons) and not denials
        ends: tuple[End, ...] = ()
        until: datetime | None = None
        ways: tuple[Way, ...] = ()
        needed: tuple[NeededFact, ...] = ()
        found = 0
        if allowed:
            until = self._until(dossier, asked, footing, reasons)
            ends = self._ends(dossier, asked, footing, reasons, until)
        elif reasons:
            needed = needed_facts(denials, moment, who)
        else:
            ways, needed, found = self._not_given(dossier, asked, denials)
        return Explanation(
            subject=who.person.id,
            permission=asked.permission,
            at=moment.at,
            allowed=allowed,
            reasons=_within(asked, reasons),
            denials=denials,
            classification=asked.classification,
            clearance=dossier.clearance,
            states=who.states,
            ways=ways,
            needed=needed,
            ways_found=found,
            proven=footing.proven,
            ends=ends,
            until=until,
        )

    # --- a yes: how long --------------------------------------------------------------------------------------------

    def _until(self, dossier: Dossier, asked: Asked, footing: Footing, reasons: tuple[Reason, ...]) -> datetime | None:
        until = earliest(reasons_end(reasons), footing.until, asked.until, last_day(dossier.who))
        if dossier.only_ends:
            return until
        known = (*(reason.until for reason in reasons), footing.until, asked.until)
        return self._future.first_no(dossier.who.person, asked.permission, known)

    def _ends(
        self, dossier: Dossier, asked: Asked, footing: Footing, reasons: tuple[Reason, ...], until: datetime | None
    ) -> tuple[End, ...]:
        found = [*reason_ends(reasons, dossier.who), *footing.ends, *dossier.announced]
        if asked.until is not None:
            found.append(resource_end(asked.resource, asked.until))
        if until is not None and not any(end.at == until for end in found):
            found += self._future.deciding(dossier.who.person, asked, until)
        return in_order(found, until) if found else ()

    # --- a no: what it takes ----------------------------------------------------------------------------------------

    def _not_given(
        self, dossier: Dossier, asked: Asked, denials: tuple[Denial, ...]
    ) -> tuple[tuple[Way, ...], tuple[NeededFact, ...], int]:
        moment, who = self._moment, dossier.who
        if asked.has_ended(moment.at):
            way = ended_way(asked.resource)
            return (way,), way.lacking, 1
        routes = routes_to(asked.clauses, moment, who)
        shown = tuple(route.way for route in routes[:MOST_SHOWN])
        options = [
            option for route in routes[:MOST_SHOWN] if (option := self._needed_for(route, dossier, asked, denials))
        ]
        if not options:
            nothing = no_way(asked.permission, asked.resource)
            return shown, (nothing, *needed_facts(denials, moment, who)), len(routes)
        return shown, min(options, key=_effort), len(routes)

    def _needed_for(
        self, route: Route, dossier: Dossier, asked: Asked, denials: tuple[Denial, ...]
    ) -> tuple[NeededFact, ...]:
        """The way's facts, and those that clearance and the rest would ask for then; none where that way does not lead
        there.
        """
        moment, who = self._moment, dossier.who
        if route.supposed is None:
            return (*route.way.lacking, *needed_facts(denials, moment, who))
        supposed = moment.standing(replace(who.person, assignments=route.supposed))
        then = Dossier(self._book, moment, supposed)
        if not then.is_given(asked.permission):
            return ()
        return tuple(dict.fromkeys((*route.way.lacking, *needed_facts(then.denials(asked), moment, supposed))))


def _effort(needed: tuple[NeededFact, ...]) -> tuple[bool, int]:
    return any(fact.kind is FactKind.POLICY for fact in needed), len(needed)


def _within(asked: Asked, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The reasons, none of which lasts longer than the resource."""
    if asked.until is None:
        return reasons
    return tuple(replace(each, until=earliest(each.until, asked.until)) for each in reasons)


class _Future:
    """The same questions at later moments, asked for people of whom something is to begin."""

    def __init__(self, moment: Moment, book: Book) -> None:
        self._moment = moment
        self._book = book
        self._boundaries = Boundaries(moment.policy, moment.population, moment.named, moment.zone)
        self._moments: dict[datetime, Moment] = {}
        self._person: Person | None = None
        self._dossiers: dict[datetime, Dossier] = {}
        self._instants: list[datetime] | None = None

    def first_no(self, person: Person, permission: Permission, known: Iterable[datetime | None]) -> datetime | None:
        """The first instant after the moment at which the person may not; None where there is none."""
        self._turn_to(person)
        if self._instants is None:
            found = self._boundaries.of_person(person) | self._boundaries.of_policy()
            self._instants = sorted(each for each in found if each > self._moment.at)
        asked = self._book.asked(permission)
        for instant in sorted({*self._instants, *(each for each in known if each is not None)}):
            dossier = self._dossier(person, instant)
            if not dossier.is_given(permission) or dossier.denials(asked):
                return instant
        return None

    def deciding(self, person: Person, asked: Asked, until: datetime) -> list[End]:
        """What ends the person's access at that instant, where nothing does that holds at the moment: something that
        begins and ends later, or that begins to deny.
        """
        self._turn_to(person)
        before = self._dossier(person, until - _TICK)
        ends = [*reason_ends(before.reasons(asked), before.who), *before.footing(asked).ends]
        deciding = [end for end in ends if end.at == until]
        denying = deciding or [denial_end(each, until) for each in self._dossier(person, until).denials(asked)]
        return denying or [End(until, EndKind.ASSIGNMENT, "", "what gives it does not count any more")]

    def _turn_to(self, person: Person) -> None:
        if person is not self._person:
            self._person, self._instants = person, None
            self._dossiers.clear()

    def _dossier(self, person: Person, at: datetime) -> Dossier:
        if at not in self._dossiers:
            moment = self._moment_at(at)
            self._dossiers[at] = Dossier(self._book, moment, moment.standing(person))
        return self._dossiers[at]

    def _moment_at(self, at: datetime) -> Moment:
        if at not in self._moments:
            policy, zone = self._moment.policy, self._moment.zone
            self._moments[at] = replace(
                self._moment, at=at, horizon=horizon_of(policy, at, zone), kinds=kinds_at(policy.evidence, at, zone)
            )
        return self._moments[at]
