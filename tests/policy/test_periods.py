"""Calendar periods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.policy import BadPeriod, parse_period
from reconciler.policy.model import Period

PERIODS = st.builds(Period, st.integers(0, 40), st.integers(0, 400), st.integers(0, 9_000))


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("1y", Period(years=1)),
        ("6mo", Period(months=6)),
        ("14d", Period(days=14)),
        ("1y6mo3d", Period(1, 6, 3)),
        ("0d", Period()),
    ],
)
def test_a_period_is_years_months_and_days(text: str, period: Period) -> None:
    assert parse_period(text) == period


@given(PERIODS)
def test_a_period_is_read_as_it_is_written(period: Period) -> None:
    assert parse_period(str(period)) == period


@pytest.mark.parametrize(
    "text", ["", "d", "14", "2w", "1m", "1mo1y", "1Y", "-1d", "1 y", "1.5y", "1d\n", "١d", "101y", "99999d"]
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(BadPeriod) as bad:
        parse_period(text)

    assert bad.value.code == "period"
    assert bad.value.remedy
