"""Days and instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.facts.days import (
    day_end,
    day_start,
    end_instant,
    instant_text,
    last_day,
    parse_day,
    parse_end,
    parse_instant,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "text",
    ["2026-12-01", "2026/12/1", "2026.12.01", "20261201", "2026年12月1日", "２０２６年12月01日", "2026-12-01 00:00:00"],
)
def test_the_usual_notations_are_one_day(text: str) -> None:
    assert parse_day(text) == date(2026, 12, 1)


@pytest.mark.parametrize("text", ["01/02/2026", "1.2.26", "13/01/2026"])
def test_a_day_without_its_year_first_is_refused_as_ambiguous(text: str) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        parse_day(text)


@pytest.mark.parametrize(
    "text", ["", "2026-02-30", "tomorrow", "2026-12", "0001-01-01", "2026-12-01 17:00", "2026/12-1"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_day(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T10:00:00",
        "2026-12-01 10:00",
        "2026/12/1 10:00:00",
        "20261201 10:00",
        "2026年12月1日 10:00",
        "2026-12-01T10:00:00.000",
        "２０２６-12-01 10：00",
    ],
)
def test_an_end_may_have_an_hour_of_its_own(text: str) -> None:
    assert parse_end(text) == datetime(2026, 12, 1, 10)  # noqa: DTZ001  # local, wherever that is


@pytest.mark.parametrize("text", ["2026-12-01T02:00:00Z", "2026-12-01 10:00+08:00", "2026-12-01T9:30:00 +0730"])
def test_an_end_with_an_offset_is_that_instant_everywhere(text: str) -> None:
    assert end_instant(parse_end(text), BERLIN) == datetime(2026, 12, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01 00:00:00", "20261201"])
def test_an_end_without_an_hour_is_the_whole_day(text: str) -> None:
    assert parse_end(text) == date(2026, 12, 1)
    assert not isinstance(parse_end(text), datetime)
    assert end_instant(parse_end(text), SHANGHAI) == day_end(date(2026, 12, 1), SHANGHAI)


@pytest.mark.parametrize(
    "text",
    ["", "10:00", "2026-12-01T24:00", "2026-12-01 25:00", "2026-02-30 10:00", "1/2/2026 10:00", "0001-01-01 10:00"],
)
def test_what_is_no_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_end(text)


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-03-28 10:00", BERLIN, datetime(2026, 3, 28, 9, tzinfo=UTC)),
        ("2026-03-29 10:00", BERLIN, datetime(2026, 3, 29, 8, tzinfo=UTC)),  # the clocks have gone forward
        ("2026-03-29 02:30", BERLIN, datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # which no clock shows
        ("2026-10-25 02:30", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # the first of two
        ("2026-10-25 10:00", BERLIN, datetime(2026, 10, 25, 9, tzinfo=UTC)),
        ("2026-10-25 10:00", SHANGHAI, datetime(2026, 10, 25, 2, tzinfo=UTC)),
    ],
)
def test_an_hour_is_that_of_the_clock_on_the_wall(text: str, zone: ZoneInfo, instant: datetime) -> None:
    assert end_instant(parse_end(text), zone) == instant


def test_a_day_is_the_workspaces_day() -> None:
    assert day_start(date(2026, 12, 1), SHANGHAI) == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert day_end(date(2026, 12, 1), SHANGHAI) == datetime(2026, 12, 1, 16, tzinfo=UTC)


@given(
    st.dates(min_value=date(1900, 1, 1), max_value=date(9998, 12, 31)),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo"]),
)
def test_a_day_ends_where_the_next_one_starts(day: date, zone: str) -> None:
    where = ZoneInfo(zone)

    assert day_start(day, where) < day_end(day, where)
    assert last_day(day_end(day, where), where) == day


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_has_one_spelling(at: datetime) -> None:
    assert parse_instant(instant_text(at)) == at
    assert len(instant_text(at)) == 27
