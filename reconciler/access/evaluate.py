"""The rule, for everybody at once: policy × population × moment → desired access.

A person may do what a role or a live exception gives, as far as their clearance reaches, their lifecycle state admits
and no lockout, lapsed sponsor or separation rule withholds it. There is no other path. No reasons are carried along
but the clauses (`Desired.given_by`): `explain` recomputes them for whoever is asked about.

Of a population that is part of everybody the answer is the same for its people, provided that whoever answers for
them is in it too (`sponsorship.people_needed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.columns import Columns, union
from reconciler.access.days import days_cover
from reconciler.access.gates import Gates, gates_at
from reconciler.access.giving import Given, given_at
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
        members=_members(policy.entitlements, allowed),
        service_given=service_given,
        service_allowed=service_allowed,
        service_members=_service_members(policy.entitlements, service_allowed),
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
    allowed = {permission: people & gates.opened(permission) for permission, people in given.people.items()}
    return {**allowed, **{permission: allowed[permission] - people for permission, people in separated.items()}}


def _members(
    entitlements: Mapping[EntitlementRef, Entitlement], allowed: Mapping[Permission, BitMap]
) -> dict[EntitlementRef, BitMap]:
    return {
        ref: allowed[entitlement.permissions[0]]
        if len(entitlement.permissions) == 1
        else union(allowed[permission] for permission in entitlement.permissions)
        for ref, entitlement in entitlements.items()
    }


def _barred(policy: Policy, columns: Columns) -> dict[Invariant, BitMap]:
    return {
        invariant: columns.people if invariant.match is None else columns.perhaps(invariant.match)
        for invariant in policy.invariants
        if invariant.kind is InvariantKind.NEVER
    }


# --- service accounts -----------------------------------------------------------------------------------------------


def _service_given(policy: Policy, at: datetime, zone: ZoneInfo) -> dict[Permission, frozenset[str]]:
    holders: dict[Permission, set[str]] = {permission: set() for permission in policy.permissions()}
    for account in policy.service_accounts.values():
        if days_cover(at, None, account.until, zone):
            for grant in account.grants:
                if days_cover(at, None, policy.resources[grant.permission.resource].until, zone):
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
