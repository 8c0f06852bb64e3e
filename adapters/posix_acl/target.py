"""The target contract on folders with POSIX access control lists."""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adapters import checking
from adapters.checking import Strict
from adapters.posix_acl.accounts import FIELDS, AccountsFile, Directory, SystemAccounts
from adapters.posix_acl.acl import ACCESS
from adapters.posix_acl.places import Bound, containers, locator_error
from adapters.posix_acl.reading import Look
from adapters.posix_acl.tree import list_at, opened
from adapters.posix_acl.writing import AclWriter
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Op,
    Target,
    TargetContext,
    TargetError,
    TargetFinding,
    TargetUnavailable,
    TargetWriter,
)

__all__ = ["PosixAclTarget"]

_HARD_LINKS = Path("/proc/sys/fs/protected_hardlinks")
_CAP_FOWNER = 1 << 3


class AccountsSettings(Strict):
    """Whose numbers the entries are: those of this machine, or those of a file."""

    system: Literal[True] | None = None
    first_uid: Annotated[int, Field(ge=0)] = 1000
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.system is None) == (self.file is None):
            raise ValueError("say either `system: true` or `file: PATH`")
        return self


class PosixAclSettings(Strict):
    """All settings."""

    root: Annotated[str, Field(min_length=1)]
    accounts: AccountsSettings
    match: Annotated[dict[str, str], Field(min_length=1)]
    cross_mounts: bool = False
    check_below: bool = True

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        columns_are_free = (self.accounts.file or "").endswith(".csv")
        if not columns_are_free and (unknown := sorted(set(self.match) - set(FIELDS))):
            raise ValueError(f"`match`: an account has no {', '.join(unknown)}; there are {', '.join(FIELDS)}")
        return self


class PosixAclTarget(Target):
    """Folders below `root`; a relative path begins at the workspace's folder."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        owner = f"target {context.name}"
        self._settings = checking.checked(PosixAclSettings, settings, owner, "target-settings", context.place)
        self._root = context.folder / self._settings.root
        said = self._settings.accounts
        self._directory: Directory = (
            SystemAccounts(self._settings.match, said.first_uid)
            if said.file is None
            else AccountsFile(context.folder / said.file, self._settings.match)
        )
        self._bound: Sequence[Locator] = ()
        self._cut: frozenset[str] = frozenset()

    def describe(self) -> Capabilities:
        return Capabilities(ops=frozenset({Op.GRANT, Op.REVOKE}), batch_size=5000, cuts_off=True)

    def check_locator(self, locator: Locator) -> str | None:
        return locator_error(locator)

    def containers(self, locators: Sequence[Locator]) -> Mapping[str, Sequence[str]]:
        return containers(locators)

    def knowing(self, bound: Sequence[Locator], cut_off: Sequence[Locator]) -> PosixAclTarget:
        told = copy.copy(self)
        told._bound = [locator for locator in bound if locator_error(locator) is None]
        told._cut = frozenset(locator["path"] for locator in cut_off if locator_error(locator) is None)
        return told

    def match_attributes(self) -> Sequence[str]:
        return tuple(self._settings.match.values())

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        at = datetime.now(UTC)
        listed = self._directory.read()
        chosen = [number for number in listed.by_number if accounts is None or str(number) in accounts]
        look = Look(
            root=self._root,
            directory=self._directory,
            accounts=listed,
            positions={number: position for position, number in enumerate(chosen)},
            narrow=accounts is not None,
            check_below=self._settings.check_below,
            cross_mounts=self._settings.cross_mounts,
            bound=Bound.of([*self._bound, *locators], self._cut),
        )
        with self._at_root():
            return look.at(at, locators)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with self._at_root():
            pass
        yield AclWriter(
            root=self._root,
            directory=self._directory,
            cross_mounts=self._settings.cross_mounts,
            bound=self._bound,
            cut=self._cut,
        )

    def probe(self) -> Sequence[TargetFinding]:
        found = list(self._directory.read().findings)
        with self._at_root() as root:
            found += self._weaknesses(root)
        return found

    @contextmanager
    def _at_root(self) -> Iterator[int]:
        """The root, open. Raises `TargetError` where it cannot be used."""
        try:
            with opened(self._root) as descriptor:
                list_at(descriptor, ACCESS)
                yield descriptor
        except OSError as error:
            raise _unusable(self._root, error) from None

    def _weaknesses(self, root: int) -> Iterator[TargetFinding]:
        if os.geteuid() != os.fstat(root).st_uid and not _may_change_others():
            text = f"{self._root} belongs to somebody else: run as its owner, or with the capability CAP_FOWNER"
            yield TargetFinding("no-right-to-change", "root", text)
        if _read(_HARD_LINKS) == "0":
            text = (
                "whoever may write in a folder can link any file into it, and so have access given to it: "
                "sysctl fs.protected_hardlinks=1"
            )
            yield TargetFinding("insecure-links", "root", text)


def _unusable(root: Path, error: OSError) -> TargetError:
    match error.errno:
        case errno.EOPNOTSUPP:
            remedy = "mount it with the option acl, or name a folder on ext4, XFS, Btrfs, ZFS with acltype=posix"
            return TargetError(f"{root} lies on a file system without access control lists", remedy=remedy)
        case errno.EIO | errno.ESTALE | errno.ETIMEDOUT:
            return TargetUnavailable(f"{root} does not answer: {error.strerror}")
        case errno.ENOENT | errno.ENOTDIR:
            return TargetError(f"there is no folder {root}", remedy="correct `root` in the target's settings")
        case _:
            remedy = "give the right to this user"
            return TargetError(f"{root} cannot be used: {error.strerror}", remedy=remedy)


def _may_change_others() -> bool:
    """Whether this process has CAP_FOWNER, by which what others own can be changed."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & _CAP_FOWNER)
    return os.geteuid() == 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
