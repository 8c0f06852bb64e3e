"""What one process does where several share a store: it works, and when its turn comes it is the watch.

It is to the service what `reconciler.service.loop` is on one machine. Nothing is told by its memory: who is due, how
far everything has come and what is in the way stand in the store, so that each of the processes says the same.
"""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Event, Thread

from reconciler.errors import ReconcilerError
from reconciler.logs import log
from reconciler.passes import marks, work
from reconciler.passes.agenda import EVERYBODY
from reconciler.passes.last_pass import recall_seconds_in
from reconciler.passes.reconciled import recall_in
from reconciler.service.aside import Here
from reconciler.service.duties import Duties
from reconciler.service.loop import PATIENCE, PIECE, LoopState, try_to_write
from reconciler.service.premises import Premises
from reconciler.service.watch import Watch
from reconciler.service.workers import Workers

__all__ = ["Crew"]

ALIVE = 15.0
"""A worker that has given a sign of life within so many seconds counts."""


class Crew:
    """One for a process. `start` it and `stop` it, each once; `workers`: how many it has, possibly none; `passes`: who
    makes whole passes for them.
    """

    def __init__(self, premises: Premises, workers: int, passes: Here | None = None) -> None:
        self._premises = premises
        self._passes = passes or Here(premises)
        self._store = premises.facts.store
        self._stop, self._wake, self._wanted = Event(), Event(), Event()
        self._looked_at = time.monotonic()
        self._trouble = ""
        self.watches = False
        """Whether this process is the watch."""
        self._told = LoopState((), 0.0, None, "", 0, workers=0)
        self._duties = Duties(premises, self._passes, self._stop)
        self._workers = Workers(self._store.driver_settings, self._duties, workers) if workers else None
        self._watch = Thread(target=self._watched, name="watch", daemon=True)

    def take_up(self) -> None:
        """Raises `StoreError` where there is nothing to begin with."""
        self._store.check_migrated()

    def start(self) -> None:
        """Begin."""
        self._watch.start()
        if self._workers is not None:
            self._workers.start()
        self._premises.notifier.start(lambda: self._premises.standing().policy)

    def stop(self) -> bool:
        """Finish what is under way, batch by batch; begin nothing. Whether all came to rest in time."""
        self._stop.set()
        self._wake.set()
        until = time.monotonic() + PATIENCE
        if self._workers is not None:
            self._workers.stop()
        rested = self._workers is None or self._workers.join(max(0.0, until - time.monotonic()))
        self._watch.join(max(0.0, until - time.monotonic()))
        self._passes.close()
        self._premises.notifier.stop()
        return rested and not self._watch.is_alive()

    def news(self) -> None:
        """Look at the record now: it may have a moment that comes at once."""
        self._wake.set()

    def want_whole(self) -> None:
        """A whole pass is due: something else than the record has changed. It is asked for as soon as the store is
        there: whoever wants it has seen what will not be seen again.
        """
        self._wanted.set()
        self._wake.set()

    def state(self) -> LoopState:
        """How it is at this moment; while the store is out of reach, how it was."""
        dead = ["watch"] if not self._watch.is_alive() else []
        if self._workers is not None and self._workers.ended:
            dead.append("workers")
        ago = time.monotonic() - self._looked_at
        return replace(self._on_record(), dead=tuple(dead), looked_ago=ago)

    def _on_record(self) -> LoopState:
        try:
            with self._store.reading() as connection:
                come, backlog = recall_in(connection), marks.backlog(connection)
                alive, took = work.alive(connection, ALIVE), recall_seconds_in(connection)
        except ReconcilerError:
            return self._told
        trouble = "; ".join(filter(None, (self._trouble, backlog.trouble)))
        self._told = LoopState(
            dead=(),
            looked_ago=0.0,
            last_pass=come.at if come else None,
            trouble=trouble,
            due=backlog.people,
            leavers=backlog.leavers,
            oldest_leaver=backlog.oldest_leaver,
            failed=backlog.failed,
            whole_took=took,
            workers=alive,
        )
        return self._told

    # --- the watch ----------------------------------------------------------------------------------------------------

    def _watched(self) -> None:
        while not self._stop.is_set():
            try:
                try_to_write(self._premises)
                self._ask_for_what_is_wanted()
                with self._store.lease("watch") as ours:
                    if ours:
                        self._lead()
                self._trouble = ""
            except ReconcilerError as error:
                self._trouble = error.message
                log.warning("watch-failed", code=error.code)
            except Exception as error:
                self._trouble = f"a defect of the reconciler ({type(error).__name__}); the log has more"
                log.exception("defect", where="watch")
            self._looked_at = time.monotonic()
            self._passes.rest()
            self._stop.wait(PIECE)

    def _lead(self) -> None:
        """Until this process is to stop, or something goes wrong; whoever has the lease then takes up anew."""
        watch = Watch(self._premises)
        self.watches = True  # from here on nobody else asks for the pass over what a hand has changed
        try:
            watch.take_up()
            while not self._stop.is_set():
                try_to_write(self._premises)
                self._ask_for_what_is_wanted()
                ahead = watch.look()
                self._looked_at, self._trouble = time.monotonic(), ""
                self._passes.rest()
                self._wake.wait(min(PIECE, max(0.0, ahead)))
                self._wake.clear()
        finally:
            self.watches = False

    def _ask_for_what_is_wanted(self) -> None:
        if not self._wanted.is_set():
            return
        self._wanted.clear()
        try:
            with self._store.writing() as connection:
                work.mark_and_ask(connection, {EVERYBODY: marks.Reason()})
        except BaseException:
            self._wanted.set()
            raise
