"""What a checked policy is: immutable values, every name resolved, every clause with its place.

Nothing here reads, parses or evaluates. `reconciler.policy.document` says how YAML becomes these values,
`reconciler.access` says what they mean for people at a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar, cast

from reconciler.errors import Place
from reconciler.policy.match import AllOf as AllOf
from reconciler.policy.match import AnyOf as AnyOf
from reconciler.policy.match import Compare as Compare
from reconciler.policy.match import Contains as Contains
from reconciler.policy.match import Equals as Equals
from reconciler.policy.match import Match as Match
from reconciler.policy.match import Negated as Negated
from reconciler.policy.match import NoneOf as NoneOf
from reconciler.policy.match import Present as Present
from reconciler.policy.match import Test as Test
from reconciler.policy.match import Under as Under
from reconciler.policy.match import Within as Within
from reconciler.policy.permissions import EntitlementRef as EntitlementRef
from reconciler.policy.permissions import Permission as Permission
from reconciler.policy.supposed import PolicyTest as PolicyTest

T = TypeVar("T")


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
    per: str | None = None
    """The attribute for each of whose values a proof of its own is needed; its records carry that value as scope."""


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """Evidence of a kind; of a kind that is `per` an attribute, for the one value in `scope`."""

    kind: str
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.scope}" if self.scope else self.kind


@dataclass(frozen=True, slots=True)
class Requirement:
    """Any one of these proofs; a plain requirement names just one."""

    any_of: tuple[Proof, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class ClearanceLevel:
    """One level; rank 0 is the lowest. A level needs its own requirements and `only`, and those of all below."""

    name: str
    rank: int
    requires: tuple[Requirement, ...]
    only: Match | None
    place: Place


@dataclass(frozen=True, slots=True)
class Compartment:
    """Need-to-know beside the level: it needs its own requirements and `only`, and nothing of any level.

    A compartment with a variable (``project/{project}``) stands here once for every value that a resource uses;
    `declared` is its name as the policy spells it.
    """

    name: str
    declared: str
    requires: tuple[Requirement, ...]
    only: Match | None
    place: Place


# --- resources, permissions, entitlements -------------------------------------------------------------------------


class Mode(StrEnum):
    """How much of an entitlement the policy owns."""

    ENFORCE = "enforce"
    """Desired is all there is."""
    ADDITIVE = "additive"
    """Grants; revokes only what was granted from here, or from a leaver."""
    OBSERVE = "observe"
    """Plans and reports, changes nothing."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A resource's action on one target, as the policy declares it."""

    permission: Permission
    entitlement: EntitlementRef
    locator: Mapping[str, str]
    place: Place
    mode: Mode = Mode.ENFORCE
    inherit: bool = True


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The concrete thing on a target.

    `classification` is the highest class of the permissions that it carries, `compartments` are all of theirs: what
    clearance and ceiling are tested at. One that is retired, or of a value that is listed no more, carries permissions
    that nobody is given (or none), so that its desired membership is empty. Without `inherit` it is cut off: who has
    an entitlement that contains it on the target, such as the folder around a folder, must not come in by that.
    """

    ref: EntitlementRef
    locator: Mapping[str, str]
    permissions: tuple[Permission, ...]
    classification: int
    place: Place
    compartments: frozenset[str] = frozenset()
    mode: Mode = Mode.ENFORCE
    inherit: bool = True


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for something; shown to reviewers, grants nothing."""

    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A named body of documents. `classification` is a level's rank.

    One that comes of a family (``project-docs/falcon`` of ``project-docs/{project}``) says of which, and of which
    `value`. After the day `until` (included) it gives nothing, and its entitlements stay managed.
    """

    name: str
    classification: int
    owner: Owner | None
    actions: Mapping[str, tuple[Binding, ...]]
    place: Place
    compartments: frozenset[str] = frozenset()
    until: date | None = None
    family: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class BindingTemplate:
    """An action of a family on one target; the locator's values hold the variable in braces."""

    action: str
    target: str
    locator: Mapping[str, str]
    mode: Mode
    place: Place
    inherit: bool = True


@dataclass(frozen=True, slots=True)
class ResourceFamily:
    """One resource per listed value of a variable, such as ``project-docs/{project}``.

    `values` is listed value → the name of its resource. `compartments` may hold the variable in braces.
    """

    name: str
    variable: str
    classification: int
    owner: Owner | None
    compartments: tuple[str, ...]
    bindings: tuple[BindingTemplate, ...]
    values: Mapping[str, str]
    place: Place


@dataclass(frozen=True, slots=True)
class Retirement:
    """An entitlement that no resource binds any more, retired on purpose.

    With `revoke` its members are removed (it is then among the policy's entitlements, with nobody desired); otherwise
    they are left as they are, and it is not looked at again.
    """

    ref: EntitlementRef
    locator: Mapping[str, str]
    revoke: bool
    place: Place


# --- who gets what ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission given by a clause, with the place where the clause names it.

    `when` comes of a role's `for_each`: it has to hold of the same assignment as the role's match.
    """

    permission: Permission
    place: Place
    when: Match | None = None


class Reach(StrEnum):
    """Which values a `for_each` runs over: the attribute's own or, in a tree, also those above or below it."""

    OWN = "own"
    ANCESTORS = "ancestors"
    DESCENDANTS = "descendants"


