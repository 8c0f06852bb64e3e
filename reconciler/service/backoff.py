"""When what failed is tried again: soon at first, and then less and less often."""

from __future__ import annotations

import time
from threading import Lock

__all__ = ["Backoff"]

FIRST, LONGEST = 1.0, 60.0
"""Seconds. A target that is down for an hour is asked some sixty times."""


class Backoff:
    """Counts failures in a row. By a clock that nobody sets."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._wait = 0.0
        self._until: float | None = None

    def failed(self) -> None:
        """Wait; twice as long as the last time, where a wait is over."""
        with self._turn:
            if self._until is None or self._until <= time.monotonic():
                self._wait = min(LONGEST, self._wait * 2 or FIRST)
                self._until = time.monotonic() + self._wait

    def soon(self) -> None:
        """Wait for as short as it gets: nothing failed, somebody else is at it."""
        with self._turn:
            self._until = time.monotonic() + FIRST

    def went_well(self) -> None:
        """The next wait is a short one again; one that has begun goes on, for those who wait."""
        with self._turn:
            self._wait = 0.0

    def left(self) -> float:
        """Seconds that are left to wait; 0 where there is nothing to wait for."""
        with self._turn:
            return max(0.0, self._until - time.monotonic()) if self._until is not None else 0.0

    def over(self) -> bool:
        """Whether a wait has just ended; said once."""
        with self._turn:
            if self._until is None or time.monotonic() < self._until:
                return False
            self._until = None
            return True
