"""Jobs in a process of their own, so that what computes for long shares no interpreter with those who let people out.

Promises: one job at a time; a stop reaches the job, which finishes the batch in flight; a process that ends before its
answer, however it ends, is an error like any other, and the next job gets a new one; no process outlives this one, not
even where this one is killed.

A process is started when there is something to do, kept for what comes next, and ended once it has had nothing to do
for `IDLE` seconds or has done `MOST` jobs: what a large company's pass has needed of memory is the system's again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Event, Lock
from typing import Any

from reconciler.errors import ReconcilerError
from reconciler.logs import level, log, relay
from reconciler.service.jobs import AheadOfAll, Stopping, WholePassed, look_ahead, pass_whole
from reconciler.service.messages import Begin, Do, Done, Failed, Job, Logged, Stop
from reconciler.service.premises import Premises
from reconciler.workspace import StandingPolicy

__all__ = ["Aside", "Here", "JobLost"]

IDLE = 60.0
"""Seconds after which a process that nobody needs is ended."""

MOST = 100
"""After so many jobs another process goes on."""

LOOK = 0.1
"""Seconds between two looks whether to stop."""

LEAVE = 10.0
"""Seconds that a process has to end once its work is done."""


class JobLost(ReconcilerError):
    """The process that did a job ended before it had an answer."""

    code = "job-lost"


class Here:
    """The same jobs in this process."""

    def __init__(self, premises: Premises) -> None:
        self.premises = premises

    def do(self, work: Job, stop: Event, *arguments: Any) -> Any:
        """What the job answers. Raises what it raises."""
        return work(self.premises, stop, *arguments)

    def pass_whole(self, stop: Event, *, plans_ahead: bool = True) -> WholePassed:
        """One whole pass, measured. Raises as `jobs.pass_whole` does."""
        begun = time.perf_counter()
        passed: WholePassed = self.do(pass_whole, stop, plans_ahead)
        if passed.busy:
            return passed
        seconds = time.perf_counter() - begun
        self.premises.measures.passed("whole", seconds, well=passed.well, unread=passed.unread)
        return replace(passed, seconds=seconds)

    def look_ahead(self, since: datetime, stop: Event) -> AheadOfAll:
        """What time brings. Raises as `jobs.look_ahead` does."""
        ahead: AheadOfAll = self.do(_look_ahead, stop, since)
        return ahead

    def rest(self) -> None:
        """There is nothing to do at this moment."""

    def close(self) -> None:
        """There is nothing to do any more."""


class Aside(Here):
    """Does jobs in a process of their own."""

    def __init__(self, premises: Premises) -> None:
        super().__init__(premises)
        self._turn = Lock()
        self._child: _Child | None = None

    def do(self, work: Job, stop: Event, *arguments: Any) -> Any:
        """What the job answers. Raises `ReconcilerError` with the code of what it raised, `Stopping` where it stopped,
        and `JobLost` where it is not known how far it came.
        """
        standing = self.premises.standing()
        with self._turn:
            child = self._child = self._child or _Child(self.premises)
            try:
                return child.done(work, arguments, standing, stop)
            except JobLost:
                self._end()
                raise
            finally:
                if child.jobs >= MOST:
                    self._end()

    def rest(self) -> None:
        """End a process that has had nothing to do for long."""
        if self._turn.acquire(blocking=False):
            try:
                if self._child is not None and time.monotonic() - self._child.busy_at > IDLE:
                    self._end()
            finally:
                self._turn.release()

    def close(self) -> None:
        """End the process; one that is at work still, without asking."""
        child = self._child
        if child is not None:
            child.end()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Child:
    """One process, from its start to its end."""

    def __init__(self, premises: Premises) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = _started(theirs)
        self._begin: Begin | None = Begin(premises.workspace, premises.actor, level())
        self._standing: StandingPolicy | None = None
        """What it goes by, as it was told last."""
        self.jobs = 0
        self.busy_at = time.monotonic()

    def done(self, work: Job, arguments: tuple[Any, ...], standing: StandingPolicy, stop: Event) -> Any:
        """The answer to that job, with what it logs passed on meanwhile."""
        self.jobs += 1
        asked = False
        news = None if standing is self._standing else replace(standing, problems=None)
        try:
            if self._begin is not None:
                self._connection.send(self._begin)
                self._begin = None
            self._connection.send(Do(work, arguments, news, standing.problems is None))
            self._standing = standing
            while True:
                if stop.is_set() and not asked:
                    asked = True
                    self._connection.send(Stop())
                if self._connection.poll(LOOK):
                    message = self._connection.recv()
                    if isinstance(message, Logged):
                        relay(message.level, message.event)
                        continue
                    self.busy_at = time.monotonic()
                    return _answer(message)
        except (EOFError, OSError):
            raise self._lost() from None

    def _lost(self) -> JobLost:
        self._connection.close()
        try:
            status = self._process.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        log.error("job-lost", how=how)
        text = f"the process that does the whole passes ended {how} before it was done"
        return JobLost(text, remedy="it is tried again; where the system ran out of memory, give it more")

    def end(self) -> None:
        """It ends by itself as soon as nobody listens."""
        with suppress(OSError):
            self._connection.close()
        try:
            self._process.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _started(theirs: Connection) -> subprocess.Popen[bytes]:
    """A process that has this end of the connection. In a session of its own: what a terminal sends to all is the
    parent's to hear.
    """
    number = theirs.fileno()
    return subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-P", "-m", "reconciler.service.child", str(number)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[number],
        start_new_session=True,
    )


def _answer(message: object) -> Any:
    if isinstance(message, Done):
        return message.answer
    if not isinstance(message, Failed):
        raise TypeError(message)
    if message.code == Stopping.code:
        raise Stopping(message.message)
    kind = type("JobFailed", (ReconcilerError,), {"code": message.code})
    raise kind(message.message, remedy=message.remedy)


def _look_ahead(premises: Premises, _stop: Event, since: datetime) -> AheadOfAll:
    return look_ahead(premises, since)
