"""A file server as the tests see it: real folders with real lists, looked at and changed by getfacl and setfacl."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapters.posix_acl import PosixAclTarget
from reconciler.targets import Locator, Observation, Op, Outcome, Place, Step, Target, TargetContext
from tests.servers.slapd import insist

FIRST = 20_000
"""The user number of the first account; nobody on any machine has it."""


def required() -> None:
    """Skip the test, saying why, where files cannot be given to others or cannot be looked at independently."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    insist("" if shutil.which("getfacl") else "getfacl and setfacl are missing: apt-get install acl")


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder on tmpfs, whose lists hold thousands of entries; ext4's hold some five hundred."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        yield Path(folder)


class FileServer:
    """A root, and accounts in a file beside it: login, user number, and the person's id."""

    def __init__(self, folder: Path, logins: Sequence[str] = ("zhang", "smith", "muller"), **settings: object) -> None:
        self.folder = folder
        self.root = folder / "srv"
        self.root.mkdir(exist_ok=True)
        self.numbers = {login: FIRST + number for number, login in enumerate(logins)}
        self.logins = {number: login for login, number in self.numbers.items()}
        rows = [f"{login},{number},E{number}" for login, number in self.numbers.items()]
        (folder / "accounts.csv").write_text("\n".join(["login,uid,id", *rows]) + "\n", encoding="utf-8")
        given = {"root": "srv", "accounts": {"file": "accounts.csv"}, "match": {"id": "id"}, **settings}
        self.target: Target = PosixAclTarget(TargetContext("files", folder, Place("test")), given)

    def knowing(self, *bound: Locator, cut_off: Sequence[Locator] = ()) -> None:
        """From now on the target knows what else is bound, and what of it is cut off."""
        self.target = self.target.knowing(bound, cut_off)

    def make(self, path: str) -> Path:
        """A folder (its name ends with a slash) or a file."""
        made = self.root / path
        if not (bound := self.root / path.split("/", maxsplit=1)[0]).exists() and "/" in path:
            bound.mkdir(mode=0o750)
        (made if path.endswith("/") else made.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            made.write_text("secret", encoding="utf-8")
        return made

    def setfacl(self, path: str, *arguments: str) -> None:
        """setfacl."""
        subprocess.run(["setfacl", *arguments, "--", str(self.root / path)], check=True)

    def lines(self, path: str | Path) -> list[str]:
        """getfacl: the entries as it spells them, with their effective rights where a mask limits them."""
        command = ["getfacl", "-cpnE", "--", str(self.root / path)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
        return [line for line in said.splitlines() if line]

    def rights(self, path: str | Path, login: str, *, default: bool = False) -> str | None:
        """What somebody's named entry gives in effect; None where there is none."""
        entries = {line.rpartition(":")[0]: line.rpartition(":")[2] for line in self.lines(path)}
        prefix = "default:" if default else ""
        held = entries.get(f"{prefix}user:{self.numbers[login]}")
        mask = entries.get(f"{prefix}mask:", "rwx")
        return held and "".join(a if a == b else "-" for a, b in zip(held, mask, strict=True))

    def picture(self) -> list[tuple[str, list[str]]]:
        """Every list below the root."""
        return [(str(path), self.lines(path)) for path in sorted(self.root.rglob("*")) if not path.is_symlink()]

    def step(self, op: Op, login: str, path: str, mode: str = "read") -> Step:
        """One step for an account."""
        return Step(op, str(self.numbers[login]), login, {"path": path, "permission": mode})

    def apply(self, *steps: Step) -> list[Outcome]:
        """Carry them out."""
        with self.target.writer() as writer:
            return list(writer.apply(steps))

    def grant(self, login: str, path: str, mode: str = "read") -> Outcome:
        """Grant one thing."""
        [outcome] = self.apply(self.step(Op.GRANT, login, path, mode))
        return outcome

    def revoke(self, login: str, path: str, mode: str = "read") -> Outcome:
        """Revoke one thing."""
        [outcome] = self.apply(self.step(Op.REVOKE, login, path, mode))
        return outcome

    def observe(self, path: str, *modes: str, accounts: Sequence[str] | None = None) -> Observation:
        """Read these modes of a folder; `read` where none is named."""
        return self.target.observe([{"path": path, "permission": mode} for mode in modes or ("read",)], accounts)

    def members(self, path: str, mode: str = "read") -> set[str]:
        """Who is a member, as observed."""
        seen = self.observe(path, mode)
        [read] = seen.entitlements.values()
        return {seen.accounts.accounts[position].login for position in read.members}

    def partial(self, path: str, mode: str = "read") -> set[str]:
        """Who has it in part, as observed."""
        seen = self.observe(path, mode)
        [read] = seen.entitlements.values()
        return {seen.accounts.accounts[position].login for position in read.partial}

    def findings(self, path: str, *modes: str) -> dict[str, str]:
        """What a person should look at, by kind."""
        return {finding.kind: finding.text for finding in self.observe(path, *modes).findings}
