"""One declared list over all its pages, and how far it can be trusted.

Promises: a query that finds nothing where the list should be is trouble, never an empty list; a page that is lost,
comes twice or leads elsewhere makes what was read before it partial; an empty list is believed where its total says
zero.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.api.client import Client, Request, Response
from adapters.api.json_values import MISSING, kind_of, paths
from adapters.api.trouble import Moved, Trouble
from adapters.api.walk import Page, PageReader, walk
from adapters.api.words import Words
from adapters.http.queries import Query, plain
from adapters.http.settings import HttpSettings, Listing, Single
from adapters.http.templates import Values
from reconciler.targets import Reading

__all__ = ["Api", "Items", "several"]

_LISTED = 12
_READINGS = 2
"""How often a list that changes while it is read is begun anew."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a list holds. `trouble` is what ended it early."""

    items: Sequence[Any] = field(repr=False)
    reading: Reading
    detail: str = ""
    trouble: Trouble | None = None


class Api:
    """A connection on which declared lists are read."""

    def __init__(self, client: Client, settings: HttpSettings, words: Words) -> None:
        self.client = client
        self.settings = settings
        self.words = words

    def url(self, path: str) -> str:
        """Where a path leads."""
        return self.settings.url.rstrip("/") + "/" + path.lstrip("/")

    def all(self, listing: Listing, values: Values) -> Items:
        """The whole list. Raises `Trouble` where not even its first page can be read, and `CannotSay`."""
        for left in reversed(range(_READINGS)):
            found = self._all(listing, values)
            if not isinstance(found.trouble, Moved) or not left:
                return found
        raise AssertionError  # the last reading is returned

    def one(self, single: Single, values: Values) -> Any:
        """One thing by itself. Raises `Trouble`, of status 404 where it is gone, and `CannotSay`."""
        request = self._request(single, values)
        answer = self.answer(self.client.read(request))
        if single.item is None:
            return answer
        return _found(single.item, answer, "item")

    def answer(self, response: Response) -> object:
        """What an answer says, where it is none that complains. Raises `Trouble`."""
        answer = self.words.json(response.body, exact=True)
        if said := self.complaint(answer):
            raise Trouble(f"the answer is an error: {said}", "ask who runs the API what it means")
        return answer

    def complaint(self, answer: object) -> str:
        """Why an answer of status 200 is an error all the same; a blank where it is none."""
        known = {query.text.removeprefix("$.") for query in self.settings.success}
        for query, expected in self.settings.success.items():
            value = _at(query, answer, "success") if isinstance(answer, dict | list) else MISSING
            if value is MISSING or plain(value) != expected:
                there = "is missing" if value is MISSING else f"is `{self.words.quoted(plain(value))}`"
                return f"`{query.text}` {there}, where success is `{expected}`{self.words.said(answer)}"
        return self.words.complaint(answer, known)

    def _all(self, listing: Listing, values: Values) -> Items:
        request = self._request(listing, values)
        reader = _Reader(self, listing)
        items: list[Any] = []

        def ask(url: str, parameters: Mapping[str, str], number: int) -> Response:
            headers, body = request.headers, request.body
            return self.client.read(Request(request.method, url, parameters, headers, body))

        pages = walk(ask, reader, listing.pages, request.url, request.parameters, self.words)
        number = 0
        came = _Came()
        try:
            for page in pages:
                number = page.number
                came.see(page)
                items += page.records
        except Trouble as trouble:
            if not number:
                raise
            detail = f"page {trouble.number}: {trouble.said}; {trouble.remedy}"
            return Items(items, Reading.PARTIAL, detail, trouble)
        if came.twice:
            return Items(items, Reading.PARTIAL, came.twice)
        return _trusted(items, listing, known=reader.last is not None)

    def _request(self, endpoint: Listing | Single, values: Values) -> Request:
        path = endpoint.path.path(values, slashes=self.settings.encoded_slash)
        query = {name: each.within(values) for name, each in endpoint.query.items()}
        headers = {"Accept": self.settings.media_type}
        body = None
        if endpoint.body is not None:
            body = endpoint.body.value(values, ())
            headers["Content-Type"] = self.settings.media_type
        return Request(endpoint.method, self.url(path), query, headers, body)


