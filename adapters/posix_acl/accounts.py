"""Whose numbers the entries of an access control list are: the machine's own accounts, or a file's.

An account's key is its user number, which is what the file system keeps; its name may change.
"""

from __future__ import annotations

import csv
import grp
import io
import pwd
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from adapters.posix_acl.acl import Principal
from reconciler.targets import ObservedAccount, Reading, TargetError, TargetFinding

__all__ = ["FIELDS", "Accounts", "AccountsFile", "Directory", "SystemAccounts"]

GECOS = ("name", "room", "phone", "home_phone", "other")
FIELDS = ("login", "uid", *GECOS)
"""What an account of passwd(5) can be matched by; the last five are the parts of its comment, between commas."""
_NOBODY = (65534, 65535)
_HIGHEST = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts, by user number, and how far that can be trusted."""

    by_number: Mapping[int, ObservedAccount]
    reading: Reading = Reading.COMPLETE
    detail: str = ""
    findings: Sequence[TargetFinding] = ()


class Directory(Protocol):
    """Where accounts stand."""

    def read(self) -> Accounts:
        """All of them. Raises `TargetError`."""

    def name_of(self, who: Principal) -> str:
        """The name of a user that is no account here, or of a group; blank where nobody knows it."""

    def lists(self, number: int) -> bool:
        """Whether a user who is known by such a number should have been among the accounts."""


@dataclass(frozen=True, slots=True)
class SystemAccounts:
    """The accounts that this machine knows, from this number on."""

    match: Mapping[str, str]
    first: int

    def read(self) -> Accounts:
        entries = [entry for entry in pwd.getpwall() if entry.pw_uid >= self.first and entry.pw_uid not in _NOBODY]
        return _collected((_of_passwd(entry.pw_name, entry.pw_uid, entry.pw_gecos) for entry in entries), self.match)

    def name_of(self, who: Principal) -> str:
        try:
            return pwd.getpwuid(who.id).pw_name if who.kind == "user" else grp.getgrgid(who.id).gr_name
        except KeyError:
            return ""

    def lists(self, number: int) -> bool:
        return number >= self.first and number not in _NOBODY


@dataclass(frozen=True, slots=True)
class AccountsFile:
    """A file of accounts: CSV with a header that has `login` and `uid` where its name ends with .csv, otherwise lines
    as passwd(5) and `getent passwd` have them.
    """

    path: Path
    match: Mapping[str, str]

    def read(self) -> Accounts:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            remedy = "correct `accounts.file` in the target's settings, or put the file there"
            raise TargetError(f"the accounts in {self.path} cannot be read: {said}", remedy=remedy) from None
        rows = self._of_csv(text) if self.path.suffix == ".csv" else _of_lines(text)
        found = _collected(rows, self.match)
        # A file that was cut must not turn everybody who stood in the rest into a stranger.
        cut = "" if text.endswith("\n") else "its last line has no end" if text else "it is empty"
        detail = "; ".join(part for part in (found.detail, cut and f"{self.path} may be cut: {cut}") if part)
        return replace(found, reading=Reading.PARTIAL, detail=detail) if detail else found

    def name_of(self, who: Principal) -> str:
        return ""

    def lists(self, number: int) -> bool:
        return False

    def _of_csv(self, text: str) -> Iterator[dict[str, str] | str]:
        rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
        missing = [name for name in ("login", "uid", *self.match) if name not in (rows.fieldnames or ())]
        if missing:
            raise TargetError(f"{self.path} has no column {', '.join(dict.fromkeys(missing))}")
        for row in rows:
            yield (
                {name: value.strip() for name, value in row.items() if name} if "" not in row else _line(rows.line_num)
            )


def _line(number: int) -> str:
    return f"line {number}"


def _of_lines(text: str) -> Iterator[dict[str, str] | str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(":")
        yield _of_passwd(parts[0], parts[2], parts[4]) if len(parts) == 7 else _line(number)


def _of_passwd(login: str, number: int | str, comment: str) -> dict[str, str]:
    said = dict(zip(GECOS, comment.split(",", len(GECOS) - 1), strict=False))
    return {"login": login, "uid": str(number), **dict.fromkeys(GECOS, ""), **said}


@dataclass(slots=True)
class _Found:
    accounts: dict[int, ObservedAccount] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    findings: list[TargetFinding] = field(default_factory=list)


def _collected(rows: Iterable[dict[str, str] | str], match: Mapping[str, str]) -> Accounts:
    found = _Found()
    for row in rows:
        if isinstance(row, str) or not row["login"] or not _is_number(row["uid"]):
            found.bad.append(
                row if isinstance(row, str) else f"{row['login'] or 'no login'} ({row['uid'] or 'no uid'})"
            )
            continue
        number = int(row["uid"])
        if first := found.accounts.get(number):
            text = f"{row['login']} has the user number of {first.login}: what one is given, both have"
            found.findings.append(TargetFinding("shared-user-number", row["login"], text))
            continue
        values = {attribute: row[name] for name, attribute in match.items() if row[name]}
        found.accounts[number] = ObservedAccount(str(number), row["login"], row["login"], values)
    detail = f"{len(found.bad)} accounts cannot be read: {', '.join(found.bad[:3])}" if found.bad else ""
    reading = Reading.PARTIAL if detail else Reading.COMPLETE if found.accounts else Reading.CONFIRMED_EMPTY
    return Accounts(found.accounts, reading, detail, found.findings)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= _HIGHEST
