"""What is let through: clearance, compartments and lifecycle at each class, lockouts, sponsors and separation.

Everything is a bitmap of people; a permission is tested at the highest class and with all compartments of the
entitlements that carry it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyroaring import BitMap

from reconciler.access.columns import Columns, union
from reconciler.access.days import day_start
from reconciler.access.giving import numbers_of
from reconciler.access.lifecycle import leave_reached, rule_ceiling, rules_of, unbounded
from reconciler.access.model import LifecycleState
from reconciler.access.sponsorship import lapsed_at
from reconciler.facts.model import Population
from reconciler.policy.model import NOTHING, Match, Permission, Policy, Requirement, StateRule


@dataclass(frozen=True, slots=True)
class Gates:
    """Whom each class, each compartment and each state lets through, and who is shut out."""

    policy: Policy
    cleared: Sequence[BitMap]
    admitted: Sequence[BitMap]
    compartments: Mapping[str, BitMap]
    shut: BitMap
    shut_from: Mapping[str, BitMap]
    """Resource → whoever is locked out of it alone."""
    suspended: BitMap
    _open: dict[tuple[int, frozenset[str]], BitMap] = field(default_factory=dict)

    def opened(self, permission: Permission) -> BitMap:
        """Whoever may have the permission, as far as it depends on them and not on what else they have."""
        policy = self.policy
        key = policy.effective_class(permission), policy.effective_compartments(permission)
        if key not in self._open:
            rank, compartments = key
            through = (self.cleared[rank] & self.admitted[rank]) - self.shut
            for name in compartments:
                through = through & self.compartments[name]
            self._open[key] = through
        shut = self.shut_from.get(permission.resource)
        return self._open[key] if shut is None else self._open[key] - shut


def gates_at(policy: Policy, population: Population, columns: Columns) -> Gates:
    """The gates at the columns' moment."""
    bounds = [bound for state in LifecycleState for bound in _bounds(policy, columns, state)]
    locked, locked_from = _lockouts(policy, population, columns)
    return Gates(
        policy=policy,
        cleared=tuple(_cleared(policy, columns)),
        admitted=tuple(
            columns.people - union(people for people, ceiling, _ in bounds if ceiling < level.rank)
            for level in policy.levels
        ),
        compartments={
            each.name: _meeting(each.requires, each.only, policy, columns) for each in policy.compartments.values()
        },
        shut=locked | lapsed_at(policy, population, columns),
        shut_from=locked_from,
        suspended=union(people for people, _, rule in bounds if rule is not None and rule.suspend),
    )


# --- clearance ------------------------------------------------------------------------------------------------------


def _cleared(policy: Policy, columns: Columns) -> Iterator[BitMap]:
    through = columns.people
    for level in policy.levels:
        through = through & _meeting(level.requires, level.only, policy, columns)
        yield through


def _meeting(requires: Iterable[Requirement], only: Match | None, policy: Policy, columns: Columns) -> BitMap:
    through = columns.people if only is None else columns.always(only)
    for requirement in requires:
        having = union(columns.evidence[proof] for proof in requirement.any_of)
        through = through & (having | _exempt(requirement, policy, columns))
    return through


def _exempt(requirement: Requirement, policy: Policy, columns: Columns) -> BitMap:
    """Those to whom no kind of the requirement applies; one that applies has to be proven, even if another does not."""
    exempt = columns.placed
    for proof in requirement.any_of:
        applies_to = policy.evidence[proof.kind].applies_to
        if applies_to is None:
            return BitMap()
        exempt = exempt & columns.never(applies_to)
    return exempt


# --- lifecycle ------------------------------------------------------------------------------------------------------

_Bound = tuple[BitMap, int, StateRule | None]
"""People, the ceiling that holds for (at least one assignment of) them, and the rule that says so."""


def _bounds(policy: Policy, columns: Columns, state: LifecycleState) -> Iterator[_Bound]:
    people = columns.states[state]
    rules = rules_of(policy, state)
    if not people or (not rules and unbounded(state) is None):
        return
    left = columns.assignments_of(people)
    unplaced = people - columns.placed
    for rule in rules:
        fits = left if rule.match is None else left & columns.truth(rule.match).possible
        left = left - fits
        ceiling = rule_ceiling(rule)
        if ceiling is not None:
            yield (columns.people_of(fits) | unplaced) & _begun(rule, columns, state), ceiling, rule
    if unbounded(state) is not None:
        yield columns.people_of(left) if rules else people, NOTHING, None


def _begun(rule: StateRule, columns: Columns, state: LifecycleState) -> BitMap:
    if state is not LifecycleState.LEAVE:
        return columns.people
    at, zone = columns.at, columns.zone
    return union(people for start, people in columns.leaves.items() if leave_reached(start, rule, at, zone))


# --- lockouts -------------------------------------------------------------------------------------------------------


def _lockouts(policy: Policy, population: Population, columns: Columns) -> tuple[BitMap, dict[str, BitMap]]:
    live = [lock for lock in policy.lockouts if lock.since is None or day_start(lock.since, columns.zone) <= columns.at]
    everywhere = numbers_of((lock.person for lock in live if lock.resources is None), population)
    narrowed: dict[str, list[str]] = {}
    for lock in live:
        for resource in lock.resources or ():
            narrowed.setdefault(resource, []).append(lock.person)
    return columns.locked | everywhere, {name: numbers_of(people, population) for name, people in narrowed.items()}
