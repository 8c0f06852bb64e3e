"""CSV files as HR has them: UTF-8 with or without BOM, GB18030, Chinese headers, cells with line breaks (RFC 4180).

Promises: a row's place is its physical line; a row with too few or too many cells, or one that the end of the file
cuts off, says so; what cannot be read as a whole (missing, no text, no such column) is a `SourceError`, never half an
answer. What a row *means* is not decided here.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.columns import COLUMN_SETTINGS, Columns, check_keys
from adapters.headers import Header, header
from reconciler.sources import Feed, FeedEmpty, Place, Row, Source, SourceContext, SourceError

ENCODINGS = ("utf-8", "gb18030")
DELIMITERS = (",", ";", "\t")
_SETTINGS = frozenset({"path", "feed", "encoding"}) | COLUMN_SETTINGS
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class _Text:
    """The decoded file. `clipped`: its last character was cut in two."""

    text: str
    clipped: bool


class CsvSource(Source):
    """One CSV file. Settings: `path`, `feed: full`, `encoding`, `columns`, `transforms` and `values`."""

    def __init__(self, context: SourceContext, settings: Mapping[str, object]) -> None:
        self._context = context
        check_keys(context, settings, _SETTINGS)
        self._columns = Columns(context, settings)
        if settings.get("feed", "full") != "full":
            raise self._columns.wrong(
                f"`feed: {settings['feed']}` is not supported", "write `feed: full`: every person, each time"
            )
        path = settings.get("path")
        if not isinstance(path, str) or not path:
            raise self._columns.wrong("`path` must name a file", "write path: people.csv")
        self._path = context.folder / path
        self._encoding = self._known_encoding(settings.get("encoding"))

    def read(self, columns: Sequence[str], required: Sequence[str], since: str = "") -> Feed:
        """Read the file; its rows are parsed as they are asked for. Raises `SourceError`."""
        data = self._bytes()
        text = self._decode(data)
        first = _header(text.text)
        if first is None:
            said = f"source `{self._context.name}`: it is empty, or ends within its first line"
            raise FeedEmpty(said, place=Place(str(self._path)), remedy="fetch it again, whole")
        delimiter, names = first
        found = header(self._context, self._columns, names, wanted=columns, required=required, place=self.place(1))
        rows = _Rows(self, text, delimiter, found)
        return Feed(list(found.positions), rows, hashlib.sha256(data).hexdigest(), found.ignored)

    def cell_of(self, column: str) -> Callable[[str], str]:
        """What makes a cell of this column one in our words; raises `ValueError`, in words, where it cannot be had."""
        return self._columns.cell_of(column)

    def theirs(self, column: str) -> str:
        """What the file calls our column."""
        return self._columns.theirs(column)

    def place(self, line: int) -> Place:
        """A line of this file."""
        return Place(str(self._path), line)

    def unreadable(self, line: int, what: str) -> SourceError:
        """The file cannot be read from this line on."""
        return SourceError(
            what, place=self.place(line), remedy="correct the file at its source; nothing of it was taken"
        )

    # --- settings ---------------------------------------------------------------------------------------------------

    def _known_encoding(self, value: object) -> str | None:
        if value is None:
            return None
        plain = str(value).lower().replace("_", "-")
        known = {
            "utf-8": "utf-8",
            "utf8": "utf-8",
            "utf-8-sig": "utf-8",
            "gb18030": "gb18030",
            "gbk": "gb18030",
            "gb2312": "gb18030",
        }
        if plain not in known:
            raise self._columns.wrong(f"there is no encoding `{value}` here", "write utf-8 or gb18030, or leave it out")
        return known[plain]

    # --- the file ---------------------------------------------------------------------------------------------------

    def _unreadable(self, what: str, remedy: str) -> SourceError:
        return SourceError(f"source `{self._context.name}`: {what}", place=Place(str(self._path)), remedy=remedy)

    def _bytes(self) -> bytes:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            raise self._unreadable("there is no such file", "check its path") from None
        except IsADirectoryError:
            raise self._unreadable("it is a folder", "let `path` name the file in it") from None
        except OSError as error:
            raise self._unreadable(f"it cannot be read: {error.strerror}", "check who may read it") from None
        if b"\x00" in data:
            raise self._unreadable("it holds NUL bytes: damaged, or UTF-16", "save it as CSV in UTF-8 or GB18030")
        return data

    def _decode(self, data: bytes) -> _Text:
        if data.startswith(_BOM):
            return self._strict(data[len(_BOM) :], "utf-8")
        if self._encoding is not None:
            return self._strict(data, self._encoding)
        try:
            return self._strict(data, "utf-8")
        except SourceError:
            # A damaged UTF-8 file would decode as GB18030 into other words: most of its characters are still UTF-8.
            lenient = data.decode("utf-8", "replace")
            broken = lenient.count("�")
            if sum(ord(char) > 127 for char in lenient) - broken > broken:
                raise
        return self._strict(data, "gb18030")

    def _strict(self, data: bytes, encoding: str) -> _Text:
        try:
            return _Text(data.decode(encoding), clipped=False)
        except UnicodeDecodeError as error:
            if "incomplete" in error.reason or "end of data" in error.reason:
                return _Text(data[: error.start].decode(encoding), clipped=True)
            line = data.count(b"\n", 0, error.start) + 1
            what = f"byte {error.start} is not {encoding.upper()} (nor is the file in another encoding known here)"
            raise SourceError(
                f"source `{self._context.name}`: {what}",
                place=Place(str(self._path), line),
                remedy="save it as CSV in UTF-8 or GB18030; the file may be damaged",
            ) from None


class _Rows:
    """The records below the header; parsed anew each time they are asked for."""

    def __init__(self, source: CsvSource, text: _Text, delimiter: str, found: Header) -> None:
        self._source = source
        self._text = text
        self._delimiter = delimiter
        self._width = found.width
        self._cells = [(column, position, source.cell_of(column)) for column, position in found.positions.items()]

    def __iter__(self) -> Iterator[Row]:
        lines = _Lines(io.StringIO(self._text.text, newline=""))
        reader = csv.reader(lines, delimiter=self._delimiter)
        records = iter(reader)
        self._next(records, lines)
        while True:
            line = reader.line_num + 1
            lines.record.clear()
            record = self._next(records, lines)
            if record is None:
                return
            if any(map(str.strip, record)):
                yield self._row(record, line, lines.record)

    def _next(self, records: Iterator[list[str]], lines: _Lines) -> list[str] | None:
        try:
            return next(records, None)
        except csv.Error as error:
            raise self._source.unreadable(lines.count, f"the record that ends here cannot be read: {error}") from None

    def _row(self, record: Sequence[str], line: int, raw: Sequence[str]) -> Row:
        cells: dict[str, str] = {}
        problems = []
        for column, position, cell in self._cells:
            if position < len(record):
                try:
                    cells[column] = cell(record[position])
                except ValueError as error:
                    problems.append(f"`{self._source.theirs(column)}`: {error}")
        if self._cut(raw):
            return Row(cells, self._source.place(line), "the record has no line end: the file may be cut", cut=True)
        if len(record) != self._width:
            problems = [f"{len(record)} cells where the header has {self._width}"]
        return Row(cells, self._source.place(line), "; ".join(problems))

    def _cut(self, raw: Sequence[str]) -> bool:
        """Whether the file ends within this record: no line end, or within quotes."""
        if not raw[-1].endswith(("\n", "\r")):
            return True
        if '"' not in "".join(raw):
            return False
        try:
            list(csv.reader(raw, delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return "end of data" in str(error)
        return False


class _Lines:
    """The physical lines, remembering those of the record that is being read."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._next: Callable[[], str] = iter(lines).__next__
        self.record: list[str] = []
        self.count = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._next()
        self.count += 1
        self.record.append(line)
        return line


def _header(text: str) -> tuple[str, list[str]] | None:
    """The delimiter and the column names, or None where the first record is not whole."""
    first = io.StringIO(text, newline="").readline()
    if not first.endswith(("\n", "\r")) or not first.strip():
        return None
    delimiter = next((char for char in DELIMITERS if char in first), DELIMITERS[0])
    lines = io.StringIO(text, newline="")
    try:
        names = next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return delimiter, [name.strip().lstrip("\ufeff") for name in names]
