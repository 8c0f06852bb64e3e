"""Days and instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.facts.days import day_end, day_start, instant_text, last_day, parse_day, parse_instant

SHANGHAI = ZoneInfo("Asia/Shanghai")


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
