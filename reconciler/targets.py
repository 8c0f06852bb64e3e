"""The contract every target adapter fulfils, and its vocabulary.

A target is a system that holds accounts and entitlements. An adapter answers four questions: what can it do
(`describe`), can this binding mean anything here (`check_locator`), what is there now (`observe`), and, on a
connection that can write, what became of these steps (`TargetWriter.apply`). An adapter knows nothing of policies,
people's clearance or plans; it imports this module and nothing else of reconciler.

Words: a *locator* is how a policy names an entitlement on a target (``{"group": "docs-readers"}``); its *key* is the
locator in canonical spelling; an *account key* is the target's own stable identifier (entryUUID, objectGUID, …), which
survives a rename; an account's *name* is what people see (a DN, a login).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pyroaring import BitMap

from reconciler.errors import Place, Problem, ProblemsFound, ReconcilerError

__all__ = [
    "GIVING",
    "AccountsRead",
    "BitMap",
    "Capabilities",
    "EntitlementRead",
    "Locator",
    "News",
    "Observation",
    "ObservedAccount",
    "Op",
    "Outcome",
    "OutcomeKind",
    "Place",
    "Problem",
    "ProblemsFound",
    "Reading",
    "Step",
    "Target",
    "TargetContext",
    "TargetError",
    "TargetFinding",
    "TargetUnavailable",
    "TargetWriter",
    "entitlement_key",
    "entitlement_locator",
]

Locator = Mapping[str, str]
"""How a binding names an entitlement, as in the policy: flat, strings only."""


def entitlement_key(locator: Locator) -> str:
    """A locator in canonical spelling: ``group=docs-readers``; several parts are joined by ``,`` in order of their
    names.
    """
    parts = sorted(locator.items()) if len(locator) > 1 else locator.items()  # asked of thousands, nearly all of one
    return ",".join([name + "=" + value.replace("\\", "\\\\").replace(",", "\\,") for name, value in parts])


def entitlement_locator(key: str) -> dict[str, str]:
    """The locator that a key of `entitlement_key` spells. A text that is no such key gives a locator of another key."""
    parts = (part.partition("=") for part in re.findall(r"(?:[^\\,]|\\.)+", key, re.DOTALL))
    return {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, _, value in parts}


class TargetError(ReconcilerError):
    """The target could not be used as configured; final until somebody changes something."""

    code = "target"


class TargetUnavailable(TargetError):
    """The target did not answer, or not in time; the same call may go through later.

    `retry_after`: in how many seconds, where the target says so.
    """

    code = "target-unavailable"

    def __init__(
        self, message: str, *, place: Place | None = None, remedy: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.retry_after = retry_after


class Op(StrEnum):
    """What a change does. The order of the members is the order in which a run carries them out."""

    DISABLE_ACCOUNT = "disable-account"
    END_SESSIONS = "end-sessions"
    REVOKE = "revoke"
    DELETE_ACCOUNT = "delete-account"
    CREATE_ACCOUNT = "create-account"
    ENABLE_ACCOUNT = "enable-account"
    GRANT = "grant"


GIVING = frozenset({Op.CREATE_ACCOUNT, Op.ENABLE_ACCOUNT, Op.GRANT})
"""The operations after which somebody can do more than before."""


class Reading(StrEnum):
    """How far a part of an observation can be trusted. Absence proves something only where it is complete or
    confirmed empty.
    """

    COMPLETE = "complete"
    PARTIAL = "partial"
    """A limit was reached, a page was lost, or a right is missing: what is there is true, what is absent proves
    nothing.
    """
    FAILED = "failed"
    CONFIRMED_EMPTY = "confirmed-empty"
    """Read whole, and the system itself says that there is nothing."""

    @property
    def whole(self) -> bool:
        """Whether absence from this reading proves absence on the target."""
        return self in (Reading.COMPLETE, Reading.CONFIRMED_EMPTY)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do. A plan never contains a change that its target cannot carry out; it has a finding
    instead.
    """

    ops: frozenset[Op] = frozenset({Op.GRANT, Op.REVOKE})
    batch_size: int = 500
    """The most steps that one call of `apply` is given."""
    implicit_accounts: bool = False
    """Every person has an account here, whose key and name are the person id; none needs to exist before a grant."""
    cuts_off: bool = False
    """Those who only have what contains an entitlement can be kept out of it (see `Target.knowing`)."""
    sessions_live_on: str = ""
    """Of a target that disables accounts and cannot end their sessions: what stays open, and until when, in words that
    follow a colon. Blank where nothing does, or nobody can tell.
    """
    change_feed: bool = False
    """It can be asked every few seconds what others have changed (see `Target.news`)."""


