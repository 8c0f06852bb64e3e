"""When a schedule's next turn is, and when its last one was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

__all__ = ["Turns", "last_turn", "next_turn"]


def next_turn(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    """The next moment (UTC) after that one that the cron expression names, in the zone, as Debian's cron takes it."""
    return next(CronSim(expression, after.astimezone(zone))).astimezone(UTC)


def last_turn(expression: str, until: datetime, zone: ZoneInfo) -> datetime:
    """The last moment (UTC) up to that one, itself included, that the expression names."""
    after = until.astimezone(zone) + timedelta(minutes=1)
    found = next(before := CronSim(expression, after, reverse=True))
    while found > until:
        found = next(before)
    return found.astimezone(UTC)


class Turns:
    """The next turn of each of several cron expressions. A turn that was missed is taken once, however long it is ago;
    a clock that is set back begins anew.
    """

    def __init__(self, expressions: Mapping[str, str], zone: ZoneInfo, now: datetime) -> None:
        self._expressions = expressions
        self._zone = zone
        self._looked = now
        self._next = {name: self._after(name, now) for name in expressions}

    def due(self, now: datetime) -> list[str]:
        """Whose turn has come since it was asked last."""
        if now < self._looked:
            self._next = {name: self._after(name, now) for name in self._expressions}
        self._looked = now
        come = [name for name, turn in self._next.items() if turn <= now]
        self._next.update({name: self._after(name, now) for name in come})
        return come

    @property
    def next(self) -> datetime | None:
        """The turn that comes first."""
        return min(self._next.values(), default=None)

    def _after(self, name: str, now: datetime) -> datetime:
        return next_turn(self._expressions[name], now, self._zone)
