"""Everything that is known of the system at one moment, read from the files and judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.work_order.acknowledging import Rules, judged
from adapters.work_order.folder import Folder
from adapters.work_order.inventory import Inventory, read_inventory
from adapters.work_order.order import Order
from adapters.work_order.sending import Channel
from adapters.work_order.settings import WorkOrderSettings
from adapters.work_order.standing import Standing, standing
from reconciler.targets import TargetError, TargetFinding

__all__ = ["Known", "Place", "known"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything about one target is."""

    name: str
    inventory: Path
    folder: Folder
    settings: WorkOrderSettings
    channels: Sequence[Channel]


@dataclass(frozen=True, slots=True)
class Known:
    """What the files say. `accounts` is account → what it is matched by."""

    now: datetime
    inventory: Inventory
    orders: Mapping[str, Order]
    standing: Standing
    accounts: Mapping[str, str]
    unsent: Mapping[str, Sequence[Order]]
    bad: Sequence[TargetFinding]

    def findings(self, settings: WorkOrderSettings) -> list[TargetFinding]:
        """What somebody should look at."""
        unsent = {order.number for orders in self.unsent.values() for order in orders}
        return [*self.standing.remarks(self.now, unsent), *self.bad, *self.weaknesses(settings)]

    def weaknesses(self, settings: WorkOrderSettings) -> list[TargetFinding]:
        """What makes all of it less worth."""
        if self.now - self.inventory.exported <= settings.inventory_valid_for:
            return []
        day = self.inventory.exported.date().isoformat()
        text = f"it was exported on {day}: what was changed there since, by whomever, is not known; export it anew"
        return [TargetFinding("stale-inventory", "inventory", text)]


def _check_whose(place: Place, orders: Iterable[Order]) -> None:
    """What was ordered of another system is no word about this one."""
    others = sorted({order.target for order in orders} - {place.name})
    if others:
        raise TargetError(
            f"{place.folder.path} holds orders of target `{others[0]}`, and belongs to `{place.name}`",
            remedy=(
                "give each target a folder of its own; where this one was called otherwise before, let it have its "
                "name back, or export the inventory anew and begin with an empty folder"
            ),
        )


def known(place: Place, now: datetime) -> Known:
    """Read it. Raises `TargetError`."""
    settings = place.settings
    orders = place.folder.orders()
    _check_whose(place, orders.values())
    inventory = read_inventory(place.inventory, settings.column, now)
    rules = Rules(settings.proof == "required", settings.acknowledged_by, settings.zone, inventory.accounts, now)
    acknowledged, bad = judged(place.folder.acknowledgements(), orders, rules)
    stands = standing(inventory, orders, acknowledged)
    accounts = dict(inventory.accounts)
    if settings.implicit:
        accounts |= {order.account: order.account for order in orders.values()}
    unsent = {}
    for channel in place.channels:
        sent = place.folder.sent(channel.name)
        unsent[channel.name] = [
            order for order in stands.open.values() if (order.number, order.urgent_since is not None) not in sent
        ]
    return Known(now, inventory, orders, stands, accounts, unsent, bad)
