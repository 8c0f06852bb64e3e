"""The CSV source: files as HR has them, and what is said about those that cannot be read."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.csv import CsvSource
from reconciler.sources import Feed, Place, Row, SourceContext, SourceError

PLACE = Place("reconciler.yaml", 7, 3)
MAPPED: dict[str, Any] = {
    "columns": {"id": "工号", "name": "姓名"},
    "values": {"department": {"研发中心/视觉组": "rd/ai/vision"}},
}
CHINESE = "工号,姓名,department,备注\r\nE1,王芳,研发中心/视觉组,x\r\nE2,李雷,hr,y\r\n"


def source(folder: Path, data: bytes | None, **settings: Any) -> CsvSource:
    if data is not None:
        (folder / "people.csv").write_bytes(data)
    return CsvSource(SourceContext("hr", folder, PLACE), {"path": "people.csv", **settings})


def read(folder: Path, data: bytes | None, wanted: str = "id name department", **settings: Any) -> Feed:
    return source(folder, data, **settings).read(wanted.split(), ["id"])


def rows(folder: Path, text: str, columns: str = "id name") -> list[Row]:
    return list(read(folder, text.encode(), columns).rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_files_are_read_in_any_usual_encoding(tmp_path: Path, encoding: str) -> None:
    feed = read(tmp_path, CHINESE.encode(encoding), **MAPPED)

    assert [dict(row.cells) for row in feed.rows] == [
        {"id": "E1", "name": "王芳", "department": "rd/ai/vision"},
        {"id": "E2", "name": "李雷", "department": "hr"},
    ]
    assert (list(feed.columns), list(feed.ignored_columns)) == (["id", "name", "department"], ["备注"])


def test_the_encoding_can_be_said(tmp_path: Path) -> None:
    assert read(tmp_path, CHINESE.encode("gb18030"), encoding="gbk", **MAPPED).columns
    with pytest.raises(SourceError, match="UTF-8"):
        read(tmp_path, CHINESE.encode("gb18030"), encoding="utf-8", **MAPPED)


def test_a_damaged_file_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    data = bytearray(CHINESE.encode() * 3)
    data[len(CHINESE.encode()) + 40] = 0xFF

    with pytest.raises(SourceError, match="is not UTF-8") as caught:
        read(tmp_path, bytes(data), **MAPPED)
    assert caught.value.place is not None
    assert caught.value.place.line > 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_that_of_the_header(tmp_path: Path, delimiter: str) -> None:
    found = rows(tmp_path, "id,name\nE1,x\n".replace(",", delimiter))

    assert [dict(row.cells) for row in found] == [{"id": "E1", "name": "x"}]


def test_places_are_physical_lines(tmp_path: Path) -> None:
    found = rows(tmp_path, 'id,name\nE1,"a\nb"\n\n,\nE2,"c\r\nd ""quoted"""\nE3,x\n')

    assert [(row.cells["id"], row.place.line) for row in found] == [("E1", 2), ("E2", 6), ("E3", 8)]
    assert found[1].cells["name"] == 'c\r\nd "quoted"'
    assert found[0].place.file == str(tmp_path / "people.csv")


def test_a_row_with_too_few_or_too_many_cells_says_so(tmp_path: Path) -> None:
    found = rows(tmp_path, "id,name\nE1\nE2,a,b\nE3,a\n")

    assert [row.problem for row in found] == ["1 cells where the header has 2", "3 cells where the header has 2", ""]
    assert [dict(row.cells) for row in found] == [{"id": "E1"}, {"id": "E2", "name": "a"}, {"id": "E3", "name": "a"}]
    assert not any(row.cut for row in found)


@pytest.mark.parametrize("end", ["E2,b", 'E2,"b\n', 'E2,"b', 'E2,"b"', "E2"])
def test_a_last_record_without_its_end_is_cut(tmp_path: Path, end: str) -> None:
    found = rows(tmp_path, "id,name\nE1,a\n" + end)

    assert [row.cut for row in found] == [False, True]
    assert "may be cut" in found[1].problem


def test_a_character_cut_in_two_is_a_cut_and_no_other_encoding(tmp_path: Path) -> None:
    for encoding in ("utf-8", "gb18030"):
        data = "id,name\nE1,王\nE2,芳".encode(encoding)[:-1]
        found = list(read(tmp_path, data, "id name").rows)

        assert [row.cells["name"] for row in found] == ["王", ""]
        assert [row.cut for row in found] == [False, True]


def test_rows_can_be_read_again(tmp_path: Path) -> None:
    feed = read(tmp_path, b"id,name\nE1,a\n")

    assert list(feed.rows) == list(feed.rows)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"id,name", "ends within its first line"),
        (b"id,na\x00me\nE1,a\n", "NUL bytes"),
        ("id,name\nE1,a\n".encode("utf-16"), "UTF-16"),
        (b"id,id\nE1,a\n", "stands there twice"),
        (b"ID_,name\nE1,a\n", "the nearest is `ID_`; there are: ID_, name"),
        (b"\xff\xfe\xfa\n", "is not GB18030"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_file(tmp_path: Path, data: bytes | None, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        list(read(tmp_path, data).rows)
    assert "people.csv" in str(caught.value)


def test_a_missing_mapped_column_names_the_header_and_how_to_map_it(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"the column `职工号` \(for `id`\) is missing; the nearest is `工号`"
    ) as caught:
        read(tmp_path, CHINESE.encode(), columns={"id": "职工号"})
    assert "columns: {id: 工号}" in str(caught.value)


def test_a_column_that_is_mapped_must_be_there_even_if_it_is_not_required(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="部门"):
        source(tmp_path, b"id\nE1\n", columns={"department": "部门"}).read(["id", "department"], ["id"])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "people.csv").mkdir()
    with pytest.raises(SourceError, match="folder"):
        read(tmp_path, None)


def test_a_cell_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="field larger than field limit") as caught:
        rows(tmp_path, f"id,name\nE1,{'x' * 200_000}\n")
    assert caught.value.place == Place(str(tmp_path / "people.csv"), 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pth": "x"}, "did you mean `path`"),
        ({"path": 3}, "`path` must name a file"),
        ({"path": "x", "feed": "delta"}, "feed: full"),
        ({"path": "x", "columns": {"id": 7}}, "must map texts"),
        ({"path": "x", "columns": []}, "must map texts"),
        ({"path": "x", "values": {"status": {"在职": True}}}, "`values.status` must map texts"),
        ({"path": "x", "values": 1}, "must map columns"),
        ({"path": "x", "encoding": "latin-1"}, "utf-8 or gb18030"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        CsvSource(SourceContext("hr", tmp_path, PLACE), settings)
    assert caught.value.place == PLACE


CELL = st.text(st.characters(codec="gb18030", exclude_characters="\x00\ufeff", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.lists(st.tuples(CELL, CELL), max_size=5), encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]))
def test_what_is_written_as_csv_is_read_as_it_was(tmp_path: Path, table: list[tuple[str, str]], encoding: str) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", "name"])
    writer.writerows(table)
    feed = read(tmp_path, out.getvalue().encode(encoding), "id name", encoding=encoding)

    assert [(row.cells["id"], row.cells["name"], row.problem) for row in feed.rows] == [
        (one.strip(), two.strip(), "") for one, two in table if one.strip() or two.strip()
    ]
