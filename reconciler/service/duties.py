"""What a worker does with a job, where several machines share a store: the job itself, and what becomes of the marks.

Whatever happens in the job, it ends here: what did not end well stays due on record, with the reason, and is asked for
again. Should not even that be possible, because the database has gone, the watch finds who is due by the record.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Event
from typing import TypeVar

from sqlalchemy import Connection

from reconciler.errors import ReconcilerError
from reconciler.facts.provenance import last_recorded
from reconciler.logs import log, some_id, within
from reconciler.passes import marks, work
from reconciler.passes.agenda import EVERYBODY
from reconciler.passes.last_pass import note_seconds_in
from reconciler.passes.reconciled import Reconciled, note_in, recall_in
from reconciler.service.aside import Here
from reconciler.service.jobs import PersonPassed, Stopping, WholePassed, pass_person
from reconciler.service.premises import Premises

__all__ = ["Duties"]

T = TypeVar("T")

BEHIND = 10.0
"""Seconds that clocks may differ between machines. A clock that was set back by more is taken as it is."""


class Duties:
    """What a worker does. Threads share it; `passes` makes whole passes; `stop` is set when no further batch is to
    begin.
    """

    def __init__(self, premises: Premises, passes: Here, stop: Event) -> None:
        self._premises = premises
        self._passes = passes
        self._store = premises.facts.store
        self._stop = stop

    def person(self, person: str, attempt: int) -> None:
        """One person's pass, where it is still due."""
        with self._store.reading() as connection:
            begun, recorded = marks.begin(connection, person), last_recorded(connection)
        if begun is None:
            return
        self._wait_for(recorded)
        done, trouble = self._tried(lambda: pass_person(self._premises, person, self._stop), person=person)
        done = done or PersonPassed(well=False)
        with self._store.writing() as connection:
            if not done.well:
                marks.failed(connection, person, trouble or "a target did not do all of it")
                now = self._premises.clock()
                work.ask_again(connection, person, now, attempt=attempt + 1, leaving=begun.leaving)
                return
            meanwhile = marks.passed(connection, person, begun, goes_on=done.goes_on)
            people = {person: meanwhile.leaving} if meanwhile else {}
            work.ask_for(connection, people, whole=marks.whole_due(connection))
            self._note(connection)

    def whole(self, attempt: int) -> None:
        """A whole pass, where one is still due."""
        with self._store.reading() as connection:
            begun, recorded = marks.begin_whole(connection), last_recorded(connection)
        if begun is None:
            return
        self._wait_for(recorded)
        done, trouble = self._tried(lambda: self._passes.pass_whole(self._stop, plans_ahead=False))
        with self._store.writing() as connection:
            if done is not None and not done.busy:
                note_seconds_in(connection, done.seconds)
            if done is None and self._stop.is_set():
                work.ask_for(connection, {}, whole=True)  # by whoever goes on
            elif done is not None and done.well:
                more = marks.whole_passed(connection, begun)
                work.ask_for(connection, {}, whole=more)
                self._note(connection, done)
            else:
                if done is None or not done.busy:
                    marks.failed(connection, EVERYBODY, trouble or (done.trouble if done else ""))
                attempt = 1 if done is not None and done.busy else attempt + 1
                work.ask_again(connection, EVERYBODY, self._premises.clock(), attempt=attempt)

    def _wait_for(self, recorded: datetime | None) -> None:
        """A clock that is behind the one of who recorded a fact would not know yet that somebody has left."""
        behind = (recorded - self._premises.clock()).total_seconds() if recorded is not None else 0.0
        if behind > 0:
            log.warning("clock-behind-the-record", seconds=behind)
            self._stop.wait(behind if behind < BEHIND else 0.0)

    def _note(self, connection: Connection, whole: WholePassed | None = None) -> None:
        """How far everything is reconciled, in the transaction that made it so."""
        before = recall_in(connection)
        at = whole.looked_at if whole is not None else before.at if before else None
        if at is not None:
            come = Reconciled(marks.reconciled(connection), at)
            if come != before:
                note_in(connection, come)

    def _tried(self, do: Callable[[], T], **about: str) -> tuple[T | None, str]:
        """What it came to; or None, with what was in the way in words, which the log has as well."""
        try:
            with within(**{"pass": some_id()}):
                return do(), ""
        except Stopping:
            log.info("stopped-between-batches")
            return None, ""
        except ReconcilerError as error:
            self._broke_off(error.code, **about)
            log.warning("pass-failed", code=error.code, **about)
            return None, error.message
        except Exception as error:
            self._broke_off("defect", **about)
            log.exception("defect", where="pass", **about)
            return None, f"a defect of the reconciler ({type(error).__name__}); the log has more"

    def _broke_off(self, code: str, person: str = "") -> None:
        self._premises.measures.broke_off("pass", code)
        if not person:
            self._premises.notifier.whole_failed(code)
