"""Who is due, on record: where several machines share a store, no memory of one of them could say it for all.

A row for a person says that something was told of them, or that time has changed an answer, which no pass has seen that
ended well. It is what `reconciler.passes.due` is for one machine, with the same promises: nobody is lost, marks are
merged, a crowd goes to the whole pass and a leaver never does. It is written in the transaction of the fact. Who does
the work is asked for by `reconciler.passes.work`; should that be lost, `lost` finds who is due and waits for nothing.

Transactions that write come one after the other, so that a `tick` is larger than all that were on record before it. A
pass that ends clears what it saw when it began, and nothing that was marked since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Boolean, Column, Connection, Row, Table, Text, text

from reconciler.apply.tables import Kind
from reconciler.facts.events import EventType
from reconciler.facts.ledger import Entry, Sequence64
from reconciler.facts.people import FACT_KINDS
from reconciler.facts.store import metadata
from reconciler.passes.agenda import EVERYBODY
from reconciler.passes.due import CROWD
from reconciler.passes.undo import RUN_UNDONE

__all__ = [
    "DECISIONS",
    "LEAVING",
    "Backlog",
    "Begun",
    "Marked",
    "Reason",
    "backlog",
    "begin",
    "begin_whole",
    "failed",
    "lost",
    "mark",
    "passed",
    "reasons_in",
    "reconciled",
    "whole_passed",
]

LEAVING = frozenset(
    kind.value
    for kind in (
        EventType.EXITED,
        EventType.RESIGNATION_SUBMITTED,
        EventType.LEAVE_STARTED,
        EventType.LOCKED_OUT,
        EventType.EVIDENCE_REVOKED,
    )
)
"""The kinds of entries after which somebody is let out before anybody else has a turn."""

DECISIONS = frozenset({Kind.APPROVED.value, RUN_UNDONE})
"""What somebody decided, and a whole pass carries out."""

due = Table(
    "due",
    metadata,
    Column("person", Text, primary_key=True),
    Column("first", Sequence64, nullable=False),
    Column("tick", Sequence64, nullable=False),
    Column("leaving", Boolean, nullable=False),
    Column("lane", Boolean, nullable=False),
    Column("rest", Boolean, nullable=False),
    Column("trouble", Text, nullable=False),
)
"""`first`: the oldest entry that no pass has seen yet (0: time alone brought it up). `lane`: a pass of their own is
due; `rest`: the next whole pass is. `trouble`: what kept the last one from ending well. `EVERYBODY`: a whole pass.
"""

_MARK = text("""
    INSERT INTO due (person, first, tick, leaving, lane, rest, trouble)
    SELECT person, first, nextval('due_ticks'), leaving, lane, NOT lane, ''
      FROM unnest(CAST(:people AS text[]), CAST(:firsts AS bigint[]), CAST(:leaving AS bool[]), CAST(:lanes AS bool[]))
           AS new (person, first, leaving, lane)
        ON CONFLICT (person) DO UPDATE
       SET first = coalesce(least(NULLIF(due.first, 0), NULLIF(excluded.first, 0)), 0), tick = excluded.tick,
           leaving = due.leaving OR excluded.leaving, lane = due.lane OR excluded.lane, rest = due.rest OR excluded.rest
""")
_OTHERS = text("SELECT count(*) FROM due WHERE lane AND NOT leaving")
_BEGIN = text("SELECT tick, leaving FROM due WHERE person = :person AND lane")
_PASSED = text("""
    UPDATE due SET lane = lane AND tick <> :tick, leaving = leaving AND tick <> :tick, rest = rest OR :goes_on,
                   trouble = ''
     WHERE person = :person
""")
_CLEAR = text("DELETE FROM due WHERE person = :person AND NOT lane AND NOT rest")
_FAILED = text("UPDATE due SET trouble = :trouble WHERE person = :person")
_BEGIN_WHOLE = text("SELECT max(tick) AS tick, bool_or(rest) AS rest FROM due")
_WHOLE_PASSED = text("DELETE FROM due WHERE tick <= :tick")
_REST = text("SELECT EXISTS (SELECT FROM due WHERE rest)")
_COME = text("""
    SELECT coalesce((SELECT min(first) - 1 FROM due WHERE first > 0), (SELECT max(seq) FROM ledger_entries), 0)
""")
_BACKLOG = text("""
    SELECT count(*) FILTER (WHERE person <> '') AS people,
           count(*) FILTER (WHERE person <> '' AND trouble <> '') AS failed,
           count(*) FILTER (WHERE leaving AND lane) AS leavers,
           coalesce(min(first) FILTER (WHERE leaving AND lane AND first > 0), 0) AS oldest,
           coalesce(max(trouble) FILTER (WHERE person = ''), '') AS whole, coalesce(max(trouble), '') AS any
      FROM due
