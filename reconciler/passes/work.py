"""Asking for work, where several machines share a store: jobs of procrastinate, in the transaction of the fact.

Promises:

- Whoever records a fact, by whatever way, asks for the pass in the same transaction. Should that not go through, the
  fact is recorded all the same: who is due is on record (`reconciler.passes.marks`), and the watch asks again.
- A person's passes come one after the other (`lock`); what waits already is merged (`queueing_lock`). A leaver's are
  apart from all others in both, stand first, and have a queue of their own.
- A person's pass that is tried again stands apart from one that is asked for anew, and neither absorbs nor delays it.
  Of whole passes there is one to come, and after a failure it is the one that is tried again.
- A job is never tried again by the engine, whose way of doing so fails where the same is asked for meanwhile: it ends,
  and asks for another one.

Only the statement by which the engine itself makes jobs is used here, so that recording a fact does not load it. All
jobs are made in transactions that write, which come one after the other: none can be made twice. Sources: procrastinate
3, its schema (`procrastinate_defer_jobs_v1`, the table `procrastinate_periodic_defers`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from reconciler.apply.leases import end_of_the_dead, of_person
from reconciler.facts.ledger import Entry, Told
from reconciler.facts.store import Store
from reconciler.logs import log
from reconciler.passes.agenda import EVERYBODY
from reconciler.passes.marks import Marked, Reason, mark, reasons_in

__all__ = [
    "GONE",
    "LEAVERS",
    "OTHERS",
    "PERSON",
    "WHOLE",
    "alive",
    "ask_again",
    "ask_for",
    "claim",
    "claimed",
    "dead",
    "drop",
    "mark_and_ask",
    "told",
    "whole_asked",
]

LEAVERS, OTHERS = "leavers", "others"
"""The queues."""

PERSON, WHOLE = "reconciler.person", "reconciler.whole"
"""The tasks: one person's pass, a whole one."""

TURN = "reconciler.turn"
"""As which the turns of schedules stand beside the engine's own."""

FIRST, LONGEST = 1.0, 60.0
"""Seconds after which what failed is tried again: at first, and at the most."""

GONE = 10.0
"""Seconds without a sign of life after which a worker is taken for dead. Where it is not, what it does is done twice,
which does no harm.
"""

STUCK = 900.0
"""Seconds that one person's pass does not take, whatever happens."""

_URGENT, _SOON, _AGAIN, _LATER = 40, 20, 10, 0
"""Priorities: a leaver, whoever else is due, what failed, a whole pass."""

_DEFER = text("""
    SELECT procrastinate_defer_jobs_v1(array_agg(
               ROW(queue, task, priority, lock, queueing_lock, args, at)::procrastinate_job_to_defer_v1))
      FROM unnest(CAST(:queues AS text[]), CAST(:tasks AS text[]), CAST(:priorities AS int[]), CAST(:locks AS text[]),
                  CAST(:queueing_locks AS text[]), CAST(:insteads AS text[]), CAST(:args AS jsonb[]),
                  CAST(:ats AS timestamptz[]))
           AS new (queue, task, priority, lock, queueing_lock, instead, args, at)
     WHERE NOT EXISTS (SELECT FROM procrastinate_jobs AS waiting
                        WHERE waiting.queueing_lock IN (new.queueing_lock, new.instead) AND waiting.status = 'todo')
    HAVING count(*) > 0
""")
_CLAIM = text("""
    INSERT INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp) VALUES (:task, :name, :at)
        ON CONFLICT DO NOTHING
""")
_FORGET = text("""
    DELETE FROM procrastinate_periodic_defers WHERE task_name = :task AND periodic_id = :name AND defer_timestamp < :at
""")
_CLAIMED = text("""
    SELECT max(defer_timestamp) FROM procrastinate_periodic_defers WHERE task_name = :task AND periodic_id = :name
""")
_ALIVE = text(
    "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :seconds)"
)
_DEAD = text("""
    SELECT job.id, job.args ->> 'person' AS person
      FROM procrastinate_jobs AS job LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
     WHERE job.status = 'doing'
       AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :gone)
            OR job.task_name = :person
               AND (SELECT max(at) FROM procrastinate_events AS event WHERE event.job_id = job.id AND type = 'started')
                   < now() - make_interval(secs => :stuck))
""")
_DROP = text("SELECT procrastinate_finish_job_v1(:id, 'failed', true)")
_WHOLE_ASKED = text("""
    SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE task_name = :task AND status IN ('todo', 'doing'))
""")


@dataclass(frozen=True, slots=True)
class _Job:
    queue: str
    task: str
    priority: int
    lock: str
    queueing_lock: str
    args: dict[str, Any]
    at: datetime | None = None
    instead: str | None = None
    """The queueing lock of another job that does as well, where that one waits."""


def told(store: Store) -> Told | None:
    """What is to be shown every entry that is appended to the ledger of this store: it marks whom the entry makes due,
    and asks for their passes. None where the store is one machine's, whose service reads the record by itself.
    """
    return _told if store.shared else None


