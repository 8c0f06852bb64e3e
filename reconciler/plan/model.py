"""What a plan is: data. Building it is `build`, its JSON `artefact`, its text `reading`.

INVARIANT: a change's id and a plan's digest depend on what is done and on what was seen, never on clocks, so that the
same situation gives the same digest and an approval means what it meant when it was given.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from json.encoder import encode_basestring

import rfc8785

from reconciler.targets import Op, Step


def content_digest(value: object) -> str:
    """``sha256:`` over the canonical JSON (RFC 8785) of a value."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(value)).hexdigest()  # type: ignore[arg-type]


def change_id(op: str, target: str, account: str, locator: Mapping[str, str], saw: str) -> str:
    """What a change does and what it saw before, as 32 hexadecimal digits of a SHA-256."""
    text = _spelled([op, target, account, dict(locator), saw])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def change_ids(op: str, target: str, locator: Mapping[str, str], saw: str) -> Callable[[str], str]:
    """`change_id` for one account after the other, with everything else spelled once: a plan may hold a million."""
    head, tail = _spelled([op, target])[:-1] + ",", "," + _spelled([dict(locator), saw])[1:]
    sha256 = hashlib.sha256

    def of(account: str) -> str:
        text = f"{head}{encode_basestring(account)}{tail}"
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    return of


def _spelled(value: object) -> str:
    """Canonical JSON of texts alone, for which the standard library writes what RFC 8785 asks for, several times
    faster.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class CauseKind(StrEnum):
    """What made a change necessary."""

    POLICY = "policy"
    PERSON = "person"
    EVIDENCE = "evidence"
    TIME = "time"
    EXCEPTION = "exception"
    DRIFT = "drift"
    UNDO = "undo"

    @property
    def origin(self) -> Origin:
        """Which of the guards' two sets of numbers counts it."""
        return Origin.PEOPLE if self in (CauseKind.PERSON, CauseKind.EVIDENCE, CauseKind.TIME) else Origin.RULES


class Origin(StrEnum):
    """Where a change comes from: the rules (policy, exceptions, drift) or facts about people (events, evidence,
    time).
    """

    RULES = "rules"
    PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a change is needed: a policy line, a ledger entry, an expiry, or somebody's hand. `ref` leads there."""

    kind: CauseKind
    ref: str
    text: str


@dataclass(frozen=True, slots=True)
class Held:
    """A guard keeps the change back until someone approves `digest` (or the plan's).

    Without a digest no approval releases it: the policy or the facts have to change.
    """

    guard: str
    slice: str
    digest: str
    text: str


_NOTHING: Mapping[str, str] = {}
"""Shared: one for each of a million changes takes room."""


@dataclass(slots=True)  # and not frozen, which triples the time that making one takes: there may be a million
class Change:
    """One step that brings actual nearer to desired.

    `account` is what people see, `account_key` what the target knows it by (empty for a foreign principal). Exactly
    one of `person` and `service_account` is set, or neither for orphans and foreign principals. `leaver` marks the
    leaver's lane. `saw` is what the observation said: the effect is stale where that no longer holds.
    """

    op: Op
    target: str
    account: str
    account_key: str
    person: str | None
    service_account: str | None
    entitlement: str
    locator: Mapping[str, str]
    permissions: tuple[str, ...]
    classification: str
    class_rank: int
    cause: Cause
    saw: str
    leaver: bool = False
    approved: bool = False
    """Somebody approved it: it is carried out and does not count for the guards."""
    held: Held | None = None
    profile: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    """Of an account to be created, what the target needs to know of the person; on no record and in no output."""
    had: tuple[str, ...] = ()
    """Of an account to be deleted, the keys of the entitlements that it had; nothing until it is carried out."""
    id: str = ""
    """Digest of what it does and of what it saw before: 32 hexadecimal digits, worked out where it is not given."""

    def __post_init__(self) -> None:
        if not self.id:
            own = change_id(
                self.op.value, self.target, self.account_key or self.account or self.subject, self.locator, self.saw
            )
            self.id = own

    def held_by(self, held: Held | None) -> Change:
        """The same change, held so."""
        return self._with(self.leaver, self.approved, held)

    def as_approved(self) -> Change:
        """The same change, which somebody has approved."""
        return self._with(self.leaver, True, None)

    def out_of_the_lane(self) -> Change:
        """The same change, no longer in the leaver's lane."""
        return self._with(False, self.approved, self.held)

    def _with(self, leaver: bool, approved: bool, held: Held | None) -> Change:
        # Spelled out, since `replace` takes several times as long and plans are long.
        return Change(
            self.op,
            self.target,
            self.account,
            self.account_key,
            self.person,
            self.service_account,
            self.entitlement,
            self.locator,
            self.permissions,
            self.classification,
            self.class_rank,
            self.cause,
            self.saw,
            leaver,
            approved,
            held,
            self.profile,
            self.had,
            self.id,
        )

    @property
    def subject(self) -> str:
        """Whom it concerns: the person, the service account, or the bare account."""
        return self.person or self.service_account or self.account

    @property
    def step(self) -> Step:
        """What the adapter is asked to do."""
        return Step(self.op, self.account_key, self.account, self.locator, self.profile, urgent=self.leaver)

    @property
    def slice(self) -> str:
        """Target, direction, class and origin: what a guard counts and holds together."""
        return f"{self.target}/{self.op.value}/{self.classification}/{self.cause.kind.origin.value}"


