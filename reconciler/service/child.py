"""The other process: does the jobs that its parent sends, one after the other (`reconciler.service.aside`).

Promises: it goes by the workspace file and the policies as its parent has read them, and resolves secrets itself; what
it logs goes to its parent's log; it finishes its batch when it is told to stop, and signals do not end it before; it
ends at once, whatever it is doing, when its parent is no more, since nobody would hear what became of it. What it left
open then is what any run leaves that was killed, and its leases and its lock end with it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

from reconciler.errors import ProblemsFound, ReconcilerError
from reconciler.facts.people import Facts
from reconciler.logs import keep_out_others, log
from reconciler.service.messages import Begin, Do, Done, Failed, Logged, Stop
from reconciler.service.premises import Premises
from reconciler.workspace import StandingPolicy

ORPHANED = 70
"""How it ends when its parent is no more; nobody looks."""

NICER = 5
"""So much behind its parent, whose leavers come first, when both want to compute."""


class _Line:
    """The connection to the parent, for many threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = Lock()

    def say(self, message: object) -> None:
        with self._turn:
            self._connection.send(message)

    def hear(self) -> Any:
        return self._connection.recv()


class _ToParent(logging.Handler):
    """Sends what is logged; what cannot be sent as it is, as text."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        event = dict(record.msg) if isinstance(record.msg, dict) else {"event": record.getMessage()}
        error = event.pop("exc_info", None) or record.exc_info
        if error:
            event["exception"] = _text(error)
        self._line.say(Logged(record.levelno, event))


def _text(error: object) -> str:
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception(error))
    if isinstance(error, tuple):
        return "".join(traceback.format_exception(*error))
    return traceback.format_exc()


def main() -> None:
    """Until the parent closes the connection that is open under the number on the command line."""
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)  # it is the parent's to say when
    with suppress(OSError):  # where that is not allowed, all are equal
        os.nice(NICER)
    keep_out_others()
    line = _Line(Connection(int(sys.argv[1])))
    begin: Begin = line.hear()
    logger = logging.getLogger("reconciler")
    logger.addHandler(_ToParent(line))
    logger.setLevel(begin.level)
    jobs: SimpleQueue[Do] = SimpleQueue()
    stop = Event()
    Thread(target=_hear, args=(line, jobs, stop), daemon=True).start()
    facts: Facts | None = None
    standing: StandingPolicy | None = None
    while True:
        job = jobs.get()
        standing = job.standing or standing
        try:
            facts = facts or begin.workspace.facts(create=False)
            premises = Premises(begin.workspace, facts, begin.actor, given=_given(standing, passes=job.passes))
            with _told(premises):
                answer: object = Done(job.work(premises, stop, *job.arguments))
        except ReconcilerError as error:
            answer = Failed(error.code, error.message, error.remedy)
        except Exception as error:
            log.exception("defect", where="job")
            answer = Failed("defect", f"a defect of the reconciler ({type(error).__name__}); the log has more")
        line.say(answer)


@contextmanager
def _told(premises: Premises) -> Iterator[None]:
    """What people are to be told is kept here, and sent by the parent."""
    try:
        yield
    finally:
        try:
            premises.notifier.record()
        except ReconcilerError as error:
            log.warning("record-unreadable", code=error.code)


def _given(standing: StandingPolicy | None, *, passes: bool) -> StandingPolicy:
    """What is wrong with the tree was told where it was read; here it matters that something is."""
    if standing is None:
        raise ValueError("no job came before, whose policies this one could go by")
    return standing if passes else replace(standing, problems=ProblemsFound("the policies do not pass", ()))


def _hear(line: _Line, jobs: SimpleQueue[Do], stop: Event) -> None:
    try:
        while True:
            message = line.hear()
            if isinstance(message, Stop):
                stop.set()
            else:
                jobs.put(message)
    except (EOFError, OSError):
        os._exit(ORPHANED)


if __name__ == "__main__":
    main()
