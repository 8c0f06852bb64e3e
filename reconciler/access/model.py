"""What evaluation and explanation answer with: immutable values, numbers of people in bitmaps.

`evaluate` answers for everybody and carries no reasons; `explain` recomputes the reasons for the one person asked
about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pyroaring import BitMap

from reconciler.errors import Place
from reconciler.policy.model import AccessException, EntitlementRef, Grant, Invariant, Permission, Proof, Separation


@dataclass(frozen=True, slots=True)
class UndeclaredValue:
    """A value HR sent that the policy does not declare: it compares as unknown, and somebody should look."""

    person: str
    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class UnlistedValue:
    """A value that a person's assignment binds to a variable, and that a family of resources does not list: it gives
    nothing there, and somebody should look.
    """

    person: str
    attribute: str
    value: str
    family: str


@dataclass(frozen=True, slots=True)
class GivenBy:
    """One clause that gives a permission, and to whom: a grant of a role (with its chain, as in `Role.all_grants`), or
    an exception.
    """

    grant: Grant
    roles: tuple[str, ...]
    exception: AccessException | None
    people: BitMap


@dataclass(frozen=True, slots=True)
class Conflict:
    """A separation rule that people come into conflict with; `people` are all of them."""

    separation: Separation
    people: BitMap


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that an end state breaks, for one of its permissions.

    `people` are those who would have it against a `never`, otherwise all who would have it; `count` is how many.
    `place` is the invariant's.
    """

    invariant: Invariant
    permission: Permission
    people: BitMap
    count: int
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Desired:
    """Who should have what at a moment. Bitmaps hold `Person.number`; several entries may share one, so that nobody may
    change them in place.

    `given[p]`: people whom a role or a live exception gives the permission, before any denial. `allowed[p]`: those
    who may. The difference is withheld. `members[e]`: who should be in the entitlement (the union of its permissions'
    `allowed`). `service_given` / `service_allowed` / `service_members` are the same for service accounts, by name.
    """

    at: datetime
    given: Mapping[Permission, BitMap]
    allowed: Mapping[Permission, BitMap]
    members: Mapping[EntitlementRef, BitMap]
    service_given: Mapping[Permission, frozenset[str]]
    service_allowed: Mapping[Permission, frozenset[str]]
    service_members: Mapping[EntitlementRef, frozenset[str]]
    states: Mapping[LifecycleState, BitMap]
    undeclared: tuple[UndeclaredValue, ...]
    unlisted: tuple[UnlistedValue, ...] = ()
    given_by: Mapping[Permission, tuple[GivenBy, ...]] = field(default_factory=dict)
    """The same as `given`, clause by clause, in the order of the policy (roles, then exceptions)."""
    conflicts: tuple[Conflict, ...] = ()
    suspended: BitMap = field(default_factory=BitMap)
    """People on a leave that suspends: their accounts are to be disabled until they are back."""
    barred: Mapping[Invariant, BitMap] = field(default_factory=dict)
    """For each `never`, the people whom it concerns: of whom its match is true or unknown."""


class LifecycleState(StrEnum):
    """Where a person stands at a moment; several may hold at once, except that `ACTIVE` holds alone."""

    PREBOARDING = "preboarding"
    ACTIVE = "active"
    NOTICE = "notice"
    LEAVE = "leave"
    EXITED = "exited"


class ReasonKind(StrEnum):
    """By what a permission is given."""

    ROLE = "role"
    MEMBER = "member"
    EVERYONE = "everyone"
    OVERLAP = "overlap"
    """A role, through an assignment that a transfer ended."""
    EXCEPTION = "exception"
    SERVICE_ACCOUNT = "service-account"


@dataclass(frozen=True, slots=True)
class Reason:
    """One way in which a permission is given at the moment asked about.

    `roles` is the chain from the role that the person holds to the role that declares the grant (empty for
    exceptions). `place` is where the grant is declared, `holds_place` where the role (or member or exception) says
    that this person holds it. `assignment` is the assignment that matched, with its ledger entry in `entry` (0 where
    none is involved). `until` is the instant at which this way ends as far as is known (end of the assignment, the
    membership or the exception).
    """

    kind: ReasonKind
    roles: tuple[str, ...]
    place: Place
    holds_place: Place
    assignment: str
    entry: int
    until: datetime | None
    text: str


class DenialKind(StrEnum):
    """By what a permission that is given is not let through; the words of a plan's withheld reasons."""

    EVIDENCE = "evidence"
    LIFECYCLE = "lifecycle"
    LOCKOUT = "lockout"
    SEPARATION = "separation"


class EvidenceState(StrEnum):
    """Why evidence of a kind does not count at the moment asked about."""

    MISSING = "missing"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    NOT_YET_VALID = "not-yet-valid"
    BEFORE_REHIRE = "before-rehire"
    RESERVED = "reserved"
    """The level is reserved (`only`) and this person is not among those."""


