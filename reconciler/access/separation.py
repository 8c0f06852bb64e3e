"""Evaluation: all people who come into conflict with a separation rule, as bitmaps, and what that takes from them.

`conflicts` tells the same of one person, with the words for it. It compares what is given, before any denial. Between
roles it withholds what the conflicting roles give (by whatever route it comes), with what they inherit; between lists
of permissions everything that these hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyroaring import BitMap

from reconciler.access.columns import in_two, union
from reconciler.access.giving import Given
from reconciler.access.model import Conflict
from reconciler.policy.model import Permission, Policy, Role, Separation

_NOBODY = BitMap()


def conflicts_of(policy: Policy, given: Given) -> tuple[Conflict, ...]:
    """The rules that somebody comes into conflict with, in the policy's order, each with all of those people."""
    holders = _holders(policy.roles, given) if any(rule.roles for rule in policy.separations) else {}
    found = (Conflict(rule, _conflicting(rule, given, holders)) for rule in policy.separations)
    return tuple(conflict for conflict in found if conflict.people)


def separated_by(conflicts: tuple[Conflict, ...], given: Given) -> dict[Permission, BitMap]:
    """Permission → those from whom a rule that withholds takes it."""
    taken: dict[Permission, list[BitMap]] = {}
    for conflict in conflicts:
        if conflict.separation.withhold:
            for permission, people in _touched(conflict.separation, given):
                taken.setdefault(permission, []).append(people & conflict.people)
    return {permission: union(people) for permission, people in taken.items()}


def _conflicting(rule: Separation, given: Given, holders: Mapping[str, BitMap]) -> BitMap:
    if rule.roles:
        return in_two(holders.get(name, BitMap()) for name in dict.fromkeys(rule.roles))
    return in_two(union(given.people[permission] for permission in listed) for listed in rule.between)


def _touched(rule: Separation, given: Given) -> Iterator[tuple[Permission, BitMap]]:
    """What the rule speaks about, each with those who are given it (by one of the roles, where it names roles)."""
    if not rule.roles:
        for permission in frozenset[Permission]().union(*rule.between):
            yield permission, given.people[permission]
        return
    roles = frozenset(rule.roles)
    for permission, clauses in given.by.items():
        for clause in clauses:
            if not roles.isdisjoint(clause.roles):
                yield permission, clause.people


def _holders(roles: Mapping[str, Role], given: Given) -> dict[str, BitMap]:
    """Role → whoever holds it, or one that inherits it."""
    holding: dict[str, list[BitMap]] = {}
    for role in roles.values():
        for name in lineage([role.name], roles):
            holding.setdefault(name, []).append(given.holders.get(role.name, _NOBODY))
    return {name: union(people) for name, people in holding.items()}


def lineage(names: Iterable[str], roles: Mapping[str, Role]) -> frozenset[str]:
    """These roles and all that they inherit, near and far: whoever holds them holds those too."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(roles[name].inherits)
    return frozenset(found)
