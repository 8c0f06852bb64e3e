"""A target in memory that keeps the contract, for tests of whatever uses targets; it misbehaves where it is told to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

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

__all__ = ["MemoryTarget"]

_MEMBERSHIPS = (Op.GRANT, Op.REVOKE)
_ENABLED = {Op.ENABLE_ACCOUNT: True, Op.DISABLE_ACCOUNT: False}


@dataclass
class MemoryTarget(Target):
    """`accounts` is key → account; `groups` is name → keys of its members, and whatever else is in it: foreign. Both
    may be changed at any time. A binding has the form ``{group: NAME}``. `steps` are those it was given.

    `answer` is asked before each step: an outcome of its own is given in place of doing it. `unreachable`: it does not
    answer at all. `at`: when it is observed, or the present.
    """

    accounts: dict[str, ObservedAccount] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    ops: frozenset[Op] = frozenset({*_MEMBERSHIPS, *_ENABLED, Op.DELETE_ACCOUNT})
    attributes: Sequence[str] = ("id",)
    answer: Callable[[Step], Outcome | None] = lambda _: None
    unreachable: bool = False
    at: datetime | None = None
    steps: list[Step] = field(default_factory=list)

    @classmethod
    def of(cls, people: Mapping[str, str], groups: Mapping[str, Collection[str]]) -> MemoryTarget:
        """Accounts of these logins, each with a person's id, and groups of logins; a login is its own key and name."""
        accounts = {login: ObservedAccount(login, login, login, {"id": person}) for login, person in people.items()}
        return cls(accounts, {name: set(logins) for name, logins in groups.items()})

    def describe(self) -> Capabilities:
        return Capabilities(self.ops)

    def check_locator(self, locator: Locator) -> str | None:
        return None if set(locator) == {"group"} and locator["group"] else "a binding has the form {group: NAME}"

    def match_attributes(self) -> Sequence[str]:
        return self.attributes

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        self._reached()
        chosen = [key for key in self.accounts if accounts is None or key in accounts]
        positions = {key: position for position, key in enumerate(chosen)}
        reads = [self._read(locator, positions, narrow=accounts is not None) for locator in locators]
        roll = AccountsRead(Reading.COMPLETE, tuple(self.accounts[key] for key in chosen))
        return Observation(self.at or datetime.now(UTC), roll, {read.key: read for read in reads})

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        self._reached()
        yield _MemoryWriter(self)

    def done(self, step: Step) -> Outcome:
        """Do one step."""
        if step.op not in self.ops:
            return Outcome(OutcomeKind.REFUSED, f"cannot {step.op}")
        if step.op in _MEMBERSHIPS:
            return self._membership(step)
        account = self.accounts.get(step.account)
        if account is None:
            gone = OutcomeKind.ALREADY if step.op is Op.DELETE_ACCOUNT else OutcomeKind.STALE
            return Outcome(gone, "there is no such account")
        if step.op is Op.DELETE_ACCOUNT:
            del self.accounts[step.account]
            return Outcome(OutcomeKind.APPLIED)
        if account.enabled == _ENABLED[step.op]:
            return Outcome(OutcomeKind.ALREADY)
        self.accounts[step.account] = replace(account, enabled=_ENABLED[step.op])
        return Outcome(OutcomeKind.APPLIED)

    def _membership(self, step: Step) -> Outcome:
        members, who = self.groups.get(step.locator["group"]), step.account or step.account_name
        if members is None or (step.account and step.account not in self.accounts):
            return Outcome(OutcomeKind.STALE, "the group or the account is gone")
        if (who in members) == (step.op is Op.GRANT):
            return Outcome(OutcomeKind.ALREADY)
        (members.add if step.op is Op.GRANT else members.discard)(who)
        return Outcome(OutcomeKind.APPLIED)

    def _read(self, locator: Locator, positions: Mapping[str, int], *, narrow: bool) -> EntitlementRead:
        key, name = entitlement_key(locator), locator["group"]
        members = self.groups.get(name)
        if members is None:
            return EntitlementRead(key, name, Reading.FAILED, detail=f"there is no group {name}")
        inside = BitMap(positions[each] for each in members if each in positions)
        foreign = () if narrow else tuple(sorted(members - self.accounts.keys()))
        return EntitlementRead(
            key, name, Reading.COMPLETE if members else Reading.CONFIRMED_EMPTY, inside, foreign=foreign
        )

    def _reached(self) -> None:
        if self.unreachable:
            raise TargetUnavailable("the target in memory was told not to answer")


class _MemoryWriter(TargetWriter):
    def __init__(self, target: MemoryTarget) -> None:
        self._target = target

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        self._target.steps += steps
        return [self._target.answer(step) or self._target.done(step) for step in steps]
