"""The roles that would give somebody a permission, and what the person lacks for each, nearest first.

What they lack is told for the assignment that comes nearest: one that counts or, where none does, one to come. A role
that is held by name alone takes a change of the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.access.days import day_end, day_start, day_text
from reconciler.access.lacking import Lack, lacks, with_match
from reconciler.access.model import FactKind, NeededFact, Way
from reconciler.access.subject import Moment, PersonAt
from reconciler.facts.model import Assignment, Span
from reconciler.policy.model import AllOf, Compare, Grant, Match, Member, Permission, Present, Resource, Role

MOST_SHOWN = 5
"""How many ways an explanation shows; it says how many there are."""

Clause = tuple[Role, Grant, tuple[str, ...]]
"""Where a role gives a permission: the role, the grant, the chain of roles that it comes by."""

NO_ASSIGNMENT = NeededFact(FactKind.ASSIGNMENT, "an active assignment: there is none", wanted="active")


@dataclass(frozen=True, slots=True)
class Route:
    """A way, with the assignments that the person would then have; None where facts alone do not open it, or nobody can
    tell which values would.
    """

    way: Way
    supposed: tuple[Assignment, ...] | None


def routes_to(clauses: Iterable[Clause], moment: Moment, who: PersonAt) -> list[Route]:
    """Every role that could give it, fewest lacking first; what takes a change of the policy comes last."""
    nearest: dict[str, Route] = {}
    for clause in clauses:
        for route in _routes(clause, moment, who):
            known = nearest.get(clause[0].name)
            if known is None or _distance(route) < _distance(known):
                nearest[clause[0].name] = route
    return sorted(nearest.values(), key=_distance)


def _distance(route: Route) -> tuple[bool, int, int]:
    by_policy = any(fact.kind is FactKind.POLICY for fact in route.way.lacking)
    return by_policy, len(route.way.lacking), len(route.way.roles)


def _routes(clause: Clause, moment: Moment, who: PersonAt) -> Iterator[Route]:
    role, grant, chain = clause
    if role.everyone and not who.assignments:
        yield _route(clause, (NO_ASSIGNMENT,), (_new_assignment({}),))
    if role.matches_people:
        yield from _by_match(clause, moment, who)
    if grant.when is None and role.members:
        members = [member for named, member in moment.named.members.get(who.person.id, ()) if named is role]
        fact = NeededFact(FactKind.POLICY, _membership(role, members, moment), place=role.place)
        yield Route(Way(chain, grant.place, role.place, (fact,)), None)


def _membership(role: Role, members: Sequence[Member], moment: Moment) -> str:
    ended = [member for member in members if day_end(member.until, moment.zone) <= moment.at]
    coming = [
        member for member in members if member.since is not None and day_start(member.since, moment.zone) > moment.at
    ]
    if coming:
        return f"membership of role {role.name} begins on {min(each.since for each in coming if each.since)}"
    if ended:
        return f"membership of role {role.name} ended on {max(each.until for each in ended)}: it would have to go on"
    return f"to be named as a member of role {role.name}: a change of the policy"


def _by_match(clause: Clause, moment: Moment, who: PersonAt) -> Iterator[Route]:
    """The way through the assignment that lacks least; none where what is lacking excludes what else is asked for."""
    wanted, attributes = _wanted(*clause[:2]), moment.policy.attributes
    told = _told(wanted, moment, who)
    for assignment, before, missing in sorted(told, key=lambda each: len(each[2])):
        changed = with_match(wanted, assignment.attributes, missing, attributes)
        if changed is not None or any(lack.value is None for lack in missing):
            others = tuple(each for each in who.assignments if each is not assignment)
            supposed = None if changed is None else (replace(assignment, attributes=changed), *others)
            yield _route(clause, (*before, *_of_assignment(missing, assignment, who)), supposed)
            return


def _told(
    wanted: Match, moment: Moment, who: PersonAt
) -> Iterator[tuple[Assignment, tuple[NeededFact, ...], tuple[Lack, ...]]]:
    """The assignments that might match, with what there has to be first, and what each of them lacks."""
    attributes = moment.policy.attributes
    for each in who.assignments:
        yield each, (), lacks(wanted, each.attributes, attributes)
    if who.assignments:
        return
    coming = _to_come(moment, who, wanted)
    if coming is None:
        yield _new_assignment({}), (NO_ASSIGNMENT,), lacks(wanted, {}, attributes)
        return
    begins = f"assignment {coming.name} begins on {day_text(coming.span.start or moment.at, moment.zone)}"
    fact = NeededFact(FactKind.ASSIGNMENT, begins, wanted="active")
    yield _new_assignment(coming.attributes), (fact,), lacks(wanted, coming.attributes, attributes)


def _of_assignment(missing: Sequence[Lack], best: Assignment, who: PersonAt) -> tuple[NeededFact, ...]:
    facts = tuple(lack.fact for lack in missing)
    if len(who.assignments) <= 1:
        return facts
    return tuple(replace(fact, text=f"{fact.text} (assignment {best.name})") for fact in facts)


def _wanted(role: Role, grant: Grant) -> Match:
    variables = [Compare(each.attribute, Present(), None, each.place) for each in role.for_each]
    parts = [role.match, grant.when] if grant.when is not None else [role.match, *variables]
    return AllOf(tuple(part for part in parts if part is not None))


def _to_come(moment: Moment, who: PersonAt, wanted: Match) -> Assignment | None:
    coming = [each for each in who.person.assignments if each.span.start is not None and each.span.start > moment.at]
    attributes = moment.policy.attributes
    return min(
        coming, key=lambda each: (len(lacks(wanted, each.attributes, attributes)), each.span.start), default=None
    )


def _route(clause: Clause, lacking: tuple[NeededFact, ...], supposed: tuple[Assignment, ...] | None) -> Route:
    role, grant, chain = clause
    return Route(Way(chain, grant.place, role.place, lacking), supposed)


def _new_assignment(values: Mapping[str, str]) -> Assignment:
    return Assignment("main", values, Span(None, None, 0))


def ended_way(resource: Resource) -> Way:
    """Of a resource past its end: nothing gives it any more, whoever holds what."""
    text = f"{resource.name} ended on {resource.until}: only a change of the policy would open it again"
    return Way((), resource.place, resource.place, (NeededFact(FactKind.POLICY, text, place=resource.place),))


def no_way(permission: Permission, resource: Resource) -> NeededFact:
    """Where no role gives the permission to anybody by a fact."""
    text = f"no fact gives {permission}: only a change of the policy, or an exception, would"
    return NeededFact(FactKind.POLICY, text, place=resource.place)
