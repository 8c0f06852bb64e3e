"""Writing a file so that a reader sees the old content or the new, never a part, and so that a crash loses neither."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(path: Path, content: bytes) -> None:
    """Give a file new content, keeping its mode and, where permitted, its owner; a new file is for its owner alone.

    Raises `OSError`; the file is then as it was.
    """
    path = path.resolve()  # a symbolic link stays one: what it points to is rewritten
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            _take_after(path, file.fileno())
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _take_after(path: Path, handle: int) -> None:
    with suppress(FileNotFoundError):
        old = path.stat()
        with suppress(PermissionError):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
