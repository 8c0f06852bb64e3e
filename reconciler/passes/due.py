"""Who is due: for a pass of their own, and for the next whole pass. Pure: no clock, no threads, no store.

A person is due from the moment something is recorded about them, or time has changed an answer about them, until a pass
has seen it. The lane lets people out one by one; what goes on beyond it waits for one whole pass, together. Promises:

- Nobody is lost: whoever was marked stays due until a pass that began after the mark has ended well.
- Leavers first, in the order in which they came; of the others one has a turn after every `TURN` leavers, so that
  nobody waits for ever.
- One pass at a time for a person; marks that come meanwhile are merged into one.
- A crowd goes straight to the whole pass, where that is less work; a leaver never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["CROWD", "TURN", "Due"]

TURN = 8
"""After so many leavers somebody else has a turn."""

CROWD = 200
"""So many who are no leavers wait for the lane; for more, one whole pass is sooner done."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """`first`: the oldest entry of the record that no pass has seen yet (0: time alone brought it up). `tick`: when it
    was made, or merged last.
    """

    first: int
    tick: int
    leaving: bool = False

    def merged(self, other: _Mark | None) -> _Mark:
        """Both."""
        if other is None:
            return self
        first = min(filter(None, (self.first, other.first)), default=0)
        return _Mark(first, max(self.tick, other.tick), self.leaving or other.leaving)


class Due:
    """The queue. Whoever shares it between threads takes turns."""

    def __init__(self) -> None:
        self._leavers: dict[str, _Mark] = {}
        self._others: dict[str, _Mark] = {}
        self._in_the_lane: dict[str, _Mark] = {}
        self._failed: dict[str, _Mark] = {}
        self._rest: dict[str, _Mark] = {}
        self._everything = False
        self._began: int | None = None
        self._seen_by_whole = 0
        self._tick = 0
        self._leavers_in_a_row = 0

    # --- becoming due -------------------------------------------------------------------------------------------------

    def mark(self, person: str, *, entry: int = 0, leaving: bool = False) -> None:
        """Something was recorded about the person, by this entry, or time has changed an answer about them (0)."""
        self._tick += 1
        self._queue(person, _Mark(entry, self._tick, leaving))

    def mark_everything(self) -> None:
        """A whole pass is due, for whatever reason."""
        self._everything = True

    def try_again(self) -> None:
        """Those whose pass did not end well wait for the lane once more."""
        failed, self._failed = self._failed, {}
        for person, mark in failed.items():
            self._queue(person, mark)

    def _queue(self, person: str, mark: _Mark) -> None:
        before = self._leavers.get(person) or self._others.get(person)
        mark = mark.merged(before)
        if mark.leaving:
            self._others.pop(person, None)
            self._leavers[person] = mark
        elif before is not None or len(self._others) < CROWD:
            self._others[person] = mark
        else:
            self._rest[person] = mark.merged(self._rest.get(person))

    # --- the lane -----------------------------------------------------------------------------------------------------

    def take(self) -> str | None:
        """Whose pass is to begin; None where nobody waits whose pass is not under way."""
        leaver, other = self._first(self._leavers), self._first(self._others)
        if leaver is not None and (other is None or self._leavers_in_a_row < TURN):
            self._leavers_in_a_row += 1
            self._in_the_lane[leaver] = self._leavers.pop(leaver)
            return leaver
        if other is not None:
            self._leavers_in_a_row = 0
            self._in_the_lane[other] = self._others.pop(other)
        return other

    def _first(self, waiting: Mapping[str, _Mark]) -> str | None:
        return next((person for person in waiting if person not in self._in_the_lane), None)

    def passed(self, person: str, *, well: bool, goes_on: bool) -> None:
        """The person's pass has ended; `goes_on`: there may be more to do for them than the lane does."""
        mark = self._in_the_lane.pop(person)
        if not well:
            self._failed[person] = mark.merged(self._failed.get(person))
        if goes_on and mark.tick > self._seen_by_whole:
            self._rest[person] = mark.merged(self._rest.get(person))

    # --- whole passes -------------------------------------------------------------------------------------------------

    @property
    def whole_wanted(self) -> bool:
        """Whether a whole pass is due, and none is under way."""
        return self._began is None and (self._everything or bool(self._rest))

    def whole_began(self) -> None:
        """A whole pass is about to look: it sees all that is marked by now."""
        self._began, self._everything = self._tick, False

    def whole_ended(self, *, well: bool) -> None:
        """It has ended; well, where everything it was to do on every target is done or held."""
        began, self._began = self._began or 0, None
        if not well:
            self._everything = True
            return
        self._seen_by_whole = began
        for waiting in (self._leavers, self._others, self._failed, self._rest):
            for person in [person for person, mark in waiting.items() if mark.tick <= began]:
                del waiting[person]

    @property
    def leaving(self) -> bool:
        """Whether a leaver waits for the lane, or is in it."""
        return bool(self._leavers) or any(mark.leaving for mark in self._in_the_lane.values())

    @property
    def leavers(self) -> Mapping[str, int]:
        """Those who leave and are not out yet → the oldest entry that says so, 0 where time alone did."""
        found: dict[str, int] = {}
        for waiting in (self._leavers, self._in_the_lane, self._failed):
            found |= {person: mark.first for person, mark in waiting.items() if mark.leaving}
        return found

    # --- how far ------------------------------------------------------------------------------------------------------

    def reconciled(self, seen: int) -> int:
        """The entry up to which all is reconciled, where `seen` is the newest one that has been marked."""
        return min((mark.first - 1 for mark in self._marks() if mark.first), default=seen)

    @property
    def people(self) -> frozenset[str]:
        """Everybody who is due."""
        return frozenset(
            self._leavers.keys() | self._others.keys() | self._in_the_lane.keys() | self._failed.keys()
        ) | (self._rest.keys())

    @property
    def failed(self) -> frozenset[str]:
        """Those whose last pass did not end well."""
        return frozenset(self._failed)

    def _marks(self) -> Iterator[_Mark]:
        for waiting in (self._leavers, self._others, self._in_the_lane, self._failed, self._rest):
            yield from waiting.values()
