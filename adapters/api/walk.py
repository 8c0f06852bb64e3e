"""From page to page, until an API has delivered everything.

Promises: a page that was there before, a page that leads to another server, pages without end, and a number of records
other than the API itself gives are trouble, never an end. Source: RFC 8288 (links).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from adapters.api.client import Response
from adapters.api.settings import Pages, origin
from adapters.api.trouble import Moved, Trouble, bare
from adapters.api.words import Words

__all__ = ["Ask", "Page", "PageReader", "walk"]

Ask = Callable[[str, Mapping[str, str], int], Response]
"""How a page is asked for: of a URL, the parameters, and the page's number, which begins with 1."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `answer` is all that it holds; `link` is the URL in its `Link: …; rel="next"` header, or a blank."""

    number: int
    url: str = field(repr=False)
    answer: object = field(repr=False)
    records: Sequence[object] = field(repr=False)
    link: str = field(default="", repr=False)


class PageReader(ABC):
    """Knows where things stand in the pages of one listing."""

    @abstractmethod
    def page(self, response: Response, number: int) -> Page:
        """Raises `Trouble` where the answer is no such page."""

    @abstractmethod
    def total(self, page: Page) -> int | None:
        """How many records there are, as the page says; None where nothing is to be said. Raises `Trouble`."""

    @abstractmethod
    def following(self, page: Page) -> str:
        """The text that stands where the next page is named; a blank after the last. Raises `Trouble`."""


def walk(
    ask: Ask, reader: PageReader, pages: Pages[Any], url: str, parameters: Mapping[str, str], words: Words
) -> Iterator[Page]:
    """All pages in their order. Raises `Trouble`, `Moved` among it, that says of which page it is."""
    delivered, total = 0, None
    step = _first(pages, parameters, url)
    seen = _Seen(step)
    for number in range(1, pages.max + 1):
        try:
            page = reader.page(ask(step.url, step.parameters, number), number)
            seen.check(page)
            delivered += len(page.records)
            total = _agreed(reader, page, total)
        except Trouble as trouble:
            raise trouble.at(step.url, number) from None
        yield page
        try:
            following = step.after(page, reader, delivered, total, words)
            if following is None:
                _check_total(delivered, total)
                return
            seen.check_step(following)
        except Trouble as trouble:
            raise trouble.at(step.url, number) from None
        step = following
    raise Trouble(
        f"and still no end, after {delivered} records",
        "either the API has no end, or there are more pages: ask for larger ones (`pages.size`), or raise `pages.max`",
    ).at(step.url, pages.max)


class _Step:
    """One request, and how its answer leads to the next."""

    def __init__(self, pages: Pages[Any], url: str, parameters: Mapping[str, str]) -> None:
        self.pages = pages
        self.url = url
        self.parameters = parameters

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What makes it this request and no other."""
        return self.url, tuple(sorted(self.parameters.items()))

    def after(self, page: Page, reader: PageReader, delivered: int, total: int | None, words: Words) -> _Step | None:
        """The next request, or None after the last."""
        match self.pages.by:
            case "none":
                _check_last(page)
                return None
            case "page" | "offset":
                counted = page.number if self.pages.by == "page" else delivered
                if not page.records or (total is not None and delivered >= total):
                    return None
                return self._with(str(_start(self.pages) + counted))
            case "cursor":
                cursor = reader.following(page)
                return self._with(cursor) if cursor else None
            case "link":
                return self._linked(reader.following(page) if self.pages.next else page.link, words)

    def _linked(self, following: str, words: Words) -> _Step | None:
        if not following:
            return None
        target = urljoin(self.url, following)
        try:
            same = origin(target) == origin(self.url)
        except ValueError:
            same = False
        if not same:
            raise Trouble(
                f"it leads on to another server, {words.quoted(bare(target))}: credentials are not taken there",
                "ask who runs the API why its links leave it; nothing was taken",
            )
        return _Step(self.pages, target, {})

    def _with(self, value: str) -> _Step:
        """The same request with another page."""
        return _Step(self.pages, self.url, {**self.parameters, self.pages.asks_by: value})


def _first(pages: Pages[Any], parameters: Mapping[str, str], url: str) -> _Step:
    asked = dict(parameters)
    if pages.size is not None:
        asked[pages.size.parameter] = str(pages.size.value)
    if pages.by in ("page", "offset"):
        asked[pages.asks_by] = str(_start(pages))
    return _Step(pages, url, asked)


def _start(pages: Pages[Any]) -> int:
    return pages.first if pages.first is not None else int(pages.by == "page")


class _Seen:
    """What was asked and answered before: coming by again means going round in circles."""

    def __init__(self, first: _Step) -> None:
        self._contents: dict[bytes, int] = {}
        self._steps = {first.key}

    def check(self, page: Page) -> None:
        """Raises `Trouble` where an earlier page had the same records."""
        if not page.records:
            return
        digest = hashlib.sha256(json.dumps(page.records).encode()).digest()
        if (earlier := self._contents.setdefault(digest, page.number)) != page.number:
            raise Trouble(
                f"it has the same records as page {earlier}: the pages go round in circles",
                "check `pages`: the name of its parameter, and whether the API knows it; set `pages.total` where the "
                "last page is given again and again",
            )

    def check_step(self, step: _Step) -> None:
        """Raises `Trouble` where the next request was made before."""
        if step.key in self._steps:
            raise Trouble(
                "it leads back to a page that was read before: the pages go round in circles",
                "ask who runs the API; nothing was taken",
            )
        self._steps.add(step.key)


def _check_last(page: Page) -> None:
    if page.link:
        raise Trouble(
            "there are more pages (`Link: …; rel=next`), and `pages` says nothing of them", "write pages: {by: link}"
        )


def _agreed(reader: PageReader, page: Page, before: int | None) -> int | None:
    total = reader.total(page)
    if before is not None and total != before:
        raise Moved(
            f"there were {before} records when the reading began, and now there are {total}",
            "read again when nobody is at work on them; nothing was taken",
        )
    return total


def _check_total(delivered: int, total: int | None) -> None:
    if total is not None and delivered != total:
        raise Trouble(
            f"the pages end after {delivered} records, and there should be {total}",
            "read again; where it stays so, check `pages` and what this account may see. Nothing was taken",
        )
