"""Undoing what a run did: its inverse, and what keeps the next pass from doing it again.

A pin says of one person and one entitlement how it shall stand until somebody decides otherwise: as it was before the
run that was undone. What the rule wants instead is held, under a digest of its own, and approving that is what ends
the pin. A pin never opens what the rule denies, and keeps no leaver in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.plan.model import Change, Held
from reconciler.policy.model import EntitlementRef
from reconciler.targets import Op, entitlement_key

UNDONE = "undone"
"""The guard that holds what would do again what was undone."""


@dataclass(frozen=True, slots=True)
class Pin:
    """How one person's membership shall stand: `wanted` in it or not, because ledger entry `entry` undid that run."""

    ref: EntitlementRef
    person: str
    wanted: bool
    run: str
    entry: int

    @property
    def key(self) -> tuple[EntitlementRef, str]:
        """Whose membership of what."""
        return self.ref, self.person


def pins_by_key(pins: Iterable[Pin]) -> Mapping[tuple[EntitlementRef, str], Pin]:
    """The newest pin of each membership."""
    return {pin.key: pin for pin in sorted(pins, key=lambda pin: pin.entry)}


def keep_pins(changes: Sequence[Change], pins: Iterable[Pin]) -> list[Change]:
    """The changes, those held that would do again what was undone; leavers' and approved ones go ahead."""
    by_key = pins_by_key(pins)
    return [each if pin is None else _held(each, pin) for each, pin in _with_pins(changes, by_key)]


def _with_pins(
    changes: Sequence[Change], pins: Mapping[tuple[EntitlementRef, str], Pin]
) -> Iterator[tuple[Change, Pin | None]]:
    for change in changes:
        pin = None
        if change.person and change.op in (Op.GRANT, Op.REVOKE) and not change.leaver and not change.approved:
            pin = pins.get((EntitlementRef(change.target, entitlement_key(change.locator)), change.person))
        yield change, pin if pin is not None and pin.wanted != (change.op is Op.GRANT) else None


def _held(change: Change, pin: Pin) -> Change:
    text = f"run {pin.run} did this and was undone (ledger entry {pin.entry}): somebody has to approve it anew"
    return change.held_by(Held(UNDONE, change.slice, "", text))
