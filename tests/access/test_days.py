"""Whole days and calendar periods in the workspace's timezone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.days import FOREVER, add_period, day_end, day_start, day_text, days_cover
from reconciler.policy.model import Period
from tests.access.company import SHANGHAI, local, utc

zones = st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Beirut", "Pacific/Apia"])
NEW_YORK = ZoneInfo("America/New_York")


def test_until_includes_its_day_where_the_workspace_is() -> None:
    assert day_end(date(2026, 12, 31), SHANGHAI) == utc(2026, 12, 31, 16)
    assert days_cover(utc(2026, 12, 31, 15, 59), None, date(2026, 12, 31), SHANGHAI)
    assert not days_cover(utc(2026, 12, 31, 16), None, date(2026, 12, 31), SHANGHAI)
    assert days_cover(utc(2026, 12, 30, 16), date(2026, 12, 31), date(2026, 12, 31), SHANGHAI)


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        (date(2026, 1, 31), Period(months=1), local(2026, 2, 28)),
        (date(2028, 1, 31), Period(months=1), local(2028, 2, 29)),
        (date(2028, 2, 29), Period(years=1), local(2029, 2, 28)),
        (date(2026, 8, 31), Period(months=6), local(2027, 2, 28)),
        (date(2026, 12, 25), Period(days=14), local(2027, 1, 8)),
    ],
)
def test_periods_follow_the_calendar(start: date, period: Period, end: datetime) -> None:
    assert add_period(start, period, SHANGHAI) == end


def test_a_day_across_a_clock_change_is_a_day() -> None:
    before = day_start(date(2026, 3, 8), NEW_YORK)

    assert add_period(before, Period(days=1), NEW_YORK) == day_start(date(2026, 3, 9), NEW_YORK)
    assert day_end(date(2026, 3, 8), NEW_YORK) - before == timedelta(hours=23)


def test_a_moment_keeps_its_time_of_day() -> None:
    assert add_period(local(2026, 1, 31, 17, 30), Period(months=1), SHANGHAI) == local(2026, 2, 28, 17, 30)


@given(st.dates(), zones)
def test_days_follow_one_another_without_gap_or_overlap(day: date, zone: str) -> None:
    start, end = day_start(day, ZoneInfo(zone)), day_end(day, ZoneInfo(zone))

    assert start <= end
    assert day == date.max or end == day_start(day + timedelta(days=1), ZoneInfo(zone))


@given(st.integers(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)), zones)
def test_a_moment_lies_in_its_day(moment: datetime, zone: str) -> None:
    day = moment.astimezone(ZoneInfo(zone)).date()

    assert days_cover(moment, day, day, ZoneInfo(zone))


def test_e5_a_date_at_the_end_of_the_calendar_ends_nothing_early_and_breaks_nothing() -> None:
    """HR systems write 9999-12-31 for "no end"; it is a date like any other."""
    assert day_end(date.max, SHANGHAI) == FOREVER
    assert day_start(date.min, SHANGHAI) < utc(1900, 1, 1)
    assert add_period(day_start(date(9999, 12, 1), SHANGHAI), Period(years=1), SHANGHAI) == FOREVER
    assert add_period(FOREVER, Period(days=14), SHANGHAI) == FOREVER
    assert day_text(FOREVER, SHANGHAI).startswith("9999-12-31")


def test_moments_are_told_on_the_workspace_clock() -> None:
    assert day_text(utc(2026, 11, 2, 16), SHANGHAI) == "2026-11-03"
    assert day_text(utc(2026, 11, 3, 9, 30), SHANGHAI) == "2026-11-03 17:30"
