"""One person at a moment, with everything that several permissions ask about worked out once.

What stands between a person and a permission depends, but for lockouts from single resources and separation rules,
only on the permission's class and compartments: one `Gate` serves all permissions of the same class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.clearance import Check, check, reached
from reconciler.access.conflicts import ConflictAt, Separations, conflicts_of, denials_for, separations_of
from reconciler.access.days import day_end
from reconciler.access.denials import lifecycle_denials, lockouts_from, lockouts_from_all, sponsor_denials
from reconciler.access.holdings import Holding, exception_reasons, holdings, role_reason
from reconciler.access.model import Denial, End, Proven, Reason, ReasonKind
from reconciler.access.outlook import announced, only_ends, proof_ends, proven_end
from reconciler.access.subject import Moment, PersonAt, check_permission
from reconciler.access.ways import Clause
from reconciler.policy.model import Permission, Policy, Resource, Role

_STRENGTH = {
    kind: strength
    for strength, kind in enumerate(
        (
            ReasonKind.ROLE,
            ReasonKind.EVERYONE,
            ReasonKind.MEMBER,
            ReasonKind.OVERLAP,
            ReasonKind.EXCEPTION,
            ReasonKind.SERVICE_ACCOUNT,
        )
    )
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A permission as a question meets it: what clearance is tested at, and which clauses give it.

    `until` is when its resource ends, None where it does not.
    """

    permission: Permission
    resource: Resource
    rank: int
    classification: str
    compartments: tuple[str, ...]
    until: datetime | None
    clauses: Sequence[Clause]

    def has_ended(self, at: datetime) -> bool:
        """Whether the resource gives nothing any more."""
        return self.until is not None and self.until <= at


class Book:
    """What a policy says, arranged for questions about single permissions; the same at every moment."""

    def __init__(self, moment: Moment) -> None:
        self.policy: Policy = moment.policy
        self._zone = moment.zone
        self._asked: dict[Permission, Asked] = {}
        self._clauses = _clauses(moment.policy)
        self.separations: Separations = separations_of(moment.policy)
        self.is_separating = bool(self.separations.roles or self.separations.lists)

    def asked(self, permission: Permission) -> Asked:
        """The permission. Raises `UnknownPermission`."""
        found = self._asked.get(permission)
        return found if found is not None else self._asked.setdefault(permission, self._look_up(permission))

    def _look_up(self, permission: Permission) -> Asked:
        check_permission(self.policy, permission)
        resource = self.policy.resources[permission.resource]
        rank = self.policy.effective_class(permission)
        return Asked(
            permission=permission,
            resource=resource,
            rank=rank,
            classification=self.policy.levels[rank].name,
            compartments=tuple(sorted(self.policy.effective_compartments(permission))),
            until=None if resource.until is None else day_end(resource.until, self._zone),
            clauses=self._clauses.get(permission, ()),
        )


def _clauses(policy: Policy) -> dict[Permission, list[Clause]]:
    clauses: dict[Permission, list[Clause]] = {}
    for role in policy.roles.values():
        for grant, chain in role.all_grants:
            clauses.setdefault(grant.permission, []).append((role, grant, chain))
    return clauses


@dataclass(frozen=True, slots=True)
class Gate:
    """What stands between a person and everything of one class and its compartments, and what carries them through.

    `ends` are those of the proofs, `until` the first of them.
    """

    shut: tuple[Denial, ...]
    lifecycle: tuple[Denial, ...]
    evidence: tuple[Denial, ...]
    denials: tuple[Denial, ...]
    proven: tuple[Proven, ...]
    ends: tuple[End, ...]
    until: datetime | None


