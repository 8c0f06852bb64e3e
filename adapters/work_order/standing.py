"""What is known of a system that says nothing itself: an inventory, and what people say to have done since.

INVARIANT: an order counts for nothing until somebody confirms it, or an inventory of later shows it done; until then
the membership it is about is unsettled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from adapters.work_order.acknowledging import Acknowledged
from adapters.work_order.form import one_line
from adapters.work_order.inventory import Inventory
from adapters.work_order.order import Order, Pair
from reconciler.targets import TargetFinding

__all__ = ["Standing", "standing"]


@dataclass(frozen=True)
class Standing:
    """Entitlement → accounts that have it by the last word; the open orders by what they are about; the words by which
    memberships were confirmed; and orders that were withdrawn, by number → the number of what replaced them.
    """

    members: Mapping[str, frozenset[str]]
    open: Mapping[Pair, Order]
    confirmed: Mapping[Pair, str]
    withdrawn: Mapping[str, str]
    contradicted: Sequence[Acknowledged]

    def has(self, pair: Pair) -> bool:
        """Whether the account has the entitlement, by the last word."""
        return pair[1] in self.members.get(pair[0], frozenset())

    def open_in(self, entitlement: str) -> Collection[str]:
        """The accounts about whose membership an order is open."""
        return self._open_by.get(entitlement, ())

    def confirmed_in(self, entitlement: str) -> Mapping[str, str]:
        """Account → the words by which its membership was confirmed."""
        return self._confirmed_by.get(entitlement, {})

    @cached_property
    def _open_by(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for entitlement, account in self.open:
            found[entitlement].append(account)
        return found

    @cached_property
    def _confirmed_by(self) -> Mapping[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for (entitlement, account), words in self.confirmed.items():
            found[entitlement][account] = words
        return found

    def remarks(self, now: datetime, unsent: Collection[str]) -> Iterator[TargetFinding]:
        """What somebody should look at: every open order, with `unsent` those that nobody was sent."""
        for order in sorted(self.open.values(), key=lambda each: (each.due, each.number)):
            verb = "let" if order.gives else "take"
            way = "into" if order.gives else "out of"
            what = f"{order.number}, {verb} {one_line(order.account)} {way} {one_line(order.entitlement)}"
            urgent = "urgent, " if order.urgent_since else ""
            if now > order.due:
                text = f"{what}: {urgent}was due {_day(order.due)} and nobody says that it is done: ask whoever does it"
                yield TargetFinding("overdue-work-order", order.number, text)
            else:
                text = f"{what}: {urgent}ordered {_day(order.ordered_at)}, due {_day(order.due)}"
                yield TargetFinding("open-work-order", order.number, text)
            if order.number in unsent:
                text = "nobody has been sent this order yet: the next run tries again"
                yield TargetFinding("unsent-work-order", order.number, text)
        for each in self.contradicted:
            text = (
                f"{each.words}; the inventory, which is newer, shows otherwise: it is ordered anew where it is wanted"
            )
            yield TargetFinding("acknowledged-not-so", each.order.number, text)


def standing(inventory: Inventory, orders: Mapping[str, Order], acknowledged: Sequence[Acknowledged]) -> Standing:
    """What these say together."""
    members = {entitlement: set(accounts) for entitlement, accounts in inventory.members.items()}
    confirmed: dict[Pair, str] = {}
    newest: dict[Pair, Acknowledged] = {}
    for each in sorted(acknowledged, key=lambda one: (one.done_at, one.order.ordered_at, one.order.number)):
        newest[each.order.pair] = each
        entitlement, account = each.order.pair
        # Of what the inventory does not know, nobody can say who has it by a few orders.
        if each.done_at > inventory.exported and entitlement in members:
            (members[entitlement].add if each.order.gives else members[entitlement].discard)(account)
    for pair, each in newest.items():
        if (pair[1] in members.get(pair[0], ())) == each.order.gives:
            confirmed[pair] = each.words
    withdrawn = {order.replaces: order.number for order in orders.values() if order.replaces}
    done = {each.order.number for each in acknowledged}
    still_open: dict[Pair, Order] = {}
    for order in sorted(orders.values(), key=lambda one: one.ordered_at):
        if order.number in done or order.number in withdrawn:
            continue
        if inventory.exported > order.ordered_at and _shows(inventory, order) is True:
            earlier = newest.get(order.pair)
            if earlier is None or earlier.done_at <= order.ordered_at:
                confirmed[order.pair] = f"{order.number} is done: the inventory of {_day(inventory.exported)} shows it"
            continue
        still_open[order.pair] = order
    for pair in still_open:
        confirmed.pop(pair, None)
    contradicted = [
        each
        for pair, each in sorted(newest.items())
        if each.done_at <= inventory.exported and _shows(inventory, each.order) is False and pair not in still_open
    ]
    frozen = {entitlement: frozenset(accounts) for entitlement, accounts in members.items()}
    return Standing(frozen, still_open, confirmed, withdrawn, contradicted)


def _shows(inventory: Inventory, order: Order) -> bool | None:
    """Whether the inventory is as the order wanted it; None where it was not read whole, or does not know the
    entitlement: then whom it does not name may have it all the same.
    """
    if order.account in inventory.members.get(order.entitlement, ()):
        return order.gives
    return None if inventory.flaws or order.entitlement not in inventory.members else not order.gives


def _day(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%MZ")
