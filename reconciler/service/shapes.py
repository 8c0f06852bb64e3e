"""What the answers look like, for the OpenAPI document. Their content is made by the rooms below, which the command
line asks as well; a test holds the two together.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AccessAnswer",
    "ApprovalAnswer",
    "CanAnswer",
    "HeldAnswer",
    "PlanAnswer",
    "RevocationAnswer",
    "RunAnswer",
    "RunsAnswer",
    "WhoAnswer",
    "WhyAnswer",
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- questions --------------------------------------------------------------------------------------------------------


class KnownAtShape(_Shape):
    """As of which ledger entry the answer is; `moment` where one was asked for."""

    moment: str | None
    ledger_seq: int


class PolicyShape(_Shape):
    """By which policy the answer is."""

    revision: str
    digest: str


class Recorded(_Shape):
    """Who put on record what the answer rests on, and when."""

    ledger_seq: int
    kind: str
    subject: str
    recorded_at: str
    actor: str


class Proof(_Shape):
    """A kind of evidence; `scope`: the value it is about."""

    evidence: str
    scope: str | None


class Needed(_Shape):
    """A fact that is lacking; of its proofs any one will do."""

    kind: str
    text: str
    any_of: list[Proof]
    attribute: str | None
    wanted: str | None
    place: str | None


class Reason(_Shape):
    """What gives the access: a role, with its chain, or an exception."""

    kind: str
    roles: list[str]
    place: str
    holds_place: str
    assignment: str | None
    ledger_seq: int | None
    until: str | None
    text: str


class Denial(_Shape):
    """What withholds the access."""

    kind: str
    what: str
    level: str | None
    compartment: str | None
    state: str | None
    any_of: list[Proof]
    place: str | None
    ledger_seq: int | None
    since: str | None
    text: str
    remedy: str


class Proven(_Shape):
    """A requirement that is met, and by what."""

    evidence: str
    scope: str | None
    level: str | None
    compartment: str | None
    ledger_seq: int | None
    valid_from: str | None
    until: str | None
    exempt: str | None
    place: str


class End(_Shape):
    """What ends, when; `decides`: it ends the access."""

    at: str
    kind: str
    what: str
    text: str
    ledger_seq: int | None
    place: str | None
    decides: bool


class Way(_Shape):
    """A role that would give it, and what is lacking for that."""

    roles: list[str]
    place: str
    holds_place: str
    lacking: list[Needed]


class ExplanationShape(_Shape):
    """Why, or why not, for one permission."""

    subject: str
    permission: str
    at: str
    allowed: bool
    until: str | None
    classification: str
    clearance: str
    states: list[str]
    reasons: list[Reason]
    denials: list[Denial]
    evidence: list[Proven]
    ends: list[End]
    ways: list[Way]
    needed: list[Needed]


class WhyAnswer(ExplanationShape):
    """As `reconciler why --output json`."""

    as_known_at: KnownAtShape
    entries: list[Recorded]
    policy: PolicyShape


class CanAnswer(_Shape):
    """As `reconciler can --output json`. `until`: when a yes ends if nothing but time passes."""

    subject: str
    permission: str
    at: str
    as_known_at: KnownAtShape
    allowed: bool
    until: str | None


class AccessAnswer(_Shape):
    """As `reconciler access --output json`."""

    subject: str
    at: str
    as_known_at: KnownAtShape
    policy: PolicyShape
    states: list[str]
    clearance: str
    allowed: list[ExplanationShape]
    withheld: list[ExplanationShape]
    entries: list[Recorded]


class HolderReason(_Shape):
    """By what somebody has it."""

    roles: list[str]
    kind: str
    text: str


class HolderDenial(_Shape):
    """What withholds it from somebody."""

    kind: str
    what: str
    text: str


class Holder(_Shape):
    """One who has the permission, or from whom it is withheld."""

    subject: str
    name: str | None
    is_person: bool
    reasons: list[HolderReason]
    denials: list[HolderDenial]
    until: str | None


class WhoPage(_Shape):
    """`next` names the following page, null on the last one. The counts are those of the whole list."""

    next: str | None
    allowed: int
    withheld: int


class WhoAnswer(_Shape):
    """As `reconciler who --output json`, page by page: first all who have it, then those from whom it is withheld."""

    permission: str
    at: str
    as_known_at: KnownAtShape
    policy: PolicyShape
    allowed: list[Holder]
    withheld: list[Holder]
    page: WhoPage


# --- plans ------------------------------------------------------------------------------------------------------------


class Cause(_Shape):
    """Why a change is due."""

    kind: str
    ref: str
    text: str


class HeldShape(_Shape):
    """What holds a change; `digest` is what an approval names, blank where none releases it."""

    guard: str
    slice: str
    digest: str
    text: str


class ChangeShape(_Shape):
    """One step that brings actual access nearer to desired."""

    id: str
    op: str
    target: str
    account: str
    account_key: str
    person: str | None
    service_account: str | None
    entitlement: str
    locator: dict[str, str]
    permissions: list[str]
    classification: str
    saw: str
    leaver: bool
    approved: bool
    cause: Cause
    held: HeldShape | None


class TargetShape(_Shape):
    """What was read of a target."""

    observed_at: str | None
    accounts: int
    entitlements: int
    unread: list[str]
    error: str | None


class WithheldReason(_Shape):
    """Why a permission does not come through."""

    kind: str
    what: str
    text: str
    remedy: str


class WithheldShape(_Shape):
    """A permission that a role would give."""

    person: str | None = None
    service_account: str | None = None
    permission: str
    classification: str
    reasons: list[WithheldReason]
    text: str


class FindingShape(_Shape):
    """Something that somebody should look at."""

    kind: str
    target: str | None
    subject: str
    text: str


class FactsShape(_Shape):
    """By which facts the plan is."""

    ledger_seq: int
    people: int


class PlanAnswer(_Shape):
    """As `reconciler plan --output json`: format `reconciler.plan/1`."""

    format: str
    digest: str
    made_at: str
    at: str
    workspace: str
    policy: PolicyShape
    facts: FactsShape
    targets: dict[str, TargetShape]
    changes: list[ChangeShape]
    observed: list[ChangeShape]
    withheld: list[WithheldShape]
    findings: list[FindingShape]
    summary: dict[str, int]


class SliceShape(_Shape):
    """A slice of a plan that is held. `digest` is what an approval names, null where none releases it."""

    slice: str
    guard: str
    digest: str | None
    changes: int
    people: int
    text: str


class HeldAnswer(_Shape):
    """What is held now; `digest` stands for the whole plan. `unread`: targets that could not be read, of which nothing
    is said.
    """

    digest: str
    made_at: str
    slices: list[SliceShape]
    unread: list[str]


# --- runs -------------------------------------------------------------------------------------------------------------


class RunShape(_Shape):
    """One run. `ended_at` is null while it is under way, and for one that died."""

    run: str
    ledger_seq: int
    actor: str
    began_at: str
    ended_at: str | None
    plan: str
    policy: str
    changes: int | None
    outcomes: dict[str, int]
    contradicted: int
    set_aside: dict[str, str]


class Page(_Shape):
    """`next` names the following page, null on the last one."""

    next: str | None


class RunsAnswer(_Shape):
    """Runs, the newest first."""

    runs: list[RunShape]
    page: Page


class EffectShape(_Shape):
    """What became of one change."""

    ledger_seq: int
    change: str
    op: str
    target: str
    entitlement: str | None
    subject: str
    outcome: str
    recorded_at: str


class RunAnswer(RunShape):
    """One run, and what became of its changes, in the order of the ledger."""

    effects: list[EffectShape]
    page: Page


# --- decisions --------------------------------------------------------------------------------------------------------


class ApprovalAnswer(_Shape):
    """As `reconciler approve --output json`."""

    digest: str
    what: str
    changes: int
    ledger_seq: int
    expires_at: str


class DoneCount(_Shape):
    """How many changes of a kind came out how."""

    target: str
    op: str
    outcome: str
    count: int


class DoneShape(_Shape):
    """What became of one change."""

    id: str
    op: str
    target: str
    account: str
    entitlement: str
    outcome: str
    detail: str


class AppliedShape(_Shape):
    """What a pass did, as `reconciler apply --output json`."""

    format: str
    run: str | None
    plan: PlanAnswer
    outcomes: dict[str, int]
    done: list[DoneCount]
    failed: list[DoneShape]
    ordered: list[DoneShape]
    on_order: list[str]
    stale: list[DoneShape]
    contradicted: list[str]
    set_aside: dict[str, str]
    findings: list[FindingShape]
    recovered: int
    no_longer_due: int
    held: int
    held_slices: list[SliceShape]
    to_do: list[str]


class RevocationAnswer(_Shape):
    """As `reconciler revoke --output json`. `run` is null where the lockout is on record and what the pass did is not
    known yet: the service goes on with it.
    """

    person: str
    ledger_seq: int
    ref: str
    run: AppliedShape | None
