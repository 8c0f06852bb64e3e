"""A work order: what is to be done in the system, for whom, until when; and which orders there are.

An order is a file of its own, and nothing of it changes but that it can become urgent. Its number follows from what it
does and from how often that was ordered before, so that the same thing cannot be ordered twice at once, whoever dies in
between. An order that replaces another one withdraws it: a single file does both.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.targets import Op

__all__ = ["FORMAT", "BadRecord", "Order", "Pair", "history", "order_number"]

FORMAT = "reconciler.work-order/1"
Pair = tuple[str, str]
"""Entitlement and account."""


class BadRecord(ValueError):
    """A file that should hold an order holds none."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `replaces` is the number of the one that it withdraws, or a blank; `urgent_since` says when it became
    urgent, where it is.
    """

    number: str
    target: str
    op: Op
    account: str
    entitlement: str
    ordered_at: datetime
    due: datetime
    replaces: str = ""
    urgent_since: datetime | None = None

    @property
    def pair(self) -> Pair:
        """Whose membership of what it is about."""
        return self.entitlement, self.account

    @property
    def gives(self) -> bool:
        """Whether the account is to be let in."""
        return self.op is Op.GRANT

    def hurried(self, at: datetime, within: timedelta) -> Order:
        """The same order, urgent since then."""
        return replace(self, urgent_since=at, due=min(self.due, at + within))

    def as_json(self) -> str:
        """What its file holds."""
        urgent = self.urgent_since.isoformat() if self.urgent_since else None
        times = {"ordered_at": self.ordered_at.isoformat(), "due": self.due.isoformat(), "urgent_since": urgent}
        return json.dumps({"format": FORMAT, **asdict(self), **times}, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The order that such a file holds. Raises `BadRecord`."""
        try:
            said: dict[str, Any] = json.loads(text)
            if said.pop("format") != FORMAT:
                raise ValueError
            times = {name: datetime.fromisoformat(said[name]) for name in ("ordered_at", "due")}
            urgent = said["urgent_since"]
            return cls(
                **{
                    **said,
                    **times,
                    "op": Op(said["op"]),
                    "urgent_since": datetime.fromisoformat(urgent) if urgent else None,
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadRecord from None


def order_number(target: str, op: Op, pair: Pair, before: int) -> str:
    """The number of the order that does this after it was ordered so many times before."""
    text = json.dumps([target, op.value, *pair, before], ensure_ascii=True)
    return f"WO-{hashlib.sha256(text.encode()).hexdigest()[:12].upper()}"


def history(orders: Sequence[Order]) -> Mapping[tuple[Op, Pair], int]:
    """How often each thing was ordered."""
    return Counter((order.op, order.pair) for order in orders)
