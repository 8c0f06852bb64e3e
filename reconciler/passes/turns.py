"""Whose turn of a schedule has been taken, on record: of several services on one store one takes it.

No part of the record: losing it costs taking a turn once more.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, String, Table, Text, text

from reconciler.facts.days import instant_text
from reconciler.facts.store import Store, metadata

__all__ = ["take_turn", "turns"]

turns = Table(
    "turns",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", String(27), nullable=False),
)
"""`at`: the newest turn that somebody has taken."""

_TAKE = text("""
    INSERT INTO turns (name, at) VALUES (:name, :at)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE turns.at < excluded.at OR turns.at > :now
    RETURNING at
""")
"""One that was taken by a clock that was ahead stands in nobody's way."""


def take_turn(store: Store, name: str, at: datetime, now: datetime) -> bool:
    """Take the turn of that moment (not after `now`). Whether it is ours: nobody took it, or a later one, before."""
    with store.writing() as connection:
        asked = {"name": name, "at": instant_text(at), "now": instant_text(now)}
        return connection.execute(_TAKE, asked).first() is not None
