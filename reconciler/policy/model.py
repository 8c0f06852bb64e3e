"""What a checked policy is: immutable values, every name resolved, every clause with its place.

Nothing here reads, parses or evaluates. `reconciler.policy.document` says how YAML becomes these values,
`reconciler.access` says what they mean for people at a moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from reconciler.errors import Place


class AttributeKind(StrEnum):
    """What values an attribute of an assignment has, and hence how it can be compared."""

    TREE = "tree"
    ONE_OF = "one_of"
    ORDERED = "ordered"
    SET = "set"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something policies may ask about an assignment.

    `ranks` is value → rank for the kinds that declare their values (`ordered`: equal numbers for equal rank;
    `one_of`: all 0) and empty for the others.
    """

    name: str
    kind: AttributeKind
    ranks: Mapping[str, int]
    place: Place

    def declares(self, value: str) -> bool:
        """Whether HR may send this value; kinds without declared values take any."""
        return value in self.ranks if self.kind in (AttributeKind.ONE_OF, AttributeKind.ORDERED) else True


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A calendar period: years, months and days, as in ``1y``, ``6mo``, ``14d``."""

    years: int = 0
    months: int = 0
    days: int = 0

    def __str__(self) -> str:
        parts = (f"{n}{unit}" for n, unit in ((self.years, "y"), (self.months, "mo"), (self.days, "d")) if n)
        return "".join(parts) or "0d"


# --- matches: a closed language over the attributes of ONE assignment -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Equals:
    """The attribute's value is one of these (`one_of`, `ordered`, `person`)."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Under:
    """The attribute's value is one of these paths of a `tree`, or lies under one."""

    paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class Within:
    """The attribute's rank (`ordered`) lies between these, both included; None is unbounded."""

    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Contains:
    """The attribute, a `set`, holds any of these values (or, with `every`, all of them)."""

    values: frozenset[str]
    every: bool = False


@dataclass(frozen=True, slots=True)
class Negated:
    """The comparison inside does not hold; unknown stays unknown."""

    test: Equals | Under | Within | Contains


Test = Equals | Under | Within | Contains | Negated


@dataclass(frozen=True, slots=True)
class Compare:
    """One attribute compared. `absent` is what a blank or undeclared value means: None leaves it unknown."""

    attribute: str
    test: Test
    absent: bool | None
    place: Place


@dataclass(frozen=True, slots=True)
class AllOf:
    """Kleene's "and" of the parts."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Kleene's "or" of the parts."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Kleene's "not" of "or": none of the parts holds."""

    parts: tuple[Match, ...]


Match = Compare | AllOf | AnyOf | NoneOf


# --- evidence and clearance ---------------------------------------------------------------------------------------


class EvidenceCategory(StrEnum):
    """What sort of proof a kind of evidence is."""

    AGREEMENT = "agreement"
    CHECK = "check"
    TRAINING = "training"


@dataclass(frozen=True, slots=True)
class EvidenceKind:
    """What counts as proof, and for how long.

    A signature of an older `version` counts until `superseded_on` (excluded), and without that date not at all.
    """

    name: str
    category: EvidenceCategory
    version: int
    superseded_on: date | None
    valid_for: Period | None
    grace: Period | None
    applies_to: Match | None
    survives_rehire: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Requirement:
    """Valid evidence of any one of these kinds; a plain requirement names just one."""

    any_of: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class ClearanceLevel:
    """One level; rank 0 is the lowest. A level needs its own requirements and `only`, and those of all below."""

    name: str
    rank: int
    requires: tuple[Requirement, ...]
    only: Match | None
    place: Place


# --- resources, permissions, entitlements -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """A resource and an action; spelled ``resource:action``."""

    resource: str
    action: str

    def __str__(self) -> str:
        return f"{self.resource}:{self.action}"


@dataclass(frozen=True, slots=True, order=True)
class EntitlementRef:
    """Which entitlement: a target's name and the locator's canonical key on it."""

    target: str
    key: str

    def __str__(self) -> str:
        return f"{self.target}:{self.key}"


@dataclass(frozen=True, slots=True)
class Binding:
    """A resource's action on one target, as the policy declares it."""

    permission: Permission
    entitlement: EntitlementRef
    locator: Mapping[str, str]
    place: Place


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The concrete thing on a target. `classification` is the highest class of the permissions that it carries."""

    ref: EntitlementRef
    locator: Mapping[str, str]
    permissions: tuple[Permission, ...]
    classification: int
    place: Place


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for something; shown to reviewers, grants nothing."""

    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A named body of documents. `classification` is a level's rank."""

    name: str
    classification: int
    owner: Owner | None
    actions: Mapping[str, tuple[Binding, ...]]
    place: Place