class _Came:
    """Which records came on which page. `twice` is what is said of one that came on two: what moved from page to page
    may have passed another one by, and the number of all tells nothing of that.
    """

    def __init__(self) -> None:
        self.twice = ""
        self._pages: dict[bytes, int] = {}

    def see(self, page: Page) -> None:
        for record in page.records:
            digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).digest()
            earlier = self._pages.setdefault(digest, page.number)
            if earlier != page.number:
                self.twice = (
                    f"a record of page {earlier} came on page {page.number} too: the pages moved while they were read"
                )


class _Reader(PageReader):
    """Where things stand in the pages of one list. `last` is the total that was read last."""

    def __init__(self, api: Api, listing: Listing) -> None:
        self._api = api
        self._listing = listing
        self._pages = listing.pages
        self.last: int | None = None

    def page(self, response: Response, number: int) -> Page:
        answer = self._api.answer(response)
        items = _found(self._listing.items, answer, "items")
        if items is None and self._pages.total is not None:
            items = []  # an empty list, as some write it; the total tells whether it is the truth
        if not isinstance(items, list):
            said = f"`items: {self._listing.items}` should lead to a list, and leads to {kind_of(items)}"
            raise Trouble(said, _there(answer))
        return Page(number, response.url, answer, items, response.link)

    def total(self, page: Page) -> int | None:
        query = self._total
        if query is None:
            return None
        value = _found(query, page.answer, "pages.total")
        text = str(value) if not isinstance(value, bool) else ""
        if not (text.isascii() and text.isdigit()):
            said = f"`pages.total: {query}` should lead to a number, and leads to {kind_of(value)}"
            raise Trouble(said, _there(page.answer))
        self.last = int(text)
        return self.last

    def following(self, page: Page) -> str:
        query = self._next
        value = _at(query, page.answer, "pages.next")
        if value is MISSING:
            if self._pages.next_may_be_absent or self._total is not None:
                return ""
            raise Trouble(
                f"there is nothing at `pages.next: {query}`: whether this is the last page cannot be told",
                "correct it, or give `pages.total`, or say `next_may_be_absent: true` if the last page leaves it out",
            )
        if isinstance(value, dict | list) or value is True:
            said = f"`pages.next: {query}` should lead to a text, and leads to {kind_of(value)}"
            raise Trouble(said, _there(page.answer))
        return "" if value is None or value is False else str(value)

    @property
    def _total(self) -> Query | None:
        return self._pages.total

    @property
    def _next(self) -> Query:
        assert self._pages.next is not None  # noqa: S101  # asked only where `next` is declared
        return self._pages.next


def several(name: str, keys: Sequence[str]) -> str:
    """What is said of keys that come twice in one list; a blank where none does."""
    twice = [key for key, times in Counter(keys).items() if times > 1]
    if not twice:
        return ""
    shown = ", ".join(f"{name} {key}" for key in twice[:3]) + (" and others" if len(twice) > 3 else "")
    return f"{shown} came twice: the pages moved while they were read, or what should name them does not"


def _trusted(items: list[Any], listing: Listing, *, known: bool) -> Items:
    if items:
        return Items(items, Reading.COMPLETE)
    if known or listing.may_be_empty:
        return Items(items, Reading.CONFIRMED_EMPTY)
    words = "the list is empty, and nothing says that it should be: give `pages.total`, or say `may_be_empty: true`"
    return Items(items, Reading.PARTIAL, words)


def _found(query: Query, answer: object, setting: str) -> object:
    value = _at(query, answer, setting)
    if value is MISSING:
        raise Trouble(f"there is nothing at `{setting}: {query}`", _there(answer))
    return value


def _at(query: Query, answer: object, setting: str) -> object:
    try:
        return query.one(answer)
    except ValueError as error:
        raise Trouble(f"`{setting}`: {error}", "narrow it") from None


def _there(answer: object) -> str:
    if isinstance(answer, list):
        return "the answer itself is a list: `$`"
    names = paths(answer, depth=2)[:_LISTED]
    return f"there are: {', '.join(f'$.{name}' for name in names)}" if names else f"the answer is {kind_of(answer)}"
