"""The promises of every target, on files that are read and changed here as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest
from reconciler.targets import Locator, Place, TargetContext
from reconciler.testing.targets import Lab, LabAccount, MakeLab, TargetContract
from unix_groups import UnixGroups


class FilesLab(Lab):
    def __init__(self, folder: Path, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> None:
        self.folder, self.uids = folder, {each.login: str(1000 + number) for number, each in enumerate(accounts)}
        lines = [f"{each.login}:x:{self.uids[each.login]}:100:,,,,{each.id}:/home:/bin/sh\n" for each in accounts]
        (folder / "passwd").write_text("".join(lines), encoding="utf-8")
        numbered = enumerate(groups.items(), start=500)
        lines = [f"{group}:x:{number}:{','.join(logins)}\n" for number, (group, logins) in numbered]
        (folder / "group").write_text("users:x:100:\n" + "".join(lines), encoding="utf-8")
        settings = {"accounts": "passwd", "groups": "group"}
        self.target = UnixGroups(TargetContext("lab", folder, Place("reconciler.yaml")), settings)

    def locator(self, group: str) -> Locator:
        return {"group": group}

    def key(self, login: str) -> str:
        return self.uids[login]

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        lines = (self.folder / "group").read_text("utf-8").splitlines()
        return set(next(line for line in lines if line.startswith(f"{group}:")).split(":")[3].split(",")) - {""}

    def put(self, group: str, login: str) -> None:
        # A name may stand there twice, with nothing in between.
        self.replace("group", lambda line: f"{line},,{login},{login}" if line.startswith(f"{group}:") else line)

    def put_foreign(self, group: str) -> str:
        self.replace("group", lambda line: f"{line},guest" if line.startswith(f"{group}:") else line)
        return "guest"

    def remove_account(self, login: str) -> None:
        self.replace("passwd", lambda line: None if line.startswith(f"{login}:") else line)

    def replace(self, name: str, change) -> None:
        path = self.folder / name
        lines = [changed for line in path.read_text("utf-8").splitlines() if (changed := change(line)) is not None]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def picture(self) -> object:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@pytest.fixture
def make_lab(tmp_path: Path) -> MakeLab:
    numbers = count()

    def make(accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]]) -> Lab:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return FilesLab(folder, accounts, groups)

    return make


class TestUnixGroups(TargetContract):
    pass
