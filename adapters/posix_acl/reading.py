"""From access control lists to an observation.

Who has an entitlement is told by the folder itself. What deviates below it is a finding: it takes going through
everything, and so is left out where only some accounts are asked about.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from pathlib import Path

from adapters.posix_acl.accounts import Accounts, Directory
from adapters.posix_acl.acl import ACCESS, READ, WRITE, Acl, MalformedAcl, Principal
from adapters.posix_acl.below import Below
from adapters.posix_acl.places import Bound, by_path, clashes
from adapters.posix_acl.rights import MODES, has
from adapters.posix_acl.tree import list_at, opened, rights_of_mode, shown
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Locator,
    Observation,
    Reading,
    TargetFinding,
    entitlement_key,
)

__all__ = ["Look", "access_of", "members_of", "scope_of", "spelled", "words"]

_SHOWN = 5


def access_of(descriptor: int) -> Acl:
    """The list of an open folder or file. Raises OSError and `MalformedAcl`."""
    octets = list_at(descriptor, ACCESS)
    return rights_of_mode(descriptor) if octets is None else Acl.decoded(octets)


def spelled(who: Principal, directory: Directory) -> str:
    """How somebody who is no account here is written, as getfacl writes it."""
    return f"{who.kind}:{directory.name_of(who) or who.id}"


def words(error: OSError | MalformedAcl) -> str:
    """What went wrong, for people."""
    if isinstance(error, MalformedAcl):
        return f"its access control list is none: {error}"
    if error.errno == errno.EOPNOTSUPP:
        return "its file system has no access control lists: mount it with the option acl, or move it to another"
    return error.strerror or type(error).__name__


def scope_of(locators: Sequence[Locator]) -> int:
    """`READ`, `WRITE` or both: what these are about."""
    return reduce(or_, (MODES[locator["permission"]] for locator in locators), 0)


def members_of(acl: Acl, scope: int, accounts: Collection[int]) -> dict[Principal, int]:
    """The accounts that have `READ` or `WRITE` (or both) of `scope` on a folder, and which."""
    found = {}
    for who in acl.named:
        now = acl.effective(who)
        held = sum(mode for mode in (READ, WRITE) if scope & mode and has(now, mode, folder=True))
        if held and who.kind == "user" and who.id in accounts:
            found[who] = held
    return found


@dataclass(slots=True)
class Look:
    """One observation in the making, of these accounts (by number) alone where `narrow`."""

    root: Path
    directory: Directory
    accounts: Accounts
    positions: Mapping[int, int]
    narrow: bool
    check_below: bool
    cross_mounts: bool
    bound: Bound
    findings: list[TargetFinding] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    def at(self, at: datetime, locators: Sequence[Locator]) -> Observation:
        """What the folders say."""
        paths = by_path(locators)
        wrong = clashes(paths)
        reads: dict[str, EntitlementRead] = {}
        for path, own in paths.items():
            found = _failed(own, wrong[path]) if path in wrong else self._folder(path, own)
            reads.update((read.key, read) for read in found)
        findings = () if self.narrow else (*self.accounts.findings, *self.findings)
        return Observation(
            at, self._accounts_read(), {key: reads[key] for key in map(entitlement_key, locators)}, findings
        )

    def _accounts_read(self) -> AccountsRead:
        listed = tuple(self.accounts.by_number[number] for number in self.positions)
        if not self.unlisted:
            return AccountsRead(self.accounts.reading, listed, self.accounts.detail)
        detail = f"the system does not list everybody it knows, e.g. {self.unlisted[0]}: use accounts.file"
        return AccountsRead(Reading.PARTIAL, listed, detail)

    def _folder(self, path: str, locators: Sequence[Locator]) -> Sequence[EntitlementRead]:
        try:
            with opened(self.root, path) as folder:
                acl, spare, beyond = access_of(folder), self.bound.spare(path), dict[Principal, int]()
                if not self.narrow:
                    self._note(path, locators, acl)
                if not self.narrow and self.check_below:
                    scope, numbers = scope_of(locators), self.accounts.by_number
                    members = members_of(acl, scope, numbers)
                    deviations = Below(scope | spare, members, numbers, self.bound.inside(path), beyond)
                    self.findings += deviations.findings(path, folder, cross_mounts=self.cross_mounts)
                return [self._entitlement(locator, acl, spare, beyond) for locator in locators]
        except (OSError, MalformedAcl) as error:
            return _failed(locators, f"the folder {shown(path)} cannot be read: {words(error)}")

    def _entitlement(self, locator: Locator, acl: Acl, spare: int, beyond: Mapping[Principal, int]) -> EntitlementRead:
        """Who has the entitlement. `spare` are modes that nobody is to have here, `beyond` is what somebody has below
        and not on the folder: with either it is not the entitlement that they have, but a part, or more.
        """
        mode = MODES[locator["permission"]]
        members, partial, foreign, somebody = BitMap(), BitMap(), list[str](), False
        for who in sorted({*acl.named, *beyond}):
            now = acl.effective(who)
            whole, said = has(now, mode, folder=True), acl.named.get(who, 0) | beyond.get(who, 0)
            if not whole and not said & (mode | spare):
                continue
            if who.kind == "user" and who.id in self.accounts.by_number:
                somebody = True
                if who.id in self.positions:
                    (members if whole and not said & spare else partial).add(self.positions[who.id])
            elif whole or now & spare:
                somebody = True
                if not self.narrow:
                    foreign.append(self._foreign(who))
        reading = Reading.COMPLETE if somebody else Reading.CONFIRMED_EMPTY
        key, name = entitlement_key(locator), _name(locator)
        return EntitlementRead(key, name, reading, members, tuple(foreign), partial=partial)

    def _foreign(self, who: Principal) -> str:
        text = spelled(who, self.directory)
        if who.kind == "user" and self.directory.lists(who.id) and text != f"user:{who.id}":
            self.unlisted.append(text)
        return text

    def _note(self, path: str, locators: Sequence[Locator], acl: Acl) -> None:
        """What the folder itself has that no entitlement shows."""
        for locator in locators:
            if has(acl.other, MODES[locator["permission"]], folder=True):
                text = f"everybody on the machine has {locator['permission']} on {shown(path)}, whoever is granted it"
                self._find("open-to-all", path, f"{text}: chmod o-rwx")
        scope = scope_of(locators)
        modes = {locator["permission"] for locator in locators}
        limited, blind = [], []
        for who in sorted(acl.named):
            if who.kind != "user" or who.id not in self.accounts.by_number:
                continue
            now, name = acl.effective(who), self.accounts.by_number[who.id].name
            if now & self.bound.own(path) and not any(has(now, MODES[mode], folder=True) for mode in modes):
                limited.append(name)
            if scope & WRITE and has(now, WRITE, folder=True) and not now & READ:
                blind.append(name)
        if limited:
            text = f"{_some(limited)} can do something with {shown(path)}, and less than any entitlement of it says"
            self._find("partial-access", path, text)
        if blind:
            text = f"{_some(blind)} can write in {shown(path)} and not read: grant both, or bind read-write"
            self._find("writes-unseen", path, text)

    def _find(self, kind: str, path: str, text: str) -> None:
        self.findings.append(TargetFinding(kind, shown(path), text))


def _failed(locators: Sequence[Locator], said: str) -> Sequence[EntitlementRead]:
    return [
        EntitlementRead(entitlement_key(locator), _name(locator), Reading.FAILED, detail=said) for locator in locators
    ]


def _name(locator: Locator) -> str:
    return f"{locator['permission']} {shown(locator['path'])}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
