"""JSON lines: one object for each record, one record a line (https://jsonlines.org).

Promises: a row's place is its line; a line that is no object is a row with a problem and excludes only itself; a last
line that is cut off says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from adapters.api.json_values import MISSING, NotJson, cell, find, read
from adapters.columns import COLUMN_SETTINGS, Columns, check_keys
from adapters.records import Gathering
from reconciler.sources import Feed, FeedEmpty, Place, Row, Source, SourceContext, SourceError

__all__ = ["JsonLinesSource"]

_SETTINGS = frozenset({"path", "feed"}) | COLUMN_SETTINGS


class JsonLinesSource(Source):
    """One file. Settings: `path`, `feed: full`, `columns` (dotted paths into a record), `transforms` and `values`."""

    def __init__(self, context: SourceContext, settings: Mapping[str, object]) -> None:
        self._context = context
        check_keys(context, settings, _SETTINGS)
        self._columns = Columns(context, settings)
        path = settings.get("path")
        if not isinstance(path, str) or not path:
            raise self._columns.wrong("`path` must name a file", "write path: people.jsonl")
        if settings.get("feed", "full") != "full":
            raise self._columns.wrong(f"`feed: {settings['feed']}` is not supported", "write `feed: full`")
        self._path = context.folder / path

    def read(self, columns: Sequence[str], required: Sequence[str], since: str = "") -> Feed:
        """Read the file. Raises `SourceError`."""
        data = self._bytes()
        gathering = Gathering(self._context, self._columns, columns)
        broken: list[Row] = []
        names: list[str] = []
        for number, line in enumerate(data.splitlines(keepends=True), 1):
            if line.strip():
                place = Place(str(self._path), number)
                record = self._record(line, place)
                if isinstance(record, Row):
                    broken.append(record)
                else:
                    names = names or [str(name) for name in record]
                    gathering.take(partial(_text, record), place)
        if not len(gathering) and not broken:
            said = f"source `{self._context.name}`: the file is empty"
            raise FeedEmpty(said, place=Place(str(self._path)), remedy="fetch it again, whole; nothing was taken")
        if len(gathering):
            gathering.check(required, names, Place(str(self._path)))
        feed = gathering.feed((), full=True)
        return replace(feed, rows=[*gathering.rows, *broken], digest=hashlib.sha256(data).hexdigest())

    def _bytes(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise SourceError(
                f"source `{self._context.name}`: it cannot be read: {error.strerror}",
                place=Place(str(self._path)),
                remedy="check its path, and who may read it",
            ) from None

    def _record(self, line: bytes, place: Place) -> Mapping[str, object] | Row:
        try:
            record = read(line)
        except NotJson as error:
            cut = not line.endswith(b"\n")
            return Row({}, place, "the record has no end: the file may be cut" if cut else str(error), cut=cut)
        if not isinstance(record, Mapping):
            return Row({}, place, "it is no object: write one object a line")
        return record


def _text(record: Mapping[str, object], path: str) -> str | None:
    value = find(record, path)
    return None if value is MISSING else cell(value)
