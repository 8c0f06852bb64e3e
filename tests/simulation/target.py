"""A target in memory that keeps the contract of `reconciler.targets`, reached over a line that may be bad.

It reads in pages as a real one does, and puts what it got together as an adapter has to: a page that came twice counts
once, a page that was lost makes the reading partial. What goes wrong, and when, is decided by its `Line`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum

from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Op,
    Outcome,
    OutcomeKind,
    Reading,
    Step,
    Target,
    TargetUnavailable,
    TargetWriter,
    entitlement_key,
)
from tests.simulation.system import Account, Group, System

MEMBERSHIPS = frozenset({Op.GRANT, Op.REVOKE})
EVERYTHING = MEMBERSHIPS | {Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT, Op.DELETE_ACCOUNT}


class Fate(Enum):
    """What becomes of a page, of a group that is read, of a request, or of one step in it."""

    FINE = "fine"
    TWICE = "twice"
    LOST = "lost"
    PARTIAL = "partial"
    FAILED = "failed"
    DROPPED = "dropped"
    THROTTLED = "throttled"
    UNANSWERED = "unanswered"
    REFUSED = "refused"


class Line:
    """The way to a target: this one is never bad. Whoever sends along it is called `who`."""

    who = "somebody"
    late = False

    def connecting(self) -> Fate:
        """A connection is opened, for reading or for writing."""
        return Fate.FINE

    def page(self) -> Fate:
        """One page of accounts is read: fine, twice, lost or dropped."""
        return Fate.FINE

    def group(self) -> Fate:
        """One group is read: fine, partial, failed or dropped."""
        return Fate.FINE

    def request(self, steps: Sequence[Step]) -> Fate:
        """Steps are sent: fine, throttled or dropped before anything is done."""
        return Fate.FINE

    def step(self, step: Step) -> Fate:
        """One step is about to be done: fine, refused or dropped."""
        return Fate.FINE

    def answer(self, steps: Sequence[Step], done: Sequence[Outcome]) -> Fate:
        """All is done: fine or unanswered."""
        return Fate.FINE

    def seen(self, target: str, observation: Observation, *, narrow: bool) -> None:
        """This is what the reconciler was told."""


class MemoryTarget(Target):
    """A way to a `System`."""

    def __init__(
        self,
        system: System,
        line: Line | None = None,
        *,
        ops: frozenset[Op] = EVERYTHING,
        batch_size: int = 3,
        page_size: int = 4,
        own: frozenset[str] = frozenset(),
    ) -> None:
        self.system = system
        self.line = line or Line()
        self.ops = MEMBERSHIPS if system.implicit else ops
        self.batch_size = batch_size
        self.page_size = page_size
        self.own = own

    def describe(self) -> Capabilities:
        return Capabilities(self.ops, self.batch_size, implicit_accounts=self.system.implicit)

    def check_locator(self, locator: Locator) -> str | None:
        return None if set(locator) == {"group"} else "a group is named by `group`"

    def match_attributes(self) -> Sequence[str]:
        return ("id",)

    # --- reading ------------------------------------------------------------------------------------------------------

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        _unless_dropped(self.line.connecting())
        # Groups before accounts: an account that is made in between is then nobody's foreign member.
        listed = {entitlement_key(locator): self._listed(locator) for locator in locators}
        found, whole = self._accounts(accounts)
        positions = {account.name.casefold(): position for position, account in enumerate(found)}
        reads = {
            key: self._read(key, locator["group"], told, positions, narrow=accounts is not None)
            for (key, told), locator in zip(listed.items(), locators, strict=True)
        }
        shown = tuple(ObservedAccount(a.key, a.name, a.login, {"id": a.id}, a.enabled) for a in found)
        reading = Reading.COMPLETE if whole else Reading.PARTIAL
        roll = AccountsRead(reading, shown, "" if whole else "a page was lost")
        observation = Observation(self.system.now(), roll, reads, own=self.own)
        self.line.seen(self.system.name, observation, narrow=accounts is not None)
        return observation

    def _accounts(self, asked: Collection[str] | None) -> tuple[list[Account], bool]:
        keys = sorted(self.system.accounts if asked is None else set(asked) & self.system.accounts.keys())
        found: dict[str, Account] = {}
        whole = True
        for start in range(0, len(keys), self.page_size):
            fate = _unless_dropped(self.line.page())
            page = [self.system.accounts[key] for key in keys[start : start + self.page_size] if self._is_there(key)]
            for account in page * 2 if fate is Fate.TWICE else page if fate is Fate.FINE else ():
                found[account.key] = account
            whole = whole and fate is not Fate.LOST
        return list(found.values()), whole

    def _is_there(self, key: str) -> bool:
        return key in self.system.accounts

    def _listed(self, locator: Locator) -> tuple[Fate, Group | None]:
        fate = _unless_dropped(self.line.group())
        group = self.system.group(locator["group"])
        return fate, None if group is None else Group(group.name, dict(group.members))

    def _read(
        self, key: str, asked: str, told: tuple[Fate, Group | None], positions: Mapping[str, int], *, narrow: bool
    ) -> EntitlementRead:
        fate, group = told
        if group is None or fate is Fate.FAILED:
            why = f"no group {asked}" if group is None else "the server is busy"
            return EntitlementRead(key, asked, Reading.FAILED, detail=why)
        listed = list(group.members.items())
        if fate is Fate.PARTIAL:
            listed = listed[len(listed) % 2 :: 2]  # whom a limit leaves out is anybody, newcomers and old members
        members = BitMap([positions[folded] for folded, _ in listed if folded in positions])
        foreign = () if narrow else tuple(name for folded, name in listed if folded not in positions)
        whole = Reading.COMPLETE if group.members else Reading.CONFIRMED_EMPTY
        reading = Reading.PARTIAL if fate is Fate.PARTIAL else whole
        return EntitlementRead(key, group.name, reading, members, foreign, "size limit" if fate is Fate.PARTIAL else "")

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        _unless_dropped(self.line.connecting())
        yield MemoryWriter(self)


class MemoryWriter(TargetWriter):
    """Does what it is told, step by step, and answers as well as the line lets it."""

    def __init__(self, target: MemoryTarget) -> None:
        self._target = target
        self._line = target.line
        self._system = target.system

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        if _unless_dropped(self._line.request(steps)) is Fate.THROTTLED:
            return [Outcome(OutcomeKind.UNAVAILABLE, "429 Too Many Requests", retry_after=2.0)] * len(steps)
        done = [self._one(step) for step in steps]
        if self._line.answer(steps, done) is Fate.UNANSWERED:
            return [Outcome(OutcomeKind.UNAVAILABLE, "no answer in time")] * len(steps)
        return done

    def _one(self, step: Step) -> Outcome:
        if step.op not in self._target.ops:
            return Outcome(OutcomeKind.REFUSED, f"cannot {step.op}")
        if _unless_dropped(self._line.step(step)) is Fate.REFUSED:
            return Outcome(OutcomeKind.REFUSED, "insufficient rights")
        if step.op in MEMBERSHIPS:
            return self._membership(step)
        return self._account(step)

    def _membership(self, step: Step) -> Outcome:
        system, who, late = self._system, self._line.who, self._line.late
        group, account = system.group(step.locator["group"]), system.accounts.get(step.account)
        if system.implicit and account is None and step.op is Op.GRANT:
            account = system.accounts[step.account] = Account(step.account, step.account, step.account, step.account)
        if group is None or (step.account and account is None):
            return Outcome(OutcomeKind.STALE, "it is gone")
        if step.op is Op.GRANT and account is not None:
            return _changed(system.grant(account.key, group.name, who, late=late))
        name = account.name if account is not None else step.account_name
        return _changed(system.revoke(name, group.name, who, late=late))

    def _account(self, step: Step) -> Outcome:
        system, who, late = self._system, self._line.who, self._line.late
        if step.account not in system.accounts:
            return Outcome(OutcomeKind.ALREADY if step.op is Op.DELETE_ACCOUNT else OutcomeKind.STALE, "it is gone")
        if step.op is Op.DELETE_ACCOUNT:
            system.delete(step.account, who, late=late)
            return Outcome(OutcomeKind.APPLIED)
        enabled = step.op is Op.ENABLE_ACCOUNT
        return _changed(system.enable(step.account, who, enabled=enabled, late=late))


def _changed(changed: bool) -> Outcome:
    return Outcome(OutcomeKind.APPLIED if changed else OutcomeKind.ALREADY)


def _unless_dropped(fate: Fate) -> Fate:
    if fate is Fate.DROPPED:
        raise TargetUnavailable("the connection was closed")
    return fate
