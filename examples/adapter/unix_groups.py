"""Linux groups as a target: a file as group(5) describes it, and the accounts of the passwd(5) file beside it.

An account's key is its user number. Whose it is stands in the last part of its comment: ``Zhang Wei,,,,E1001``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.targets import (
    AccountsRead, BitMap, Capabilities, EntitlementRead, Locator, Observation, ObservedAccount, Op, Outcome,
    OutcomeKind, Problem, ProblemsFound, Reading, Step, Target, TargetContext, TargetError, TargetUnavailable,
    TargetWriter, entitlement_key,
)  # fmt: skip

OPS = frozenset({Op.GRANT, Op.REVOKE})
SETTINGS = ("accounts", "groups")


@dataclass(frozen=True, slots=True)
class Files:
    """What stands in the two files: accounts by login, groups as the parts of their lines, and what is no account."""

    users: Mapping[str, list[str]]
    groups: Sequence[list[str]]
    flaws: Sequence[str]

    def group(self, name: str) -> list[str] | None:
        """The one group of this name; None where there is none, or where it cannot be said which is meant."""
        found = [group for group in self.groups if group[0] == name]
        return found[0] if len(found) == 1 and len(found[0]) == 4 else None

    def members(self, group: Sequence[str]) -> set[str]:
        """Whoever is listed, and whoever has it as their first group, which group(5) does not list."""
        listed = {name for name in group[3].split(",") if name}
        return listed | {login for login, user in self.users.items() if user[3] == group[2]}


class UnixGroups(Target):
    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        owner = f"target {context.name}"
        wrong = [
            (f"{owner}: `{key}` is not a setting", "it has: accounts, groups") for key in settings.keys() - SETTINGS
        ]
        missing = [key for key in SETTINGS if not isinstance(settings.get(key), str)]
        wrong += [(f"{owner}: `{key}` is missing, or is no text", "name the file") for key in missing]
        if problems := [Problem("target-settings", what, context.place, fix) for what, fix in wrong]:
            raise ProblemsFound(owner, problems)
        self.passwd, self.group = (context.folder / str(settings[key]) for key in SETTINGS)

    def describe(self) -> Capabilities:
        return Capabilities(ops=OPS)

    def check_locator(self, locator: Locator) -> str | None:
        return None if set(locator) == {"group"} and locator["group"] else "a binding has the form {group: NAME}"

    def match_attributes(self) -> Sequence[str]:
        return ("id",)

    def mark(self, since: str = "") -> str:
        texts = (str(self.passwd), str(self.group), read(self.passwd), read(self.group))
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()

    def read(self) -> Files:
        # Groups first: an account that is made in between is then nobody's foreign member.
        groups = [line.split(":") for line in read(self.group).removesuffix("\n").split("\n")]
        *lines, rest = read(self.passwd).split("\n")
        users = {line.split(":")[0]: line.split(":") for line in lines if is_user(line)}
        flaws = [f"line {number}" for number, line in enumerate(lines, start=1) if not is_user(line)]
        flaws += ["the last line has no end"] if rest else []
        flaws += ["several have one number"] if len({user[2] for user in users.values()}) < len(users) else []
        return Files(users, groups, flaws)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        at, files = datetime.now(UTC), self.read()
        chosen = [user for user in files.users.values() if accounts is None or user[2] in accounts]
        shown = [ObservedAccount(user[2], user[0], user[0], match_of(user)) for user in chosen]
        positions = {user[0]: position for position, user in enumerate(chosen)}
        reads = {}
        for locator in locators:
            key, group = entitlement_key(locator), files.group(locator["group"])
            if group is None:
                detail = f"there is no group {locator['group']} in {self.group}, or it is there twice"
                reads[key] = EntitlementRead(key, locator["group"], Reading.FAILED, detail=detail)
                continue
            names = files.members(group)
            members = BitMap(positions[name] for name in names if name in positions)
            foreign = sorted(names - files.users.keys()) if accounts is None else []
            reading = Reading.COMPLETE if names else Reading.CONFIRMED_EMPTY
            reads[key] = EntitlementRead(key, group[0], reading, members, tuple(foreign))
        detail = f"{self.passwd} cannot be read whole: {', '.join(files.flaws[:3])}" if files.flaws else ""
        roll = AccountsRead(Reading.PARTIAL if detail else Reading.COMPLETE, tuple(shown), detail)
        return Observation(at, roll, reads)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        yield Writer(self)


@dataclass
class Writer(TargetWriter):
    target: UnixGroups

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        try:
            with (self.target.group.parent / ".pwd.lock").open("a") as lock:  # the lock of useradd, vigr and the like
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                files = self.target.read()
                logins = {user[2]: login for login, user in files.users.items()}
                outcomes = [one(step, files, logins) for step in steps]
                if any(outcome.kind is OutcomeKind.APPLIED for outcome in outcomes):
                    replace(self.target.group, "".join(":".join(group) + "\n" for group in files.groups))
                return outcomes
        except (OSError, TargetError) as error:  # nothing has taken the file's place, so nothing has happened
            return [Outcome(OutcomeKind.UNAVAILABLE, f"{self.target.group}: {error}")] * len(steps)


def one(step: Step, files: Files, logins: Mapping[str, str]) -> Outcome:
    """Change the group's members in `files` as the step says; what becomes of it once that is written."""
    if step.op not in OPS:
        return Outcome(OutcomeKind.REFUSED, f"a group file cannot {step.op}")
    group, login = files.group(step.locator["group"]), logins.get(step.account) if step.account else step.account_name
    if group is None or not login:
        return Outcome(OutcomeKind.STALE, "the group or the account is gone")
    if (login in files.members(group)) == (step.op is Op.GRANT):
        return Outcome(OutcomeKind.ALREADY)
    if step.op is Op.REVOKE and login in files.users and files.users[login][3] == group[2]:
        return Outcome(OutcomeKind.REFUSED, f"it is the first group of {login}: give them another with usermod -g")
    listed = [name for name in group[3].split(",") if name and name != login]
    group[3] = ",".join([*listed, login] if step.op is Op.GRANT else listed)
    return Outcome(OutcomeKind.APPLIED)


def is_user(line: str) -> bool:
    """Whether a line is one account: no reference to a network service (``+``), no name that a list cannot hold."""
    return line.count(":") == 6 and not line.startswith(("+", "-")) and "," not in line.partition(":")[0]


def match_of(user: Sequence[str]) -> dict[str, str]:
    return {"id": user[4].split(",")[4]} if user[4].count(",") >= 4 else {}


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        raise TargetError(f"there is no {path}, or it is not UTF-8", remedy="correct the target's settings") from None
    except OSError as error:
        raise TargetUnavailable(f"{path} cannot be read: {error.strerror}") from None


def replace(path: Path, text: str) -> None:
    """Another text in the place of the old one, whole or not at all; owner and rights stay."""
    fresh = path.with_name(f"{path.name}.reconciler")
    with fresh.open("wb") as file:
        shutil.copystat(path, fresh)
        os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
