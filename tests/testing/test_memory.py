"""The target in memory keeps the contract, and breaks it just where it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from reconciler.targets import Locator, ObservedAccount, Op, Outcome, OutcomeKind, Step, TargetUnavailable
from reconciler.testing.memory import MemoryTarget
from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract


class MemoryLab(Lab):
    target: MemoryTarget

    def __init__(self, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        made = {self.key(a.login): ObservedAccount(self.key(a.login), a.name, a.login, {"id": a.id}) for a in accounts}
        self.names = {account.login: account.name for account in accounts}
        self.target = MemoryTarget(made, {name: set(map(self.key, logins)) for name, logins in groups.items()})

    def locator(self, group: str) -> Locator:
        return {"group": group}

    def key(self, login: str) -> str:
        return f"key of {login}"

    def account_name(self, login: str) -> str:
        return self.names[login]

    def members(self, group: str) -> set[str]:
        return {member.removeprefix("key of ") for member in self.target.groups[group]}

    def put(self, group: str, login: str) -> None:
        self.target.groups[group].add(self.key(login))

    def put_foreign(self, group: str) -> str:
        self.target.groups[group].add("guest")
        return "guest"

    def remove_account(self, login: str) -> None:
        del self.target.accounts[self.key(login)]

    def picture(self) -> object:
        return dict(self.target.accounts), {name: set(members) for name, members in self.target.groups.items()}


@pytest.fixture
def make_lab() -> MakeLab:
    return MemoryLab


class TestMemoryTarget(TargetContract):
    pass


def outcome(target: MemoryTarget, op: Op, login: str) -> OutcomeKind:
    with target.writer() as writer:
        return writer.apply([Step(op, login, login, {"group": "docs"})])[0].kind


def test_accounts_are_disabled_enabled_and_deleted_once() -> None:
    target = MemoryTarget.of({"zhang": "E1"}, {"docs": ["zhang"]})

    for op in (Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT, Op.DELETE_ACCOUNT):
        assert [outcome(target, op, "zhang"), outcome(target, op, "zhang")] == [
            OutcomeKind.APPLIED,
            OutcomeKind.ALREADY,
        ]
    assert outcome(target, Op.DISABLE_ACCOUNT, "zhang") is OutcomeKind.STALE
    assert len(target.steps) == 7


def test_it_misbehaves_as_it_is_told() -> None:
    target = MemoryTarget.of({"zhang": "E1", "smith": "E2"}, {"docs": []})
    target.answer = lambda step: Outcome(OutcomeKind.REFUSED, "no") if step.account == "zhang" else None

    assert outcome(target, Op.GRANT, "zhang") is OutcomeKind.REFUSED
    assert outcome(target, Op.GRANT, "smith") is OutcomeKind.APPLIED
    assert target.groups == {"docs": {"smith"}}
    target.unreachable = True
    with pytest.raises(TargetUnavailable):
        target.observe([])
    with pytest.raises(TargetUnavailable):
        outcome(target, Op.GRANT, "smith")
