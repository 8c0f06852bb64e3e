"""The contract, on LDIF files."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from adapters.directory import names
from adapters.ldif import LdifTarget
from reconciler.targets import Locator
from tests.adapters.directory_lab import (
    GONE,
    branch_entries,
    branch_settings,
    context,
    fresh_branch,
    odd_dn,
    person_dn,
)
from tests.contract.suite import Lab, LabAccount, MakeLab, TargetContract


class LdifLab(Lab):
    """A file, read and changed here as text."""

    def __init__(self, folder: Path, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        self.branch = fresh_branch()
        self.accounts = {account.login: account for account in accounts}
        self.path = folder / f"{self.branch.split(',')[0]}.ldif"
        self.path.write_text(self.with_keys(branch_entries(self.branch, accounts, groups)), encoding="utf-8")
        self.target = LdifTarget(context(folder), branch_settings(self.branch, path=self.path.name))

    def with_keys(self, ldif: str) -> str:
        return re.sub(r"^uid: (.*)$", lambda found: f"{found[0]}\nentryUUID: {self.key(found[1])}", ldif, flags=re.M)

    def locator(self, group: str) -> Locator:
        return {"group": group.upper()}

    def key(self, login: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, login))

    def account_name(self, login: str) -> str:
        return person_dn(self.accounts[login], self.branch)

    def block(self, group: str) -> str:
        """The group's entry as it stands in the file, unfolded."""
        text = self.path.read_text(encoding="utf-8").replace("\n ", "")
        [block] = [block for block in text.split("\n\n") if block.strip().startswith(f"dn: cn={group},")]
        return block.strip()

    def members(self, group: str) -> set[str]:
        logins = {names.canonical(person_dn(account, self.branch)): login for login, account in self.accounts.items()}
        values = [decoded(found) for found in re.findall(r"^member:(:? .*)$", self.block(group), flags=re.M)]
        real = [value for value in values if not value.startswith("cn=placeholder,")]
        return {logins.get(names.canonical(value), value) for value in real}

    def put(self, group: str, login: str) -> None:
        self.put_value(group, odd_dn(self.accounts[login], self.branch))

    def put_value(self, group: str, value: str) -> None:
        block = self.block(group)
        text = self.path.read_text(encoding="utf-8").replace("\n ", "")
        self.path.write_text(text.replace(block, f"{block}\nmember: {value}"), encoding="utf-8")

    def put_foreign(self, group: str) -> str:
        self.put_value(group, GONE)
        return GONE

    def remove_account(self, login: str) -> None:
        blocks = self.path.read_text(encoding="utf-8").split("\n\n")
        self.path.write_text("\n\n".join(block for block in blocks if f"uid: {login}\n" not in block), encoding="utf-8")

    def with_accounts(self) -> LdifTarget:
        can = {"disable": "ppolicy", "delete": True}
        return LdifTarget(context(self.path.parent), branch_settings(self.branch, path=self.path.name, accounts=can))

    def picture(self) -> object:
        return {path.name: path.read_bytes() for path in self.path.parent.iterdir()}


def decoded(value: str) -> str:
    return base64.b64decode(value[2:]).decode() if value.startswith(":") else value[1:]


@pytest.fixture
def make_lab(tmp_path: Path) -> MakeLab:
    return lambda accounts, groups: LdifLab(tmp_path, accounts, groups)


class TestLdif(TargetContract):
    pass
