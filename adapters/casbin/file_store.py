"""A casbin policy store in a CSV file.

Lines that are not ours are kept byte for byte, in their order, comments included. The file is replaced as a whole
(write beside it, flush, rename), so that an enforcer that loads it sees the old or the new one, and under a lock, so
that two writers do not lose each other's lines. Mode and, where allowed, owner stay.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from casbin.model import Model

from adapters.casbin.model import VaultModel, fresh
from adapters.casbin.rules import Edits, Meaning, Rule, Unreadable, meaning_of
from adapters.casbin.store import Contents, Decision, Line, Store
from reconciler.targets import TargetError, TargetUnavailable

LOCK_SECONDS = 10.0
"""How long to wait for another writer."""


class FileStore(Store):
    """Lines of a file, as casbin's file adapter reads them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def reach(self) -> None:
        with self._reporting(), self._path.open("rb"):
            pass

    def read(self, model: VaultModel) -> Contents:
        with self._reporting():
            return self._contents(self._path.read_bytes(), fresh(model))

    def mark(self) -> bytes:
        with self._reporting():
            return self._path.read_bytes()

    def change(self, model: VaultModel, decide: Decision) -> Edits:
        with self._reporting(), _locked(self._path) as path:
            raw = _lines(path.read_bytes())
            contents = self._contents(b"".join(raw), fresh(model))
            edits = decide(contents.rules)
            if not edits.empty:
                kept = [
                    line for line, found in zip(raw, contents.lines, strict=True) if found.meaning not in edits.removed
                ]
                _replace(path, _with_added(kept, edits.added))
            return edits

    def weaknesses(self) -> Sequence[str]:
        with self._reporting():
            others_write = self._path.stat().st_mode & stat.S_IWOTH
        return (f"{self._path} can be written by every user of the machine: remove that right",) if others_write else ()

    def _contents(self, content: bytes, probe: Model) -> Contents:
        lines = enumerate(_lines(content), start=1)
        return Contents([Line(f"{self._path.name}:{number}", _meaning(line, probe)) for number, line in lines])

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            remedy = "name the policy file that the enforcer loads; where it is to be new, create it empty"
            raise TargetError(f"there is no casbin policy at {self._path}", remedy=remedy) from None
        except IsADirectoryError:
            raise TargetError(f"{self._path} is a folder, not a casbin policy") from None
        except PermissionError as error:
            raise TargetError(
                f"{self._path} cannot be used: {error.strerror}", remedy="give the right to this user"
            ) from None
        except OSError as error:
            raise TargetUnavailable(f"{self._path} cannot be read or written: {error.strerror}") from error


def _lines(content: bytes) -> list[bytes]:
    """As casbin does, lines end with a line feed and with nothing else."""
    return [part + b"\n" for part in content.split(b"\n")[:-1]] + [part for part in content.split(b"\n")[-1:] if part]


def _meaning(line: bytes, probe: Model) -> Meaning:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable(True, "it is not UTF-8, so casbin cannot load the file")
    return meaning_of(text, probe)


def _with_added(kept: list[bytes], added: Sequence[Rule]) -> bytes:
    if not added:
        return b"".join(kept)
    end = b"\r\n" if kept and kept[0].endswith(b"\r\n") else b"\n"
    if kept and not kept[-1].endswith(b"\n"):
        kept[-1] += end
    return b"".join([*kept, *(", ".join(rule.fields).encode() + end for rule in added)])


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """The file itself (not a link to it), locked.

    Another writer's rename gives the name to another file, so it is compared again once locked.
    """
    path = path.resolve(strict=True)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _acquire(descriptor, path, deadline)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                yield path
                return
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TargetUnavailable(f"{path} is locked by another writer") from None
            time.sleep(0.02)


def _replace(path: Path, content: bytes) -> None:
    before = path.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            with suppress(PermissionError):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
