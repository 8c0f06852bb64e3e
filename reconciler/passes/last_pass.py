"""What the last whole pass left for people to decide about and to look at, as monitoring shows it: counts, and nobody's
name. Whoever makes one notes it in the store, so that every process shows the same.

No part of the record: losing it costs a whole pass.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from reconciler.apply.tables import watched
from reconciler.facts.store import Store
from reconciler.plan.model import Plan

__all__ = ["LastPass", "note_pass", "note_seconds_in", "recall_pass", "recall_seconds_in"]

LAST_PASS = "last-pass"  # noqa: S105  # no password
SECONDS = "whole-pass-seconds"
ACCOUNTS = "account"
"""What stands for the class where a change is one of an account."""


@dataclass(frozen=True, slots=True)
class LastPass:
    """`held`: target, direction and class → how many changes wait for a decision. `findings`: kind → how many.
    `targets`: target → whether it could be read.
    """

    held: Mapping[tuple[str, str, str], int]
    findings: Mapping[str, int]
    targets: Mapping[str, bool]


def note_pass(store: Store, plan: Plan) -> None:
    """A whole pass has made this plan. Raises `StoreError`."""
    held = Counter((change.target, change.op.value, change.classification or ACCOUNTS) for change in plan.held)
    said = {
        "held": [[*key, count] for key, count in held.items()],
        "findings": Counter(finding.kind for finding in plan.findings),
        "targets": {name: not seen.error for name, seen in plan.targets.items()},
    }
    with store.writing() as connection:
        connection.execute(delete(watched).where(watched.c.name == LAST_PASS))
        connection.execute(insert(watched).values(name=LAST_PASS, entry=plan.ledger_seq, content=json.dumps(said)))


def recall_pass(store: Store) -> LastPass | None:
    """What the last one left; None where nothing says so. Raises `StoreError`."""
    with store.reading() as connection:
        row = connection.execute(select(watched.c.content).where(watched.c.name == LAST_PASS)).first()
    if row is None:
        return None
    said = json.loads(row.content)
    held = {(target, direction, class_): count for target, direction, class_, count in said["held"]}
    return LastPass(held, said["findings"], said["targets"])


def note_seconds_in(connection: Connection, seconds: float) -> None:
    """How long the last whole pass took, in the caller's transaction."""
    connection.execute(delete(watched).where(watched.c.name == SECONDS))
    connection.execute(insert(watched).values(name=SECONDS, entry=0, content=json.dumps(seconds)))


def recall_seconds_in(connection: Connection) -> float:
    """The same, as this transaction sees it; 0 where nothing says so."""
    content = connection.execute(select(watched.c.content).where(watched.c.name == SECONDS)).scalar()
    return float(json.loads(content)) if content else 0.0