@dataclass(frozen=True, slots=True)
class WithheldReason:
    """One reason why a permission that a role would give is not let through."""

    kind: str
    what: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """A permission that a role or exception would give, and every reason why it is not let through."""

    subject: str
    is_person: bool
    permission: str
    classification: str
    reasons: tuple[WithheldReason, ...]

    @property
    def text(self) -> str:
        """All reasons in one line."""
        return "; ".join(reason.text for reason in self.reasons)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something a person should look at that is no change. `target` is empty where it concerns people or policies."""

    kind: str
    target: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """What a plan knew of a target. `unread` are the entitlements that could not be read, or `("*",)` for all of it."""

    observed_at: datetime | None
    accounts: int
    entitlements: int
    unread: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered, content-addressed set of changes, with what was held and what was withheld."""

    made_at: datetime
    at: datetime
    workspace: str
    policy_digest: str
    policy_revision: str
    ledger_seq: int
    people: int
    targets: Mapping[str, TargetSeen]
    changes: tuple[Change, ...]
    withheld: tuple[Withheld, ...]
    findings: tuple[Finding, ...]
    observed: tuple[Change, ...] = ()
    """What would change where the policy only observes: never carried out, not held, in no digest."""
    _digest: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Over the policy's digest and the changes' ids; not over clocks, nor over what is held."""
        if not self._digest:  # asked for several times, of a plan of a million changes perhaps
            self._digest.append(plan_digest(self.policy_digest, (change.id for change in self.changes)))
        return self._digest[0]

    @property
    def due(self) -> tuple[Change, ...]:
        """The changes that nothing holds."""
        return tuple(change for change in self.changes if change.held is None)

    @property
    def held(self) -> tuple[Change, ...]:
        """The changes that a guard holds."""
        return tuple(change for change in self.changes if change.held is not None)

    @property
    def incomplete(self) -> bool:
        """Whether some target, or some entitlement, could not be read: then the plan is not the whole truth."""
        return any(seen.error or seen.unread for seen in self.targets.values())


def plan_digest(policy_digest: str, change_ids: Iterable[str]) -> str:
    """The digest of a plan, or of a held slice of one."""
    # As `content_digest`, of texts alone.
    text = _spelled({"policy": policy_digest, "changes": sorted(change_ids)})
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


_OPS = {op: position for position, op in enumerate(Op)}


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The order of a run: disable → end sessions → revoke (leavers, then highest class first) → … → grant (lowest class
    first).
    """
    # Few groups of many changes: within one, only the subject is left to compare.
    groups: dict[tuple[Op, bool, int, str, str], list[Change]] = defaultdict(list)
    for change in changes:
        groups[change.op, change.leaver, change.class_rank, change.target, change.entitlement].append(change)
    return tuple(
        change
        for _, own in sorted(groups.items(), key=lambda item: _position(*item[0]))
        for change in sorted(own, key=_within_a_group)
    )


def _position(op: Op, leaver: bool, rank: int, target: str, entitlement: str) -> tuple[object, ...]:
    return _OPS[op], not leaver, rank if op is Op.GRANT else -rank, target, entitlement


def _within_a_group(change: Change) -> tuple[str, str]:
    return change.person or change.service_account or change.account, change.account


def count_by_op(changes: Sequence[Change]) -> dict[str, int]:
    """How many changes there are of each operation, in the order of operations; operations without any are left out."""
    counts = Counter(change.op for change in changes)
    return {op.value: counts[op] for op in Op if counts[op]}
