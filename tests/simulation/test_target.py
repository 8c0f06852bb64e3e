"""The targets that are simulated keep the contract that every target keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from reconciler.targets import Locator
from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract
from tests.simulation.system import Account, System
from tests.simulation.target import MemoryTarget


class MemoryLab(Lab):
    def __init__(self, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        self.system = System("dir")
        self.target = MemoryTarget(self.system)
        self.names = {account.login: account.name for account in accounts}
        for each in accounts:
            self.system.create(Account(self.key(each.login), each.name, each.login, each.id), "lab")
        for group, logins in groups.items():
            self.system.add_group(group)
            for login in logins:
                self.system.grant(self.key(login), group, "lab")

    def locator(self, group: str) -> Locator:
        return {"group": group.upper()}

    def key(self, login: str) -> str:
        return f"key-{login}"

    def account_name(self, login: str) -> str:
        return self.names[login]

    def members(self, group: str) -> set[str]:
        logins = {name.casefold(): login for login, name in self.names.items()}
        found = self.system.group(group)
        assert found is not None
        return {logins.get(folded, name) for folded, name in found.members.items()}

    def put(self, group: str, login: str) -> None:
        self.system.put_foreign(group, self.names[login].upper())

    def put_foreign(self, group: str) -> str:
        self.system.put_foreign(group, "Guest of the House")
        return "Guest of the House"

    def remove_account(self, login: str) -> None:
        self.system.delete(self.key(login), "lab", memberships=False)

    def picture(self) -> object:
        return self.system.picture()


@pytest.fixture
def make_lab() -> MakeLab:
    return MemoryLab


class TestMemory(TargetContract):
    pass
