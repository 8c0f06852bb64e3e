"""The loop: who is due gets a pass at once, leavers first; what goes on beyond that gets one whole pass, together.

Three kinds of threads share one queue (`reconciler.passes.due`). The watch reads what is new on record, whoever put it
there, looks at the clock, and marks who is due. The lanes let people out, beside whatever else is going on. One thread
makes whole passes, under the workspace's lock and its guards, as the command line does.

Nothing here is told by memory alone: the record is the queue, and how far all of it is reconciled is noted in the
store. Whoever kills this process loses nothing but time. No wait is trusted for long: the watch waits a second at most
and then compares moments, so that a clock that was set, or a machine that slept, changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Condition, Event, Thread
from typing import Protocol

from reconciler.apply.leases import take
from reconciler.errors import ReconcilerError
from reconciler.facts.ledger import read_told
from reconciler.facts.people import FACT_KINDS
from reconciler.logs import log, some_id, within
from reconciler.passes.agenda import EVERYBODY, Agenda
from reconciler.passes.due import CROWD, Due
from reconciler.passes.marks import DECISIONS, LEAVING
from reconciler.passes.reconciled import Reconciled, note, recall
from reconciler.service.aside import Here
from reconciler.service.backoff import Backoff
from reconciler.service.jobs import (
    COURTESY,
    PersonPassed,
    Stopping,
    pass_person,
)
from reconciler.service.premises import Premises
from reconciler.service.schedule import next_turn

__all__ = ["PATIENCE", "PIECE", "Loop", "LoopState", "PassMaker", "try_to_write"]

LANES = 2
"""So many people are let out side by side."""

PIECE = 1.0
"""No longer than this, in seconds, is waited without a look at the record and the clock."""

STEP = timedelta(seconds=2)
"""A clock that is behind itself by more than that was set back."""

PROBE = "probe"
"""A lease on nothing, taken to see whether the record can be written."""

PATIENCE = 60.0
"""So many seconds whatever is under way has to come to rest at a stop."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """How the loop is: which of its threads have ended although they should not, how many seconds ago the watch last
    looked, when the last whole pass that ended well began to look, what keeps the newest from ending well, how many
    people are due; how many of them leave, and the oldest entry that says so of one of those (0: none does); of how
    many the last pass did not end well; how many seconds the last whole pass took; and where workers do the passes, how
    many are alive, on whatever machine.
    """

    dead: tuple[str, ...]
    looked_ago: float
    last_pass: datetime | None
    trouble: str
    due: int
    leavers: int = 0
    oldest_leaver: int = 0
    failed: int = 0
    whole_took: float = 0.0
    workers: int | None = None


class PassMaker(Protocol):
    """Whatever does the passes of a service: a `Loop`, or the crew of one process among several. Let it `take_up` what
    is there, `start` it and `stop` it, each once; tell it when there are `news`, or that something else than the record
    has changed (`want_whole`); ask it how it is. `watches`: this process looks for all that share the store.
    """

    watches: bool

    def take_up(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> bool: ...

    def news(self) -> None: ...

    def want_whole(self) -> None: ...

    def state(self) -> LoopState: ...


def try_to_write(premises: Premises) -> None:
    """Where something could not be written, whether it can by now: nothing else may ask for it in a long time. Raises
    `StoreError` where it cannot.
    """
    store = premises.facts.store
    if why := store.unwritable:
        log.warning("record-unwritable", why=why)
        take(store, PROBE, premises.actor.name, premises.clock())
        log.info("record-writable")


class Loop:
    """One for a service. Let it `take_up` what is there, `start` it and `stop` it, each once."""

    def __init__(self, premises: Premises, passes: Here | None = None) -> None:
        """`passes`: who makes whole passes; this process, unless it is said."""
        self._premises = premises
        self._passes = passes or Here(premises)
        self.watches = True
        self._store = premises.facts.store
        self._due, self._agenda = Due(), Agenda()
        self._changed = Condition()
        self._wake, self._stop = Event(), Event()
        self._lane_again, self._whole_again = Backoff(), Backoff()
        self._seen = 0
        self._noted: Reconciled | None = None
        self._last_pass: datetime | None = None
        self._next_full: datetime | None = None
        self._unplanned_since: datetime | None = None
        self._whole_took = 0.0
        self._newest = premises.clock()
        self._looked_at = time.monotonic()
        self._trouble = {"record": "", "pass": "", "lane": ""}
        works = [("watch", self._watch), *((f"lane-{n + 1}", self._lane) for n in range(LANES)), ("whole", self._whole)]
        self._threads = [Thread(target=work, name=name, daemon=True) for name, work in works]

    def take_up(self) -> None:
        """Take up what the last service left: facts that no pass has seen, time that has gone by; and ask for a whole
        pass, since nobody knows what was done by hand. Raises `StoreError`.
        """
        now, left, head = self._premises.clock(), recall(self._store), self._premises.facts.ledger.head()
        self._due.mark_everything()
        if left is None or left.entry > head:  # or the store was put back from a backup
            self._seen = head
        else:
            self._seen, self._noted, self._last_pass = left.entry, left, left.at
        self._unplanned_since = left.at if left else now
        self._next_full = self._after(now)
        self._read_news()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()
        self._premises.notifier.start(lambda: self._premises.standing().policy)

    def stop(self) -> bool:
        """Finish what is under way, batch by batch; begin nothing. Whether all came to rest in time."""
        self._stop.set()
        self._wake.set()
        with self._changed:
            self._changed.notify_all()
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        rested = not any(thread.is_alive() for thread in self._threads)
        self._passes.close()
        with self._survived("record"):
            self._note_progress()
        self._premises.notifier.stop()
        return rested

    def news(self) -> None:
        """Look at the record now."""
        self._wake.set()

    def want_whole(self) -> None:
        """A whole pass is due: something else than the record has changed."""
        self._mark_everything()

    def state(self) -> LoopState:
        """How it is at this moment."""
        with self._changed:
            due, leavers, failed = len(self._due.people), self._due.leavers, len(self._due.failed)
        trouble = "; ".join(text for text in self._trouble.values() if text)
        return LoopState(
            dead=tuple(thread.name for thread in self._threads if not thread.is_alive()),
            looked_ago=time.monotonic() - self._looked_at,
            last_pass=self._last_pass,
            trouble=trouble,
            due=due,
            leavers=len(leavers),
            oldest_leaver=min(filter(None, leavers.values()), default=0),
            failed=failed,
            whole_took=self._whole_took,
        )

    # --- the watch ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.is_set():
            with self._survived("record"):
                try_to_write(self._premises)
                self._look_around(self._premises.clock())
                self._trouble["record"] = ""
            self._looked_at = time.monotonic()
            self._wake.wait(self._pause())
            self._wake.clear()

    def _look_around(self, now: datetime) -> None:
        self._read_news()
        if now < self._newest - STEP:
            log.warning("clock-set-back", seconds=(self._newest - now).total_seconds())
            self._premises.measures.set_back()
            self._next_full = self._after(now)
            self._unplanned_since = now
            self._mark_everything()
        self._newest = now
        with self._changed:
            self._mark_turned(self._agenda.take(now))
        if self._next_full is not None and self._next_full <= now:
            self._next_full = self._after(now)
            self._mark_everything()
        if self._lane_again.over():
            with self._changed:
                self._due.try_again()
                self._changed.notify_all()
        self._note_progress()

    def _read_news(self) -> None:
        with self._store.reading() as connection:
            head, told = read_told(connection, after=self._seen, kinds=FACT_KINDS | DECISIONS)
        with self._changed:
            for entry, kind, subject in told:
                if kind in DECISIONS:
                    self._due.mark_everything()
                else:
                    self._due.mark(subject, entry=entry, leaving=kind in LEAVING)
            self._seen = head
            if told:
                self._changed.notify_all()

    def _mark_turned(self, people: frozenset[str]) -> None:
        """Time has changed an answer about these: an exit's day is over, a proof has run out."""
        if not people:
            return
        few = people if EVERYBODY not in people and len(people) <= CROWD else frozenset[str]()
        for person in few:
            self._due.mark(person, leaving=True)
        self._due.mark_everything()
        self._changed.notify_all()

    def _mark_everything(self) -> None:
        with self._changed:
            self._due.mark_everything()
            self._changed.notify_all()

    def _after(self, now: datetime) -> datetime:
        schedule = self._premises.workspace.spec.service.schedule
        return next_turn(schedule.full_pass, now, self._premises.workspace.zone)

    def _pause(self) -> float:
        """Seconds until the next moment that counts, and never more than a piece."""
        moments = [moment for moment in (self._agenda_next(), self._next_full) if moment is not None]
        ahead = min((moment - self._premises.clock() for moment in moments), default=timedelta(seconds=PIECE))
        return min(PIECE, max(0.0, ahead.total_seconds()), self._lane_again.left() or PIECE)

    def _agenda_next(self) -> datetime | None:
        with self._changed:
            return self._agenda.next

    def _note_progress(self) -> None:
        if self._last_pass is None:
            return
        with self._changed:
            come = Reconciled(self._due.reconciled(self._seen), self._last_pass)
        if come != self._noted:
            note(self._store, come)
            self._noted = come

    # --- time ---------------------------------------------------------------------------------------------------------

    def _plan_ahead(self, since: datetime) -> None:
        """Much work in a large company, so that it is not the watch's: leavers do not wait for it."""
        ahead = self._passes.look_ahead(since, self._stop)
        with self._changed:
            self._mark_turned(ahead.came)
            self._agenda.adopt(ahead.calendar)

    # --- the lanes ----------------------------------------------------------------------------------------------------

    def _lane(self) -> None:
        while (person := self._next_person()) is not None:
            passed = PersonPassed(well=False)
            try:
                with within(**{"pass": some_id()}), self._survived("pass", person=person):
                    passed = pass_person(self._premises, person, self._stop)
                    if passed.ahead is not None:
                        with self._changed:
                            passed.ahead.enter(self._agenda)
            finally:
                with self._changed:
                    self._due.passed(person, well=passed.well, goes_on=passed.goes_on)
                    if not self._due.failed:
                        self._trouble["lane"] = ""
                    self._changed.notify_all()
                if not passed.well:
                    self._lane_again.failed()
                elif passed.made:
                    self._lane_again.went_well()
                self._wake.set()

    def _next_person(self) -> str | None:
        with self._changed:
            while not self._stop.is_set():
                if (person := self._due.take()) is not None:
                    return person
                self._changed.wait(PIECE)
        return None

    # --- whole passes -------------------------------------------------------------------------------------------------

    def _whole(self) -> None:
        while self._wait_for_whole():
            well = False
            try:
                with within(**{"pass": some_id()}), self._survived("pass"):
                    well = self._whole_pass()
                if self._unplanned_since is not None and not self._stop.is_set():  # the pass did not get as far
                    with self._survived("record"):
                        self._plan_ahead(self._unplanned_since)
                        self._unplanned_since = None
            finally:
                with self._changed:
                    self._due.whole_ended(well=well)
                if well:
                    self._whole_again.went_well()
                else:
                    self._whole_again.failed()
                self._wake.set()

    def _wait_for_whole(self) -> bool:
        wanted_since: float | None = None
        while not self._stop.is_set():
            with self._changed:
                left = self._whole_again.left()
                if self._due.whole_wanted and not left:
                    wanted_since = wanted_since or time.monotonic()
                    if not self._due.leaving or time.monotonic() - wanted_since > COURTESY:
                        self._due.whole_began()
                        return True
                self._changed.wait(min(PIECE, left or PIECE))
            self._passes.rest()
        return False

    def _whole_pass(self) -> bool:
        """Whether it did everything that nothing holds, everywhere."""
        passed = self._passes.pass_whole(self._stop)
        if passed.busy:
            self._whole_again.soon()
            return False
        self._whole_took = passed.seconds
        self._trouble["pass"] = passed.trouble
        if passed.well:
            self._last_pass = passed.looked_at
        if passed.ahead is not None:
            with self._changed:
                self._agenda.adopt(passed.ahead)
            self._unplanned_since = None
        return passed.well

    # --- whatever happens ---------------------------------------------------------------------------------------------

    @contextmanager
    def _survived(self, where: str, **about: str) -> Iterator[None]:
        """No failure ends a thread: what failed stays due. What went wrong is logged, and said by `state`."""
        try:
            yield
        except Stopping:
            log.info("stopped-between-batches")
        except ReconcilerError as error:
            self._trouble["lane" if about else where] = error.message
            self._premises.measures.broke_off(where, error.code)
            self._tell_failure(where, error.code, **about)
            log.warning("pass-failed" if where == "pass" else "record-unreadable", code=error.code, **about)
        except Exception as error:
            self._premises.measures.broke_off(where, "defect")
            self._trouble["lane" if about else where] = (
                f"a defect of the reconciler ({type(error).__name__}); the log has more"
            )
            self._tell_failure(where, "defect", **about)
            log.exception("defect", where=where, **about)

    def _tell_failure(self, where: str, code: str, person: str = "") -> None:
        if where == "pass" and not person:
            self._premises.notifier.whole_failed(code)
