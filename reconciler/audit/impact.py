"""Who gains and loses what if one policy takes the place of another: both evaluated on the same people, at one moment.

Pure: policies and population come in as values. Everything is set algebra on bitmaps per permission and entitlement;
reasons are worked out only for those who gain or lose, and only as far as denials are concerned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyroaring import BitMap

from reconciler.access import Explainer, evaluate
from reconciler.access.model import Breach, Desired, GivenBy
from reconciler.access.violations import violations
from reconciler.audit.clauses import Clause, Sides
from reconciler.audit.meaning import DECIDING, differences
from reconciler.facts.model import Population
from reconciler.policy.model import EntitlementRef, Permission, Policy

MOST_EXPLAINED = 50_000
"""Denials are looked into for this many (person, permission), highest class first; beyond, they are counted under a
clause of their own.
"""
UNTOLD = "clearance, lifecycle, lockouts or separation have changed; too many to look into one by one"
NOTHING = BitMap()


@dataclass(frozen=True, slots=True)
class Shift:
    """People who gain (or lose) one permission, all because of the same clauses. `people` are ids, in order."""

    permission: Permission
    classification: str
    rank: int
    gains: bool
    people: tuple[str, ...]
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many people have something before and after; None where that policy does not know it."""

    name: str
    classification: str
    rank: int
    before: int | None
    after: int | None
    gained: int
    lost: int

    @property
    def changed(self) -> bool:
        """Whether anybody gains or loses it, or it comes or goes."""
        return bool(self.gained or self.lost) or (self.before is None) != (self.after is None)


@dataclass(frozen=True, slots=True)
class Impact:
    """What the new policy changes for the people there are. `parts` are the sections that do not mean the same.

    `services` are texts about service accounts; `broken` and `mended` are invariants that the desired access of only
    one side breaks; `conflicts` is separation rule → people who come into conflict only under the new policy.
    """

    at: datetime
    people: int
    base: Policy
    head: Policy
    parts: tuple[str, ...]
    shifts: tuple[Shift, ...]
    permissions: tuple[Tally, ...]
    entitlements: tuple[Tally, ...]
    services: tuple[str, ...]
    broken: tuple[Breach, ...]
    mended: tuple[Breach, ...]
    conflicts: Mapping[str, tuple[str, ...]]

    @property
    def same_meaning(self) -> bool:
        """Whether both policies decide alike for anybody, whatever their facts, at any time."""
        return not DECIDING.intersection(self.parts)

    @property
    def changes_access(self) -> bool:
        """Whether somebody, or a service account, gains or loses anything, or a target's entitlement its members."""
        return bool(self.shifts or self.services) or any(one.gained or one.lost for one in self.entitlements)


def impact_of(base: Policy, head: Policy, population: Population, at: datetime) -> Impact:
    """What `head` in the place of `base` does to these people at the moment."""
    return _Comparison(base, head, population, at).impact()


