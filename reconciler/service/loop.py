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

from reconciler.access.boundaries import Boundaries, boundaries_of
from reconciler.access.sponsorship import people_needed
from reconciler.apply.tables import Kind
from reconciler.errors import ReconcilerError
from reconciler.facts.events import EventType
from reconciler.facts.ledger import read_told
from reconciler.facts.people import FACT_KINDS, PersonUnknown
from reconciler.logs import log
from reconciler.passes import Applied, Look, apply_plan
from reconciler.passes.agenda import EVERYBODY, Agenda, turns_of
from reconciler.passes.due import CROWD, Due
from reconciler.passes.one_person import let_out, under_way
from reconciler.passes.reconciled import Reconciled, note, recall
from reconciler.passes.undo import RUN_UNDONE
from reconciler.passes.wiring import Wiring
from reconciler.service.backoff import Backoff
from reconciler.service.premises import Premises
from reconciler.service.schedule import next_turn
from reconciler.workspace import RunInProgress

__all__ = ["Loop", "LoopState"]

LANES = 2
"""So many people are let out side by side."""

PIECE = 1.0
"""No longer than this, in seconds, is waited without a look at the record and the clock."""

STEP = timedelta(seconds=2)
"""A clock that is behind itself by more than that was set back."""

COURTESY = 5.0
"""For so many seconds a whole pass, which is much work, waits for leavers who are on their way out; and so does a pass
for a person while somebody else makes one.
"""

POLL = 0.05
"""Seconds between two looks at what somebody else is doing."""

PATIENCE = 60.0
"""So many seconds whatever is under way has to come to rest at a stop."""

_LEAVING = frozenset(
    kind.value
    for kind in (
        EventType.EXITED,
        EventType.RESIGNATION_SUBMITTED,
        EventType.LEAVE_STARTED,
        EventType.LOCKED_OUT,
        EventType.EVIDENCE_REVOKED,
    )
)
_DECISIONS = frozenset({Kind.APPROVED.value, RUN_UNDONE})
"""What somebody decided, and a whole pass carries out."""


class _Stopping(ReconcilerError):
    """The service ends: no further batch is begun."""

    code = "stopping"


@dataclass(frozen=True, slots=True)
class LoopState:
    """How the loop is: which of its threads have ended although they should not, how many seconds ago the watch last
    looked, when the last whole pass that ended well began to look, what keeps the newest from ending well, how many
    people are due.
    """

    dead: tuple[str, ...]
    looked_ago: float
    last_pass: datetime | None
    trouble: str
    due: int


