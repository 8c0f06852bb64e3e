"""How many questions about everybody are worked on at once: one, since each computes for long and leavers want the
processor too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool

from reconciler.errors import ReconcilerError

__all__ = ["Busy", "Turns"]

WAITING = 8
"""So many may wait for their turn; whoever comes then is asked to come again."""

T = TypeVar("T")


class Busy(ReconcilerError):
    """Too many others wait already."""

    code = "busy"


class Turns:
    """One for a service. Whoever waits takes no thread from those who have little to ask."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._inside = 0

    async def take(self, work: Callable[[], T]) -> T:
        """Do the work in a thread, when its turn has come. Raises `Busy`, and what the work raises."""
        if self._inside > WAITING:
            raise Busy("others ask about everybody, and more wait already", remedy="ask again in a few seconds")
        self._inside += 1
        try:
            async with self._turn:
                return await run_in_threadpool(work)
        finally:
            self._inside -= 1
