"""Excel workbooks (.xlsx, ISO/IEC 29500) as HR has them: one sheet, a line of names, a row for each record.

Promises: a row's place is its row in the sheet; a whole number is text without a point, a day is a day; nothing is
calculated; a workbook that is cut, protected or none at all is a `SourceError`, never half an answer. What Excel itself
has lost (leading zeros, digits beyond the fifteenth) cannot be had back: a number that long is a problem of its row.
A formula that ended in an error, such as #REF!, is a blank cell.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time

from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from adapters.columns import COLUMN_SETTINGS, Columns, check_keys
from adapters.headers import Header, header
from reconciler.sources import Feed, FeedEmpty, Place, Row, Source, SourceContext, SourceError

__all__ = ["XlsxSource"]

LARGEST = 1 << 29
"""Bytes that a workbook may hold once it is unpacked: many times what a million people take."""
_LONGEST = 10**15
"""Excel keeps fifteen digits of a number."""
_SETTINGS = frozenset({"path", "feed", "sheet"}) | COLUMN_SETTINGS
_OLD = b"\xd0\xcf\x11\xe0"
"""How old workbooks begin, and new ones that a password protects ([MS-CFB])."""

Cell = object
"""A cell as the library gives it: text, number, truth, day, instant, time of day."""


class XlsxSource(Source):
    """One workbook. Settings: `path`, `sheet` (its name; the first visible one where it is not given), `feed: full`,
    `columns`, `transforms` and `values`.
    """

    def __init__(self, context: SourceContext, settings: Mapping[str, object]) -> None:
        self._context = context
        check_keys(context, settings, _SETTINGS)
        self._columns = Columns(context, settings)
        path, sheet = settings.get("path"), settings.get("sheet", "")
        if settings.get("feed", "full") != "full":
            raise self._columns.wrong(f"`feed: {settings['feed']}` is not supported", "write `feed: full`")
        if not isinstance(path, str) or not path:
            raise self._columns.wrong("`path` must name a file", "write path: people.xlsx")
        if not isinstance(sheet, str):
            raise self._columns.wrong("`sheet` must be the name of a sheet", 'put it in quotes: sheet: "1"')
        self._path = context.folder / path
        self._sheet = sheet

    def read(self, columns: Sequence[str], required: Sequence[str], since: str = "") -> Feed:
        """Read the sheet. Raises `SourceError`."""
        data = self._bytes()
        records = self._records(data)
        first = next((number for number, cells in enumerate(records) if any(map(_text, cells))), None)
        if first is None:
            said = f"source `{self._context.name}`: the sheet is empty"
            raise FeedEmpty(said, place=Place(str(self._path)), remedy="name the right `sheet`; nothing was taken")
        names = [_text(cell) for cell in records[first]]
        while names and not names[-1]:
            names.pop()
        found = header(
            self._context, self._columns, names, wanted=columns, required=required, place=self._place(first + 1)
        )
        rows = list(self._rows(records, first + 1, found))
        return Feed(list(found.positions), rows, hashlib.sha256(data).hexdigest(), found.ignored)

    # --- the file ---------------------------------------------------------------------------------------------------

    def _bytes(self) -> bytes:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            raise self._unreadable("there is no such file", "check its path") from None
        except IsADirectoryError:
            raise self._unreadable("it is a folder", "let `path` name the file in it") from None
        except OSError as error:
            raise self._unreadable(f"it cannot be read: {error.strerror}", "check who may read it") from None
        if data.startswith(_OLD):
            said = "it is an old workbook (.xls), or a password protects it"
            raise self._unreadable(said, "save it as .xlsx, without a password")
        if not data:
            said = f"source `{self._context.name}`: the file is empty"
            raise FeedEmpty(said, place=Place(str(self._path)), remedy="fetch it again, whole; nothing was taken")
        self._check_archive(data)
        return data

    def _check_archive(self, data: bytes) -> None:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                size = sum(each.file_size for each in archive.infolist())
                broken = None if size > LARGEST else archive.testzip()
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError):
            said = "it is no whole .xlsx workbook: cut off, damaged, or of another kind"
            raise self._unreadable(said, "fetch it again, whole; a CSV file needs `type: csv`") from None
        if size > LARGEST:
            raise self._unreadable(f"unpacked it would take {size:,} bytes", f"{LARGEST:,} are enough for anybody")
        if broken:
            raise self._unreadable(f"it is damaged ({broken})", "fetch it again, whole")

    def _records(self, data: bytes) -> Sequence[Sequence[Cell]]:
        try:
            with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
                return book.get_sheet_by_name(self._chosen(book)).to_python(skip_empty_area=False)
        except CalamineError as error:
            raise self._unreadable(f"it is no workbook that can be read: {error}", "save it as .xlsx") from None

    def _chosen(self, book: CalamineWorkbook) -> str:
        sheets = [each for each in book.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
        if self._sheet:
            if self._sheet in [each.name for each in sheets]:
                return self._sheet
            listed = ", ".join(f"`{each.name}`" for each in sheets) or "none"
            raise self._unreadable(f"there is no sheet `{self._sheet}`", f"it has: {listed}")
        visible = [each.name for each in sheets if each.visible == SheetVisibleEnum.Visible]
        if not visible:
            raise self._unreadable("it has no visible sheet", "name one: sheet: …")
        return visible[0]

    def _unreadable(self, what: str, remedy: str) -> SourceError:
        return SourceError(f"source `{self._context.name}`: {what}", place=Place(str(self._path)), remedy=remedy)

    def _place(self, row: int) -> Place:
        return Place(str(self._path), row)

    # --- rows -------------------------------------------------------------------------------------------------------

    def _rows(self, records: Sequence[Sequence[Cell]], start: int, found: Header) -> Iterator[Row]:
        for number, record in enumerate(records[start:], start + 1):
            if not any(map(_text, record)):
                continue
            beyond = [_text(cell) for cell in record[found.width :] if _text(cell)]
            problems = [f"`{beyond[0]}` stands beside the columns that have a name"] if beyond else []
            cells: dict[str, str] = {}
            for column, position in found.positions.items():
                try:
                    cells[column] = self._columns.cell(column, _checked(record[position]))
                except ValueError as error:
                    problems.append(f"`{self._columns.theirs(column)}`: {error}")
            yield Row(cells, self._place(number), "; ".join(problems))


def _checked(cell: Cell) -> str:
    if isinstance(cell, float | int) and not isinstance(cell, bool) and abs(cell) >= _LONGEST:
        raise ValueError(f"Excel has kept only fifteen digits of {cell:.0f}: format the column as text")
    return _text(cell)


def _text(cell: Cell) -> str:
    """The cell as text."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time.min else cell.isoformat(sep=" ")
    if isinstance(cell, date):
        return cell.isoformat()
    return "" if cell is None else str(cell)
