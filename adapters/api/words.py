"""What an answer says of itself: whether it is an answer at all, and an API's own words in one that is an error. Pure.

Promise: an API's words are quoted only after every secret was taken out of them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from adapters.api.json_values import NotJson, Number, read
from adapters.api.trouble import Trouble

__all__ = ["Words"]

_WORDS = ("errmsg", "error_description", "message", "msg", "detail", "error", "errors", "title", "reason")
_ERRORS = ("error", "errors")
_CODES = ("errcode", "error_code", "errorcode")
_FLAGS = ("success", "ok")
_TITLE = re.compile(rb"<title[^>]*>(?P<title>.*?)</title", re.IGNORECASE | re.DOTALL)
_QUOTED = 200


class Words:
    """Quotes an API, without the secrets."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets: Sequence[str] = ()
        for secret in secrets:
            self.conceal(secret)

    @property
    def secrets(self) -> Sequence[str]:
        """What is never quoted, longest first."""
        return self._secrets

    def conceal(self, secret: str) -> None:
        """One secret more that is never quoted."""
        self._secrets = sorted({*self._secrets, secret} - {""}, key=len, reverse=True)

    def quoted(self, text: str) -> str:
        """Somebody else's words, short, printable and without our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return plain if len(plain) <= _QUOTED else plain[:_QUOTED] + "…"

    def json(self, body: bytes, *, exact: bool = False) -> object:
        """The value that a body is; `exact`: whole numbers as numbers. Raises `Trouble`."""
        try:
            return read(body, exact=exact)
        except NotJson as error:
            raise self._unreadable(body, str(error)) from None

    def of(self, body: bytes) -> str:
        """What the API itself says in an answer that is an error; a blank where it says nothing that can be quoted."""
        if title := _TITLE.search(body[:20_000]):
            return self.quoted(html.unescape(title["title"].decode("utf-8", "replace")))
        try:
            return self.message(read(body))
        except NotJson:
            return ""

    def message(self, answer: object) -> str:
        """The first text in an answer that says why; a blank where there is none."""
        return next((self.quoted(text) for text in _messages(answer)), "")

    def said(self, answer: object) -> str:
        """The same, to be added to a sentence."""
        return f"; it says “{words}”" if (words := self.message(answer)) else ""

    def complaint(self, answer: object, known: Collection[str] = ()) -> str:
        """Why an answer with status 200 is an error all the same; a blank where it is none. `known` are flags that
        somebody looks at already.
        """
        if not isinstance(answer, Mapping):
            return ""
        lowered = {str(name).lower(): value for name, value in answer.items()}
        for name in (*_ERRORS, *_CODES):
            if lowered.get(name) not in (None, False, "", "0", 0, [], {}):
                return f"it has `{name}`{self.said(answer)}"
        for name in _FLAGS:
            if lowered.get(name) is False and name not in known:
                return f"`{name}` is false{self.said(answer)}"
        return ""

    def _unreadable(self, body: bytes, why: str) -> Trouble:
        if body.lstrip()[:1] == b"<":
            titled = f", titled “{words}”" if (words := self.of(body)) else ""
            return Trouble(
                f"the answer is a page for browsers{titled}, not JSON",
                "check `url` and `auth`: a sign-in or an error page answers instead of the API",
            )
        return Trouble(f"the answer cannot be read: {why}", "ask who runs the API; nothing was taken")


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
