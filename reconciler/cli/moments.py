"""Days and moments as people type them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click

from reconciler.facts.days import day_start, parse_day


def moment(text: str, zone: ZoneInfo) -> datetime:
    """An instant: a day is its start in the workspace's timezone, a time without offset is local to it."""
    try:
        return day_start(parse_day(text), zone)
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a day (2026-12-01) nor a moment (2026-12-01T09:30)") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)