@dataclass(frozen=True, slots=True)
class ForEach:
    """A role that holds once per value of an attribute, with the value bound to a variable."""

    variable: str
    attribute: str
    reach: Reach
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
    """Who holds it (by `match`, `for_each`, `members` or `everyone`) and what it gives.

    `grants` are its own; `all_grants` also those inherited, each with the chain of role names from this role to the
    role that declares it (this role alone for its own). What names a family's variable stands in `all_grants` once
    per listed value, under the `when` of this role's `for_each`. `families` are the families that it grants so, each
    with the variable's attribute. A role without match, for_each, members and everyone exists to be inherited.
    """

    name: str
    match: Match | None
    everyone: bool
    members: tuple[Member, ...]
    inherits: tuple[str, ...]
    grants: tuple[Grant, ...]
    all_grants: tuple[tuple[Grant, tuple[str, ...]], ...]
    place: Place
    for_each: tuple[ForEach, ...] = ()
    families: tuple[tuple[str, ForEach], ...] = ()

    @property
    def matches_people(self) -> bool:
        """Whether assignments hold it, by `match` or by `for_each` alone."""
        return self.match is not None or bool(self.for_each)


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


@dataclass(frozen=True, slots=True)
class Separation:
    """What nobody may have together: roles, or lists of permissions. It compares what is given, before any denial.

    Where somebody holds two of the `roles` (a role that inherits another holds both), or is given something out of two
    of the lists in `between`, it withholds the union of what those give them, by whatever route it comes; or, without
    `withhold`, only reports.
    """

    name: str
    roles: tuple[str, ...]
    between: tuple[frozenset[Permission], ...]
    withhold: bool
    place: Place


@dataclass(frozen=True, slots=True)
class SponsorRule:
    """Whom somebody else has to answer for: whoever has an assignment of which `of` is not false.

    The attribute `by` of that assignment names the sponsor, who has to be there with an active assignment of which
    `must` is true. Once that ceases, the access lapses after `lapse`; without a sponsor at once.
    """

    of: Match
    by: str
    must: Match | None
    lapse: Period
    place: Place
    ends: bool = False
    """Whether such an assignment needs an end as well: one that goes on for good, as far as is known, gives nothing."""


@dataclass(frozen=True, slots=True)
class ExceptionLimit:
    """How long an exception for a class may last, and how many must have approved it (never the person)."""

    longest: Period | None
    approvers: int
    place: Place


# --- lifecycle and guards -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateRule:
    """What a lifecycle state admits for an assignment that the match is not false of (None: for all).

    `ceiling` is a level's rank, `NOTHING` below every class, or None where it bounds nothing. `opens` is how long
    before its first day an assignment counts (preboarding), `after` how long a leave lasts before the rule begins.
    `suspend` gives nothing and disables the accounts.
    """

    match: Match | None
    ceiling: int | None
    place: Place
    opens: Period = field(default_factory=Period)
    after: Period = field(default_factory=Period)
    suspend: bool = False


NOTHING = -1
"""A ceiling below every class."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How long, and up to which class (a level's rank), an assignment ended by a transfer still gives."""

    lasts: Period
    ceiling: int
    place: Place


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What each state admits: of a list, the first rule for each assignment, and the lowest ceiling across them.

    A state that is not named is an empty list: then preboarding gives nothing, notice and leave are as active.
    """

    preboarding: tuple[StateRule, ...] = ()
    notice: tuple[StateRule, ...] = ()
    leave: tuple[StateRule, ...] = ()
    transfer: Overlap | None = None
    disable_exited: bool = False
    delete_after: Period | None = None
    exited_place: Place | None = None


class InvariantKind(StrEnum):
    """What an invariant says about the people who have a permission."""

    NEVER = "never"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that has to hold of the end state, of each of the permissions by itself and on every target.

    `never` concerns people of whom `match` is true or unknown for some assignment; the other two count people.
    """

    kind: InvariantKind
    permissions: tuple[Permission, ...]
    pattern: str
    """The permissions as the policy spells them."""
    match: Match | None
    count: int
    place: Place


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
    compartments: Mapping[str, Compartment] = field(default_factory=dict)
    families: Mapping[str, ResourceFamily] = field(default_factory=dict)
    separations: tuple[Separation, ...] = ()
    sponsors: tuple[SponsorRule, ...] = ()
    exception_limits: Mapping[int, ExceptionLimit] = field(default_factory=dict)
    """Level rank → the limit declared for it; it holds for the classes above up to the next one declared."""
    invariants: tuple[Invariant, ...] = ()
    retired: Mapping[EntitlementRef, Retirement] = field(default_factory=dict)
    tests: tuple[PolicyTest, ...] = ()
    _carried: dict[Permission, tuple[int, frozenset[str]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """Class and compartments of each permission that was asked for: an evaluation asks for all, several times."""
    _known: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Policy], tuple[Any, ...]]:
        """To send or keep it without what was worked out from it, which others may be adding to at this moment."""
        return Policy, tuple(getattr(self, each.name) for each in fields(self) if each.init)

    def once(self, work_out: Callable[[Policy], T]) -> T:
        """What that function of a module says of the policy, which says the same for ever: worked out when it is asked
        for first.
        """
        if work_out not in self._known:
            self._known[work_out] = work_out(self)
        return cast("T", self._known[work_out])

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
        return self._carried_at(permission)[0]

    def effective_compartments(self, permission: Permission) -> frozenset[str]:
        """All compartments of the entitlements that carry the permission."""
        return self._carried_at(permission)[1]

    def _carried_at(self, permission: Permission) -> tuple[int, frozenset[str]]:
        if permission not in self._carried:
            resource = self.resources[permission.resource]
            carrying = [self.entitlements[each.entitlement] for each in resource.actions[permission.action]]
            self._carried[permission] = (
                max((each.classification for each in carrying), default=resource.classification),
                frozenset[str]().union(*(each.compartments for each in carrying)),
            )
        return self._carried[permission]
