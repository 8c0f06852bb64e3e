"""Who is asked about and for what: a person or a permission found by its name, and one person at a moment.

A name that nothing has is answered with what exists and what is nearest to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo

from reconciler.access.days import add_period
from reconciler.access.evidence import KindAt, by_kind, kinds_at
from reconciler.access.lifecycle import Horizon, employed_since, horizon_of, stand_at
from reconciler.access.model import LifecycleState
from reconciler.access.readings import MatchReader
from reconciler.errors import ReconcilerError
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population
from reconciler.policy.model import AccessException, Lockout, Member, Permission, Policy, Role

_MOST_SHOWN = 5


class UnknownPerson(ReconcilerError):
    """Nobody is known by this id, and no service account has this name."""

    code = "unknown-person"


class UnknownPermission(ReconcilerError):
    """The policy declares no such resource, or no such action on it."""

    code = "unknown-permission"


@dataclass(frozen=True, slots=True)
class PersonAt:
    """One person at a moment.

    `assignments` are those that count; `overlapping` those that a transfer ended and that still give. `evidence` is by
    kind; `rehired` is their latest rehire.
    """

    person: Person
    states: tuple[LifecycleState, ...]
    assignments: tuple[Assignment, ...]
    evidence: Mapping[str, Sequence[EvidenceRecord]]
    rehired: datetime | None
    overlapping: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """The clauses that name people, by the person: found at once, however many there are."""

    members: Mapping[str, Sequence[tuple[Role, Member]]]
    exceptions: Mapping[str, Sequence[AccessException]]
    lockouts: Mapping[str, Sequence[Lockout]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A policy and a population at a moment, with what every question about single people needs worked out once."""

    policy: Policy
    population: Population
    at: datetime
    zone: ZoneInfo
    horizon: Horizon
    kinds: Mapping[str, KindAt]
    named: Named
    reads: MatchReader
    """Whether a match holds for an assignment with these values, in three values."""

    def person(self, id_: str) -> PersonAt:
        """The person at the moment. Raises `UnknownPerson`."""
        return self.standing(find_person(self.population, id_))

    def standing(self, person: Person) -> PersonAt:
        """A person as they are known, or as they are supposed to be, at the moment."""
        stand = stand_at(person, self.at, self.horizon)
        return PersonAt(
            person=person,
            states=stand.states,
            assignments=stand.assignments,
            evidence=by_kind(self.population.evidence.get(person.id, ())),
            rehired=employed_since(person, self.at),
            overlapping=stand.overlapping,
        )

    def overlap_end(self, ended: Assignment) -> datetime:
        """When an overlapping assignment stops giving."""
        transfer, end = self.policy.lifecycle.transfer, ended.span.end
        if transfer is None or end is None:
            raise ValueError(f"assignment {ended.name} does not overlap")
        return add_period(end, transfer.lasts, self.zone)


def moment_of(policy: Policy, population: Population, at: datetime, named: Named | None = None) -> Moment:
    """The moment, in the workspace's timezone; `named` is `named_in(policy)`, where somebody has that already."""
    zone = ZoneInfo(population.timezone)
    return Moment(
        policy=policy,
        population=population,
        at=at,
        zone=zone,
        horizon=horizon_of(policy, at, zone),
        kinds=kinds_at(policy.evidence, at, zone),
        named=named or policy.once(named_in),
        reads=MatchReader(policy.attributes),
    )


def named_in(policy: Policy) -> Named:
    """Whom the policy names, and where."""
    members: dict[str, list[tuple[Role, Member]]] = {}
    exceptions: dict[str, list[AccessException]] = {}
    lockouts: dict[str, list[Lockout]] = {}
    for role in policy.roles.values():
        for member in role.members:
            members.setdefault(member.person, []).append((role, member))
    for exception in policy.exceptions:
        exceptions.setdefault(exception.person, []).append(exception)
    for lockout in policy.lockouts:
        lockouts.setdefault(lockout.person, []).append(lockout)
    return Named(members, exceptions, lockouts)


def find_person(population: Population, id_: str) -> Person:
    """The person of this id. Raises `UnknownPerson` with those that may have been meant."""
    found = population.by_id.get(id_)
    if found is None:
        raise UnknownPerson(f"nobody is known by the id {id_!r}", remedy=_who_was_meant(population, id_))
    return found


def check_permission(policy: Policy, permission: Permission) -> None:
    """Raises `UnknownPermission`, with what exists, where the policy does not declare the permission."""
    resource = policy.resources.get(permission.resource)
    if resource is None:
        message = f"the policy has no resource {permission.resource!r} (asked for {permission})"
        raise UnknownPermission(message, remedy=_one_of("resources", permission.resource, policy.resources))
    if permission.action not in resource.actions:
        message = f"resource {resource.name} has no action {permission.action!r} (asked for {permission})"
        raise UnknownPermission(
            message, place=resource.place, remedy=_one_of("actions", permission.action, resource.actions)
        )


def _who_was_meant(population: Population, asked: str) -> str:
    wanted = asked.strip().casefold()
    called = [p for p in population if wanted and wanted in (p.id.casefold(), p.name.casefold(), p.email.casefold())]
    if called:
        people = ", ".join(f"{person.id} ({person.name})" for person in called[:_MOST_SHOWN])
        return f"ask by the stable id; this may be {people}"
    near = [person.id for person in population if abs(len(person.id) - len(asked)) <= 1]
    return _one_of("people", asked, near, count=len(population.people))


def _one_of(what: str, asked: str, existing: Iterable[str], count: int | None = None) -> str:
    names = list(existing)
    total = len(names) if count is None else count
    near = get_close_matches(asked, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if total <= _MOST_SHOWN and total == len(names):
        return f"the {what} are: {', '.join(names) or 'none'}"
    return f"there are {total} {what}; none is spelled like that"
