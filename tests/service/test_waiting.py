"""When something is tried again, and when a schedule's turn comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from reconciler.service import backoff
from reconciler.service.backoff import FIRST, LONGEST, Backoff
from reconciler.service.schedule import Turns, next_turn


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    made = Seconds()
    monkeypatch.setattr(backoff, "time", made)
    return made


def test_each_wait_is_twice_as_long_as_the_one_before_up_to_a_minute(seconds: Seconds) -> None:
    again, waits = Backoff(), []
    for _ in range(9):
        again.failed()
        waits.append(again.left())
        seconds.now += again.left()

    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert waits[-1] == LONGEST


def test_a_wait_that_has_begun_is_not_made_longer_by_further_failures(seconds: Seconds) -> None:
    again = Backoff()
    again.failed()
    seconds.now += FIRST / 2
    again.failed()

    assert again.left() == FIRST / 2


def test_it_is_over_once_and_for_those_too_who_wait_while_others_do_well(seconds: Seconds) -> None:
    again = Backoff()
    assert not again.over()
    again.failed()
    again.went_well()
    assert not again.over()
    seconds.now += FIRST

    assert again.over()
    assert not again.over()
    assert again.left() == 0
    again.failed()
    assert again.left() == FIRST, "after what went well, a short one again"


@pytest.mark.parametrize(
    ("expression", "after", "turn"),
    [
        ("*/30 * * * *", "2026-11-23T02:00:00", "2026-11-23T02:30:00"),
        ("*/30 * * * *", "2026-11-23T01:59:59.5", "2026-11-23T02:00:00"),
        ("0 9 * * MON", "2026-11-23T02:00:00", "2026-11-23T08:00:00"),
        ("30 2 * * *", "2026-03-28T12:00:00", "2026-03-29T01:00:00"),  # 2:30 is skipped: at 3:00, when there is one
        ("0 0 1 1 *", "2026-11-23T02:00:00", "2026-12-31T23:00:00"),
    ],
)
def test_a_turn_is_the_next_moment_that_the_expression_names_in_the_zone(
    expression: str, after: str, turn: str
) -> None:
    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert next_turn(expression, moment(after), ZoneInfo("Europe/Berlin")) == moment(turn)


TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_each_turn_comes_once_and_those_that_were_missed_together() -> None:
    turns = Turns({"hourly": "0 * * * *", "daily": "30 12 * * *"}, ZoneInfo("UTC"), TEN)

    assert turns.next == TEN + timedelta(hours=1)
    assert turns.due(TEN + timedelta(minutes=59)) == []
    assert turns.due(TEN + timedelta(hours=1)) == ["hourly"]
    assert turns.due(TEN + timedelta(hours=1)) == []
    assert turns.due(TEN + timedelta(days=7)) == ["hourly", "daily"]
    assert turns.due(TEN + timedelta(days=7)) == []


def test_a_clock_that_is_set_back_takes_no_turn_away_and_one_set_forth_brings_it_once() -> None:
    turns = Turns({"hourly": "0 * * * *"}, ZoneInfo("UTC"), TEN)
    assert turns.due(TEN + timedelta(days=365)) == ["hourly"]

    assert turns.due(TEN + timedelta(minutes=10)) == []
    assert turns.next == TEN + timedelta(hours=1)
    assert turns.due(TEN + timedelta(hours=1)) == ["hourly"]


def test_nothing_is_scheduled() -> None:
    turns = Turns({}, ZoneInfo("UTC"), TEN)

    assert turns.next is None
    assert turns.due(TEN + timedelta(days=365)) == []
