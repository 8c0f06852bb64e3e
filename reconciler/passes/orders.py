"""What was ordered from people: not asked for twice, and on record as done once somebody confirms it.

A target without an interface orders a change from a person (`OutcomeKind.ORDERED`). Until that person says that it is
done, the change is due and is not sent again; then the record says who did it, when, and with what proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from reconciler.apply.intents import described
from reconciler.apply.journal import OpenIntent
from reconciler.apply.sight import Sight
from reconciler.apply.telling import confirmed
from reconciler.passes.wiring import Wiring
from reconciler.plan.model import Change
from reconciler.policy.model import EntitlementRef
from reconciler.targets import Observation, TargetError

__all__ = ["Orders", "record_confirmed", "standing_orders"]


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders on record that nobody has confirmed, by change id, and what the targets show now."""

    by_change: Mapping[str, OpenIntent]
    sights: Mapping[str, Sight]

    def stands(self, change: Change) -> bool:
        """Whether the change is on order as it is, so that asking again would say nothing new: the target still shows
        it so, and nobody has become a leaver since.
        """
        order = self.by_change.get(change.id)
        sight = self.sights.get(change.target)
        if order is None or sight is None or bool(order.change["leaver"]) != change.leaver:
            return False
        return sight.is_unsettled(described(change))


def standing_orders(wiring: Wiring, observations: Mapping[str, Observation | None]) -> Orders:
    """What is on order, beside what these observations show."""
    refs = {
        EntitlementRef(name, key)
        for name, observation in observations.items()
        for key, read in (observation.entitlements.items() if observation else ())
        if read.unsettled or read.confirmed
    }
    if not refs:  # no target here orders anything from people
        return Orders({}, {})
    with wiring.store.reading() as connection:
        open_orders = wiring.journal.open_orders(connection, refs)
    names = {ref.target for ref in refs}
    return Orders(
        {order.change_id: order for order in open_orders}, {name: Sight(observations[name]) for name in names}
    )


def record_confirmed(wiring: Wiring, orders: Orders) -> None:
    """Put on record what somebody has carried out, with the words by which they confirm it; and let the targets clear
    away what is done.
    """
    done = _confirmed(orders.by_change.values(), orders.sights)
    if done:
        wiring.record([confirmed(order, words) for order, words in done])
    for name in sorted({order.target for order, _ in done}):
        with suppress(TargetError), wiring.targets[name].target.writer() as writer:
            writer.apply(())


def _confirmed(orders: Iterable[OpenIntent], sights: Mapping[str, Sight]) -> Sequence[tuple[OpenIntent, str]]:
    said = ((order, sights[order.target].confirmation(order.change)) for order in orders if order.target in sights)
    return [(order, words) for order, words in said if words]
