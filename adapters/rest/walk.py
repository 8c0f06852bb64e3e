"""From page to page, until an API has delivered everything.

Promises: a page that was there before, a page that leads to another server, pages without end, and a number of records
other than the API itself gives are errors, never an end; nothing is taken from a walk that does not arrive. Source:
RFC 8288 (links).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urljoin

from adapters.rest.answers import Page, Reader, bare
from adapters.rest.client import Client
from adapters.rest.json_values import MISSING, cell, find, kind_of
from adapters.rest.settings import Pages, RestSettings, origin
from reconciler.sources import SourceError

__all__ = ["Moved", "walk"]


class Moved(Exception):
    """The number of records changed while they were read: some may have slipped from page to page."""

    def __init__(self, error: SourceError) -> None:
        super().__init__(error.message)
        self.error = error


def walk(client: Client, reader: Reader, settings: RestSettings, more: Mapping[str, str]) -> Iterator[Page]:
    """All pages in their order, with these parameters beside the configured ones. Raises `SourceError`, and `Moved`."""
    pages, delivered, total = settings.pages, 0, None
    step = _first(pages, {**settings.parameters, **more}, settings.url)
    seen = _Seen(reader, step)
    for number in range(1, pages.max + 1):
        response = client.get(step.url, step.parameters, number)
        page = reader.page(response.body, number, step.url, response.link)
        seen.check(page)
        delivered += len(page.records)
        total = _agreed(reader, page, total)
        yield page
        following = step.after(page, reader, delivered, total)
        if following is None:
            _check_total(reader, page, delivered, total)
            return
        seen.check_step(following, page)
        step = following
    raise reader.at(pages.max, step.url)(
        f"and still no end, after {delivered} records",
        "either the API has no end, or there are more pages: ask for larger ones (`pages.size`), or raise `pages.max`",
    )


class _Step:
    """One request, and how its answer leads to the next."""

    def __init__(self, pages: Pages, url: str, parameters: Mapping[str, str]) -> None:
        self.pages = pages
        self.url = url
        self.parameters = parameters

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What makes it this request and no other."""
        return self.url, tuple(sorted(self.parameters.items()))

    def after(self, page: Page, reader: Reader, delivered: int, total: int | None) -> _Step | None:
        """The next request, or None after the last."""
        return _FOLLOWING[self.pages.by](self, page, reader, delivered, total)

    def with_(self, value: str) -> _Step:
        """The same request with another page."""
        return _Step(self.pages, self.url, {**self.parameters, self.pages.asks_by: value})


def _first(pages: Pages, parameters: Mapping[str, str], url: str) -> _Step:
    asked = dict(parameters)
    if pages.size is not None:
        asked[pages.size.parameter] = str(pages.size.value)
    if pages.by in ("page", "offset"):
        asked[pages.asks_by] = str(_start(pages))
    return _Step(pages, url, asked)


def _start(pages: Pages) -> int:
    return pages.first if pages.first is not None else int(pages.by == "page")


def _only(_: _Step, page: Page, reader: Reader, delivered: int, total: int | None) -> _Step | None:
    if page.link:
        raise reader.at(page.number, page.url)(
            "there are more pages (`Link: …; rel=next`), and `pages` says nothing of them", "write pages: {by: link}"
        )
    return None


def _numbered(step: _Step, page: Page, reader: Reader, delivered: int, total: int | None) -> _Step | None:
    if not page.records or (total is not None and delivered >= total):
        return None
    return step.with_(str(_start(step.pages) + page.number))


def _counted(step: _Step, page: Page, reader: Reader, delivered: int, total: int | None) -> _Step | None:
    if not page.records or (total is not None and delivered >= total):
        return None
    return step.with_(str(_start(step.pages) + delivered))


def _pointed(step: _Step, page: Page, reader: Reader, delivered: int, total: int | None) -> _Step | None:
    cursor = _next(step, page, reader)
    return step.with_(cursor) if cursor else None


def _linked(step: _Step, page: Page, reader: Reader, delivered: int, total: int | None) -> _Step | None:
    following = _next(step, page, reader) if step.pages.next else page.link
    if not following:
        return None
    target = urljoin(step.url, following)
    try:
        same = origin(target) == origin(step.url)
    except ValueError:
        same = False
    if not same:
        raise reader.at(page.number, page.url)(
            f"it leads on to another server, {reader.quoted(bare(target))}: credentials are not taken there",
            "ask who runs the API why its links leave it; nothing was taken",
        )
    return _Step(step.pages, target, {})


def _next(step: _Step, page: Page, reader: Reader) -> str:
    """What stands where the next page is named: nothing, null and false end the walk."""
    path = str(step.pages.next)
    value = find(page.answer, path)
    above, _, _ = path.rpartition(".")
    if isinstance(value, dict | list) or (above and not isinstance(find(page.answer, above), dict)):
        there = find(page.answer, above) if value is MISSING else value
        raise reader.at(page.number, page.url)(
            f"`pages.next: {path}` leads to no text: `{above if value is MISSING else path}` is {kind_of(there)}",
            "correct `pages.next`; whether this is the last page cannot be told",
        )
    return "" if value is MISSING or value is False else cell(value)


_FOLLOWING: Mapping[str, Callable[[_Step, Page, Reader, int, int | None], _Step | None]] = {
    "none": _only,
    "page": _numbered,
    "offset": _counted,
    "cursor": _pointed,
    "link": _linked,
}


class _Seen:
    """What was asked and answered before: coming by again means going round in circles."""

    def __init__(self, reader: Reader, first: _Step) -> None:
        self._reader = reader
        self._contents: dict[bytes, int] = {}
        self._steps = {first.key}

    def check(self, page: Page) -> None:
        """Raises `SourceError` where an earlier page had the same records."""
        if not page.records:
            return
        digest = hashlib.sha256(json.dumps(page.records).encode()).digest()
        if (earlier := self._contents.setdefault(digest, page.number)) != page.number:
            raise self._reader.at(page.number, page.url)(
                f"it has the same records as page {earlier}: the pages go round in circles",
                "check `pages`: the name of its parameter, and whether the API knows it; set `pages.total` where the "
                "last page is given again and again",
            )

    def check_step(self, step: _Step, page: Page) -> None:
        """Raises `SourceError` where the next request was made before."""
        if step.key in self._steps:
            raise self._reader.at(page.number, page.url)(
                "it leads back to a page that was read before: the pages go round in circles",
                "ask who runs the API; nothing was taken",
            )
        self._steps.add(step.key)


def _agreed(reader: Reader, page: Page, before: int | None) -> int | None:
    total = reader.total(page)
    if before is not None and total != before:
        raise Moved(
            reader.at(page.number, page.url)(
                f"there were {before} records when the reading began, and now there are {total}",
                "read again when nobody is at work on them; nothing was taken",
            )
        )
    return total


def _check_total(reader: Reader, page: Page, delivered: int, total: int | None) -> None:
    if total is not None and delivered != total:
        raise reader.at(page.number, page.url)(
            f"the pages end after {delivered} records, and there should be {total}",
            "read again; where it stays so, check `pages` and what this account may see. Nothing was taken",
        )