class Dossier:
    """One person at the moment; fills as it is asked."""

    __slots__ = (
        "_announced", "_book", "_checks", "_clearance", "_compartments", "_conflicts", "_gates", "_holdings", "_moment",
        "_only_ends", "_sponsors", "who",
    )  # fmt: skip

    def __init__(self, book: Book, moment: Moment, who: PersonAt) -> None:
        self.who = who
        self._book = book
        self._moment = moment
        self._holdings: dict[str, tuple[Holding, ...]] = {}
        self._checks: list[Check] = []
        self._compartments: dict[str, Check] = {}
        self._gates: dict[tuple[int, tuple[str, ...]], Gate] = {}
        self._conflicts: tuple[ConflictAt, ...] | None = None
        self._clearance: str | None = None
        self._sponsors: tuple[Denial, ...] | None = None
        self._announced: list[End] | None = None
        self._only_ends: bool | None = None

    @property
    def clearance(self) -> str:
        """The highest level reached."""
        if self._clearance is None:
            policy = self._moment.policy
            self._clearance = reached(policy, (self._level(level.rank) for level in policy.levels))
        return self._clearance

    @property
    def only_ends(self) -> bool:
        """Whether nothing is known to begin for the person after the moment."""
        if self._only_ends is None:
            self._only_ends = only_ends(self._moment, self.who)
        return self._only_ends

    @property
    def announced(self) -> list[End]:
        """The states and lockouts that are known to begin after the moment."""
        if self._announced is None:
            self._announced = [] if self.only_ends else announced(self._moment, self.who)
        return self._announced

    # --- what is given ----------------------------------------------------------------------------------------------

    def held(self, role: Role) -> tuple[Holding, ...]:
        """All ways in which the person holds the role."""
        found = self._holdings.get(role.name)
        if found is None:
            found = self._holdings[role.name] = holdings(role, self._moment, self.who)
        return found

    def reasons(self, asked: Asked) -> tuple[Reason, ...]:
        """Everything that gives the permission, strongest first."""
        moment = self._moment
        if asked.has_ended(moment.at):
            return ()
        found = [
            role_reason(holding, grant, chain, moment)
            for role, grant, chain in asked.clauses
            for holding in self.held(role)
            if holding.gives(grant, asked.rank, moment)
        ]
        if self.who.person.id in moment.named.exceptions:
            found += exception_reasons(asked.permission, moment, self.who)
        if len(found) > 1:
            found.sort(key=lambda reason: _STRENGTH[reason.kind])
        return tuple(found)

    def is_given(self, permission: Permission) -> bool:
        """Whether anything gives the permission, before any denial."""
        asked, moment = self._book.asked(permission), self._moment
        if asked.has_ended(moment.at):
            return False
        if any(
            holding.gives(grant, asked.rank, moment) for role, grant, _ in asked.clauses for holding in self.held(role)
        ):
            return True
        return next(exception_reasons(permission, moment, self.who), None) is not None

    def all_given(self) -> Iterator[Permission]:
        """Every permission that anything gives; one given several times may come several times."""
        moment = self._moment
        for role in moment.policy.roles.values():
            ways = self.held(role)
            for grant, _ in role.all_grants if ways else ():
                asked = self._book.asked(grant.permission)
                if not asked.has_ended(moment.at) and any(way.gives(grant, asked.rank, moment) for way in ways):
                    yield grant.permission
        for exception in moment.named.exceptions.get(self.who.person.id, ()):
            for grant in exception.grants:
                if self.is_given(grant.permission):
                    yield grant.permission

    def roles_held(self) -> frozenset[str]:
        """The roles that the person holds, with those that these inherit."""
        roles, found = self._moment.policy.roles, set[str]()
        waiting = [name for name, role in roles.items() if self.held(role)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += roles[name].inherits
        return frozenset(found)

    # --- what is let through ----------------------------------------------------------------------------------------

    def gate(self, asked: Asked) -> Gate:
        """What stands before all permissions of this one's class and compartments."""
        key = (asked.rank, asked.compartments)
        found = self._gates.get(key)
        return found if found is not None else self._gates.setdefault(key, self._gate(asked))

    def denials(self, asked: Asked) -> tuple[Denial, ...]:
        """Everything that withholds the permission."""
        gate = self.gate(asked)
        narrow: list[Denial] = []
        if self.who.person.id in self._moment.named.lockouts:
            narrow += lockouts_from(asked.resource.name, self._moment, self.who)
        apart = denials_for(asked.permission, self._conflicts_found()) if self._book.is_separating else []
        if not narrow and not apart:
            return gate.denials
        return (*gate.shut, *narrow, *gate.lifecycle, *apart, *gate.evidence)

    def _conflicts_found(self) -> tuple[ConflictAt, ...]:
        if self._conflicts is None:
            self._conflicts = conflicts_of(self._book.separations, self._moment, self.held, self._is_given_now)
        return self._conflicts

    def _is_given_now(self, permission: Permission) -> bool:
        return self.is_given(permission)

    def _level(self, rank: int) -> Check:
        while len(self._checks) <= rank:
            level = self._moment.policy.levels[len(self._checks)]
            self._checks.append(check(level, self._moment, self.who))
        return self._checks[rank]

    def _compartment(self, name: str) -> Check:
        if name not in self._compartments:
            self._compartments[name] = check(self._moment.policy.compartments[name], self._moment, self.who)
        return self._compartments[name]

    def _gate(self, asked: Asked) -> Gate:
        moment, who = self._moment, self.who
        checks = [*(self._level(rank) for rank in range(asked.rank + 1)), *map(self._compartment, asked.compartments)]
        proven = _proven(checks)
        shut = tuple(lockouts_from_all(moment, who))
        lifecycle = (*lifecycle_denials(asked.rank, moment, who), *self._sponsor_denials())
        evidence = _missing(checks)
        return Gate(
            shut=shut,
            lifecycle=lifecycle,
            evidence=evidence,
            denials=(*shut, *lifecycle, *evidence),
            proven=proven,
            ends=tuple(proof_ends(proven, moment)),
            until=proven_end(proven),
        )

    def _sponsor_denials(self) -> tuple[Denial, ...]:
        if self._sponsors is None:
            self._sponsors = tuple(sponsor_denials(self._moment, self.who)) if self._moment.policy.sponsors else ()
        return self._sponsors


def _missing(checks: Sequence[Check]) -> tuple[Denial, ...]:
    """What several levels and compartments ask for is told once, for the lowest."""
    told: set[str] = set()
    found: list[Denial] = []
    for each in checks:
        for denial in each.denials:
            if denial.what == "only" or denial.what not in told:
                told.add(denial.what)
                found.append(denial)
    return tuple(found)


def _proven(checks: Sequence[Check]) -> tuple[Proven, ...]:
    by_proof: dict[tuple[object, ...], Proven] = {}
    for each in checks:
        for proven in each.proven:
            by_proof.setdefault((proven.proof, proven.until, proven.exempt), proven)
    return tuple(by_proof.values())
