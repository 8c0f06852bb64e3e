"""Turning steps into work orders: written once each, shown to people, and sent to them.

Promises: a record comes before anything that tells of it, so whoever dies in between has ordered it once; what was not
sent is sent by the next run. Nothing is said to be done here: that is for people to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from adapters.work_order.form import form
from adapters.work_order.known import Known, Place, known
from adapters.work_order.order import Order, Pair, history, order_number
from adapters.work_order.sending import Channel, NotSent, message_name
from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetError, TargetWriter

__all__ = ["OPS", "OrderWriter"]

OPS = frozenset({Op.GRANT, Op.REVOKE})


class OrderWriter(TargetWriter):
    """Writes orders into the target's folder."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """See `TargetWriter.apply`; nothing is ever `applied` here."""
        folder = self._place.folder
        try:
            with folder.locked():
                desk = _Desk(self._place, known(self._place, datetime.now(UTC)))
                outcomes = [desk.taken(step) for step in steps]
                folder.record(desk.written.values())
                seen = known(self._place, desk.now)
                self._show(seen)
                troubles = [said for channel in self._place.channels if (said := self._send(channel, seen))]
        except TargetError as error:
            return [Outcome(OutcomeKind.UNAVAILABLE, error.message)] * len(steps)
        if troubles:
            text = f"; not sent: {'; '.join(troubles)}"
            return [_unsent(outcome, text) for outcome in outcomes]
        return outcomes

    def _show(self, seen: Known) -> None:
        settings = self._place.settings
        zone, required = settings.zone, settings.proof == "required"
        forms = {order.number: form(order, zone, proof_required=required) for order in seen.standing.open.values()}
        gone = {
            number: form(seen.orders[number], zone, proof_required=required, withdrawn_by=by)
            for number, by in seen.standing.withdrawn.items()
            if number in seen.orders
        }
        self._place.folder.show(forms, gone)

    def _send(self, channel: Channel, seen: Known) -> str:
        """Send what was not sent that way. What went wrong, or a blank."""
        orders = sorted(seen.unsent[channel.name], key=lambda order: (order.due, order.number))
        if not orders:
            return ""
        settings = self._place.settings
        forms = [form(order, settings.zone, proof_required=settings.proof == "required") for order in orders]
        name = message_name(orders)
        try:
            channel.send(orders, forms, name, seen.now)
        except NotSent as failure:
            return str(failure)
        self._place.folder.note_sent(channel.name, name, orders)
        return ""


def _unsent(outcome: Outcome, text: str) -> Outcome:
    """An order that nobody was told of may be read in the folder, or may not: it is to be tried again."""
    if outcome.kind is not OutcomeKind.ORDERED:
        return outcome
    return replace(outcome, kind=OutcomeKind.UNAVAILABLE, detail=outcome.detail + text)


class _Desk:
    """Where one batch of steps becomes orders. `written` is what has to be recorded."""

    def __init__(self, place: Place, seen: Known) -> None:
        self._place = place
        self._seen = seen
        self._open = dict(seen.standing.open)
        self._times = dict(history(list(seen.orders.values())))
        self.now = seen.now
        self.written: dict[str, Order] = {}

    def taken(self, step: Step) -> Outcome:
        """What becomes of one step."""
        if step.op not in OPS:
            return Outcome(OutcomeKind.REFUSED, f"a work order cannot {step.op} here")
        entitlement, account = step.locator.get("entitlement", ""), step.account or step.account_name
        if entitlement not in self._seen.standing.members:
            return Outcome(OutcomeKind.STALE, f"the inventory has no entitlement {entitlement}")
        if step.account and account not in self._seen.accounts and not self._place.settings.implicit:
            return Outcome(OutcomeKind.STALE, f"the inventory has no account {account}")
        pair = entitlement, account
        before = self._open.get(pair)
        if before is None and self._is_so(pair, step.op):
            return Outcome(OutcomeKind.ALREADY)
        if before is not None and before.op is step.op:
            return self._once_more(before, step)
        return self._ordered(step, pair, before)

    def _is_so(self, pair: Pair, op: Op) -> bool:
        """Whom an inventory that was not read whole does not name may have it all the same."""
        gives = op is Op.GRANT
        return self._seen.standing.has(pair) is gives and (gives or not self._seen.inventory.flaws)

    def _once_more(self, order: Order, step: Step) -> Outcome:
        """It is on order; at most it becomes urgent."""
        if step.urgent and order.urgent_since is None:
            order = order.hurried(self.now, self._place.settings.urgent_due)
            self._keep(order)
            return Outcome(OutcomeKind.ORDERED, f"{order.number} is urgent now")
        return Outcome(OutcomeKind.ORDERED, f"{order.number} is open since {order.ordered_at:%Y-%m-%d}")

    def _ordered(self, step: Step, pair: Pair, replaced: Order | None) -> Outcome:
        settings = self._place.settings
        times = self._times.get((step.op, pair), 0)
        self._times[step.op, pair] = times + 1
        order = Order(
            number=order_number(self._place.name, step.op, pair, times),
            target=self._place.name,
            op=step.op,
            account=pair[1],
            entitlement=pair[0],
            # No two orders about the same thing at the same time: their order decides what holds.
            ordered_at=max(self.now, replaced.ordered_at + timedelta(microseconds=1)) if replaced else self.now,
            due=self.now + (settings.urgent_due if step.urgent else settings.due),
            replaces=replaced.number if replaced else "",
            urgent_since=self.now if step.urgent else None,
        )
        self._open[pair] = order
        self._keep(order)
        withdrawn = f", and {replaced.number} is withdrawn" if replaced else ""
        return Outcome(OutcomeKind.ORDERED, f"{order.number} is written, due {order.due:%Y-%m-%d}{withdrawn}")

    def _keep(self, order: Order) -> None:
        self.written[order.number] = order
