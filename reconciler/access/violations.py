"""Which invariants an end state would break: the desired one, or any that a plan would lead to.

Each of an invariant's permissions is checked by itself. `never` concerns people of whom its match is true or unknown
for some assignment that counts; evaluation finds them (`Desired.barred`), so that nobody has to be read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyroaring import BitMap

from reconciler.access.model import Breach, Desired
from reconciler.facts.model import Population
from reconciler.policy.model import Invariant, InvariantKind, Permission, Policy

_MOST_NAMED = 5


def violations(policy: Policy, population: Population, desired: Desired) -> tuple[Breach, ...]:
    """The invariants that the desired end state breaks. `desired` has to be of the whole population."""
    return breaches(policy, population, desired, desired.allowed)


def breaches(
    policy: Policy, population: Population, desired: Desired, holders: Mapping[Permission, BitMap]
) -> tuple[Breach, ...]:
    """The invariants that an end state breaks in which these people hold these permissions, in the policy's order.

    A permission that `holders` does not name is not asked about (a target may know nothing of it).
    """
    found = [
        (invariant, permission, people)
        for invariant in policy.invariants
        for permission, people in _breaking(invariant, holders, desired)
    ]
    barred = (people for invariant, _, people in found if invariant.kind is InvariantKind.NEVER)
    names = _names(BitMap.union(BitMap(), *(people[:_MOST_NAMED] for people in barred)), population)
    return tuple(
        Breach(invariant, permission, people, len(people), _text(invariant, permission, people, names), invariant.place)
        for invariant, permission, people in found
    )


def _breaking(
    invariant: Invariant, holders: Mapping[Permission, BitMap], desired: Desired
) -> Iterator[tuple[Permission, BitMap]]:
    """The permissions for which the invariant does not hold, with those who break it (all who have it, if counted)."""
    # A `never` of which nobody worked out whom it concerns (`desired` is of another policy) concerns everybody.
    barred = desired.barred.get(invariant) if invariant.kind is InvariantKind.NEVER else None
    for permission in invariant.permissions:
        if permission in holders:
            people = holders[permission]
            against = people & barred if barred is not None else people
            if _is_broken(invariant, len(against)):
                yield permission, against


def _is_broken(invariant: Invariant, count: int) -> bool:
    match invariant.kind:
        case InvariantKind.NEVER:
            return count > 0
        case InvariantKind.AT_LEAST:
            return count < invariant.count
        case InvariantKind.AT_MOST:
            return count > invariant.count


def _text(invariant: Invariant, permission: Permission, people: BitMap, names: Mapping[int, str]) -> str:
    match invariant.kind:
        case InvariantKind.NEVER:
            return f"{_named(people, names)} would have {permission}, which `never` forbids them"
        case InvariantKind.AT_LEAST:
            return f"{_counted(people)} would have {permission}, and it has to be at least {invariant.count}"
        case InvariantKind.AT_MOST:
            return f"{_counted(people)} would have {permission}, and it may be at most {invariant.count}"


def _names(people: BitMap, population: Population) -> dict[int, str]:
    return {each.number: each.id for each in population.people if each.number in people} if people else {}


def _counted(people: BitMap) -> str:
    return {0: "nobody", 1: "1 person"}.get(len(people), f"{len(people)} people")


def _named(people: BitMap, names: Mapping[int, str]) -> str:
    shown = ", ".join(sorted(names.get(number, f"person {number}") for number in people[:_MOST_NAMED]))
    return shown if len(people) <= _MOST_NAMED else f"{shown} and {len(people) - _MOST_NAMED} more"
