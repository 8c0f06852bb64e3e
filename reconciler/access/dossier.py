"""One person at a moment, with everything that several permissions ask about worked out once.

What stands between a person and a permission depends, but for lockouts from single resources and separation rules,
only on the permission's class and compartments: one `Gate` serves all permissions of the same class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.clearance import Demand, Demands, demands_of, missing, proven_by, reached
from reconciler.access.conflicts import ConflictAt, Separations, conflicts_of, denials_for, separations_of
from reconciler.access.days import day_end
from reconciler.access.denials import (
    end_denials,
    lifecycle_denials,
    lockouts_from,
    lockouts_from_all,
    sponsor_denials,
)
from reconciler.access.holdings import Holding, exception_reasons, holdings, role_reason
from reconciler.access.model import Denial, End, Proven, Reason, ReasonKind
from reconciler.access.outlook import announced, only_ends, proof_ends, proven_end
from reconciler.access.separation import lineage
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
        self._clauses = moment.policy.once(_clauses)
        self.demands: Demands = moment.policy.once(demands_of)
        self.separations: Separations = moment.policy.once(separations_of)
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
    """What stands between a person and everything of one class and its compartments; `denials` are all of it."""

    shut: tuple[Denial, ...]
    lifecycle: tuple[Denial, ...]
    evidence: tuple[Denial, ...]
    denials: tuple[Denial, ...]


@dataclass(frozen=True, slots=True)
class Footing:
    """What a person's clearance for everything of one class and its compartments rests on.

    `ends` are those of the proofs, `until` the first of them.
    """

    proven: tuple[Proven, ...]
    ends: tuple[End, ...]
    until: datetime | None


class Dossier:
    """One person at the moment; fills as it is asked: `denials` read no more than it takes to tell what withholds."""

    __slots__ = (
        "_announced", "_book", "_clearance", "_compartments", "_conflicts", "_footings", "_gates", "_holdings",
        "_levels", "_lifecycle", "_moment", "_only_ends", "_proven", "_shut", "_sponsors", "who",
    )  # fmt: skip

    def __init__(self, book: Book, moment: Moment, who: PersonAt) -> None:
        self.who = who
        self._book = book
        self._moment = moment
        self._holdings: dict[str, tuple[Holding, ...]] = {}
        self._levels: list[tuple[Denial, ...]] = []
        self._compartments: dict[str, tuple[Denial, ...]] = {}
        self._gates: dict[tuple[int, tuple[str, ...]], Gate] = {}
        self._proven: dict[int, tuple[Proven, ...]] = {}
        self._footings: dict[tuple[int, tuple[str, ...]], Footing] = {}
        self._lifecycle: dict[int, tuple[Denial, ...]] = {}
        self._shut: tuple[Denial, ...] | None = None
        self._sponsors: tuple[Denial, ...] | None = None
        self._conflicts: tuple[ConflictAt, ...] | None = None
        self._clearance: str | None = None
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
        roles = self._moment.policy.roles
        return lineage([name for name, role in roles.items() if self.held(role)], roles)

    # --- what is let through ----------------------------------------------------------------------------------------

    def gate(self, asked: Asked) -> Gate:
        """What stands before all permissions of this one's class and compartments."""
        key = (asked.rank, asked.compartments)
        found = self._gates.get(key)
        return found if found is not None else self._gates.setdefault(key, self._gate(asked))

    def footing(self, asked: Asked) -> Footing:
        """What carries the person through to all permissions of this one's class and compartments."""
        key = (asked.rank, asked.compartments)
        found = self._footings.get(key)
        return found if found is not None else self._footings.setdefault(key, self._footing(asked))

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

    def _gate(self, asked: Asked) -> Gate:
        if self._shut is None:
            self._shut = tuple(lockouts_from_all(self._moment, self.who))
        shut, lifecycle, evidence = self._shut, self._not_admitted(asked.rank), self._missing(asked)
        denials = (*shut, *lifecycle, *evidence) if shut or lifecycle else evidence
        return Gate(shut, lifecycle, evidence, denials)

    def _not_admitted(self, rank: int) -> tuple[Denial, ...]:
        found = self._lifecycle.get(rank)
        if found is None:
            found = (*lifecycle_denials(rank, self._moment, self.who), *self._unanswered())
            self._lifecycle[rank] = found
        return found

    def _unanswered(self) -> tuple[Denial, ...]:
        if self._sponsors is None:
            self._sponsors = ()
            if self._moment.policy.sponsors:
                self._sponsors = (*sponsor_denials(self._moment, self.who), *end_denials(self._moment, self.who))
        return self._sponsors

    def _missing(self, asked: Asked) -> tuple[Denial, ...]:
        found = self._level(asked.rank)
        of_compartments = [self._compartment(name) for name in asked.compartments]
        return _told_once(found, *of_compartments) if any(of_compartments) else found

    def _level(self, rank: int) -> tuple[Denial, ...]:
        """What is missing of the level and of all below it."""
        levels = self._levels
        while len(levels) <= rank:
            own = missing(self._book.demands.levels[len(levels)], self._moment, self.who)
            below = levels[-1] if levels else ()
            levels.append(_told_once(below, own) if own else below)
        return levels[rank]

    def _compartment(self, name: str) -> tuple[Denial, ...]:
        found = self._compartments.get(name)
        if found is None:
            found = self._compartments[name] = missing(self._book.demands.compartments[name], self._moment, self.who)
        return found

    def _footing(self, asked: Asked) -> Footing:
        demands = self._book.demands
        named = (demands.compartments[name] for name in asked.compartments)
        proven = _proven_once(self._proven_by(each) for each in (*demands.levels[: asked.rank + 1], *named))
        return Footing(proven, tuple(proof_ends(proven, self._moment)), proven_end(proven))

    def _proven_by(self, demand: Demand) -> tuple[Proven, ...]:
        found = self._proven.get(id(demand))
        if found is None:
            found = self._proven[id(demand)] = tuple(proven_by(demand, self._moment, self.who))
        return found


def _told_once(*found: Sequence[Denial]) -> tuple[Denial, ...]:
    """What several levels and compartments ask for is told once, for the lowest."""
    told: set[str] = set()
    kept: list[Denial] = []
    for denials in found:
        for denial in denials:
            if denial.what == "only" or denial.what not in told:
                told.add(denial.what)
                kept.append(denial)
    return tuple(kept)


def _proven_once(found: Iterable[Sequence[Proven]]) -> tuple[Proven, ...]:
    by_proof: dict[tuple[object, ...], Proven] = {}
    for several in found:
        for proven in several:
            by_proof.setdefault((proven.proof, proven.until, proven.exempt), proven)
    return tuple(by_proof.values())