@dataclass(frozen=True, slots=True)
class News:
    """Whether others than we have changed something of concern since an earlier `cursor`; from which to ask on. A blank
    cursor: it cannot be told.
    """

    cursor: str = ""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class ObservedAccount:
    """An account as the target has it.

    `match` holds, for every person attribute that the configured match names (usually ``id``), the account's value. An
    account without a value there matches nobody. `login` is the short name by which a policy's `service_accounts` are
    found (an RDN value, a user name).
    """

    key: str
    name: str
    login: str
    match: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AccountsRead:
    """All accounts of a target (or those asked for), in no particular order, and how far that can be trusted."""

    reading: Reading
    accounts: Sequence[ObservedAccount] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EntitlementRead:
    """One entitlement as the target has it.

    `members` are positions in the observation's `accounts`; `foreign` are the principals that are none of them, as the
    target spells them. A placeholder that the target needs is neither. `name` is what people see (a DN, a role name).
    `partial` are those who have only a part of it, as after a step that died half-way: no members, and a `REVOKE`
    takes what they have. `within` has the keys of the other entitlements asked for whose members have this one too,
    without being members, because the target says so: a group that is a member of this group.
    """

    key: str
    name: str
    reading: Reading
    members: BitMap = field(default_factory=BitMap)
    foreign: Sequence[str] = ()
    detail: str = ""
    unsettled: BitMap = field(default_factory=BitMap)
    """Positions of those who may be members by now or may be none: somebody was asked to change it (`ORDERED`) and has
    not said that it is done. Whoever should be in, or out, is then asked for again, whatever `members` says of them.
    """
    confirmed: Mapping[int, str] = field(default_factory=dict)
    """Position → who says to have carried out what was ordered last of this account, when, and by what proof: words
    for the record. Only of those who are not unsettled.
    """
    partial: BitMap = field(default_factory=BitMap)
    within: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TargetFinding:
    """Something the adapter saw that a person should look at and that is no change. `kind` is a stable word."""

    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What one target said at one moment. `entitlements` has an entry for every key that was asked for, read or
    failed.

    `own` names whom we ourselves are here: the key of our account, and how we are spelled where we are a foreign
    principal. Nobody saws off the branch that they sit on: a plan leaves these alone.
    """

    at: datetime
    accounts: AccountsRead
    entitlements: Mapping[str, EntitlementRead]
    findings: Sequence[TargetFinding] = ()
    own: frozenset[str] = frozenset()


@dataclass(slots=True)  # and not frozen, which triples the time that making one takes: there may be a million
class Step:
    """One thing to do on a target. Steps are independent: each may succeed or fail by itself.

    For `GRANT` and `REVOKE`, `account` is the account's key and `account_name` the name that the plan saw, and
    `locator` says which entitlement. A `REVOKE` of a foreign principal has an empty `account` and the principal, as
    the target spelled it, in `account_name`. For account operations `locator` is empty. Of an account to be created
    nothing is known but whose it is to be: `person` has the attributes that `creation_attributes` and
    `match_attributes` name.
    """

    op: Op
    account: str
    account_name: str
    locator: Locator = field(default_factory=dict)
    person: Mapping[str, str] = field(default_factory=dict, repr=False)
    urgent: bool = False
    """Somebody has left, or is to be shut out now: where people do the work, they are told so."""


class OutcomeKind(StrEnum):
    """What became of a step. `ALREADY` is success: it was so before."""

    APPLIED = "applied"
    ALREADY = "already"
    STALE = "stale"
    """What the plan saw is no longer true: the account or the entitlement is gone or is another."""
    REFUSED = "refused"
    """The target says no, and will say no again."""
    UNAVAILABLE = "unavailable"
    """No answer: it may or may not have happened. Reading tells."""
    ORDERED = "ordered"
    """A person was asked to do it, now or earlier, and has not said that it is done: it may or may not have happened.
    Reading shows it as `EntitlementRead.unsettled` until then.
    """

    @property
    def done(self) -> bool:
        """Whether the target is now as the step wanted it."""
        return self in (OutcomeKind.APPLIED, OutcomeKind.ALREADY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step, with the target's own words where it refused.

    `retry_after`: of what is unavailable, in how many seconds it may be tried again, where the target says so.
    """

    kind: OutcomeKind
    detail: str = ""
    retry_after: float | None = None