class Loop:
    """One for a service. Let it `take_up` what is there, `start` it and `stop` it, each once."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
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
        self._newest = premises.clock()
        self._looked_at = time.monotonic()
        self._trouble = {"record": "", "pass": ""}
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
        with self._survived("record"):
            self._note_progress()
        self._premises.notifier.stop()
        return rested

    def news(self) -> None:
        """Look at the record now."""
        self._wake.set()

    def state(self) -> LoopState:
        """How it is at this moment."""
        with self._changed:
            due = len(self._due.people)
        dead = tuple(thread.name for thread in self._threads if not thread.is_alive())
        trouble = "; ".join(text for text in self._trouble.values() if text)
        return LoopState(dead, time.monotonic() - self._looked_at, self._last_pass, trouble, due)

    # --- the watch ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.is_set():
            with self._survived("record"):
                self._look_around(self._premises.clock())
                self._trouble["record"] = ""
            self._looked_at = time.monotonic()
            self._wake.wait(self._pause())
            self._wake.clear()

    def _look_around(self, now: datetime) -> None:
        self._read_news()
        if now < self._newest - STEP:
            log.warning("clock-set-back", seconds=(self._newest - now).total_seconds())
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
            head, told = read_told(connection, after=self._seen, kinds=FACT_KINDS | _DECISIONS)
        with self._changed:
            for entry, kind, subject in told:
                if kind in _DECISIONS:
                    self._due.mark_everything()
                else:
                    self._due.mark(subject, entry=entry, leaving=kind in _LEAVING)
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

    def _plan_ahead(self, since: datetime, now: datetime) -> None:
        """Everybody's next moment; and whose came between `since` and now. Much work in a large company, so that it is
        not the watch's: leavers do not wait for it.
        """
        policy, population = self._premises.standing().policy, self._premises.facts.population()
        boundaries = boundaries_of(policy, population)
        self._put(boundaries, since, population.ledger_seq)
        with self._changed:
            turned = self._agenda.take(now)
            self._mark_turned(turned)
        if turned:
            self._put(boundaries, now, population.ledger_seq)

    def _put(self, boundaries: Boundaries, after: datetime, known: int) -> None:
        with self._changed:
            self._agenda.put(EVERYBODY, boundaries.of_policy(), after=after, known=known)
        for person in boundaries.population:
            turns = tuple(turns_of(boundaries, person))
            with self._changed:
                self._agenda.put(person.id, turns, after=after, known=known)

    def _plan_ahead_for(self, person: str, after: datetime) -> None:
        """The person's own next moment, by what is on record now."""
        policy, facts = self._premises.standing().policy, self._premises.facts
        alone = facts.population([person])
        population = facts.population(people_needed(policy, alone.people) | {person})
        if (found := population.by_id.get(person)) is not None:
            turns = turns_of(boundaries_of(policy, population), found)
            with self._changed:
                self._agenda.put(person, turns, after=after, known=population.ledger_seq)

    # --- the lanes ----------------------------------------------------------------------------------------------------

    def _lane(self) -> None:
        while (person := self._next_person()) is not None:
            well, goes_on = False, False
            try:
                with self._survived("pass", person=person):
                    well, goes_on = self._let_out(person)
            finally:
                with self._changed:
                    self._due.passed(person, well=well, goes_on=goes_on)
                    self._changed.notify_all()
                if not well:
                    self._lane_again.failed()
                self._wake.set()

    def _next_person(self) -> str | None:
        with self._changed:
            while not self._stop.is_set():
                if (person := self._due.take()) is not None:
                    return person
                self._changed.wait(PIECE)
        return None

    def _let_out(self, person: str) -> tuple[bool, bool]:
        """Whether the pass ended well, and whether there may be more to do."""
        begun, now = time.perf_counter(), self._premises.clock()
        standing = self._premises.standing()
        wiring = self._premises.wired(standing)
        self._give_way(wiring, person)
        try:
            done = let_out(wiring, person)
        except PersonUnknown:
            return True, False  # what was told of them waits for the hire, and that marks them again
        if done is not None:
            self._premises.notifier.person_passed(done, person)
        self._plan_ahead_for(person, now)
        failed = done is not None and done.failed
        changes = len(done.report.done) if done is not None and done.report is not None else 0
        seconds = round(time.perf_counter() - begun, 3)
        log.info("person-passed", person=person, changes=changes, failed=failed, seconds=seconds)
        # Who leaves may have answered for others, whom only a whole pass looks at.
        goes_on = (done is not None and done.still_due) or bool(standing.policy.sponsors)
        if not failed:
            self._lane_again.went_well()
        return not failed, goes_on

    def _give_way(self, wiring: Wiring, person: str) -> None:
        """Whoever shuts somebody out on the command line is not to be told that their own pass was taken from them."""
        until = time.monotonic() + COURTESY
        while time.monotonic() < until and under_way(wiring, person):
            self._stop.wait(POLL)

    # --- whole passes -------------------------------------------------------------------------------------------------

    def _whole(self) -> None:
        while self._wait_for_whole():
            well = False
            try:
                with self._survived("pass"):
                    well = self._whole_pass()
                if self._unplanned_since is not None:  # the pass did not get as far as to do it
                    with self._survived("record"):
                        self._plan_ahead(self._unplanned_since, self._premises.clock())
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
        with self._changed:
            while not self._stop.is_set():
                left = self._whole_again.left()
                if self._due.whole_wanted and not left:
                    wanted_since = wanted_since or time.monotonic()
                    if not self._due.leaving or time.monotonic() - wanted_since > COURTESY:
                        self._due.whole_began()
                        return True
                self._changed.wait(min(PIECE, left or PIECE))
        return False

    def _whole_pass(self) -> bool:
        """Whether it did everything that nothing holds, everywhere."""
        standing = self._premises.standing()
        seen: list[Look] = []
        try:
            done = apply_plan(
                self._premises.wired(standing),
                leavers_only=standing.problems is not None,
                looked=seen.append,
                progress=self._go_on,
            )
        except RunInProgress:
            self._whole_again.soon()
            return False
        if done is not None:
            self._premises.notifier.whole_passed(done, standing.policy)
        well = done is not None and not done.failed and standing.problems is None
        self._trouble["pass"] = "" if well else _what_went_wrong(done, standing.problems)
        if well:
            self._last_pass = seen[-1].desired.at
        # By what the pass saw, so that nobody's moment is missed that came up with it.
        boundaries = boundaries_of(seen[-1].policy, seen[-1].population)
        self._put(boundaries, seen[-1].desired.at, seen[-1].population.ledger_seq)
        self._unplanned_since = None
        return well

    def _go_on(self, _what: str, _done: int, _all: int) -> None:
        """Called after every batch, when all of it is on record."""
        if self._stop.is_set():
            raise _Stopping("the service is being stopped")

    # --- whatever happens ---------------------------------------------------------------------------------------------

    @contextmanager
    def _survived(self, where: str, **about: str) -> Iterator[None]:
        """No failure ends a thread: what failed stays due. What went wrong is logged, and said by `state`."""
        try:
            yield
        except _Stopping:
            log.info("stopped-between-batches")
        except ReconcilerError as error:
            self._trouble[where] = error.message
            self._tell_failure(where, error.code, **about)
            log.warning("pass-failed" if where == "pass" else "record-unreadable", code=error.code, **about)
        except Exception as error:
            self._trouble[where] = f"a defect of the reconciler ({type(error).__name__}); the log has more"
            self._tell_failure(where, "defect", **about)
            log.exception("defect", where=where, **about)

    def _tell_failure(self, where: str, code: str, person: str = "") -> None:
        if where == "pass" and not person:
            self._premises.notifier.whole_failed(code)


def _what_went_wrong(done: Applied | None, problems: object) -> str:
    if problems is not None:
        return "the policies do not pass: under the last that did, only leavers are let out"
    if done is None:
        return "the pass was broken off"
    unread = sorted(name for name, seen in done.plan.targets.items() if seen.error)
    if unread:
        return f"could not be read: {', '.join(unread)}"
    return f"{len(done.report.failed) if done.report else 0} changes failed in the last pass"
