"""The contract, on real folders; who has what is told by getfacl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest

from reconciler.targets import Locator
from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract
from tests.adapters.file_server import FileServer, in_memory, required

STRANGER = 31_234


class FolderLab(Lab):
    """A folder for each group, with something in it."""

    def __init__(self, folder: Path, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        self.server = FileServer(folder, [account.login for account in accounts])
        self.target = self.server.target
        rows = [f"{each.login},{self.server.numbers[each.login]},{each.id}" for each in accounts]
        self.accounts = folder / "accounts.csv"
        self.accounts.write_text("\n".join(["login,uid,id", *rows]) + "\n", encoding="utf-8")
        for group, logins in groups.items():
            self.server.make(f"{group}/sub/")
            self.server.make(f"{group}/paper.txt")
            if logins:
                folders = ",".join(f"user:{self.server.numbers[login]}:r-X" for login in logins)
                self.server.setfacl(group, "-R", "-m", folders)
                self.server.setfacl(group, "-R", "-d", "-m", folders)

    def locator(self, group: str) -> Locator:
        return {"path": group, "permission": "read"}

    def key(self, login: str) -> str:
        return str(self.server.numbers[login])

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        logins = {str(number): login for login, number in self.server.numbers.items()}
        found = set()
        for line in self.server.lines(group):
            kind, name, rights = line.split(":") if line.count(":") == 2 else ("", "", "")
            if kind == "user" and name and "r" in rights:
                found.add(logins.get(name, f"user:{name}"))
        return found

    def put(self, group: str, login: str) -> None:
        entry = f"user:{self.server.numbers[login]}:rwX"
        self.server.setfacl(group, "-R", "-m", entry)
        self.server.setfacl(group, "-R", "-d", "-m", entry)

    def put_foreign(self, group: str) -> str:
        self.server.setfacl(group, "-m", f"user:{STRANGER}:r-x")
        return f"user:{STRANGER}"

    def remove_account(self, login: str) -> None:
        lines = self.accounts.read_text(encoding="utf-8").splitlines(keepends=True)
        self.accounts.write_text("".join(line for line in lines if not line.startswith(f"{login},")), encoding="utf-8")

    def picture(self) -> object:
        return self.server.picture()


@pytest.fixture
def make_lab() -> Iterator[MakeLab]:
    required()
    numbers = count()
    with in_memory() as folder:

        def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
            own = folder / str(next(numbers))
            own.mkdir()
            return FolderLab(own, accounts, groups)

        yield make


class TestPosixAclContract(TargetContract):
    pass
