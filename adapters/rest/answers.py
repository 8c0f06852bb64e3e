"""What one page of an answer says: its records, how it leads on, and whether it is an answer at all. Pure.

Promises: whatever is not the agreed shape is a `SourceError` that lists what is there instead. An API's own words are
quoted only after every secret was taken out of them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.columns import nearest
from adapters.rest.json_values import MISSING, NotJson, Number, cell, find, kind_of, paths, read
from reconciler.sources import Place, SourceContext, SourceError

__all__ = ["Page", "Reader", "bare"]

_WORDS = ("errmsg", "error_description", "message", "msg", "detail", "error", "errors", "title", "reason")
_ERRORS = ("error", "errors")
_CODES = ("errcode", "error_code", "errorcode")
_FLAGS = ("success", "ok")
_TITLE = re.compile(rb"<title[^>]*>(?P<title>.*?)</title", re.IGNORECASE | re.DOTALL)
_QUOTED = 200
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `answer` is all that it holds; `link` is the URL in its `Link: …; rel="next"` header, or a blank."""

    number: int
    url: str
    answer: object
    records: Sequence[Mapping[str, object]]
    link: str = ""


class Reader:
    """Reads pages of one source, and words what is wrong with them."""

    def __init__(
        self,
        context: SourceContext,
        records: str,
        success: Mapping[str, str],
        total: str | None,
        secrets: Sequence[str],
    ) -> None:
        self._context = context
        self._records = records
        self._success = success
        self._total = total
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def conceal(self, secret: str) -> None:
        """One secret more that is never quoted."""
        self._secrets = sorted({*self._secrets, secret}, key=len, reverse=True)

    def page(self, body: bytes, number: int, url: str, link: str) -> Page:
        """Raises `SourceError` where the body is no such page."""
        fault = self.at(number, url)
        try:
            answer = read(body)
        except NotJson as error:
            said, remedy = self._unreadable(body, str(error))
            raise fault(said, remedy) from None
        if said := self._complaint(answer):
            raise fault(f"the answer is an error: {said}", "ask who runs the API what it means; nothing was taken")
        return Page(number, url, answer, self._list(answer, fault), link)

    def total(self, page: Page) -> int | None:
        """How many records there are, as the page says; None where nothing is to be said."""
        if self._total is None:
            return None
        value = find(page.answer, self._total)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise self.at(page.number, page.url)(
            f"`pages.total: {self._total}` should be the number of records and is {kind_of(value)}{self._near(page)}",
            "correct `pages.total`, or remove it",
        )

    def at(self, number: int, url: str) -> Callable[[str, str], SourceError]:
        """How an error of this page is made: of what was said and what to do."""

        def fault(said: str, remedy: str) -> SourceError:
            text = f"source `{self._context.name}`: page {number}: {said}"
            return SourceError(text, place=Place(bare(url)), remedy=remedy)

        return fault

    def words(self, body: bytes) -> str:
        """What the API itself says in an answer that is an error; a blank where it says nothing that can be quoted."""
        if title := _TITLE.search(body[:20_000]):
            return self.quoted(html.unescape(title["title"].decode("utf-8", "replace")))
        try:
            return self._message(read(body))
        except NotJson:
            return ""

    def quoted(self, text: str) -> str:
        """Somebody else's words, short, printable and without our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return plain if len(plain) <= _QUOTED else plain[:_QUOTED] + "…"

    def _unreadable(self, body: bytes, why: str) -> tuple[str, str]:
        if body.lstrip()[:1] == b"<":
            said = f", titled “{words}”" if (words := self.words(body)) else ""
            return (
                f"the answer is a page for browsers{said}, not JSON",
                "check `url` and `auth`: a sign-in or an error page answers instead of the API",
            )
        return f"the answer cannot be read: {why}", "ask who runs the API; nothing was taken"

    def _complaint(self, answer: object) -> str:
        """Why an answer with status 200 is an error all the same; a blank where it is none."""
        for path, expected in self._success.items():
            value = find(answer, path)
            if value is MISSING or isinstance(value, dict | list) or cell(value) != expected:
                found = "is missing" if value is MISSING else f"is {self._shown(value)}"
                return f"`{path}` {found}, where success is `{expected}`{self._said(answer)}"
        if not isinstance(answer, Mapping):
            return ""
        lowered = {str(name).lower(): value for name, value in answer.items()}
        for name in (*_ERRORS, *_CODES):
            if lowered.get(name) not in (None, False, "", "0", [], {}):
                return f"it has `{name}`{self._said(answer)}"
        for name in _FLAGS:
            if lowered.get(name) is False and name not in self._success:
                return f"`{name}` is false{self._said(answer)}"
        return ""

    def _list(self, answer: object, fault: Callable[[str, str], SourceError]) -> Sequence[Mapping[str, object]]:
        value = MISSING if self._records and isinstance(answer, list) else find(answer, self._records)
        where = f"`records: {self._records}`" if self._records else "the answer"
        if value is None and self._records and self._total is not None:
            return ()  # an empty list, as some write it; the total tells whether it is the truth
        if not isinstance(value, list):
            there = "" if value is MISSING else f", and is {kind_of(value)}"
            said = f"{where} should be the list of records{there}" if there else f"there is no {where}"
            raise fault(said + self._there(answer) + self._said(answer), self._remedy(answer))
        for index, record in enumerate(value, start=1):
            if not isinstance(record, dict):
                raise fault(
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
        return f"; there are: {', '.join(map(self.quoted, names[:_LISTED]))}"

    def _near(self, page: Page) -> str:
        near = nearest(self._total or "", paths(page.answer, depth=2))
        return f"; the nearest is `{near}`" if near and near != self._total else ""

    def _said(self, answer: object) -> str:
        return f"; it says “{words}”" if (words := self._message(answer)) else ""

    def _message(self, answer: object) -> str:
        return next((self.quoted(text) for text in _messages(answer)), "")

    def _shown(self, value: object) -> str:
        return f"`{self.quoted(cell(value))}`"


def bare(url: str) -> str:
    """A URL as it may be shown: without what is asked with, which may hold secrets and names."""
    return url.partition("?")[0].partition("#")[0]


def _messages(answer: object, depth: int = 3) -> Iterator[str]:
    if isinstance(answer, list) and answer and depth:
        yield from _messages(answer[0], depth - 1)
    elif isinstance(answer, Mapping) and depth:
        lowered = {str(name).lower(): value for name, value in answer.items()}
        for name in _WORDS:
            value = lowered.get(name)
            if isinstance(value, str) and not isinstance(value, Number) and value.strip():
                yield value
            elif isinstance(value, list | Mapping):
                yield from _messages(value, depth - 1)
    elif isinstance(answer, str) and not isinstance(answer, Number) and depth < 3:
        yield answer
