"""What every people source promises, as tests that each source's own test module inherits.

A module that tests a source subclasses `SourceContract` and supplies the fixture `make_source`: given people in the
canonical columns and settings beside those that lead there, it sets up a system that holds exactly those, and returns
the source that reads it. A blank cell is one that the system does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from reconciler.errors import ReconcilerError
from reconciler.sources import Feed, FeedEmpty, Source, SourceError

Records: TypeAlias = Sequence[Mapping[str, str]]
MakeSource: TypeAlias = Callable[[Records, Mapping[str, object]], Source]

COLUMNS = ("id", "name", "email", "department", "projects", "ends_on", "status")
REQUIRED = ("id",)
PEOPLE: Records = (
    {"id": "E1001", "name": "张伟", "department": "研发中心/视觉组", "projects": "falcon;phoenix", "status": "active"},
    {
        "id": "E1002",
        "name": 'Smith, "JS" #1; <a=b>',
        "department": "sales",
        "ends_on": "2026-12-31",
        "status": "notice",
    },
    {"id": "e1002", "name": "Müller + Söhne \\ Co", "department": "rd", "email": "m@example.com", "status": "active"},
    {"id": "007", "name": "Ｅｖｅ　𝒵", "department": "rd", "projects": "falcon", "status": "exited"},
)


def said(feed: Feed) -> dict[str, dict[str, str]]:
    """What is said of whom: id → column → what is not blank; sets in a fixed order."""
    people = {row.cells["id"]: {key: text for key, text in row.cells.items() if text} for row in feed.rows}
    for cells in people.values():
        if "projects" in cells:
            cells["projects"] = ";".join(sorted(cells["projects"].split(";")))
    return people


class SourceContract:
    """The promises. Every method gets a fresh system."""

    def test_everybody_is_delivered_with_all_that_is_known_of_them(self, make_source: MakeSource) -> None:
        feed = make_source(PEOPLE, {}).read(COLUMNS, REQUIRED)

        assert feed.full
        assert said(feed) == {person["id"]: dict(person) for person in PEOPLE}
        assert set(feed.columns) == set(COLUMNS)
        assert not any(row.problem or row.cut for row in feed.rows)

    def test_the_rows_can_be_gone_through_again(self, make_source: MakeSource) -> None:
        feed = make_source(PEOPLE, {}).read(COLUMNS, REQUIRED)

        assert list(feed.rows) == list(feed.rows)

    def test_every_row_has_a_place_of_its_own(self, make_source: MakeSource) -> None:
        rows = list(make_source(PEOPLE, {}).read(COLUMNS, REQUIRED).rows)

        assert len({str(row.place) for row in rows}) == len({row.place for row in rows}) == len(PEOPLE)

    def test_the_digest_names_what_was_delivered(self, make_source: MakeSource) -> None:
        source = make_source(PEOPLE, {})
        first, again = source.read(COLUMNS, REQUIRED), source.read(COLUMNS, REQUIRED)
        other = make_source([*PEOPLE[:-1], {**PEOPLE[-1], "status": "active"}], {}).read(COLUMNS, REQUIRED)

        assert first.digest == again.digest != other.digest
        assert len(first.digest) == 64

    def test_values_are_put_in_our_words(self, make_source: MakeSource) -> None:
        settings = {"values": {"department": {"研发中心/视觉组": "rd/ai/vision"}, "status": {"notice": "active"}}}
        people = said(make_source(PEOPLE, settings).read(COLUMNS, REQUIRED))

        assert people["E1001"]["department"] == "rd/ai/vision"
        assert people["E1002"]["status"] == "active"
        assert people["E1002"]["department"] == "sales"

    def test_only_what_is_asked_for_is_delivered(self, make_source: MakeSource) -> None:
        feed = make_source(PEOPLE, {}).read(("id", "status"), REQUIRED)

        assert set(feed.columns) == {"id", "status"}
        assert {key for row in feed.rows for key in row.cells} == {"id", "status"}

    def test_a_required_column_that_nobody_has_refuses_the_delivery(self, make_source: MakeSource) -> None:
        with pytest.raises(SourceError) as caught:
            make_source(PEOPLE, {}).read((*COLUMNS, "shoe_size"), ("id", "shoe_size"))

        assert "shoe_size" in caught.value.message
        assert caught.value.remedy

    def test_a_system_without_people_counts_for_nothing(self, make_source: MakeSource) -> None:
        with pytest.raises(FeedEmpty) as caught:
            make_source([], {}).read(COLUMNS, REQUIRED)

        assert caught.value.exit_status == 3
        assert caught.value.remedy

    def test_a_cursor_that_says_nothing_to_it_means_everything(self, make_source: MakeSource) -> None:
        feed = make_source(PEOPLE, {}).read(COLUMNS, REQUIRED, since="of another time")

        assert feed.full
        assert len(said(feed)) == len(PEOPLE)

    @pytest.mark.parametrize(
        "settings", [{"colums": {}}, {"columns": ["id"]}, {"values": {"status": "active"}}, {"columns": {"id": 7}}]
    )
    def test_a_wrong_setting_is_told_before_anything_is_read(
        self, make_source: MakeSource, settings: Mapping[str, object]
    ) -> None:
        with pytest.raises(ReconcilerError) as caught:
            make_source(PEOPLE, settings)

        assert next(iter(settings)) in str(caught.value)
        assert "→" in str(caught.value)
