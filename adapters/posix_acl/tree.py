"""Folders, gone through without following a symbolic link, leaving the file system, or holding more than one path.

Every folder is opened from the one that holds it, by a name that must be no link, so that nobody who can rename or link
something meanwhile leads us elsewhere. A file's list is written by a descriptor of that very file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from adapters.posix_acl.acl import READ, WRITE, Acl

__all__ = ["Item", "Trouble", "below", "list_at", "opened", "pinned", "rights_of_mode", "shown", "store_at"]

MAX_DEPTH = 200
"""Folders inside each other; each holds two descriptors while it is gone through."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ESTALE)
_NONE_INSIDE: Mapping[tuple[str, ...], int] = {}


class Item(NamedTuple):
    """A file or folder below the one that is gone through. `descriptor` is the folder's own, else that of what holds
    the file; both are closed when the walk goes on. `modes` is what of the outermost folder's is meant to come here.
    """

    path: tuple[str, ...]
    descriptor: int
    folder: bool
    modes: int = READ | WRITE

    @property
    def place(self) -> int | str:
        """Where its lists are read."""
        return self.descriptor if self.folder else f"{_inside(self.descriptor)}/{self.path[-1]}"


class Trouble(NamedTuple):
    """Something below that could not be looked at; `error` is None for another file system, which is not entered."""

    path: tuple[str, ...]
    error: OSError | None


class _Entries(Iterator[os.DirEntry[str]], Protocol):
    def close(self) -> None: ...


class _Open(NamedTuple):
    """A folder that is being gone through."""

    descriptor: int
    entries: _Entries
    path: tuple[str, ...]
    modes: int

    def close(self) -> None:
        self.entries.close()
        os.close(self.descriptor)


def shown(path: str | tuple[str, ...]) -> str:
    """A path as a message can hold it: one line, and no octets that are no text."""
    text = path if isinstance(path, str) else "/".join(path)
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in clean)


@contextmanager
def opened(root: Path, path: str = ".") -> Iterator[int]:
    """A descriptor of a folder under the root; `path` leads through no link. Raises OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Without /proc everything would look as if it had vanished, and so as if nobody had access.
        if not Path(_inside(descriptor)).exists():
            raise OSError(errno.ENOSYS, "/proc is not mounted")
        for name in () if path == "." else path.split("/"):
            deeper = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def below(
    top: int, *, cross_mounts: bool, inside: Mapping[tuple[str, ...], int] = _NONE_INSIDE, modes: int = READ | WRITE
) -> Iterator[Item | Trouble]:
    """Everything below an open folder, each folder before what is in it; a few descriptors at a time, never a list.

    `inside` are folders with a say of their own, each with the modes that come in: where none of `modes` is left,
    nothing is looked at.
    """
    mount = None if cross_mounts else _mount_of(top)
    walking: list[_Open] = []
    try:
        yield from _begun(walking, os.open(".", _FOLDER, dir_fd=top), (), modes)
        while walking:
            folder, entries, path, left = walking[-1]
            try:
                entry = next(entries, None)
            except OSError as error:
                yield Trouble(path, error)
                entry = None
            if entry is None:
                walking.pop().close()
                continue
            match _kind(entry):
                case "file":
                    yield Item((*path, entry.name), folder, False, left)
                case "folder":
                    deeper = (*path, entry.name)
                    if coming := left & inside.get(deeper, left):
                        yield from _entered(walking, deeper, mount, coming)
                case OSError() as unknown:
                    yield Trouble((*path, entry.name), unknown)
    finally:
        for each in walking:
            each.close()


def _entered(walking: list[_Open], path: tuple[str, ...], mount: str | None, modes: int) -> Iterator[Item | Trouble]:
    if len(path) > MAX_DEPTH:
        yield Trouble(path, OSError(errno.ELOOP, f"it lies more than {MAX_DEPTH} folders deep"))
        return
    try:
        folder = os.open(path[-1], _FOLDER, dir_fd=walking[-1].descriptor)
    except OSError as error:
        # What was a folder a moment ago and is a link or a file now is as good as gone.
        if error.errno not in (*_GONE, errno.ELOOP, errno.ENOTDIR):
            yield Trouble(path, error)
        return
    if mount is not None and _mount_of(folder) != mount:
        os.close(folder)
        yield Trouble(path, None)
        return
    yield from _begun(walking, folder, path, modes)


def _begun(walking: list[_Open], folder: int, path: tuple[str, ...], modes: int) -> Iterator[Item | Trouble]:
    try:
        # The folder first: what is made in it from now on inherits what it has been given.
        if path:
            yield Item(path, folder, True, modes)
        walking.append(_Open(folder, os.scandir(folder), path, modes))
    except OSError as error:
        os.close(folder)
        yield Trouble(path, error)
    except BaseException:
        os.close(folder)
        raise


def _kind(entry: os.DirEntry[str]) -> str | OSError:
    try:
        if entry.is_file(follow_symlinks=False):
            return "file"
        return "folder" if entry.is_dir(follow_symlinks=False) else "other"
    except OSError as error:
        return "other" if error.errno in _GONE else error


def _mount_of(descriptor: int) -> str:
    """The number of the mount; unlike the device's, it tells a bind mount."""
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
        if line.startswith("mnt_id:"):
            return line
    return str(os.fstat(descriptor).st_dev)


def _inside(descriptor: int) -> str:
    """A path to what a descriptor is open on, also to one that is open by its path alone (O_PATH)."""
    return f"/proc/self/fd/{descriptor}"


def list_at(place: int | str, attribute: str) -> bytes | None:
    """The octets of a list, by a descriptor or by a path whose end is no link; None where there is none. Raises
    OSError, also where the file system has no such lists.
    """
    try:
        if isinstance(place, int):
            return os.getxattr(_inside(place), attribute)
        return os.getxattr(place, attribute, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def store_at(descriptor: int, attribute: str, octets: bytes) -> None:
    """Write a list. Raises OSError."""
    os.setxattr(_inside(descriptor), attribute, octets)


def rights_of_mode(descriptor: int) -> Acl:
    """The list of a file that has none but its mode."""
    return Acl.of_mode(stat.S_IMODE(os.fstat(descriptor).st_mode))


@contextmanager
def pinned(item: Item) -> Iterator[int | None]:
    """A descriptor of the very file or folder, whatever its name comes to mean; None where it is gone, or is a link or
    something else by now. Raises OSError.
    """
    if item.folder:
        yield item.descriptor
        return
    try:
        descriptor = os.open(item.path[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=item.descriptor)
    except OSError as error:
        if error.errno in _GONE:
            yield None
            return
        raise
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)
