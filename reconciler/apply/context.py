"""What a run needs from outside, as values and seams: the targets, the record, the checks before every batch, waiting
and doing things side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Generic, Protocol, TypeVar

from reconciler.apply.patience import Patience
from reconciler.apply.telling import Told
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.logs import carried
from reconciler.plan.model import Change
from reconciler.targets import Target

__all__ = ["MOST_AT_ONCE", "Recorder", "RunContext", "SideBySide", "in_threads", "one_after_the_other", "to_rest"]

MOST_AT_ONCE = 16
"""The most things that are done side by side."""

T = TypeVar("T")


class Recorder(Protocol):
    """Writes to the ledger, durably before it returns. Time and actor are its business."""

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """Append these entries in one transaction, in which the lease is checked."""
        ...


class SideBySide(Protocol):
    """Does several things, each independent of the others, and returns what they came to, in their order.

    Raises what one of them raised; then others may be at work still.
    """

    def __call__(self, works: Sequence[Callable[[], T]]) -> list[T]: ...


def in_threads(works: Sequence[Callable[[], T]]) -> list[T]:
    """Each in a thread. All of them end, whatever one raises; an interruption of the caller waits for none."""
    if len(works) < 2:
        return [work() for work in works]
    pool = ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, len(works)))
    try:
        futures = [pool.submit(carried(work)) for work in works]
        for future in futures:
            future.exception()
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def one_after_the_other(works: Sequence[Callable[[], T]]) -> list[T]:
    """In order, in the caller's thread: for whoever wants the same thing to happen twice."""
    return [work() for work in works]


def to_rest(
    side_by_side: SideBySide, works: Sequence[Callable[[], T]], stop: Callable[[], None] = lambda: None
) -> list[T]:
    """As `side_by_side`. Where that raises, the others are told to `stop`, and what has begun comes to its end first:
    nothing goes on behind the back of whoever gives a lock or a connection back.
    """
    begun = [_Begun(work) for work in works]
    try:
        return side_by_side(begun)
    except BaseException:
        stop()
        for each in begun:
            each.rest()
        raise


class _Begun(Generic[T]):
    """Something that is done once, and whose end can be waited for where it has begun."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._begun = Event()
        self._ended = Event()

    def __call__(self) -> T:
        self._begun.set()
        try:
            return self._work()
        finally:
            self._ended.set()

    def rest(self) -> None:
        """Wait until it has ended, where it has begun."""
        if self._begun.is_set():
            self._ended.wait()


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run needs from outside.

    `no_longer_wanted` is asked before every batch, and again before a step is sent again, and answers with the ids of
    those changes that the ledger and the policy, as they are now, would not make any more. `still_ours` raises where
    somebody else has taken the lease since. `done_by_others` answers with the ids of those changes that another run has
    put on record as done by itself since this one intended them. `progress` is told after every batch how many changes
    have had their turn, and how many of them are not as they should be. The first three are called from several
    threads.
    """

    told: Told
    targets: Mapping[str, Target]
    recorder: Recorder
    no_longer_wanted: Callable[[Sequence[Change]], frozenset[str]]
    progress: Callable[[int, int], None] = lambda _done, _failed: None
    still_ours: Callable[[], None] = lambda: None
    done_by_others: Callable[[Sequence[Change]], frozenset[str]] = lambda _: frozenset()
    patience: Patience = field(default_factory=Patience)
    side_by_side: SideBySide = in_threads
