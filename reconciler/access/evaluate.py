"""The rule, for everybody at once: policy × population × moment → desired access.

A person may do what a role or a live exception gives, as far as their clearance reaches, their lifecycle state admits
and no lockout withholds. There is no other path. No reasons are carried along: `explain` recomputes them for whoever
is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.columns import Columns, columns_at, union
from reconciler.access.days import day_start, days_cover
from reconciler.access.lifecycle import state_ceiling
from reconciler.access.model import Desired
from reconciler.facts.model import Population
from reconciler.policy.model import (
    ClearanceLevel,
    Entitlement,
    EntitlementRef,
    Permission,
    Policy,
    Requirement,
    Role,
)


def evaluate(policy: Policy, population: Population, at: datetime) -> Desired:
    """Who should have what at the moment (an aware datetime).

    Every permission and entitlement of the policy has an entry.
    """
    zone = ZoneInfo(population.timezone)
    columns = columns_at(policy, population, at)
    given = _given(policy, population, columns, at, zone)
    gates = _gates(policy, population, columns, at, zone)
    allowed = {permission: people & gates.opened(policy, permission) for permission, people in given.items()}
    service_given = _service_given(policy, at, zone)
    service_allowed = _service_allowed(policy, service_given)
    return Desired(
        at=at,
        given=given,
        allowed=allowed,
        members={
            ref: union(allowed[permission] for permission in entitlement.permissions)
            for ref, entitlement in policy.entitlements.items()
        },
        service_given=service_given,
        service_allowed=service_allowed,
        service_members=_service_members(policy.entitlements, service_allowed),
        states=columns.states,
        undeclared=columns.undeclared,
    )


def withheld(population: Population, desired: Desired) -> list[tuple[str, Permission]]:
    """Who is given what without being allowed it: (person id or service account, permission), for `explain_many`."""
    ids = {person.number: person.id for person in population.people}
    people = [
        (ids[number], permission)
        for permission, given in desired.given.items()
        for number in given - desired.allowed[permission]
    ]
    services = [
        (name, permission)
        for permission, names in desired.service_given.items()
        for name in sorted(names - desired.service_allowed[permission])
    ]
    return people + services


# --- what is given --------------------------------------------------------------------------------------------------


def _given(
    policy: Policy, population: Population, columns: Columns, at: datetime, zone: ZoneInfo
) -> dict[Permission, BitMap]:
    ways: dict[Permission, list[BitMap]] = {permission: [] for permission in policy.permissions()}
    for role in policy.roles.values():
        holders = _holders(role, population, columns, at, zone)
        for permission in {grant.permission for grant, _ in role.all_grants}:
            ways[permission].append(holders)
    for exception in policy.exceptions:
        if days_cover(at, exception.since, exception.until, zone):
            for grant in exception.grants:
                ways[grant.permission].append(_numbers([exception.person], population))
    return {permission: union(people) for permission, people in ways.items()}


def _holders(role: Role, population: Population, columns: Columns, at: datetime, zone: ZoneInfo) -> BitMap:
    if role.everyone:
        return columns.placed
    named = (member.person for member in role.members if days_cover(at, member.since, member.until, zone))
    holders = _numbers(named, population) & columns.placed
    return holders if role.match is None else holders | columns.holding(role.match)


def _numbers(ids: Iterable[str], population: Population) -> BitMap:
    return BitMap([population.by_id[id_].number for id_ in ids if id_ in population.by_id])


# --- what is let through --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Gates:
    """Whom clearance and lifecycle let through at each class, and whom lockouts do not."""

    cleared: Sequence[BitMap]
    admitted: Sequence[BitMap]
    locked: BitMap
    locked_from: Mapping[str, BitMap]

    def opened(self, policy: Policy, permission: Permission) -> BitMap:
        rank = policy.effective_class(permission)
        through = (self.cleared[rank] & self.admitted[rank]) - self.locked
        locked = self.locked_from.get(permission.resource)
        return through if locked is None else through - locked


def _gates(policy: Policy, population: Population, columns: Columns, at: datetime, zone: ZoneInfo) -> _Gates:
    locked, locked_from = _lockouts(policy, population, columns, at, zone)
    return _Gates(
        cleared=tuple(_cleared(policy, columns)),
        admitted=tuple(_admitted(policy, columns, level.rank) for level in policy.levels),
        locked=locked,
        locked_from=locked_from,
    )


def _cleared(policy: Policy, columns: Columns) -> Iterator[BitMap]:
    through = columns.people
    for level in policy.levels:
        through = through & _meeting(level, policy, columns)
        yield through


def _meeting(level: ClearanceLevel, policy: Policy, columns: Columns) -> BitMap:
    through = columns.people if level.only is None else columns.always(level.only)
    for requirement in level.requires:
        proven = union(columns.evidence[proof.kind] for proof in requirement.any_of)
        through = through & (proven | _exempt(requirement, policy, columns))
    return through


def _exempt(requirement: Requirement, policy: Policy, columns: Columns) -> BitMap:
    """Those to whom no kind of the requirement applies; one that applies has to be proven, even if another does not."""
    exempt = columns.placed
    for proof in requirement.any_of:
        scope = policy.evidence[proof.kind].applies_to
        if scope is None:
            return BitMap()
        exempt = exempt & columns.never(scope)
    return exempt


def _admitted(policy: Policy, columns: Columns, rank: int) -> BitMap:
    bounds = ((people, state_ceiling(policy.lifecycle, state)) for state, people in columns.states.items())
    return columns.people - union(people for people, bound in bounds if bound is not None and bound < rank)


def _lockouts(
    policy: Policy, population: Population, columns: Columns, at: datetime, zone: ZoneInfo
) -> tuple[BitMap, dict[str, BitMap]]:
    live = [lock for lock in policy.lockouts if lock.since is None or day_start(lock.since, zone) <= at]
    everywhere = _numbers((lock.person for lock in live if lock.resources is None), population)
    narrowed: dict[str, list[str]] = {}
    for lock in live:
        for resource in lock.resources or ():
            narrowed.setdefault(resource, []).append(lock.person)
    return columns.locked | everywhere, {name: _numbers(people, population) for name, people in narrowed.items()}


# --- service accounts -----------------------------------------------------------------------------------------------


def _service_given(policy: Policy, at: datetime, zone: ZoneInfo) -> dict[Permission, frozenset[str]]:
    holders: dict[Permission, set[str]] = {permission: set() for permission in policy.permissions()}
    for account in policy.service_accounts.values():
        if days_cover(at, None, account.until, zone):
            for grant in account.grants:
                holders[grant.permission].add(account.name)
    return {permission: frozenset(names) for permission, names in holders.items()}


def _service_allowed(policy: Policy, given: Mapping[Permission, frozenset[str]]) -> dict[Permission, frozenset[str]]:
    return {
        permission: frozenset(
            name for name in names if policy.effective_class(permission) <= policy.service_accounts[name].ceiling
        )
        for permission, names in given.items()
    }


def _service_members(
    entitlements: Mapping[EntitlementRef, Entitlement], allowed: Mapping[Permission, frozenset[str]]
) -> dict[EntitlementRef, frozenset[str]]:
    return {
        ref: frozenset[str]().union(*(allowed[permission] for permission in entitlement.permissions))
        for ref, entitlement in entitlements.items()
    }
