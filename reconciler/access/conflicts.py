"""Explanation: the separation rules that one person is in conflict with, by what they hold, and what those withhold.

`separation` finds everybody in conflict at once, in bitmaps and without words. What is compared is what is given,
before any denial. Roles: whoever holds two of them is in conflict (who holds a role that inherits another holds both),
and what the conflicting ones give is withheld by whatever route it comes. Lists of permissions: whoever is given
something out of two of them may have nothing of either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.access.holdings import Holding
from reconciler.access.model import Denial, DenialKind
from reconciler.access.separation import lineage
from reconciler.access.subject import Moment
from reconciler.policy.model import Grant, Permission, Policy, Role, Separation

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Carrier:
    """A role that makes its holder a holder of a separated role, and what it gives by way of that role."""

    role: Role
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class SeparatedRoles:
    """A separation of roles, with every role by which each of them can be held."""

    separation: Separation
    carriers: Mapping[str, Sequence[Carrier]]


@dataclass(frozen=True, slots=True)
class Separations:
    """The policy's separation rules that withhold, made ready for questions about single people."""

    roles: Sequence[SeparatedRoles]
    lists: Sequence[Separation]


def separations_of(policy: Policy) -> Separations:
    """The rules with `withhold`; the others only report."""
    withholding = [each for each in policy.separations if each.withhold]
    return Separations(
        roles=[SeparatedRoles(each, _carriers(each, policy)) for each in withholding if each.roles],
        lists=[each for each in withholding if not each.roles],
    )


def _carriers(separation: Separation, policy: Policy) -> dict[str, list[Carrier]]:
    carriers: dict[str, list[Carrier]] = {name: [] for name in separation.roles}
    for role in policy.roles.values():
        for name in lineage([role.name], policy.roles).intersection(carriers):
            by_it = tuple(grant for grant, chain in role.all_grants if name in chain)
            carriers[name].append(Carrier(role, by_it))
    return carriers


@dataclass(frozen=True, slots=True)
class ConflictAt:
    """A separation rule with which the person is in conflict: what it withholds from them, and the denial."""

    withheld: frozenset[Permission]
    denial: Denial


def conflicts_of(
    separations: Separations,
    moment: Moment,
    holdings: Callable[[Role], Sequence[Holding]],
    given: Callable[[Permission], bool],
) -> tuple[ConflictAt, ...]:
    """The conflicts of one person, told by how they hold a role and by what they are given."""
    by_role = (_between_roles(each, moment, holdings) for each in separations.roles)
    by_list = (_between_lists(each, given) for each in separations.lists)
    return tuple(conflict for found in (by_role, by_list) for conflict in found if conflict is not None)


def _between_roles(
    each: SeparatedRoles, moment: Moment, holdings: Callable[[Role], Sequence[Holding]]
) -> ConflictAt | None:
    found = {
        name: [(carrier, ways) for carrier in carriers if (ways := holdings(carrier.role))]
        for name, carriers in each.carriers.items()
    }
    held = {
        name: by for name, by in found.items() if any(way.is_whole(moment.policy) for _, ways in by for way in ways)
    }
    if len(held) < 2:
        return None
    withheld = frozenset(
        grant.permission
        for by in found.values()
        for carrier, ways in by
        for grant in carrier.grants
        if any(way.gives(grant, moment.policy.effective_class(grant.permission), moment) for way in ways)
    )
    words = " and ".join(f"{name} ({_held_by(name, by)})" for name, by in held.items())
    remedy = f"only one of the roles {', '.join(held)} may be held: end what brings the others"
    return ConflictAt(withheld, _denial(each.separation, f"holds {words}", remedy))


def _held_by(name: str, by: Sequence[tuple[Carrier, Sequence[Holding]]]) -> str:
    carrier, found = by[0]
    through = "" if carrier.role.name == name else f", through {carrier.role.name}"
    return f"{found[0].text}{through}"


def _between_lists(separation: Separation, given: Callable[[Permission], bool]) -> ConflictAt | None:
    hits = [(each, [permission for permission in sorted(each) if given(permission)]) for each in separation.between]
    touched = [(each, had) for each, had in hits if had]
    if len(touched) < 2:
        return None
    words = " and ".join(_listed(had) for _, had in touched)
    withheld = frozenset[Permission]().union(*(each for each, _ in touched))
    remedy = "only one side may be given: end the roles or exceptions that bring the others"
    return ConflictAt(withheld, _denial(separation, f"is given {words}", remedy))


def _listed(permissions: Sequence[Permission]) -> str:
    shown = ", ".join(map(str, permissions[:_MOST_NAMED]))
    rest = len(permissions) - _MOST_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown


def _denial(separation: Separation, what: str, remedy: str) -> Denial:
    return Denial(
        kind=DenialKind.SEPARATION,
        what=separation.name,
        text=f"separation {separation.name}: {what}",
        remedy=remedy,
        place=separation.place,
    )


def denials_for(permission: Permission, conflicts: Iterable[ConflictAt]) -> list[Denial]:
    """The denials of the conflicts that withhold the permission."""
    return [conflict.denial for conflict in conflicts if permission in conflict.withheld]
