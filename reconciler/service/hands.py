"""What is changed by hand on a target: those that can tell what has changed are asked every few seconds, so that it is
put right without waiting for the next whole pass of the schedule.

Promises: a target is asked only where it says that it has a change feed; a question costs it next to nothing; what
follows, a whole pass, takes a tenth of the time at the most, however often somebody changes something. The feed proves
nothing: what it does not tell is found by the schedule, as on every other target.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread

from reconciler.errors import ReconcilerError
from reconciler.logs import log
from reconciler.service.premises import Premises
from reconciler.targets import Target, TargetError

__all__ = ["Hands"]

PATIENCE = 15.0
"""So many seconds a question under way has at a stop."""

REST = 10.0
"""Whole passes that hands ask for rest so many times as long as the last one took."""


class Hands:
    """One for a process. `changed` is called when a whole pass is to look; `took` says how long the last one took, in
    seconds; `ours`, whether it is this process that calls it. Whose it is not asks all the same, so that nothing is
    missed when it becomes theirs.
    """

    def __init__(
        self,
        premises: Premises,
        every: float,
        changed: Callable[[], None],
        took: Callable[[], float],
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._premises = premises
        self._every = every
        self._changed, self._took, self._ours = changed, took, ours
        self._since: dict[str, str] = {}
        self._waiting = False
        self._not_before = 0.0
        self._stop = Event()
        self._thread = Thread(target=self._run, name="hands", daemon=True)

    def start(self) -> None:
        """Begin, unless there is nobody to ask."""
        if self._every:
            self._thread.start()

    def stop(self) -> None:
        """Ask no more; wait for an answer, and not for ever."""
        self._stop.set()
        if self._every:
            self._thread.join(PATIENCE)

    @property
    def alive(self) -> bool:
        """Whether it does what it is to do."""
        return not self._every or self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except ReconcilerError as error:
                log.debug("hands-not-looked", code=error.code)
            except Exception:
                log.exception("defect", where="hands")
            if self._stop.wait(self._every):
                return

    def look(self) -> None:
        """Ask each target once."""
        changed = []
        for name, target in self._feeds().items():
            try:
                news = target.news(self._since.get(name, ""))
            except TargetError:
                continue  # whoever reads it says so
            if self._since.get(name) and news.changed:
                changed.append(name)
            self._since[name] = news.cursor
        self._saw(changed)
        if self._waiting and time.monotonic() >= self._not_before:
            self._waiting = False
            self._not_before = time.monotonic() + REST * self._took()
            self._changed()

    def _saw(self, changed: Sequence[str]) -> None:
        """Whether it is ours to see to is asked last: whose it becomes after that asks for a whole pass anyway."""
        if not self._ours():
            self._waiting = False
            return
        for name in changed:
            log.info("changed-by-hand", target=name)
        self._waiting = self._waiting or bool(changed)

    def _feeds(self) -> Mapping[str, Target]:
        wiring = self._premises.wired(self._premises.standing())
        targets = ((name, configured.target) for name, configured in wiring.targets.items())
        return {name: target for name, target in targets if target.describe().change_feed}