""")
_LOST = text("""
    SELECT person, leaving FROM due
     WHERE lane AND person NOT IN (SELECT args ->> 'person' FROM procrastinate_jobs
                                    WHERE status IN ('todo', 'doing') AND args ->> 'person' IS NOT NULL)
     ORDER BY leaving DESC, tick LIMIT 1000
""")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody is due: the oldest entry that says so (0: time does), and whether they are leaving."""

    first: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """Who has a pass of their own to come; and whether a whole one is."""

    leavers: Sequence[str]
    others: Sequence[str]
    whole: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """What a pass saw of the marks when it began."""

    tick: int
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many people are due, and what kept the last pass from ending well; how many of them leave, and the oldest
    entry that says so of one of those (0: none does); of how many the last pass did not end well.
    """

    people: int
    trouble: str
    leavers: int
    oldest_leaver: int
    failed: int


def reasons_in(entries: Iterable[Entry]) -> dict[str, Reason]:
    """Whom these entries make due."""
    found: dict[str, Reason] = {}
    for entry in entries:
        if entry.kind in DECISIONS:
            found.setdefault(EVERYBODY, Reason(entry.seq))
        elif entry.kind in FACT_KINDS:
            before = found.get(entry.subject)
            leaving = entry.kind in LEAVING or (before is not None and before.leaving)
            found[entry.subject] = Reason(before.first if before else entry.seq, leaving)
    return found


def mark(connection: Connection, reasons: Mapping[str, Reason]) -> Marked:
    """Mark these people as due; of those who are no leavers only so many wait for a pass of their own."""
    leavers = [person for person, reason in reasons.items() if reason.leaving and person != EVERYBODY]
    others = [person for person, reason in reasons.items() if not reason.leaving and person != EVERYBODY]
    room = max(0, CROWD - connection.execute(_OTHERS).scalar_one()) if others else 0
    lane = {*leavers, *others[:room]}
    if reasons:
        columns = {
            "people": list(reasons),
            "firsts": [reason.first for reason in reasons.values()],
            "leaving": [reason.leaving for reason in reasons.values()],
            "lanes": [person in lane for person in reasons],
        }
        connection.execute(_MARK, columns)
    return Marked(leavers, others[:room], len(others) > room or EVERYBODY in reasons)


def begin(connection: Connection, person: str) -> Begun | None:
    """What is on record when a pass for the person begins; None where none is due any more."""
    row = connection.execute(_BEGIN, {"person": person}).first()
    return Begun(row.tick, row.leaving) if row else None


def passed(connection: Connection, person: str, begun: Begun, *, goes_on: bool) -> Begun | None:
    """The person's pass has ended well; `goes_on`: there may be more to do than the lane does. What was marked
    meanwhile, for one more pass.
    """
    connection.execute(_PASSED, {"person": person, "tick": begun.tick, "goes_on": goes_on})
    connection.execute(_CLEAR, {"person": person})
    return begin(connection, person)


def failed(connection: Connection, person: str, trouble: str) -> None:
    """The pass (of `EVERYBODY`: the whole one) has not ended well: it stays due."""
    if person == EVERYBODY:
        mark(connection, {EVERYBODY: Reason()})
    connection.execute(_FAILED, {"person": person, "trouble": trouble})


def begin_whole(connection: Connection) -> Begun | None:
    """What is on record when a whole pass begins; None where none is due any more."""
    row: Row[tuple[int | None, bool | None]] = connection.execute(_BEGIN_WHOLE).one()
    return Begun(row.tick or 0) if row.rest else None


def whole_passed(connection: Connection, begun: Begun) -> bool:
    """The whole pass has ended well. Whether one more is due."""
    connection.execute(_WHOLE_PASSED, {"tick": begun.tick})
    return whole_due(connection)


def whole_due(connection: Connection) -> bool:
    """Whether a whole pass is due."""
    return bool(connection.execute(_REST).scalar_one())


def reconciled(connection: Connection) -> int:
    """The entry up to which everything on record has been seen by a pass that ended well."""
    return int(connection.execute(_COME).scalar_one())


def backlog(connection: Connection) -> Backlog:
    """How much is to be done, and what is in the way."""
    row = connection.execute(_BACKLOG).one()
    return Backlog(row.people, row.whole or row.any, row.leavers, row.oldest, row.failed)


def lost(connection: Connection) -> dict[str, Begun]:
    """Those who are due and for whom no job waits or is under way, leavers first; 1000 of them at the most."""
    return {row.person: Begun(0, row.leaving) for row in connection.execute(_LOST)}
