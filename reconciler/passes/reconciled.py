"""How far a service has come: up to which entry of the record, and up to which moment, everything is reconciled.

No part of the record: losing it costs a whole pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from reconciler.apply.tables import reconciled
from reconciler.facts.days import instant_text
from reconciler.facts.store import Store

__all__ = ["Reconciled", "note", "note_in", "recall", "recall_in"]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """`entry`: whatever is on record up to it has been seen by a pass that ended well. `at`: when the last whole one
    looked.
    """

    entry: int
    at: datetime


def recall(store: Store) -> Reconciled | None:
    """How far the last service came, or None where nothing says so."""
    with store.reading() as connection:
        return recall_in(connection)


def recall_in(connection: Connection) -> Reconciled | None:
    """The same, as this transaction sees it."""
    row = connection.execute(select(reconciled.c.entry, reconciled.c.at)).first()
    return Reconciled(row.entry, datetime.fromisoformat(row.at).astimezone(UTC)) if row else None


def note(store: Store, come: Reconciled) -> None:
    """Note how far this one has come."""
    with store.writing() as connection:
        note_in(connection, come)


def note_in(connection: Connection, come: Reconciled) -> None:
    """The same, in the caller's transaction."""
    connection.execute(delete(reconciled))
    connection.execute(insert(reconciled).values(only=0, entry=come.entry, at=instant_text(come.at)))
