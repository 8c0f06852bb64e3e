"""When a schedule's next turn is."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

__all__ = ["next_turn"]


def next_turn(expression: str, after: datetime, zone: ZoneInfo) -> datetime:
    """The next moment (UTC) after that one that the cron expression names, in the zone, as Debian's cron takes it."""
    return next(CronSim(expression, after.astimezone(zone))).astimezone(UTC)
