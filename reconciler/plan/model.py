"""What a plan is: data. Building it is `build`, its JSON `artefact`, its text `reading`.

INVARIANT: a change's id and a plan's digest depend on what is done and on what was seen, never on clocks, so that the
same situation gives the same digest and an approval means what it meant when it was given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import rfc8785

from reconciler.targets import Op, Step


def content_digest(value: object) -> str:
    """``sha256:`` over the canonical JSON (RFC 8785) of a value."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(value)).hexdigest()  # type: ignore[arg-type]


def change_id(op: str, target: str, account: str, locator: Mapping[str, str], saw: str) -> str:
    """What a change does and what it saw before, as 32 hexadecimal digits of a SHA-256."""
    # Texts alone, for which the standard library writes what RFC 8785 asks for, several times faster.
    text = json.dumps(
        [op, target, account, dict(locator), saw], sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class CauseKind(StrEnum):
    """What made a change necessary."""

    POLICY = "policy"
    PERSON = "person"
    EVIDENCE = "evidence"
    TIME = "time"
    EXCEPTION = "exception"
    DRIFT = "drift"

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
    """A guard keeps the change back until someone approves `digest` (or the plan's)."""

    guard: str
    slice: str
    digest: str
    text: str


@dataclass(frozen=True, slots=True)
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
    id: str = ""
    """Digest of what it does and of what it saw before: 32 hexadecimal digits, worked out where it is not given."""

    def __post_init__(self) -> None:
        if not self.id:
            own = change_id(self.op.value, self.target, self.account_key or self.account, self.locator, self.saw)
            object.__setattr__(self, "id", own)

    @property
    def subject(self) -> str:
        """Whom it concerns: the person, the service account, or the bare account."""
        return self.person or self.service_account or self.account

    @property
    def step(self) -> Step:
        """What the adapter is asked to do."""
        return Step(self.op, self.account_key, self.account, self.locator)

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

    @property
    def digest(self) -> str:
        """Over the policy's digest and the changes' ids; not over clocks, nor over what is held."""
        return plan_digest(self.policy_digest, (change.id for change in self.changes))

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
    return content_digest({"policy": policy_digest, "changes": sorted(change_ids)})


_OPS = list(Op)


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The order of a run: disable → end sessions → revoke (leavers, then highest class first) → … → grant (lowest class
    first).
    """

    def position(change: Change) -> tuple[object, ...]:
        rank = change.class_rank if change.op is Op.GRANT else -change.class_rank
        return (
            _OPS.index(change.op),
            not change.leaver,
            rank,
            change.target,
            change.entitlement,
            change.subject,
            change.account,
        )

    return tuple(sorted(changes, key=position))


def count_by_op(changes: Sequence[Change]) -> dict[str, int]:
    """How many changes there are of each operation, in the order of operations; operations without any are left out."""
    counts = {op.value: sum(change.op is op for change in changes) for op in Op}
    return {op: count for op, count in counts.items() if count}
