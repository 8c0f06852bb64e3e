"""`RestSource`: an HR system's JSON API as a people source.

All pages are read before anything counts: a delivery is whole, or it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from adapters.api.client import Client
from adapters.api.json_values import MISSING, cell, find, paths
from adapters.api.trouble import Moved, Trouble, bare
from adapters.api.walk import Page, walk
from adapters.api.words import Words
from adapters.columns import Columns, nearest
from adapters.records import Gathering
from adapters.rest.answers import Reader
from adapters.rest.changes import Newest, asked_since, fingerprint
from adapters.rest.settings import Changes, hidden, rest_settings
from reconciler.sources import Feed, Place, Source, SourceContext, SourceError

__all__ = ["RecordPlace", "RestSource"]

_READINGS = 3
"""How often a list that changes while it is read is begun anew."""
_SETTINGS = ("url", "records", "parameters", "pages", "changes", "columns", "transforms", "values")
"""What a delivery depends on: an earlier cursor is of no use once one of them has changed."""


class RecordPlace(Place):
    """A record of an answer: `file` is the URL and the page, `line` the record's number in it."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self.file}, record {self.line}"


class RestSource(Source):
    """One API, configured as `adapters.rest.settings.RestSettings` says. Raises `ProblemsFound` for wrong settings."""

    def __init__(
        self,
        context: SourceContext,
        settings: Mapping[str, object],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._context = context
        self._settings = rest_settings(settings, context)
        self._columns = Columns(context, settings)
        self._clock = clock
        self._shape = {name: settings.get(name) for name in _SETTINGS}
        self._place = Place(bare(self._settings.url))

    def read(self, columns: Sequence[str], required: Sequence[str], since: str = "") -> Feed:
        """Everything, or what changed since an earlier cursor where that is still of use. Raises `SourceError`."""
        mark, changes = fingerprint(self._shape, columns), self._settings.changes
        asked = asked_since(since, mark, timedelta(seconds=changes.overlap)) if changes else ""
        if changes and asked:
            changed = self._delivery(columns, {changes.parameter: asked}, changes)
            if not changed.gathering.rows or not changed.gathering.missing(required):
                return changed.feed(full=False, mark=mark, before=since)
        # Everything is read, also where a column is in no changed record: whether it is blank or gone shows only there.
        delivery = self._delivery(columns, {}, changes)
        self._check(delivery, required)
        return delivery.feed(full=True, mark=mark)

    def _delivery(self, columns: Sequence[str], more: Mapping[str, str], changes: Changes | None) -> _Delivery:
        parameters = {**self._settings.parameters, **more}
        for left in reversed(range(_READINGS)):
            words = Words(hidden(self._settings))
            reader = Reader(self._settings, words)
            client = Client(self._settings, self._context.folder, words, lambda: self._clock().timestamp())
            delivery = _Delivery(self._context, self._columns, columns, Newest(self._clock()), changes)
            try:
                for page in walk(client.get, reader, self._settings.pages, self._settings.url, parameters, words):
                    delivery.take(page)
            except Trouble as trouble:
                if not isinstance(trouble, Moved) or not left:
                    raise self._error(trouble) from None
            else:
                return delivery
            finally:
                client.close()
        raise AssertionError  # each reading ends with a delivery or an error

    def _error(self, trouble: Trouble) -> SourceError:
        text = f"source `{self._context.name}`: page {trouble.number}: {trouble.said}"
        return SourceError(text, place=Place(bare(trouble.url)), remedy=trouble.remedy)

    def _check(self, delivery: _Delivery, required: Sequence[str]) -> None:
        """A full delivery is neither empty, nor smaller than it can be, nor without a column that is needed."""
        delivery.gathering.check_count(self._settings.expect.minimum, self._place)
        delivery.gathering.check(required, delivery.names, self._place)
        delivery.check_changes(self._place)


class _Delivery:
    """One delivery as it comes in."""

    def __init__(
        self,
        context: SourceContext,
        columns: Columns,
        wanted: Sequence[str],
        newest: Newest,
        changes: Changes | None,
    ) -> None:
        self.gathering = Gathering(context, columns, wanted)
        self.names: Sequence[str] = ()
        """The dotted paths that the first record has."""
        self._context = context
        self._top: set[str] = set()
        self._newest = newest
        self._field = changes.field if changes else ""
        self._dated = False

    def take(self, page: Page) -> None:
        """The records of one page."""
        where = f"{bare(page.url)}, page {page.number}"
        for index, record in enumerate(page.records, start=1):
            assert isinstance(record, dict)  # noqa: S101  # `Reader` lets no other through
            place = RecordPlace(where, index)
            self.names = self.names or paths(record)
            self._top.update(record)
            self.gathering.take(partial(_text, record), place)
            if self._field:
                self._date(record, place)

    def feed(self, *, full: bool, mark: str, before: str = "") -> Feed:
        cursor = self._newest.cursor(mark, before) if self._field else ""
        used = {name.partition(".")[0] for name in self.gathering.used} | {self._field.partition(".")[0]}
        return self.gathering.feed(self._top - used, full=full, cursor=cursor)

    def check_changes(self, place: Place) -> None:
        """Raises `SourceError` where no record says when it changed."""
        if self._field and not self._dated:
            near = nearest(self._field, self.names)
            raise SourceError(
                f"source `{self._context.name}`: no record has `{self._field}` (`changes.field`)"
                + (f"; the nearest is `{near}`" if near else ""),
                place=place,
                remedy="let `changes.field` name what says when a record changed, or remove `changes`",
            )

    def _date(self, record: Mapping[str, object], place: Place) -> None:
        try:
            text = _text(record, self._field)
            self._newest.see((text or "").strip())
        except ValueError as error:
            raise SourceError(
                f"source `{self._context.name}`: `{self._field}` (`changes.field`): {error}",
                place=place,
                remedy="let it name a time, or remove `changes`; nothing was taken",
            ) from None
        self._dated = self._dated or bool(text)


def _text(record: Mapping[str, object], path: str) -> str | None:
    value = find(record, path)
    return None if value is MISSING else cell(value)
