"""Who is due: for a pass of their own, and for the next whole pass. Pure: no clock, no threads, no store.

A person is due from the moment something is recorded about them, or time has changed an answer about them, until a pass
has seen it. The lane lets people out one by one; what goes on beyond it waits for one whole pass, together. Promises:

- Nobody is lost: whoever was marked stays due until a pass that began after the mark has ended well.
- What a pass in the lane has left to a whole pass is settled by a whole pass alone.
- Leavers first, in the order in which they came; of the others one has a turn after every `TURN` leavers, so that
  nobody waits for ever.
- One pass at a time for a person; marks that come meanwhile are merged into one.
- A crowd goes straight to the whole pass, where that is less work; a leaver never does.

Of each person there is one list: what was told of them, oldest first, and who still owes a look at it. Each pass
settles what was told before it began, whoever else has looked at it, failed over it, or was told more meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = ["CROWD", "TURN", "Due"]

TURN = 8
"""After so many leavers somebody else has a turn."""

CROWD = 200
"""So many who are no leavers wait for the lane; for more, one whole pass is sooner done."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Something told of a person. `first`: the oldest entry of the record that it stands for (0: time alone brought it
    up). `tick`: when it was made, or merged last. `lane`, `whole`: which kinds of passes still owe it a look.
    """

    first: int
    tick: int
    leaving: bool
    lane: bool = True
    whole: bool = False

    def merged(self, newer: _Mark) -> _Mark:
        """Both, where the same is owed to them."""
        first = min(filter(None, (self.first, newer.first)), default=0)
        return replace(newer, first=first, leaving=self.leaving or newer.leaving)


class Due:
    """The queue. Whoever shares it between threads takes turns."""

    def __init__(self, crowd: int = CROWD) -> None:
        self._crowd = crowd
        self._told: dict[str, Sequence[_Mark]] = {}
        self._leavers: dict[str, None] = {}
        self._others: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        self._beyond: set[str] = set()
        self._in_the_lane: dict[str, int] = {}
        self._everything = False
        self._began: int | None = None
        self._tick = 0
        self._leavers_in_a_row = 0

    # --- becoming due -------------------------------------------------------------------------------------------------

    def mark(self, person: str, *, entry: int = 0, leaving: bool = False) -> None:
        """Something was recorded about the person, by this entry, or time has changed an answer about them (0)."""
        self._tick += 1
        lane = self._queued(person, leaving=leaving)
        mark = _Mark(entry, self._tick, leaving, lane=lane, whole=not lane)
        self._keep(person, [*self._told.get(person, ()), mark])

    def mark_everything(self) -> None:
        """A whole pass is due, for whatever reason."""
        self._everything = True

    def try_again(self) -> None:
        """Those whose pass did not end well wait for the lane once more."""
        failed, self._failed = self._failed, {}
        for person in failed:
            if not self._queued(person, leaving=self._leaves(person)):
                self._keep(person, [replace(mark, lane=False, whole=True) for mark in self._told[person]])

    def _queued(self, person: str, *, leaving: bool) -> bool:
        """Whether the person waits for the lane now, and not for a whole pass with the crowd."""
        if leaving:
            self._others.pop(person, None)
            self._leavers[person] = None
        elif person not in self._leavers and (person in self._others or len(self._others) < self._crowd):
            self._others[person] = None
        return person in self._leavers or person in self._others

    def _leaves(self, person: str) -> bool:
        return any(mark.leaving and mark.lane for mark in self._told.get(person, ()))

    def _keep(self, person: str, marks: Iterable[_Mark]) -> None:
        """This is what is owed to the person, and nothing else."""
        kept = self._folded(marks, self._in_the_lane.get(person))
        if kept:
            self._told[person] = kept
        else:
            self._told.pop(person, None)
        if any(mark.whole for mark in kept):
            self._beyond.add(person)
        else:
            self._beyond.discard(person)
        if not any(mark.lane for mark in kept):
            for waiting in (self._leavers, self._others, self._failed):
                waiting.pop(person, None)

    def _folded(self, marks: Iterable[_Mark], taken: int | None) -> Sequence[_Mark]:
        """Marks are merged where the same is owed to them, and no pass under way has begun between them."""
        looks = [tick for tick in (taken, self._began) if tick is not None]
        folded: list[_Mark] = []
        for mark in marks:
            before = folded[-1] if folded else None
            if (
                before is not None
                and (before.lane, before.whole) == (mark.lane, mark.whole)
                and not any(before.tick <= look < mark.tick for look in looks)
            ):
                folded[-1] = before.merged(mark)
            else:
                folded.append(mark)
        return folded

    # --- the lane -----------------------------------------------------------------------------------------------------

    def take(self) -> str | None:
        """Whose pass is to begin; None where nobody waits whose pass is not under way."""
        leaver, other = self._first(self._leavers), self._first(self._others)
        if leaver is not None and (other is None or self._leavers_in_a_row < TURN):
            self._leavers_in_a_row += 1
            del self._leavers[leaver]
        elif other is not None:
            self._leavers_in_a_row = 0
            del self._others[other]
            leaver = other
        if leaver is not None:
            self._failed.pop(leaver, None)
            self._in_the_lane[leaver] = self._tick
        return leaver

    def _first(self, waiting: Iterable[str]) -> str | None:
        return next((person for person in waiting if person not in self._in_the_lane), None)

    def passed(self, person: str, *, well: bool, goes_on: bool) -> None:
        """The person's pass has ended; `goes_on`: there may be more to do for them than the lane does."""
        began = self._in_the_lane.pop(person)
        marks = self._told.get(person, ())
        seen = [mark for mark in marks if mark.tick <= began]
        seen = [replace(mark, lane=mark.lane and not well, whole=mark.whole or goes_on) for mark in seen]
        owed = [mark for mark in seen if mark.lane or mark.whole]
        if any(mark.lane for mark in owed) and person not in self._leavers and person not in self._others:
            self._failed[person] = None
        self._keep(person, [*owed, *(mark for mark in marks if mark.tick > began)])

    # --- whole passes -------------------------------------------------------------------------------------------------

    @property
    def whole_wanted(self) -> bool:
        """Whether a whole pass is due, and none is under way."""
        return self._began is None and (self._everything or bool(self._beyond))

    def whole_began(self) -> None:
        """A whole pass is about to look: it sees all that is marked by now."""
        self._began, self._everything = self._tick, False

    def whole_ended(self, *, well: bool) -> None:
        """It has ended; well, where everything it was to do on every target is done or held."""
        began, self._began = self._began or 0, None
        if not well:
            self._everything = True
            return
        for person, marks in list(self._told.items()):
            if marks[0].tick <= began:
                self._keep(person, [mark for mark in marks if mark.tick > began])

    @property
    def leaving(self) -> bool:
        """Whether a leaver waits for the lane, or is in it."""
        return bool(self._leavers) or any(map(self._leaves, self._in_the_lane))

    @property
    def leavers(self) -> Mapping[str, int]:
        """Those who leave and are not out yet → the oldest entry that says so, 0 where time alone did."""
        found: dict[str, int] = {}
        for person, marks in self._told.items():
            if owed := [mark.first for mark in marks if mark.leaving and mark.lane]:
                found[person] = min(filter(None, owed), default=0)
        return found

    # --- how far ------------------------------------------------------------------------------------------------------

    def reconciled(self, seen: int) -> int:
        """The entry up to which all is reconciled, where `seen` is the newest one that has been marked."""
        owed = (mark.first - 1 for marks in self._told.values() for mark in marks if mark.first)
        return min(owed, default=seen)

    @property
    def people(self) -> frozenset[str]:
        """Everybody who is due."""
        return frozenset(self._told) | frozenset(self._in_the_lane)

    @property
    def failed(self) -> frozenset[str]:
        """Those whose last pass did not end well, and who wait to be tried again."""
        return frozenset(self._failed)
