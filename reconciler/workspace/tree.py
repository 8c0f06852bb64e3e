"""Whether files on a disk are as they were, without reading them.

Promises: a mark that is settled, and the same one as before, means the same bytes. A file that was changed a moment ago
may be changed once more within the same tick of its file system's clock, which no mark would show: until it has aged,
nothing is believed (as git treats what it calls racily clean).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TreeMark", "mark_of"]

AGED = 3 * 10**9
"""Nanoseconds after which a file's times tell all changes apart: the coarsest clocks tick every two seconds."""


@dataclass(frozen=True, slots=True)
class TreeMark:
    """Of each file where it stands, which one it is, how long, and when it and its entry were changed last."""

    files: tuple[tuple[str, int, int, int, int, int], ...]
    settled: bool


def mark_of(files: Iterable[Path]) -> TreeMark:
    """The mark of these files. Raises `OSError` where one of them cannot be looked at."""
    now, found = time.time_ns(), []
    for path in files:
        seen = path.stat()
        found.append((str(path), seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
    # A time to come is no older than one of just now: a clock was set back.
    return TreeMark(tuple(found), all(now - changed > AGED for *_, changed in found))
