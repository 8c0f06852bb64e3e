"""Undoing a run: what it did becomes a set of pins on record, and every plan from then on goes by them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, column

from reconciler.apply.outcomes import SOME, done, outcomes
from reconciler.errors import ReconcilerError
from reconciler.facts.ledger import CHUNK, Entry, NewEntry, chunks
from reconciler.passes.wiring import Wiring
from reconciler.plan.undoing import Pin, pins_by_key
from reconciler.policy.model import EntitlementRef
from reconciler.targets import Op

RUN_UNDONE = "run-undone"
_DIRECTIONS = (Op.GRANT.value, Op.REVOKE.value)


class UndoRefused(ReconcilerError):
    """There is no such run, or nothing of it to undo."""

    code = "undo"


@dataclass(frozen=True, slots=True)
class Undone:
    """What will be brought back, by which ledger entry. `others` counts what only a person can undo: operations on
    accounts, and what concerned nobody.
    """

    run: str
    entry: int
    pins: Sequence[Pin]
    others: int


def undo(wiring: Wiring, run: str, reason: str) -> Undone:
    """Put on record that a run is undone; the next plan has its inverse. Raises `UndoRefused`."""
    if not reason.strip():
        raise UndoRefused("undoing a run needs a reason that somebody can read later", remedy="--reason 'why'")
    with wiring.store.reading() as connection:
        done, others = _done_by(wiring, connection, run)
    if any(entry.payload["run"] == run for entry in _undone(wiring)):
        raise UndoRefused(f"run {run} was undone already", remedy="`reconciler plan` shows what is still to be done")
    if not done:
        raise UndoRefused(
            f"there is nothing to undo of a run {run}", remedy="`apply` prints a run's name, and the ledger has it"
        )
    memberships: list[Any] = [[pin.ref.target, pin.ref.key, pin.person, pin.wanted] for pin in done]
    payload = {"run": run, "reason": reason.strip(), "memberships": memberships}
    (entry,) = wiring.record([NewEntry(RUN_UNDONE, f"run:{run}", wiring.actor, payload)])
    return Undone(run, entry.seq, _pins(entry), others)


def standing_pins(wiring: Wiring) -> tuple[Pin, ...]:
    """The pins that count: of memberships that no run has changed back, with somebody's approval, since."""
    pins = pins_by_key(pin for entry in _undone(wiring) for pin in _pins(entry))
    if not pins:
        return ()
    with wiring.store.reading() as connection:
        ended = _done_again(connection, pins.values())
    return tuple(pin for key, pin in pins.items() if key not in ended)


def _undone(wiring: Wiring) -> list[Entry]:
    return list(wiring.ledger.entries(kinds={RUN_UNDONE}))


def _pins(entry: Entry) -> tuple[Pin, ...]:
    rows: Any = entry.payload["memberships"]
    run = str(entry.payload["run"])
    return tuple(
        Pin(EntitlementRef(target, key), person, wanted, run, entry.seq) for target, key, person, wanted in rows
    )


def _done_by(wiring: Wiring, connection: Connection, run: str) -> tuple[list[Pin], int]:
    """The inverse of the memberships that the run changed, and how many other things it did."""
    asked = outcomes(
        ["op", "target", "entitlement_key", "subject", "entry"], lambda c: (c.run == run, c.outcome == "applied")
    )
    rows = connection.execute(asked.order_by(column("entry"))).all()
    known = wiring.facts.population_in(connection, {row.subject for row in rows}, evidence=False).by_id
    mine = [row for row in rows if row.op in _DIRECTIONS and row.subject in known]
    pins = [
        Pin(EntitlementRef(row.target, row.entitlement_key), row.subject, row.op == Op.REVOKE.value, run, 0)
        for row in mine
    ]
    return list(pins_by_key(pins).values()), len(rows) - len(mine)


def _done_again(connection: Connection, pins: Collection[Pin]) -> set[tuple[EntitlementRef, str]]:
    """The memberships that a run changed again, later, as was undone: only an approval, or the leaver's lane, lets that
    happen. The inverse itself has the other direction, so that carrying it out ends no pin.
    """
    by_key = pins_by_key(pins)
    keys, first = sorted({pin.ref.key for pin in pins}), min(pin.entry for pin in pins)
    found = set()
    asked = outcomes(
        ["entry", "target", "entitlement_key", "subject", "op"],
        lambda c: (c.entitlement_key.in_(SOME), c.entry > first, c.op.in_(_DIRECTIONS), done(c)),
    )
    for some in chunks(keys, CHUNK):
        for row in connection.execute(asked, {"some": some}):
            key = EntitlementRef(row.target, row.entitlement_key), row.subject
            pin = by_key.get(key)
            if pin is not None and row.entry > pin.entry and pin.wanted == (row.op == Op.REVOKE.value):
                found.add(key)
    return found
