"""Where things stand in an HR system's pages: the list of records, how many there are, and what follows. Pure.

Promise: whatever is not the agreed shape is a `Trouble` that lists what is there instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.api.client import Response
from adapters.api.json_values import MISSING, cell, find, kind_of, paths
from adapters.api.trouble import Trouble
from adapters.api.walk import Page, PageReader
from adapters.api.words import Words
from adapters.columns import nearest
from adapters.rest.settings import RestSettings

__all__ = ["Reader"]

_LISTED = 20


class Reader(PageReader):
    """Reads pages of one source, and words what is wrong with them."""

    def __init__(self, settings: RestSettings, words: Words) -> None:
        self._records = settings.records
        self._success = settings.success
        self._total = settings.pages.total
        self._next = settings.pages.next
        self._words = words

    def page(self, response: Response, number: int) -> Page:
        answer = self._words.json(response.body)
        if said := self._complaint(answer):
            raise Trouble(f"the answer is an error: {said}", "ask who runs the API what it means; nothing was taken")
        return Page(number, response.url, answer, self._list(answer), response.link)

    def total(self, page: Page) -> int | None:
        if self._total is None:
            return None
        value = find(page.answer, self._total)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise Trouble(
            f"`pages.total: {self._total}` should be the number of records and is {kind_of(value)}{self._near(page)}",
            "correct `pages.total`, or remove it",
        )

    def following(self, page: Page) -> str:
        """Nothing, null and false end the walk."""
        path = str(self._next)
        value = find(page.answer, path)
        above, _, _ = path.rpartition(".")
        if isinstance(value, dict | list) or (above and not isinstance(find(page.answer, above), dict)):
            there = find(page.answer, above) if value is MISSING else value
            raise Trouble(
                f"`pages.next: {path}` leads to no text: `{above if value is MISSING else path}` is {kind_of(there)}",
                "correct `pages.next`; whether this is the last page cannot be told",
            )
        return "" if value is MISSING or value is False else cell(value)

    def _complaint(self, answer: object) -> str:
        """Why an answer with status 200 is an error all the same; a blank where it is none."""
        for path, expected in self._success.items():
            value = find(answer, path)
            if value is MISSING or isinstance(value, dict | list) or cell(value) != expected:
                found = "is missing" if value is MISSING else f"is `{self._words.quoted(cell(value))}`"
                return f"`{path}` {found}, where success is `{expected}`{self._words.said(answer)}"
        return self._words.complaint(answer, self._success)

    def _list(self, answer: object) -> Sequence[Mapping[str, object]]:
        value = MISSING if self._records and isinstance(answer, list) else find(answer, self._records)
        where = f"`records: {self._records}`" if self._records else "the answer"
        if value is None and self._records and self._total is not None:
            return ()  # an empty list, as some write it; the total tells whether it is the truth
        if not isinstance(value, list):
            there = "" if value is MISSING else f", and is {kind_of(value)}"
            said = f"{where} should be the list of records{there}" if there else f"there is no {where}"
            raise Trouble(said + self._there(answer) + self._words.said(answer), self._remedy(answer))
        for index, record in enumerate(value, start=1):
            if not isinstance(record, dict):
                raise Trouble(
                    f"record {index} is {kind_of(record)}, not an object", "correct `records`: it leads to another list"
                )
        return value

    def _remedy(self, answer: object) -> str:
        lists = [path for path in paths(answer) if isinstance(find(answer, path), list)]
        if isinstance(answer, list):
            return "the answer itself is the list: leave `records` out"
        near = nearest(self._records, lists) or (lists[0] if len(lists) == 1 else "")
        return f"write records: {near}" if near else "let `records` name the list in the answer, e.g. data.items"

    def _there(self, answer: object) -> str:
        if isinstance(answer, list):
            return "; the answer is a list"
        names = paths(answer, depth=2)
        if not names:
            return f"; the answer is {kind_of(answer)}"
        return f"; there are: {', '.join(map(self._words.quoted, names[:_LISTED]))}"

    def _near(self, page: Page) -> str:
        near = nearest(self._total or "", paths(page.answer, depth=2))
        return f"; the nearest is `{near}`" if near and near != self._total else ""
