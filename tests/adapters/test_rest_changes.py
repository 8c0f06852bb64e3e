"""Going on from an earlier delivery of an HR system's API: what changed since, and when everything comes again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rest.changes import Newest, asked_since, fingerprint
from reconciler.sources import SourceError
from tests.adapters.hr_lab import COLUMNS, NOW, ids, people, person, read, refusal, source
from tests.servers.hr_api import HrApi, serving

CHANGES = {"parameter": "updated_since", "field": "updated_at"}
MARK = "m4rk"


@pytest.fixture
def api() -> Iterator[HrApi]:
    with serving(HrApi(people(23), largest_page=10)) as server:
        yield server


def test_the_second_delivery_is_what_changed_since_the_first(api: HrApi) -> None:
    made = source(api, changes=CHANGES)
    first = made.read(COLUMNS, ("id",))
    api.people[4] = person(4, status="exited", updated_at="2026-11-20T08:00:00Z")
    second = made.read(COLUMNS, ("id",), since=first.cursor)
    third = made.read(COLUMNS, ("id",), since=second.cursor)

    assert first.full
    assert not second.full
    assert "E0004" in ids(second)
    assert len(ids(second)) < 23
    assert ids(third) == ["E0004"]
    assert third.cursor == second.cursor != first.cursor


def test_every_page_of_it_is_asked_with_the_same_time(api: HrApi) -> None:
    made = source(api, changes=CHANGES)
    cursor = made.read(COLUMNS, ("id",)).cursor
    api.asked.clear()
    api.people[:] = [person(number, updated_at="2026-11-25T00:00:00Z") for number in range(23)]
    made.read(COLUMNS, ("id",), since=cursor)

    assert len(api.asked) == 4
    assert {asked.query["updated_since"] for asked in api.asked} == {"2026-11-01T00:17:00Z"}


def test_when_nothing_changed_nobody_is_absent_and_the_cursor_stays(api: HrApi) -> None:
    made = source(api, changes={**CHANGES, "overlap": "0s"})
    cursor = made.read(COLUMNS, ("id",)).cursor
    api.people.clear()
    feed = made.read(COLUMNS, ("id",), since=cursor)

    assert not feed.full
    assert list(feed.rows) == []
    assert feed.cursor == cursor
    assert set(feed.columns) == set(COLUMNS)


def test_without_changes_configured_a_cursor_is_of_no_use(api: HrApi) -> None:
    feed = source(api).read(COLUMNS, ("id",), since="2026-11-01T00:17:00Z;abc")

    assert feed.full
    assert feed.cursor == ""
    assert "updated_since" not in api.asked[0].query


def test_other_settings_or_columns_read_everything_anew(api: HrApi) -> None:
    cursor = source(api, changes=CHANGES).read(COLUMNS, ("id",)).cursor

    assert source(api, changes=CHANGES, values={"status": {"active": "leave"}}).read(COLUMNS, ("id",), cursor).full
    assert source(api, changes=CHANGES, parameters={"company": "2"}).read(COLUMNS, ("id",), cursor).full
    assert source(api, changes=CHANGES).read((*COLUMNS, "grade"), ("id",), cursor).full
    assert not source(api, changes=CHANGES, auth={"bearer": api.token}).read(COLUMNS, ("id",), cursor).full


def test_a_field_that_no_changed_record_has_reads_everything(api: HrApi) -> None:
    """Blank, or no longer there: what changed cannot tell."""
    made = source(api, changes=CHANGES)
    cursor = made.read(COLUMNS, ("id",)).cursor
    api.people[4] = person(4, employment={}, updated_at="2026-11-20T08:00:00Z")
    for number in range(17, 23):  # those within the overlap
        api.people[number] = person(number, employment={})
    feed = made.read(COLUMNS, ("id",), since=cursor)
    api.people[:] = [person(number, employment={}) for number in range(23)]

    assert feed.full
    assert len(ids(feed)) == 23
    with pytest.raises(SourceError, match=r"no record has `employment\.end_date`"):
        made.read(COLUMNS, ("id",), since=cursor)


def test_a_record_from_the_future_passes_over_nothing(api: HrApi) -> None:
    api.people[7] = person(7, updated_at="2099-01-01T00:00:00Z")
    made = source(api, changes=CHANGES)
    cursor = made.read(COLUMNS, ("id",)).cursor
    api.people[8] = person(8, updated_at="2026-12-01T11:00:00Z")

    assert cursor.startswith("2026-12-01T10:00:00Z;")
    assert "E0008" in ids(made.read(COLUMNS, ("id",), since=cursor))


def test_nobody_says_when_a_record_changed(api: HrApi) -> None:
    error = refusal(api, changes={**CHANGES, "field": "update_at"})

    assert "no record has `update_at` (`changes.field`); the nearest is `updated_at`" in error.message


def test_a_time_of_change_that_is_none(api: HrApi) -> None:
    api.people[12] = person(12, updated_at="yesterday")
    error = refusal(api, changes=CHANGES)

    assert "`yesterday` is no time" in error.message
    assert str(error.place).endswith("page 2, record 3")


def test_the_field_of_changes_counts_as_used(api: HrApi) -> None:
    assert list(read(api, changes=CHANGES).ignored_columns) == []


# --- cursors by themselves --------------------------------------------------------------------------------------------

NOTATIONS = {
    "2026-11-30T10:00:00Z": "2026-11-30T09:55:00Z",
    "2026-11-30T10:00:00.500Z": "2026-11-30T09:55:00.500Z",
    "2026-11-30T10:00:00.123456789+00:00": "2026-11-30T09:55:00.123+00:00",
    "2026-11-30T10:00:00+08:00": "2026-11-30T09:55:00+08:00",
    "2026-11-30 10:00:00": "2026-11-30 09:55:00",
    "2026-11-30": "2026-11-29",
    "20261130": "20261129",
    "1795000000": "1794999700",
    "1795000000123": "1794999700123",
}


@pytest.mark.parametrize("text", NOTATIONS)
def test_it_is_asked_for_in_the_notation_of_the_api(text: str) -> None:
    newest = Newest(NOW)
    newest.see(text)

    assert asked_since(newest.cursor(MARK), MARK, timedelta(minutes=5)) == NOTATIONS[text]


@pytest.mark.parametrize("cursor", ["", MARK, f";{MARK}", f"nonsense;{MARK}", "2026-11-30;other", "2026-11-30"])
def test_a_cursor_of_no_use(cursor: str) -> None:
    assert asked_since(cursor, MARK, timedelta(0)) == ""


moments = st.integers(946_684_800, 2_208_988_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(st.lists(moments, min_size=1), moments, st.integers(0, 3600))
def test_it_is_asked_for_what_is_newer_than_the_newest_and_never_later(
    seen: list[datetime], now: datetime, overlap: int
) -> None:
    newest = Newest(now)
    for moment in seen:
        newest.see(moment.isoformat())
    asked = datetime.fromisoformat(asked_since(newest.cursor(MARK), MARK, timedelta(seconds=overlap)))

    assert asked <= min(max(seen), now) - timedelta(seconds=overlap)
    assert asked > min(max(seen), now) - timedelta(seconds=overlap + 1)


@given(st.integers(0, 10**30))
def test_a_number_is_a_time_or_told_to_be_none(number: int) -> None:
    newest = Newest(NOW)
    with contextlib.suppress(ValueError):
        newest.see(str(number))
        assert int(asked_since(newest.cursor(MARK), MARK, timedelta(0))) <= number


def test_a_fingerprint_is_that_of_what_matters() -> None:
    assert fingerprint({"a": 1, "b": 2}, ["x", "y"]) == fingerprint({"b": 2, "a": 1}, ["y", "x"])
    assert len({fingerprint({"a": 1}, ["x"]), fingerprint({"a": 2}, ["x"]), fingerprint({"a": 1}, [])}) == 3
