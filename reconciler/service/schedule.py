"""When a schedule's next turn is, and when its last one was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

__all__ = ["last_turn", "next_turn"]


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