class _Comparison:
    def __init__(self, base: Policy, head: Policy, population: Population, at: datetime) -> None:
        self._base, self._head = base, head
        self._population, self._at = population, at
        self._before = evaluate(base, population, at)
        self._after = evaluate(head, population, at)
        self._ids = {person.number: person.id for person in population.people}
        self._parts = differences(base, head)
        self._explainers: dict[bool, Explainer] = {}
        self._explained = 0

    def impact(self) -> Impact:
        before, after = self._before, self._after
        return Impact(
            at=self._at,
            people=len(self._ids),
            base=self._base,
            head=self._head,
            parts=self._parts,
            shifts=tuple(self._shifts()),
            permissions=tuple(self._permission_tallies()),
            entitlements=tuple(self._entitlement_tallies()),
            services=tuple(_services(before, after)),
            broken=_only_in(self._breaches(self._head, after), self._breaches(self._base, before)),
            mended=_only_in(self._breaches(self._base, before), self._breaches(self._head, after)),
            conflicts=self._conflicts(),
        )

    # --- who gains and loses ----------------------------------------------------------------------------------------

    def _shifts(self) -> Iterator[Shift]:
        """Highest class first; gains before losses, since they are what a reviewer has to answer for."""
        gained = Sides(self._head, self._base, gains=True)
        lost = Sides(self._base, self._head, gains=False)
        found: list[Shift] = []
        for permission in sorted(self._all_permissions(), key=lambda one: -self._rank(one)):
            found += self._one_way(permission, gained, self._after, self._before)
            found += self._one_way(permission, lost, self._before, self._after)
        yield from sorted(found, key=lambda one: (-one.rank, not one.gains, one.permission, -len(one.people)))

    def _one_way(self, permission: Permission, sides: Sides, here: Desired, there: Desired) -> Iterator[Shift]:
        moved = here.allowed.get(permission, NOTHING) - there.allowed.get(permission, NOTHING)
        if not moved:
            return
        groups: dict[tuple[Clause, ...], list[int]] = defaultdict(list)
        given_there = there.given.get(permission, NOTHING)
        self._by_giving(permission, sides, moved - given_there, here, groups)
        self._by_letting_through(permission, sides, moved & given_there, groups)
        policy = sides.new if _knows(sides.new, permission) else sides.here
        rank = policy.effective_class(permission)
        for clauses, numbers in groups.items():
            people = tuple(sorted(self._ids[number] for number in numbers))
            yield Shift(permission, policy.levels[rank].name, rank, sides.gains, people, clauses)

    def _by_giving(
        self,
        permission: Permission,
        sides: Sides,
        people: BitMap,
        here: Desired,
        groups: dict[tuple[Clause, ...], list[int]],
    ) -> None:
        """Groups people by what gives it to them on this side alone; what is the same on both sides is not it."""
        ways = here.given_by.get(permission, ())
        left = people
        for by in ways:
            mine = left & by.people
            if not mine:
                continue
            for clause, numbers in self._by_clause(permission, sides, by, mine):
                groups[(clause,)].extend(numbers)
                left = left - numbers
        for number in left:
            groups[(self._by_words(sides),)].append(number)

    def _by_clause(
        self, permission: Permission, sides: Sides, by: GivenBy, people: BitMap
    ) -> Iterator[tuple[Clause, BitMap]]:
        named = self._named(by, people)
        for number in named:
            clause = sides.giving(permission, by, self._ids[number])
            if clause is not None:
                yield clause, BitMap([number])
        rest = people - named
        if rest and (clause := sides.giving(permission, by, "")) is not None:
            yield clause, rest

    def _named(self, by: GivenBy, people: BitMap) -> BitMap:
        """Those of the people whom the clause names one by one."""
        names = {by.exception.person} if by.exception else set()
        for policy in (self._base, self._head):
            role = policy.roles.get(by.roles[0]) if by.roles else None
            names |= {member.person for member in role.members} if role else set()
        known = self._population.by_id
        return BitMap([known[name].number for name in names if name in known]) & people

    def _by_words(self, sides: Sides) -> Clause:
        parts = [part for part in self._parts if part != "grants"]
        return Clause(f"what has changed under {', '.join(parts) or 'the roles'}", None, gone=not sides.gains)

    def _by_letting_through(
        self, permission: Permission, sides: Sides, people: BitMap, groups: dict[tuple[Clause, ...], list[int]]
    ) -> None:
        """Groups people by what denies it on the other side alone."""
        if not people:
            return
        explainer = self._explainer(sides)
        for number in people:
            self._explained += 1
            if self._explained > MOST_EXPLAINED:
                groups[(self._untold,)].append(number)
                continue
            denials = explainer.denials(self._ids[number], permission)
            clauses = dict.fromkeys(sides.letting_through(permission, denial) for denial in denials)
            groups[tuple(clauses) or (self._untold,)].append(number)

    @property
    def _untold(self) -> Clause:
        """For those whom nobody looked into: at least where to look."""
        parts = [part for part in self._parts if part in DECIDING and part != "grants"]
        return Clause(f"{UNTOLD} (changed: {', '.join(parts)})" if parts else UNTOLD, None)

    def _explainer(self, sides: Sides) -> Explainer:
        """Answers for the side that denies; what it learns of people serves all permissions."""
        if sides.gains not in self._explainers:
            self._explainers[sides.gains] = Explainer(sides.there, self._population, self._at)
        return self._explainers[sides.gains]

    # --- counts -----------------------------------------------------------------------------------------------------

    def _all_permissions(self) -> list[Permission]:
        return list(dict.fromkeys([*self._head.permissions(), *self._base.permissions()]))

    def _rank(self, permission: Permission) -> int:
        return (self._head if _knows(self._head, permission) else self._base).effective_class(permission)

    def _permission_tallies(self) -> Iterator[Tally]:
        for permission in sorted(self._all_permissions()):
            policy = self._head if _knows(self._head, permission) else self._base
            rank = policy.effective_class(permission)
            before, after = self._before.allowed.get(permission), self._after.allowed.get(permission)
            yield _tally(str(permission), policy.levels[rank].name, rank, before, after)

    def _entitlement_tallies(self) -> Iterator[Tally]:
        refs: set[EntitlementRef] = {*self._base.entitlements, *self._head.entitlements}
        for ref in sorted(refs):
            policy = self._head if ref in self._head.entitlements else self._base
            rank = policy.entitlements[ref].classification
            before, after = self._before.members.get(ref), self._after.members.get(ref)
            yield _tally(str(ref), policy.levels[rank].name, rank, before, after)

    # --- rules ------------------------------------------------------------------------------------------------------

    def _breaches(self, policy: Policy, desired: Desired) -> Sequence[Breach]:
        return violations(policy, self._population, desired)

    def _conflicts(self) -> dict[str, tuple[str, ...]]:
        before = {one.separation.name: one.people for one in self._before.conflicts}
        new = {
            one.separation.name: one.people - before.get(one.separation.name, NOTHING) for one in self._after.conflicts
        }
        return {name: tuple(sorted(self._ids[number] for number in people)) for name, people in new.items() if people}


def _knows(policy: Policy, permission: Permission) -> bool:
    resource = policy.resources.get(permission.resource)
    return resource is not None and permission.action in resource.actions


def _tally(name: str, classification: str, rank: int, before: BitMap | None, after: BitMap | None) -> Tally:
    was, now = before if before is not None else NOTHING, after if after is not None else NOTHING
    return Tally(
        name,
        classification,
        rank,
        None if before is None else len(before),
        None if after is None else len(after),
        len(now - was),
        len(was - now),
    )


def _services(before: Desired, after: Desired) -> Iterator[str]:
    for permission in sorted({*before.service_allowed, *after.service_allowed}):
        was = before.service_allowed.get(permission, frozenset())
        now = after.service_allowed.get(permission, frozenset())
        yield from (f"service account {name} gains {permission}" for name in sorted(now - was))
        yield from (f"service account {name} loses {permission}" for name in sorted(was - now))


def _only_in(these: Iterable[Breach], others: Iterable[Breach]) -> tuple[Breach, ...]:
    """Breaches that the others do not have: of the same rule, for the same permission, with the same people."""
    known = {_identity(one) for one in others}
    return tuple(one for one in these if _identity(one) not in known)


def _identity(breach: Breach) -> tuple[object, ...]:
    invariant = breach.invariant
    return invariant.kind, invariant.pattern, invariant.count, breach.permission, bytes(breach.people.serialize())