class TargetWriter(ABC):
    """A connection that can write. Only a run is handed one."""

    @abstractmethod
    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Carry out the steps and return one outcome per step, in their order.

        Idempotent: a step whose effect is there already is `ALREADY`. Steps on one entitlement are coalesced into few
        requests. One step's failure never stops the next. Never raises for what the target says; a target that does
        not answer makes the outcomes `UNAVAILABLE`. Without steps there is nothing to do; a target that orders changes
        from people is called so once some are confirmed, and clears away what is done.
        """


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What the workspace hands to an adapter beside its settings: its name, and where relative paths begin."""

    name: str
    folder: Path
    place: Place


class Target(ABC):
    """One configured target. Constructing it checks its settings and does no I/O.

    `__init__(context, settings)`: `settings` is the target's mapping from the workspace file, with secrets already
    resolved and without `type`. Raises `TargetError` or `ProblemsFound` for settings that cannot work; unknown keys
    are errors.
    """

    @abstractmethod
    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None: ...

    @abstractmethod
    def describe(self) -> Capabilities:
        """What this target, as configured, can do. No I/O."""

    @abstractmethod
    def check_locator(self, locator: Locator) -> str | None:
        """What is wrong with this locator on this kind of target, in words, or None. No I/O."""

    def containers(self, locators: Sequence[Locator]) -> Mapping[str, Sequence[str]]:
        """Which of these entitlements lie inside others of them, as far as their names alone tell: key → the keys of
        the next ones around it, as of a folder the nearest bound folder above. Whoever has one of those comes to have
        it, or a part of it, too. One call for all; no pairwise comparing, for there may be thousands. No I/O.
        """
        return {}

    def knowing(self, bound: Sequence[Locator], cut_off: Sequence[Locator]) -> Target:
        """This target, knowing all that the policy binds on it, and which of that is cut off (`inherit: false`):
        nobody is to have it because they have what contains it. For a target whose steps reach beyond the entitlement
        that they name. `cut_off` is empty where `cuts_off` is not among the capabilities. No I/O.
        """
        return self

    @abstractmethod
    def match_attributes(self) -> Sequence[str]:
        """The person attributes that accounts are matched by, e.g. ``("id",)``."""

    def creation_attributes(self) -> Sequence[str]:
        """The person attributes that are needed to create an account; nothing where this target creates none."""
        return ()

    def creation_problem(self, person: Mapping[str, str]) -> str | None:
        """Why this target would have no account of a person of whom this is known (the attributes that
        `creation_attributes` and `match_attributes` name), in words that say nothing of the person, or None. No I/O.
        """
        return None

    @abstractmethod
    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        """Read the accounts and these entitlements over a connection that cannot write.

        `accounts` limits the reading to these account keys (a narrow read: members that are other accounts are then
        left out and are not foreign). Never one query per person or per member. A part that cannot be read is
        `PARTIAL` or `FAILED` with the reason in `detail`; the rest goes on. Raises `TargetUnavailable` where the
        target does not answer at all, and `TargetError` where it answers and cannot be used (wrong password,
        untrusted certificate, no such base).
        """

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str] | None:
        """The keys of the accounts that match somebody of these values (person attribute → value), asked narrowly.

        None where this target knows no such question: then all its accounts are read. Raises as `observe` does.
        """
        return None

    def mark(self, since: str = "") -> str:
        """A short text that says in what state the target is: as long as it stays the same, nothing that any
        observation of this target shows has changed, not even an order; and another change of settings is another mark.

        `since` is an earlier mark, to be given back where what has changed since then is of no concern here. Blank
        where this target has no such thing; never a guess. Raises as `observe` does. Costs next to nothing.
        """
        return ""

    def news(self, since: str = "") -> News:
        """What has changed since that cursor; without one, only where to begin. Where it is not sure, something has:
        that costs a look, while what it does not tell waits for the next whole one. Raises as `observe` does. Costs
        next to nothing.
        """
        return News()

    @abstractmethod
    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        """A writing connection, closed at the end. Raises as `observe` does."""

    def probe(self) -> Sequence[TargetFinding]:
        """Can it be reached, read, and is it configured safely? For `doctor`; raises as `observe` does."""
        return ()
