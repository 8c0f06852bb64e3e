"""From the calendar to instants: what a whole day is in the workspace's timezone, and what a period adds to a moment.

People write days and periods (``2026-12-31``, ``6mo``); everything inside compares half-open instants in UTC. This is
the one bridge between the two. Arithmetic is done on the local calendar (31 January + 1 month = the last of February;
a day added across a clock change is still a day), with python-dateutil's `relativedelta`. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from reconciler.policy.model import Period

FOREVER = datetime.max.replace(tzinfo=UTC)
"""Later than any moment one can ask about: where a calendar sum leaves the calendar."""
BEGINNING = datetime.min.replace(tzinfo=UTC)
"""Earlier than any moment one can ask about."""

_SLACK = timedelta(days=40)
"""More than months differ in length, days are cut off at a month's end and zones differ from UTC, all together."""


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the day begins in the zone; where clocks skip midnight, the instant of the skip."""
    try:
        return datetime.combine(day, time.min, zone).astimezone(UTC)
    except OverflowError:
        return BEGINNING if day.year == 1 else FOREVER


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the day is over in the zone: where the next one begins."""
    return FOREVER if day == date.max else day_start(day + timedelta(days=1), zone)


def days_cover(at: datetime, since: date | None, until: date | None, zone: ZoneInfo) -> bool:
    """Whether the moment lies in the whole days from `since` to `until`, both included; None is unbounded."""
    begun = since is None or day_start(since, zone) <= at
    return begun and (until is None or at < day_end(until, zone))


def add_period(start: date | datetime, period: Period, zone: ZoneInfo) -> datetime:
    """The instant (UTC) one calendar period after a day's start or after a moment; `FOREVER` beyond the calendar.

    The sum is taken on the zone's wall clock: a day that does not exist becomes the last of its month, a clock time
    that does not exist moves behind the gap, one that exists twice is the first.
    """
    moment = start.astimezone(UTC) if isinstance(start, datetime) else day_start(start, zone)
    if period == Period():
        return moment
    try:
        wall = moment.astimezone(zone).replace(tzinfo=None)
        moved = wall + relativedelta(years=period.years, months=period.months, days=period.days)
        return moved.replace(tzinfo=zone, fold=0).astimezone(UTC)
    except (OverflowError, ValueError):
        return FOREVER


def around(end: datetime, periods: Sequence[Period], zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Between which moments (UTC) something begins that is over, these periods later, about `end`.

    What begins before is over by `end` for certain, what begins after is not; in between the calendar decides.
    """
    wall = end.astimezone(zone).replace(tzinfo=UTC)
    try:
        for period in reversed(periods):
            wall -= relativedelta(years=period.years, months=period.months, days=period.days)
        return wall - _SLACK, wall + _SLACK
    except (OverflowError, ValueError):
        return BEGINNING, BEGINNING + _SLACK


def day_text(moment: datetime, zone: ZoneInfo) -> str:
    """The moment for people, on the zone's clock: the day, and the minute where it is not the day's start."""
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        local = moment
    return f"{local:%Y-%m-%d}" if local.time() == time.min else f"{local:%Y-%m-%d %H:%M}"
