"""Taking turns at writing lists: whoever reads one, changes it and writes it must not lose what another did in between.

The kernel has no operation that changes one entry. So the root is locked from reading a list to writing it, which is a
matter of microseconds, by this process's threads and by other processes alike. Any user of the machine could hold that
lock as well; they can make us wait a moment, once, and never keep us from shutting somebody out.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["PATIENCE", "Turns"]

PATIENCE = 2.0
"""For how many seconds a turn is waited for."""
_PAUSE = 0.0002


@dataclass(slots=True)
class Turns:
    """Turns at what lies below a root, by an open descriptor of it."""

    root: int
    patience: float = PATIENCE

    @contextmanager
    def turn(self) -> Iterator[None]:
        """From here to the end of the block nobody else who takes turns writes; without, where somebody keeps the lock
        for good or the file system has none.
        """
        held = self._acquired()
        try:
            yield
        finally:
            if held:
                fcntl.flock(self.root, fcntl.LOCK_UN)

    def _acquired(self) -> bool:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                fcntl.flock(self.root, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self.patience = 0.0  # waited for once, and not at every file
                    return False
                time.sleep(_PAUSE)
            except OSError:
                return False
            else:
                return True