# --- who gets what ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission given by a clause, with the place where the clause names it."""

    permission: Permission
    place: Place


@dataclass(frozen=True, slots=True)
class Member:
    """A person named in a role, where no rule fits. `since` and `until` are whole days, both included."""

    person: str
    since: date | None
    until: date
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class Role:
    """Who holds it (by `match`, `members` or `everyone`) and what it gives.

    `grants` are its own; `all_grants` also those inherited, each with the chain of role names from this role to the
    role that declares it (this role alone for its own). A role without match, members and everyone exists to be
    inherited.
    """

    name: str
    match: Match | None
    everyone: bool
    members: tuple[Member, ...]
    inherits: tuple[str, ...]
    grants: tuple[Grant, ...]
    all_grants: tuple[tuple[Grant, tuple[str, ...]], ...]
    place: Place


@dataclass(frozen=True, slots=True)
class AccessException:
    """The only other way to access; it ends. Days are whole, `since` and `until` included."""

    index: int
    person: str
    grants: tuple[Grant, ...]
    since: date | None
    until: date
    reason: str
    ticket: str
    approved_by: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Lockout:
    """A person who may open nothing (or, with `resources`, not these), from `since` on (whole days, included)."""

    person: str
    ref: str
    since: date | None
    resources: frozenset[str] | None
    place: Place


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An account that is no person: bounded by a ceiling (a level's rank) and an end (a whole day, included)."""

    name: str
    owner: Owner
    ceiling: int
    until: date
    grants: tuple[Grant, ...]
    place: Place


# --- lifecycle and guards -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The highest class (a level's rank) that a lifecycle state admits."""

    rank: int
    place: Place


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What each state admits. A state that is not named: preboarding and exited give nothing, notice and leave are as
    active.
    """

    preboarding: Ceiling | None = None
    opens: Period = field(default_factory=Period)
    notice: Ceiling | None = None
    disable_exited: bool = False
    delete_after: Period | None = None
    exited_place: Place | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A guard's number: it trips beyond `people`, or beyond 2 people and `percent` of those covered."""

    percent: float
    people: int


@dataclass(frozen=True, slots=True)
class Guards:
    """What holds changes back until someone decides. On by default, with these numbers."""

    rules_revoke: Limit = Limit(10, 25)
    rules_grant: Limit = Limit(25, 100)
    people_revoke: Limit = Limit(25, 200)
    people_grant: Limit = Limit(25, 500)
    exits: Limit = Limit(5, 50)
    shrink_percent: float = 5
    approvals: Mapping[int, int] = field(default_factory=dict)
    """Level rank → how many people must approve grants of that class."""
    protected: frozenset[str] = frozenset()
    """Person ids and service accounts whose changes are held, whatever the cause."""


# --- the whole ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """The checked, immutable content of a policy tree at one revision.

    `digest` is ``sha256:`` over the tree's file names and contents; `revision` is what git calls it, for people.
    """

    digest: str
    revision: str
    attributes: Mapping[str, Attribute]
    evidence: Mapping[str, EvidenceKind]
    levels: tuple[ClearanceLevel, ...]
    resources: Mapping[str, Resource]
    entitlements: Mapping[EntitlementRef, Entitlement]
    roles: Mapping[str, Role]
    exceptions: tuple[AccessException, ...]
    lockouts: tuple[Lockout, ...]
    service_accounts: Mapping[str, ServiceAccount]
    lifecycle: Lifecycle
    guards: Guards

    def level(self, name: str) -> ClearanceLevel | None:
        """The level of this name, or None."""
        return next((level for level in self.levels if level.name == name), None)

    def permissions(self) -> Iterator[Permission]:
        """All permissions, in the order of the policy."""
        for resource in self.resources.values():
            for action in resource.actions:
                yield Permission(resource.name, action)

    def effective_class(self, permission: Permission) -> int:
        """The highest class among the entitlements that carry the permission: what clearance and ceiling are tested
        at.
        """
        resource = self.resources[permission.resource]
        bindings = resource.actions[permission.action]
        classes = (self.entitlements[binding.entitlement].classification for binding in bindings)
        return max(classes, default=resource.classification)
