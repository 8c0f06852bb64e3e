"""The rule, for everybody at once: policy × population × moment → desired access.

A person may do what a role or a live exception gives, as far as their clearance reaches, their lifecycle state admits
and no lockout, lapsed sponsor or separation rule withholds it. There is no other path. No reasons are carried along
but the clauses (`Desired.given_by`): `explain` recomputes them for whoever is asked about.

Of a population that is part of everybody the answer is the same for its people, provided that whoever answers for
them is in it too (`sponsorship.people_needed`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.columns import Columns, union
from reconciler.access.days import days_cover
from reconciler.access.gates import Gates, gates_at
from reconciler.access.giving import Given, given_at, permissions_of
from reconciler.access.model import Conflict, Desired
from reconciler.access.placement import columns_at
from reconciler.access.separation import conflicts_of, separated_by
from reconciler.access.unlisted import unlisted_at
from reconciler.facts.model import Population
from reconciler.policy.model import Entitlement, EntitlementRef, Invariant, InvariantKind, Permission, Policy


def evaluate(policy: Policy, population: Population, at: datetime) -> Desired:
    """Who should have what at the moment (an aware datetime).

    Every permission and entitlement of the policy has an entry.
    """
    columns = columns_at(policy, population, at)
    given = given_at(policy, population, columns)
    conflicts = conflicts_of(policy, given)
    gates = gates_at(policy, population, columns)
    allowed = _allowed(given, conflicts, gates)
    service_given = _service_given(policy, at, columns.zone)
    service_allowed = _service_allowed(policy, service_given)
    return Desired(
        at=at,
        given=given.people,
        allowed=allowed,
        members=_members(policy, allowed),
        service_given=service_given,
        service_allowed=service_allowed,
        service_members=_service_members(policy, service_allowed),
        states=columns.states,
        undeclared=columns.undeclared,
        unlisted=unlisted_at(policy, population, columns),
        given_by=given.by,
        conflicts=conflicts,
        suspended=gates.suspended,
        barred=_barred(policy, columns),
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


def _allowed(given: Given, conflicts: tuple[Conflict, ...], gates: Gates) -> dict[Permission, BitMap]:
    separated = separated_by(conflicts, given)
    some = {permission: people & gates.opened(permission) for permission, people in given.people.items() if people}
    some |= {permission: some[permission] - people for permission, people in separated.items() if permission in some}
    return {**dict.fromkeys(given.people, BitMap()), **some}


def _members(policy: Policy, allowed: Mapping[Permission, BitMap]) -> dict[EntitlementRef, BitMap]:
    some = {
        entitlement.ref: allowed[entitlement.permissions[0]]
        if len(entitlement.permissions) == 1
        else union(allowed[permission] for permission in entitlement.permissions)
        for entitlement in _carrying(policy, allowed)
    }
    return {**dict.fromkeys(policy.entitlements, BitMap()), **some}


def _carrying(policy: Policy, allowed: Mapping[Permission, object]) -> Collection[Entitlement]:
    """The entitlements that carry a permission which anybody is allowed, in the policy's order."""
    carriers = policy.once(_carriers)
    found = {index for permission, those in allowed.items() if those for index in carriers.get(permission, ())}
    every = policy.once(_entitlements)
    return [every[index] for index in sorted(found)]


def _entitlements(policy: Policy) -> Sequence[Entitlement]:
    return list(policy.entitlements.values())


def _carriers(policy: Policy) -> dict[Permission, list[int]]:
    """Permission → which of the entitlements carry it."""
    found: dict[Permission, list[int]] = {}
    for index, entitlement in enumerate(policy.entitlements.values()):
        for permission in entitlement.permissions:
            found.setdefault(permission, []).append(index)
    return found


def _barred(policy: Policy, columns: Columns) -> dict[Invariant, BitMap]:
    return {
        invariant: columns.people if invariant.match is None else columns.perhaps(invariant.match)
        for invariant in policy.invariants
        if invariant.kind is InvariantKind.NEVER
    }


# --- service accounts -----------------------------------------------------------------------------------------------


def _service_given(policy: Policy, at: datetime, zone: ZoneInfo) -> dict[Permission, frozenset[str]]:
    holders: dict[Permission, set[str]] = {}
    for account in policy.service_accounts.values():
        if days_cover(at, None, account.until, zone):
            for grant in account.grants:
                if days_cover(at, None, policy.resources[grant.permission.resource].until, zone):
                    holders.setdefault(grant.permission, set()).add(account.name)
    some = {permission: frozenset(names) for permission, names in holders.items()}
    return {**dict.fromkeys(policy.once(permissions_of), frozenset[str]()), **some}


def _service_allowed(policy: Policy, given: dict[Permission, frozenset[str]]) -> dict[Permission, frozenset[str]]:
    some = {
        permission: frozenset(
            name for name in names if policy.effective_class(permission) <= policy.service_accounts[name].ceiling
        )
        for permission, names in given.items()
        if names
    }
    return {**given, **some}


def _service_members(
    policy: Policy, allowed: Mapping[Permission, frozenset[str]]
) -> dict[EntitlementRef, frozenset[str]]:
    some = {
        entitlement.ref: frozenset[str]().union(*(allowed[permission] for permission in entitlement.permissions))
        for entitlement in _carrying(policy, allowed)
    }
    return {**dict.fromkeys(policy.entitlements, frozenset[str]()), **some}
