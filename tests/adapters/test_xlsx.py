"""Excel workbooks as HR has them, written by another library than the one that reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from adapters.xlsx import XlsxSource
from reconciler.sources import Feed, FeedEmpty, Place, SourceContext, SourceError

COLUMNS = ("id", "name", "department", "starts_on", "status")
HEADER = ["id", "name", "department", "starts_on", "status"]
Rows = Sequence[Sequence[Any]]


def workbook(rows: Rows, *, sheet: str = "People", epoch: datetime | None = None, hidden: str = "") -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    if epoch is not None:
        book.epoch = epoch
    for row in rows:
        page.append(list(row))
    if hidden:
        other = book.create_sheet(hidden, 0)
        other.append(["nothing", "here"])
        other.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def read(folder: Path, content: bytes, **settings: object) -> Feed:
    (folder / "people.xlsx").write_bytes(content)
    context = SourceContext("hr", folder, Place("reconciler.yaml", 3, 5))
    return XlsxSource(context, {"path": "people.xlsx", **settings}).read(COLUMNS, ("id",))


def cells(feed: Feed) -> list[Mapping[str, str]]:
    return [row.cells for row in feed.rows]


def test_numbers_days_and_words_are_what_a_person_sees(tmp_path: Path) -> None:
    rows: Rows = [
        HEADER,
        [1007, " 王芳 ", "研发", date(2020, 1, 6), "active"],
        ["0012", "x", 3.5, datetime(2020, 1, 6), True],  # noqa: DTZ001  # Excel knows no zones
    ]

    feed = read(tmp_path, workbook(rows))

    assert cells(feed) == [
        {"id": "1007", "name": "王芳", "department": "研发", "starts_on": "2020-01-06", "status": "active"},
        {"id": "0012", "name": "x", "department": "3.5", "starts_on": "2020-01-06", "status": "true"},
    ]
    assert [row.place.line for row in feed.rows] == [2, 3]


def test_a_workbook_whose_days_begin_in_1904(tmp_path: Path) -> None:
    content = workbook([HEADER, ["E1", "x", "rd", date(2020, 1, 6), "active"]], epoch=CALENDAR_MAC_1904)

    assert cells(read(tmp_path, content))[0]["starts_on"] == "2020-01-06"


def test_blank_rows_count_for_nothing_and_keep_the_places(tmp_path: Path) -> None:
    rows: Rows = [[], HEADER, [], ["E1", "x", "rd", None, "active"], [None], ["E2", "y", "rd", None, "active"], []]

    feed = read(tmp_path, workbook(rows))

    assert [(row.cells["id"], row.place.line) for row in feed.rows] == [("E1", 4), ("E2", 6)]


def test_columns_and_words_are_mapped(tmp_path: Path) -> None:
    feed = read(
        tmp_path,
        workbook([["工号", "部门", "备注"], [7, "研发中心", "x"]]),
        columns={"id": "工号", "department": "部门"},
        transforms={"id": [{"pad": 4}, {"prefix": "E"}]},
        values={"department": {"研发中心": "rd"}},
    )

    assert cells(feed) == [{"id": "E0007", "department": "rd"}]
    assert feed.ignored_columns == ["备注"]


def test_the_first_visible_sheet_or_the_one_that_is_named(tmp_path: Path) -> None:
    content = workbook([HEADER, ["E1"]], sheet="在职", hidden="archive")

    assert cells(read(tmp_path, content))[0]["id"] == "E1"
    assert cells(read(tmp_path, content, sheet="在职"))[0]["id"] == "E1"
    with pytest.raises(SourceError, match="there is no sheet `people`") as caught:
        read(tmp_path, content, sheet="people")
    assert "`在职`" in caught.value.remedy


def test_what_excel_has_lost_is_a_problem_of_its_row(tmp_path: Path) -> None:
    feed = read(tmp_path, workbook([HEADER, [123456789012345678, "x"], ["E2", "y"], ["E3", "z", "", "", "", "?"]]))

    problems = {row.place.line: row.problem for row in feed.rows}
    assert "fifteen digits" in problems[2]
    assert problems[3] == ""
    assert "`?` stands beside the columns" in problems[4]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["id", "name", "id"], "the column `id` stands there twice"),
        (["name", "status"], "the column `id` is missing"),
        (["ID_", "name"], "the nearest is `ID_`"),
    ],
)
def test_a_header_that_does_not_do(tmp_path: Path, header: list[str], message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path, workbook([[], header, ["x", "y", "z"]]))
    assert caught.value.place is not None
    assert caught.value.place.line == 2


def bomb() -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/x.xml", "w", force_zip64=True) as f,
    ):
        for _ in range(600):
            f.write(b" " * (1 << 20))
    return out.getvalue()


NOT_A_WORKBOOK = {
    "a CSV file": b"id,name\nE1,x\n",
    "an old workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600,
    "some other archive": b"PK\x05\x06" + b"\x00" * 18,
}


@pytest.mark.parametrize("content", NOT_A_WORKBOOK.values(), ids=NOT_A_WORKBOOK)
def test_what_is_no_workbook_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, content)
    assert caught.value.remedy
    assert "people.xlsx" in str(caught.value.place)


def test_what_would_unpack_without_end_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unpacked it would take"):
        read(tmp_path, bomb())


def test_a_workbook_that_is_cut_anywhere_delivers_nothing(tmp_path: Path) -> None:
    content = workbook([HEADER, *([f"E{n}", "x", "rd", None, "active"] for n in range(50))])
    for end in [*range(0, len(content), 97), len(content) - 1]:
        with pytest.raises(SourceError):
            read(tmp_path, content[:end])


def test_an_empty_sheet_is_a_feed_that_says_nothing(tmp_path: Path) -> None:
    for content in (workbook([]), b""):
        with pytest.raises(FeedEmpty):
            read(tmp_path, content)


@pytest.mark.parametrize(
    "settings",
    [{"path": ""}, {"sheet": 3}, {"feed": "changes"}, {"encoding": "utf-8"}, {"transforms": {"id": ["uper"]}}],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, b"", **settings)
    assert str(caught.value.place) == "reconciler.yaml:3:5"
