"""Runs of the past, as the record has them: which there were, who made them, and what became of each change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select, tuple_

from reconciler.apply.outcomes import outcomes
from reconciler.apply.tables import runs
from reconciler.errors import ReconcilerError
from reconciler.facts.days import parse_instant
from reconciler.facts.ledger import Entry, read_numbered
from reconciler.plan.artefact import instant

__all__ = ["RunUnknown", "effects_json", "run_json", "runs_json"]

Data = dict[str, object]

_EFFECT = ("entry", "change_id", "op", "target", "entitlement_key", "subject", "outcome", "recorded_at")


class RunUnknown(ReconcilerError):
    """There is no run of this name."""

    code = "run-unknown"


def runs_json(connection: Connection, limit: int, before: int | None = None) -> list[Data]:
    """The newest runs that began before that ledger entry (or at all), the newest first."""
    asked = select(runs).order_by(runs.c.entry.desc()).limit(limit)
    rows = connection.execute(asked if before is None else asked.where(runs.c.entry < before)).mappings().all()
    told = _entries(connection, rows)
    return [_run(row, told) for row in rows]


def run_json(connection: Connection, run: str) -> Data:
    """One run. Raises `RunUnknown`."""
    row = connection.execute(select(runs).where(runs.c.run == run)).mappings().first()
    if row is None:
        raise RunUnknown(f"there is no run `{run}`", remedy="`apply` prints a run's name, and the ledger has it")
    return _run(row, _entries(connection, [row]))


def effects_json(connection: Connection, run: str, limit: int, after: tuple[int, str] = (0, "")) -> list[Data]:
    """What became of the run's changes, in the order of the ledger: those after that entry and change id."""
    found = outcomes(_EFFECT, lambda c: [c.run == run, tuple_(c.entry, c.change_id) > after]).subquery()
    asked = select(found).order_by(found.c.entry, found.c.change_id).limit(limit)
    rows = connection.execute(asked).mappings()
    return [
        {
            "ledger_seq": row["entry"],
            "change": row["change_id"],
            "op": row["op"],
            "target": row["target"],
            "entitlement": row["entitlement_key"] or None,
            "subject": row["subject"],
            "outcome": row["outcome"],
            "recorded_at": instant(parse_instant(row["recorded_at"])),
        }
        for row in rows
    ]


def _entries(connection: Connection, rows: Sequence[RowMapping]) -> dict[int, Entry]:
    numbers = [number for row in rows for number in (row["entry"], row["finished_entry"]) if number is not None]
    return {entry.seq: entry for entry in read_numbered(connection, numbers)}


def _run(row: RowMapping, told: Mapping[int, Entry]) -> Data:
    began = told[row["entry"]]
    ended = told.get(row["finished_entry"] or 0)
    said: Mapping[str, Any] = ended.payload if ended else {}
    return {
        "run": row["run"],
        "ledger_seq": row["entry"],
        "actor": began.actor,
        "began_at": instant(began.recorded_at),
        "ended_at": instant(ended.recorded_at) if ended else None,
        "plan": row["plan_digest"],
        "policy": row["policy_digest"],
        "changes": began.payload.get("changes"),
        "outcomes": dict(said.get("outcomes", {})),
        "contradicted": said.get("contradicted", 0),
        "set_aside": dict(said.get("set_aside", {})),
    }
