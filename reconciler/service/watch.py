"""The watch, where several machines share a store: one process at a time looks at the clock for all of them.

Who holds the lease is the watch; it ends with the process, and another one, which asks every second, takes over. The
watch sees when time alone changes an answer, fires what stands on a schedule, and finds what was lost: the jobs of a
worker that has died, and people who are due and whom no job is about. It passes for nobody.

Two that take themselves for the watch do no harm: marks are merged, jobs are merged, and a turn comes once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.facts.ledger import read_last_told
from reconciler.facts.people import FACT_KINDS
from reconciler.logs import log
from reconciler.passes import marks, work
from reconciler.passes.agenda import EVERYBODY, Agenda
from reconciler.passes.due import CROWD
from reconciler.passes.marks import Reason
from reconciler.passes.reconciled import Reconciled, recall
from reconciler.service.jobs import Ahead, look_ahead, look_ahead_for
from reconciler.service.premises import Premises
from reconciler.service.schedule import last_turn, next_turn

__all__ = ["FULL_PASS", "Watch"]

FULL_PASS = "full-pass"  # noqa: S105  # no password
"""The schedule's name."""

STEP = timedelta(seconds=2)
"""A clock that is behind itself by more than that was set back."""


class Watch:
    """One for as long as the lease is held. `take_up` what there is, then `look` again and again."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self._store = premises.facts.store
        self._agenda = Agenda()
        self._schedules: Mapping[str, str] = {FULL_PASS: premises.workspace.spec.service.schedule.full_pass}
        self._fired: dict[str, datetime] = {}
        self._seen = 0
        self._looked = self._newest = premises.clock()
        self._policy = ""
        self._come: Reconciled | None = None

    def take_up(self) -> None:
        """Ask for a whole pass, since nobody knows what was done by hand, or recorded by an older version; and see what
        time has changed since the last one. Raises `StoreError`.
        """
        now, left, head = self._premises.clock(), recall(self._store), self._premises.facts.ledger.head()
        first = left.entry + 1 if left is not None and left.entry < head else 0
        with self._store.writing() as connection:
            work.mark_and_ask(connection, {EVERYBODY: Reason(first)})
            for name in self._schedules:
                fired = work.claimed(connection, name)
                self._fired[name] = fired if fired is not None and fired <= now else self._last(name, now)
        self._come, self._seen = left, head
        self._look_ahead(left.at if left else now)
        log.info("watch-taken-up", entry=head)

    def look(self) -> float:
        """Look once. Seconds until something is known to come. Raises `StoreError`."""
        now = self._premises.clock()
        self._find_lost()
        if now < self._newest - STEP:
            log.warning("clock-set-back", seconds=(self._newest - now).total_seconds())
            self._premises.measures.set_back()
            self._fired = {name: self._last(name, now) for name in self._schedules}
            self._mark({EVERYBODY: Reason()})
            self._look_ahead(now)
        self._newest = now
        self._read_news(now)
        if turned := self._agenda.take(now):
            self._turned(turned)
            if EVERYBODY in turned:
                self._look_ahead(now)
            else:
                self._put(look_ahead_for(self._premises, dict.fromkeys(turned, now)))
        self._fire(now)
        self._looked = now
        coming = [self._agenda.next, *(self._next(name) for name in self._schedules)]
        return min((moment - now).total_seconds() for moment in coming if moment is not None)

    # --- what was lost ------------------------------------------------------------------------------------------------

    def _find_lost(self) -> None:
        with self._store.reading() as connection:
            dead = work.dead(connection)
            lost = bool(marks.lost(connection))
            whole = marks.whole_due(connection) and not work.whole_asked(connection)
        if not (dead or lost or whole):
            return
        with self._store.writing() as connection:
            work.drop(connection, dead := work.dead(connection), self._premises.clock())
            found = marks.lost(connection)
            whole = marks.whole_due(connection) and not work.whole_asked(connection)
            work.ask_for(connection, {person: each.leaving for person, each in found.items()}, whole=whole)
        if dead or found:
            log.warning("work-taken-over", jobs=len(dead), people=len(found))

    # --- time ---------------------------------------------------------------------------------------------------------

    def _read_news(self, now: datetime) -> None:
        """What was told changes when time will do something. A pass by what held when it was told is asked for."""
        with self._store.reading() as connection:
            head, told = read_last_told(connection, after=self._seen, kinds=FACT_KINDS)
        if head < self._seen:  # the store was put back from a backup
            self._look_ahead(now)
        elif told:
            self._put(look_ahead_for(self._premises, told))
        self._seen = head
        come = recall(self._store)
        if come != self._come and come is not None and (self._come is None or come.at != self._come.at):
            standing = self._premises.standing()
            if standing.policy.digest != self._policy or standing.policy.sponsors:
                self._look_ahead(self._looked)
        self._come = come

    def _look_ahead(self, since: datetime) -> None:
        self._policy = self._premises.standing().policy.digest
        ahead = look_ahead(self._premises, since)
        self._turned(ahead.came)
        self._agenda.adopt(ahead.calendar)

    def _put(self, ahead: Ahead) -> None:
        """By what is known now; of whom time has changed something meanwhile, that is told."""
        self._turned(ahead.came)
        ahead.enter(self._agenda)

    def _turned(self, people: frozenset[str]) -> None:
        """Time has changed an answer about these: an exit's day is over, a proof has run out."""
        if people:
            few = people if EVERYBODY not in people and len(people) <= CROWD else frozenset[str]()
            self._mark({EVERYBODY: Reason(), **{person: Reason(leaving=True) for person in few}})

    def _mark(self, reasons: Mapping[str, Reason]) -> None:
        with self._store.writing() as connection:
            work.mark_and_ask(connection, reasons)

    # --- schedules ----------------------------------------------------------------------------------------------------

    def _fire(self, now: datetime) -> None:
        for name in self._schedules:
            if self._next(name) <= now:
                turn = self._last(name, now)
                with self._store.writing() as connection:
                    if work.claim(connection, name, turn):
                        work.mark_and_ask(connection, {EVERYBODY: Reason()})
                        log.info("schedule-turned", schedule=name, turn=turn.isoformat())
                self._fired[name] = turn

    def _next(self, name: str) -> datetime:
        return next_turn(self._schedules[name], self._fired[name], self._premises.workspace.zone)

    def _last(self, name: str, now: datetime) -> datetime:
        return last_turn(self._schedules[name], now, self._premises.workspace.zone)