@dataclass(frozen=True, slots=True)
class Denial:
    """One reason why a permission is not let through.

    `what` is the stable word: the evidence kind (several joined by ``|`` for `any_of`), the lifecycle state, the
    lockout's reference. `level` is the clearance level that asks for it ("" where none does). `place` is the clause
    in the policy (None for a lockout by event); `entry` the ledger entry behind it (0: none); `since` the instant
    from which it denies, where known, and `known_since` when that instant was recorded (so that an expiry known long
    ahead can be told from a surprise). `remedy` says what would change it.
    """

    kind: DenialKind
    what: str
    text: str
    remedy: str
    level: str = ""
    state: EvidenceState | None = None
    place: Place | None = None
    entry: int = 0
    since: datetime | None = None
    known_since: datetime | None = None
    compartment: str = ""
    """The compartment that asks for it, where none of the levels does."""
    proofs: tuple[Proof, ...] = ()
    """The proofs of which any one, recorded and valid, would take this denial away; none where no proof can."""


class FactKind(StrEnum):
    """What sort of thing would have to be otherwise."""

    EVIDENCE = "evidence"
    ASSIGNMENT = "assignment"
    LIFECYCLE = "lifecycle"
    LOCKOUT = "lockout"
    SEPARATION = "separation"
    SPONSOR = "sponsor"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class NeededFact:
    """One thing that would have to be otherwise for a permission to be given and let through.

    `proofs` are alternatives of which one is enough (evidence). `attribute` and `wanted` say what an assignment would
    have to be (assignment): ``grade`` and ``P6 or above``.
    """

    kind: FactKind
    text: str
    proofs: tuple[Proof, ...] = ()
    attribute: str = ""
    wanted: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """A requirement that is met: by evidence that counts, with its dates, or because it does not apply.

    `level` or `compartment` is what asks for it (the lowest level, where several do). `entry` and `valid_from` are
    those of the record that lasts longest; `until` is the instant at which no record in hand meets the requirement any
    more, grace included (None: never, as far as is known). `exempt` says why nothing is needed, "" where evidence is
    what meets it; `entry` is 0 then.
    """

    proof: Proof
    level: str
    compartment: str
    entry: int
    valid_from: datetime | None
    until: datetime | None
    exempt: str
    place: Place


class EndKind(StrEnum):
    """What sort of thing ends (part of) an access."""

    ASSIGNMENT = "assignment"
    MEMBERSHIP = "membership"
    EXCEPTION = "exception"
    OVERLAP = "overlap"
    SERVICE_ACCOUNT = "service-account"
    EVIDENCE = "evidence"
    RESOURCE = "resource"
    LIFECYCLE = "lifecycle"
    LOCKOUT = "lockout"
    SPONSOR = "sponsor"
    SEPARATION = "separation"


@dataclass(frozen=True, slots=True)
class End:
    """Something on which an access rests and that is known to cease at an instant, or a denial known to begin then.

    `what` is the stable word: the role, the proof, the resource, the state. `decides` is whether the access in fact
    ends at that instant: one reason of several may end, and the access goes on.
    """

    at: datetime
    kind: EndKind
    what: str
    text: str
    entry: int = 0
    place: Place | None = None
    decides: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """A role that would give a permission and does not give it to this person; `lacking` is what they lack for it."""

    roles: tuple[str, ...]
    place: Place
    holds_place: Place
    lacking: tuple[NeededFact, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a person (or service account) has a permission, or why not. `allowed` = some reason and no denial.

    Where nothing gives it, `ways` are the roles that could, nearest first. `needed` is the smallest set of facts that
    would make the answer yes (empty where it is yes); where it takes more than facts, one of them says which change of
    the policy it takes.
    """

    subject: str
    permission: Permission
    at: datetime
    allowed: bool
    reasons: tuple[Reason, ...]
    denials: tuple[Denial, ...]
    classification: str
    """The name of the class at which clearance was tested."""
    clearance: str
    """The highest level that the person's valid evidence reaches at the moment."""
    states: tuple[LifecycleState, ...]
    ways: tuple[Way, ...] = ()
    needed: tuple[NeededFact, ...] = ()
    ways_found: int = 0
    """How many roles could give it, of which `ways` are the nearest."""
    proven: tuple[Proven, ...] = ()
    """What the person's clearance for it rests on: one for each requirement that is met."""
    ends: tuple[End, ...] = ()
    """Where it is a yes: what is known to end (part of) it, the earliest first."""
    until: datetime | None = None
    """Where it is a yes: the instant at which it ends when only time passes; None: never, as far as is known."""