def _told(connection: Connection, entries: Sequence[Entry]) -> None:
    if reasons := reasons_in(entries):
        mark_and_ask(connection, reasons)


def mark_and_ask(connection: Connection, reasons: Mapping[str, Reason]) -> Marked:
    """Mark these people as due, and ask for their passes."""
    marked = mark(connection, reasons)
    jobs = [_person(person, leaving=True) for person in marked.leavers]
    jobs += [_person(person, leaving=False) for person in marked.others]
    _ask(connection, [*jobs, *([_whole()] if marked.whole else [])])
    return marked


def ask_again(connection: Connection, person: str, now: datetime, *, attempt: int, leaving: bool = False) -> None:
    """Ask for what failed once more (of `EVERYBODY`: a whole pass), by and by: `attempt` counts from 1."""
    wait = min(LONGEST, FIRST * 2 ** (min(attempt, 10) - 1))
    at = now + timedelta(seconds=wait)
    if person == EVERYBODY:
        _ask(connection, [_Job(OTHERS, WHOLE, _LATER - 1, "whole", "whole-again", {"attempt": attempt}, at)])
        return
    queue, lock = (LEAVERS, f"leaver:{person}") if leaving else (OTHERS, f"person:{person}")
    args = {"person": person, "attempt": attempt}
    _ask(connection, [_Job(queue, PERSON, _AGAIN, lock, f"again:{person}", args, at)])


def ask_for(connection: Connection, people: Mapping[str, bool], *, whole: bool = False) -> None:
    """Ask for the passes of these people (whether they are leaving), and a whole one."""
    jobs = [_person(person, leaving=leaving) for person, leaving in people.items()]
    _ask(connection, [*jobs, *([_whole()] if whole else [])])


def whole_asked(connection: Connection) -> bool:
    """Whether a whole pass waits or is under way."""
    return bool(connection.execute(_WHOLE_ASKED, {"task": WHOLE}).scalar_one())


def _person(person: str, *, leaving: bool) -> _Job:
    if leaving:
        return _Job(LEAVERS, PERSON, _URGENT, f"leaver:{person}", f"leaver:{person}", {"person": person, "attempt": 0})
    return _Job(OTHERS, PERSON, _SOON, f"person:{person}", f"person:{person}", {"person": person, "attempt": 0})


def _whole() -> _Job:
    """A target that is away is not asked for every fact: where the last one failed, the next one comes by and by."""
    return _Job(OTHERS, WHOLE, _LATER, "whole", "whole", {"attempt": 0}, instead="whole-again")


def _ask(connection: Connection, jobs: Sequence[_Job]) -> None:
    if not jobs:
        return
    columns = {
        "queues": [job.queue for job in jobs],
        "tasks": [job.task for job in jobs],
        "priorities": [job.priority for job in jobs],
        "locks": [job.lock for job in jobs],
        "queueing_locks": [job.queueing_lock for job in jobs],
        "insteads": [job.instead for job in jobs],
        "args": [json.dumps(job.args) for job in jobs],
        "ats": [job.at for job in jobs],
    }
    try:
        with connection.begin_nested():
            connection.execute(_DEFER, columns)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        log.warning("work-not-asked-for", jobs=len(jobs), error=type(error.orig).__name__)


# --- schedules --------------------------------------------------------------------------------------------------------


def claim(connection: Connection, name: str, turn: datetime) -> bool:
    """A schedule's turn has come. Whether it is ours to take: each turn comes once, however many look at the clock."""
    asked = {"task": TURN, "name": name, "at": int(turn.timestamp())}
    ours = connection.execute(_CLAIM, asked).rowcount == 1
    connection.execute(_FORGET, asked)
    return ours


def claimed(connection: Connection, name: str) -> datetime | None:
    """The schedule's last turn that has come; None where there was none yet."""
    at = connection.execute(_CLAIMED, {"task": TURN, "name": name}).scalar_one()
    return datetime.fromtimestamp(at, UTC) if at is not None else None


# --- who works --------------------------------------------------------------------------------------------------------


def alive(connection: Connection, seconds: float = GONE) -> int:
    """How many workers have given a sign of life within so many seconds."""
    return int(connection.execute(_ALIVE, {"seconds": seconds}).scalar_one())


def dead(connection: Connection) -> dict[int, str | None]:
    """The jobs that nobody does any more; and whose passes they were."""
    rows = connection.execute(_DEAD, {"gone": GONE, "stuck": STUCK, "person": PERSON})
    return {row.id: row.person for row in rows}


def drop(connection: Connection, jobs: Mapping[int, str | None], now: datetime) -> None:
    """Strike these jobs off. Who was waiting for them is due on record, and is asked for again; nobody waits until the
    leases of the dead run out.
    """
    for job in jobs:
        connection.execute(_DROP, {"id": job})
    end_of_the_dead(connection, [of_person(person) for person in jobs.values() if person], now)
