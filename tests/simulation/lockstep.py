"""Threads of which exactly one moves at a time, and hands the baton over only where it says that it may.

What runs is ordinary synchronous code; which of several goes on at a seam is the caller's choice, so that the same
choices give the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock, Thread


class Stopped(BaseException):
    """The run is over: whoever still waits for the baton gives up."""


class Lockstep:
    """Carries out several works. `choose` is asked with how many are still at work, and names one of them."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._gates: dict[int, Lock] = {}
        self._alive: list[int] = []
        self._moving = -1
        self._failure: BaseException | None = None
        self._over = Lock()

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        """Return when all have ended. Raises what the first of them raised; the others are stopped then."""
        self._failure, self._alive = None, list(range(len(works)))
        self._gates = {number: Lock() for number in self._alive}
        for gate in self._gates.values():
            gate.acquire()
        self._over.acquire()
        threads = [Thread(target=self._worker, args=(number, work)) for number, work in enumerate(works)]
        for thread in threads:
            thread.start()
        self._hand_over()
        self._over.acquire()
        self._over.release()
        for thread in threads:
            thread.join()
        self._moving = -1
        if self._failure is not None:
            raise self._failure

    def pause(self) -> None:
        """The one that moves lets the choice decide who goes on."""
        if self._moving < 0:
            return
        own = self._moving
        chosen = self._alive[self._choose(len(self._alive))]
        if chosen != own:
            self._moving = chosen
            self._gates[chosen].release()
            self._wait(own)

    @property
    def moving(self) -> int:
        """The number of the work that moves, -1 where nothing does."""
        return self._moving

    def _worker(self, number: int, work: Callable[[], None]) -> None:
        try:
            self._wait(number)
            work()
        except Stopped:
            pass
        except BaseException as failure:  # it is raised again where it is waited for
            self._failure = self._failure or failure
        finally:
            self._alive.remove(number)
            self._hand_over()

    def _wait(self, number: int) -> None:
        self._gates[number].acquire()
        if self._failure is not None:
            raise Stopped

    def _hand_over(self) -> None:
        if not self._alive:
            self._over.release()
            return
        self._moving = self._alive[0 if self._failure else self._choose(len(self._alive))]
        self._gates[self._moving].release()
