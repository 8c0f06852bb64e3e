"""What roles and live exceptions give, clause by clause and altogether, before any denial.

A role gives what it grants to everybody with an assignment of which its match is true, and for a grant that comes of
a `for_each` the grant's own condition too, of that same assignment. Those whom it names, and `everyone`, need an
assignment that counts, whichever it is, and are given what depends on no condition. What a transfer ended still gives
by match, up to the overlap's ceiling. Past its last day a resource is not given at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from pyroaring import BitMap

from reconciler.access.columns import Columns, union
from reconciler.access.days import days_cover
from reconciler.access.model import GivenBy
from reconciler.access.sieve import Sieve
from reconciler.facts.model import Population
from reconciler.policy.model import NOTHING, AllOf, Compare, Grant, Match, Permission, Policy, Present, Role


@dataclass(frozen=True, slots=True)
class Given:
    """Who is given what: `by` clause by clause, in the policy's order, without the clauses that give to nobody."""

    people: Mapping[Permission, BitMap]
    by: Mapping[Permission, tuple[GivenBy, ...]]
    holders: Mapping[str, BitMap]
    """Role → whoever holds it, not counting those who hold one that inherits it; only roles that somebody may hold."""


def given_at(policy: Policy, population: Population, columns: Columns) -> Given:
    """What is given to whom at the columns' moment. Every permission of the policy has an entry."""
    holding = [(gifts, _held(gifts.role, population, columns)) for gifts in policy.once(gifts_of).through(columns)]
    clauses: dict[Permission, list[GivenBy]] = {}
    over = {name for name, until in policy.once(_ending) if not days_cover(columns.at, None, until, columns.zone)}
    for clause in (*_by_roles(policy, columns, holding), *_by_exceptions(policy, population, columns)):
        if clause.people and clause.grant.permission.resource not in over:
            clauses.setdefault(clause.grant.permission, []).append(clause)
    everything = policy.once(permissions_of)
    people = {permission: _everybody(found) for permission, found in clauses.items()}
    by = {permission: tuple(found) for permission, found in clauses.items()}
    return Given(
        people={**dict.fromkeys(everything, BitMap()), **people},
        by={**dict.fromkeys(everything, ()), **by},
        holders={gifts.role.name: each.people(columns) for gifts, each in holding},
    )


def permissions_of(policy: Policy) -> dict[Permission, None]:
    """All permissions, in the order of the policy: once for a policy, since a name takes long to look up."""
    return dict.fromkeys(policy.permissions())


def numbers_of(ids: Iterable[str], population: Population) -> BitMap:
    """The people of these ids, as far as they are known."""
    return BitMap([population.by_id[id_].number for id_ in ids if id_ in population.by_id])


def _everybody(clauses: list[GivenBy]) -> BitMap:
    return clauses[0].people if len(clauses) == 1 else union(clause.people for clause in clauses)


def _ending(policy: Policy) -> Sequence[tuple[str, date]]:
    """The resources that are to end, each with its last day."""
    return [(name, each.until) for name, each in policy.resources.items() if each.until is not None]


# --- roles ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gifts:
    """A role, and what it grants by the values that it takes."""

    role: Role
    grants: Sieve[tuple[Grant, tuple[str, ...]]]


def gifts_of(policy: Policy) -> Sieve[Gifts]:
    """The roles that somebody can hold, by the values that it takes."""
    roles = (role for role in policy.roles.values() if role.matches_people or role.everyone or role.members)
    return Sieve.of((_held_by(role), Gifts(role, _grants(role))) for role in roles)


def _held_by(role: Role) -> Match | None:
    return None if role.everyone or role.members else role.match


def _grants(role: Role) -> Sieve[tuple[Grant, tuple[str, ...]]]:
    return Sieve.of((grant.when, (grant, chain)) for grant, chain in role.all_grants)


@dataclass(frozen=True, slots=True)
class _Held:
    """How a role is held: by assignments that count, by those that overlap, and by people whatever they do.

    What it gives to whom is shared between grants of the same condition.
    """

    counting: BitMap
    overlapping: BitMap
    named: BitMap
    for_each: Match | None
    _shared: dict[tuple[Match | None, bool], BitMap] = field(default_factory=dict)

    def people(self, columns: Columns) -> BitMap:
        """Whoever holds the role; of a `for_each`, whoever has some value."""
        return self.given(self.for_each, columns, overlap=True) | self.named

    def given(self, when: Match | None, columns: Columns, *, overlap: bool) -> BitMap:
        """Whom a grant with this condition is given to, with `overlap` also by what a transfer ended."""
        key = (when, overlap and bool(self.overlapping))
        if key not in self._shared:
            self._shared[key] = self._given(when, columns, overlap=key[1])
        return self._shared[key]

    def _given(self, when: Match | None, columns: Columns, *, overlap: bool) -> BitMap:
        assignments = self.counting | self.overlapping if overlap else self.counting
        if when is not None:
            return columns.people_of(assignments & columns.truth(when).true)
        people = columns.people_of(assignments)
        return people | self.named if self.named else people


def _held(role: Role, population: Population, columns: Columns) -> _Held:
    counting, overlapping = BitMap(), BitMap()
    if role.matches_people:
        counting, overlapping = columns.counting, columns.overlapping
        if role.match is not None:
            true = columns.truth(role.match).true
            counting, overlapping = counting & true, overlapping & true
    return _Held(counting, overlapping, _named(role, population, columns), _some_value(role))


def _named(role: Role, population: Population, columns: Columns) -> BitMap:
    if role.everyone:
        return columns.placed
    at, zone = columns.at, columns.zone
    live = (member.person for member in role.members if days_cover(at, member.since, member.until, zone))
    return numbers_of(live, population) & columns.placed


def _some_value(role: Role) -> Match | None:
    if not role.for_each:
        return None
    return AllOf(tuple(Compare(each.attribute, Present(), None, each.place) for each in role.for_each))


def _by_roles(policy: Policy, columns: Columns, holding: Iterable[tuple[Gifts, _Held]]) -> Iterator[GivenBy]:
    overlap = policy.lifecycle.transfer
    ceiling = NOTHING if overlap is None else overlap.ceiling
    for gifts, held in holding:
        if not (held.counting or held.overlapping or held.named):
            continue
        for grant, chain in gifts.grants.through(columns):
            stays = policy.effective_class(grant.permission) <= ceiling
            yield GivenBy(grant, chain, None, held.given(grant.when, columns, overlap=stays))


# --- exceptions -----------------------------------------------------------------------------------------------------


def _by_exceptions(policy: Policy, population: Population, columns: Columns) -> Iterator[GivenBy]:
    for exception in policy.exceptions:
        if days_cover(columns.at, exception.since, exception.until, columns.zone):
            people = numbers_of([exception.person], population)
            for grant in exception.grants:
                yield GivenBy(grant, (), exception, people)
