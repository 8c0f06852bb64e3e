"""What keeps things that are done by the schedule from going well, where several processes share a store: each of them
says it, whoever took the last turn.

No part of the record: losing it costs word of it until the next turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from reconciler.apply.tables import watched
from reconciler.facts.store import Store

__all__ = ["note_attention", "recall_attention"]

OF = "attention:"
"""What the names of these notes begin with."""


def note_attention(store: Store, what: str, code: str, text: str) -> None:
    """What is in the way of this; a blank code: nothing any more. Nothing is written where nothing is otherwise. Raises
    `StoreError`.
    """
    if recall_attention(store).get(what, ("", "")) == (code, text):
        return
    with store.writing() as connection:
        connection.execute(delete(watched).where(watched.c.name == OF + what))
        if code:
            connection.execute(insert(watched).values(name=OF + what, entry=0, content=json.dumps([code, text])))


def recall_attention(store: Store) -> Mapping[str, tuple[str, str]]:
    """What it is about → its code and text. Raises `StoreError`."""
    with store.reading() as connection:
        rows = connection.execute(select(watched.c.name, watched.c.content).where(watched.c.name.startswith(OF))).all()
    return {row.name.removeprefix(OF): tuple(json.loads(row.content)) for row in rows}
