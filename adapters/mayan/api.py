"""Mayan's REST API, as far as it is used here: listings that are whole or say why not, and many changes in one request.

A listing is asked for in the order of ids, so that what is added meanwhile comes last; a number of records other than
Mayan's own `count`, a record that comes twice, and pages that go round in circles are trouble, never an end. Pages are
asked for by number and not by `next`: behind a proxy that ends TLS, Mayan's own links lead elsewhere.

Sources: Mayan EDMS 4.12, `mayan.apps.rest_api` (pagination, batch requests); Django REST framework.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from adapters.api.client import Client, Request, Response, seconds_to_wait
from adapters.api.settings import Pages, secrets_of
from adapters.api.trouble import Moved, Trouble
from adapters.api.walk import Page, PageReader, walk
from adapters.api.words import Words
from adapters.mayan.settings import MayanSettings

__all__ = ["LARGEST_BATCH", "Answer", "Api", "Listing", "Record", "connected", "is_number"]

Record: TypeAlias = Mapping[str, object]
LARGEST_BATCH = 100
"""Answers to a batch come in pages, of which only the first can be had; Mayan gives no larger ones (its default)."""
_PAGES: Pages[str] = Pages.model_validate(
    {"by": "page", "size": {"parameter": "page_size", "value": LARGEST_BATCH}, "total": "count"}
)
_READINGS = 3
"""How often a listing that changes while it is read is begun anew."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request of a batch. `status` is 0 where nothing is known. `wait`: seconds, where it says."""

    status: int = 0
    said: str = ""
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Records, and why they may not be all; what is there is true."""

    records: Sequence[Record]
    flaw: Trouble | None = None

    @property
    def doubt(self) -> str:
        """The flaw in words, or a blank."""
        return f"{self.flaw.said}; {self.flaw.remedy}" if self.flaw else ""


class Api:
    """One Mayan. Everything raises `Trouble`."""

    def __init__(self, client: Client, base: str, words: Words) -> None:
        self._client = client
        self._base = base
        self._words = words

    def one(self, path: str, fields: str) -> Record | None:
        """An object, or None where there is none that we may see: Mayan answers 404 to both."""
        url = self._base + path
        try:
            response = self._client.read(Request("GET", url, {"_fields_only": fields}))
            return _object(self._words.json(response.body, exact=True))
        except Trouble as trouble:
            if trouble.status == 404:
                return None
            raise trouble.at(url, 1) from None

    def every(self, path: str, fields: str, *, key: str = "id") -> Sequence[Record]:
        """All records of a listing, once each."""
        found = self.readable(path, fields, key=key)
        if found.flaw is not None:
            raise found.flaw
        return found.records

    def readable(self, path: str, fields: str, *, key: str = "id") -> Listing:
        """What can be read of a listing, once each. Raises `Trouble` where that is not even a page."""
        for left in reversed(range(_READINGS)):
            found = self._walked(path, fields, key)
            if not isinstance(found.flaw, Moved) or not left:
                return found
        raise AssertionError  # the last reading is given, whatever it is

    def batch(self, requests: Sequence[tuple[str, str, Mapping[str, str]]]) -> Sequence[Answer]:
        """What becomes of these (method, path, body), in their order; as many as `LARGEST_BATCH`."""
        path = self._base.partition("://")[2].partition("/")[2]
        asked = [
            {"name": str(number), "method": method, "url": f"/{path}{target}", "body": dict(body)}
            for number, (method, target, body) in enumerate(requests)
        ]
        parameters = {"page_size": str(LARGEST_BATCH)}
        url = f"{self._base}batch_requests/"
        try:
            response = self._client.read(Request("POST", url, parameters, body={"requests": asked}))
            page = _Pages(self._words).page(response, 1)
        except Trouble as trouble:
            raise trouble.at(url, 1) from None
        found = {str(each.get("name")): each for each in page.records if isinstance(each, Mapping)}
        return [self._answer(found.get(str(number))) for number in range(len(requests))]

    def _answer(self, said: Record | None) -> Answer:
        if said is None:
            return Answer()
        headers = said.get("headers")
        wait = seconds_to_wait(str(headers.get("Retry-After", "")), 0.0) if isinstance(headers, Mapping) else None
        status = said.get("status_code")
        data = json.dumps(said.get("data"), ensure_ascii=False)
        return Answer(status if isinstance(status, int) else 0, self._words.quoted(data), wait)

    def _walked(self, path: str, fields: str, key: str) -> Listing:
        parameters = {"_ordering": "id", "_fields_only": fields}
        url, reader = self._base + path, _Pages(self._words)
        found: dict[str, Record] = {}
        number, flaw = 0, None
        try:
            for page in walk(self._client.get, reader, _PAGES, url, parameters, self._words):
                found |= {str(each.get(key)): each for each in map(_object, page.records)}
                number += len(page.records)
        except Trouble as trouble:
            if not number:
                raise
            flaw = trouble
        if flaw is None and reader.more:
            flaw = Trouble("it names a next page after the last", "ask who runs it").at(url, 1)
        if flaw is None and len(found) < number:
            flaw = Moved("a record came twice", "read again when nobody is at work on them").at(url, 1)
        return Listing(list(found.values()), flaw)


@contextmanager
def connected(settings: MayanSettings, folder: Path, *, writes: bool = False) -> Iterator[Api]:
    """A connection, closed at the end; one that may not write can send nothing but GET."""
    words = Words(secrets_of(settings.connection))
    batch = f"{settings.api}batch_requests/"
    client = Client(
        settings.connection,
        folder,
        words,
        allows=lambda method, url: method == "GET" or (writes and method == "POST" and url == batch),
    )
    try:
        yield Api(client, settings.api, words)
    finally:
        client.close()


def is_number(key: str) -> bool:
    """Whether it can be the id of something in Mayan's database."""
    return key.isascii() and key.isdigit() and len(key) < 19


class _Pages(PageReader):
    """`{"count": 2, "next": null, "results": [{…}, {…}]}`"""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.more = False
        """Whether the last page that was read names another."""

    def page(self, response: Response, number: int) -> Page:
        answer = _object(self._words.json(response.body, exact=True))
        results = answer.get("results")
        if not isinstance(results, list):
            said = f"it is no listing: there is no list `results`{self._words.said(answer)}"
            raise Trouble(said, "let `url` name a Mayan EDMS, without /api/v4")
        self.more = bool(answer.get("next"))
        return Page(number, response.url, answer, [_object(each) for each in results])

    def total(self, page: Page) -> int:
        count = _object(page.answer).get("count")
        if not isinstance(count, int) or isinstance(count, bool):
            raise Trouble("it does not say how many records there are (`count`)", "ask who runs it; nothing was taken")
        return count

    def following(self, page: Page) -> str:
        return ""  # pages are asked for by number


def _object(value: object) -> Record:
    if not isinstance(value, dict):
        raise Trouble("its answer is no JSON object", "let `url` name a Mayan EDMS, without /api/v4")
    return value
