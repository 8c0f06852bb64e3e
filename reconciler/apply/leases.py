"""Who may act now: every lease that is taken carries a number that only grows, and an older number may do nothing more.

A lock keeps a second run out while the first one lives. It cannot help where the first one was only suspended (a
stopped process, a paused virtual machine), lost its lock meanwhile, and wakes up believing that it still holds it. So
each batch's intent is recorded in one transaction with a look at the newest number, and nothing is sent without that.
What no lock of ours can close is the instant between that look and the target's receiving the request.

The table is no projection: it says who acts now, not what has happened. Losing it costs nothing, once nobody acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, Text, delete, insert, select

from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import Sequence64
from reconciler.facts.store import Store, metadata

__all__ = ["EVERYTHING", "Lease", "RunSuperseded", "take"]

EVERYTHING = "everything"
"""The name of the lease under which a pass over everybody acts."""

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", Sequence64, nullable=False),
    Column("holder", Text, nullable=False),
    Column("taken_at", String(27), nullable=False),
)


class RunSuperseded(ReconcilerError):
    """A newer run has taken the lease since this one did, so this one sends nothing more."""

    code = "run-superseded"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act under a name, until somebody takes it anew."""

    name: str
    token: int

    def check(self, connection: Connection) -> None:
        """Raises `RunSuperseded` where a newer lease was taken, as this transaction sees it."""
        row = connection.execute(select(leases).where(leases.c.name == self.name)).mappings().first()
        if row is not None and row["token"] == self.token:
            return
        who = f"another run ({row['holder']}, since {row['taken_at'][:19]}Z)" if row is not None else "another store"
        text = f"{who} has taken over, so this one stopped"
        remedy = "nothing more was sent; the newer run records what became of what was sent: run `reconciler plan`"
        raise RunSuperseded(text, remedy=remedy)

    def confirm(self, store: Store) -> None:
        """`check`, in a transaction of its own."""
        with store.reading() as connection:
            self.check(connection)


def take(store: Store, name: str, holder: str, now: datetime) -> Lease:
    """Take the lease of this name, whoever held it before."""
    with store.writing() as connection:
        before = connection.execute(select(leases.c.token).where(leases.c.name == name)).scalar()
        token = (before or 0) + 1
        connection.execute(delete(leases).where(leases.c.name == name))
        row = {"name": name, "token": token, "holder": holder, "taken_at": instant_text(now)}
        connection.execute(insert(leases).values(row))
    return Lease(name, token)
