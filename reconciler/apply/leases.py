"""Who may act now: every lease that is taken carries a number that only grows, and an older number may do nothing more.

A full pass holds the lease of every target that it acts on, a pass for one person the lease on that person. A lock
keeps a second full pass out while the first one lives. It cannot help where the first one was only suspended (a
stopped process, a paused virtual machine), lost its lock meanwhile, and wakes up believing that it still holds it. So
each batch's intent is recorded in one transaction with a look at the newest number, and nothing is sent without that.
What no lock of ours can close is the instant between that look and the target's receiving the request.

**A leaver waits for nobody**: the two kinds of passes do not exclude each other. What keeps them right side by side is
an order that both obey.

1. Why a person is to lose something is on record before the pass for that person begins.
2. A full pass records what it is about to do, *then* asks the record whether that is still wanted, then sends it.
3. A pass for a person first asks the record what another run is about to give to them, and takes away what is there;
   where there was such a thing, it waits for the outcome and takes away what came of that, too.

So a full pass's intent is either older than the reason, and then the other pass sees it (2 before 3), or younger, and
then the full pass itself sees the reason (1 before 2): nothing stays given to whom the record says it is not theirs.
Where both take the same thing away, one has done it and the other finds it done already.

The question comes after the intent's transaction and not inside it, although inside nothing could be recorded between
the two: a fact is older or younger than the intent either way, and asked afterwards it also sees what was recorded
while the intent went to the disk. What comes later still finds the intent open, so that 3 holds for it.

A lease on a target ends with the lock, so with the process. A lease on a person ends when its pass does, or `LASTS`
after the last thing it recorded: whoever died holding one keeps nobody out, since a newer pass for the person takes it
over at once, and until then a full pass only leaves the dead one's last batch unjudged.

The table is no projection: it says who acts now, not what has happened. Losing it costs nothing, once nobody acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, String, Table, Text, Update, bindparam, delete, insert, select, update

from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import Sequence64
from reconciler.facts.store import Store, metadata

__all__ = [
    "LASTS",
    "Lease",
    "RunSuperseded",
    "alive",
    "end_of_the_dead",
    "of_person",
    "of_target",
    "take",
    "take_all",
]

LASTS = timedelta(minutes=1)
"""So long after the last thing that was recorded under it, a lease on a person ends by itself."""

_PERSON = "person:"

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", Sequence64, nullable=False),
    Column("holder", Text, nullable=False),
    Column("taken_at", String(27), nullable=False),
    Column("until", String(27), nullable=False),
)


_OF_NAME = select(leases).where(leases.c.name == bindparam("of_name"))
"""Put together once: it is asked at every batch."""


class RunSuperseded(ReconcilerError):
    """A newer run has taken the lease since this one did, so this one sends nothing more."""

    code = "run-superseded"


def of_target(target: str) -> str:
    """The name of the lease under which a full pass acts on a target."""
    return f"target:{target}"


def of_person(person: str) -> str:
    """The name of the lease under which a pass for one person acts."""
    return f"{_PERSON}{person}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act under a name, until somebody takes it anew or it ends."""

    name: str
    token: int

    @property
    def ends(self) -> bool:
        """Whether it ends by itself, for want of a lock that ends with the process."""
        return self.name.startswith(_PERSON)

    def check(self, connection: Connection, now: datetime) -> None:
        """Raises `RunSuperseded` where a newer lease was taken, or this one has ended, as this transaction sees it."""
        row = connection.execute(_OF_NAME, {"of_name": self.name}).mappings().first()
        if row is not None and row["token"] == self.token and _lasts(row["until"], now):
            return
        who = f"another run ({row['holder']}, since {row['taken_at'][:19]}Z)" if row is not None else "another store"
        told = f"{who} has taken over, so this one stopped"
        if row is not None and row["token"] == self.token:
            told = f"this run was away for longer than {LASTS.total_seconds():g} s, so it stopped"
        remedy = "nothing more was sent; the newer run records what became of what was sent: run `reconciler plan`"
        raise RunSuperseded(told, remedy=remedy)

    def renew(self, connection: Connection, now: datetime) -> None:
        """`check`, and let it last from now on."""
        self.check(connection, now)
        if self.ends:
            connection.execute(_named(self.name).values(until=instant_text(now + LASTS)))

    def confirm(self, store: Store, now: datetime) -> None:
        """`check`, in a transaction of its own."""
        with store.reading() as connection:
            self.check(connection, now)

    def give_back(self, store: Store, now: datetime) -> None:
        """End it, unless somebody else has taken it meanwhile. The number stays, so that the next one is larger."""
        with store.writing() as connection:
            connection.execute(_named(self.name).where(leases.c.token == self.token).values(until=instant_text(now)))


def take(store: Store, name: str, holder: str, now: datetime) -> Lease:
    """Take the lease of this name, whoever held it before."""
    return take_all(store, [name], holder, now)[0]


def take_all(store: Store, names: Iterable[str], holder: str, now: datetime) -> tuple[Lease, ...]:
    """Take the leases of these names, all at once."""
    with store.writing() as connection:
        return tuple(_taken(connection, name, holder, now) for name in names)


def end_of_the_dead(connection: Connection, names: Iterable[str], now: datetime) -> None:
    """Whoever held the leases of these names is known to have died: nobody is to wait for them any more."""
    for name in names:
        connection.execute(_named(name).values(until=instant_text(now)))


def alive(connection: Connection, now: datetime) -> frozenset[str]:
    """The names of the leases on persons that somebody holds."""
    rows = connection.execute(select(leases.c.name).where(leases.c.until > instant_text(now)))
    return frozenset(rows.scalars())


def _taken(connection: Connection, name: str, holder: str, now: datetime) -> Lease:
    before = connection.execute(select(leases.c.token).where(leases.c.name == name)).scalar()
    lease = Lease(name, (before or 0) + 1)
    connection.execute(delete(leases).where(leases.c.name == name))
    until = instant_text(now + LASTS) if lease.ends else ""
    row = {"name": name, "token": lease.token, "holder": holder, "taken_at": instant_text(now), "until": until}
    connection.execute(insert(leases).values(row))
    return lease


def _lasts(until: str, now: datetime) -> bool:
    return not until or until > instant_text(now)


def _named(name: str) -> Update:
    return update(leases).where(leases.c.name == name)
