"""A record of a conversation with a system: what was asked, what came back, and what was understood of it.

For whoever declares a system, to check the declaration. One JSON object a line, in a file for its owner alone.
Promises: no secret is in it, neither as configured nor encoded, nor what an answer calls a password or a token; lists
are shortened. Personal data is in it: that is what is to be checked.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, quote_plus

from adapters.api.client import Exchange, Request
from adapters.api.json_values import NotJson, read
from adapters.api.settings import ApiSettings
from adapters.api.words import Words
from adapters.http.settings import is_secret
from reconciler.targets import TargetError

__all__ = ["Conversation"]

_HIDDEN = "…"
_SHOWN_HEADERS = ("content-type", "etag", "link", "location", "retry-after")
_ITEMS = 3
_CHARACTERS = 500
_READ = 1 << 16
"""Octets of a body that is no JSON: far more than are shown, so that no secret is cut in two before it is left out."""


class Conversation:
    """Writes to a file; without one, nothing. Raises `TargetError` where the file cannot be opened."""

    def __init__(self, file: Path | None, settings: ApiSettings, words: Words, clock: Callable[[], datetime]) -> None:
        self._file = None if file is None else _opened(file)
        self._words = words
        self._clock = clock
        self._own_headers = {name.lower() for name in settings.headers} | {"authorization"}
        self._user = settings.auth.basic.user if settings.auth and settings.auth.basic else ""

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def heard(self, exchange: Exchange) -> None:
        """One request that was sent, and its answer."""
        if self._file is None:
            return
        answer: dict[str, object] | None = None
        if exchange.status:
            headers = {name: value for name, value in exchange.answered.items() if name.lower() in _SHOWN_HEADERS}
            answer = {"status": exchange.status, "headers": headers, "body": _body(exchange.answer)}
        request = self._request(exchange.method, exchange.url, exchange.headers, _body(exchange.body))
        self._write({"sent": True, "request": request, "answer": answer})

    def rendered(self, request: Request) -> None:
        """One request that would have been sent."""
        url = request.url
        if request.parameters:
            url += "?" + "&".join(
                f"{quote_plus(name)}={quote_plus(value)}" for name, value in request.parameters.items()
            )
        self._write({"sent": False, "request": self._request(request.method, url, request.headers, request.body)})

    def understood(self, what: str, **more: object) -> None:
        """What was made of the answers before."""
        self._write({"understood": what, **more})

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: object) -> dict[str, object]:
        shown = {name: _HIDDEN if name.lower() in self._own_headers else value for name, value in headers.items()}
        return {"method": method, "url": _without_secrets(url), "headers": shown, "body": body}

    def _write(self, entry: Mapping[str, object]) -> None:
        if self._file is None:
            return
        spelled = self._spellings()
        line = json.dumps({"at": self._clock().isoformat(), **_redacted(entry, spelled)}, ensure_ascii=False) + "\n"
        with suppress(OSError):  # a full disk is no reason to stop half-way through a run
            self._file.write(line.encode("utf-8", "backslashreplace"))

    def _spellings(self) -> Sequence[str]:
        """Every secret, in every way in which it may be spelled; longest first."""
        found: set[str] = set()
        for secret in self._words.secrets:
            basic = base64.b64encode(f"{self._user}:{secret}".encode()).decode()
            found |= {secret, quote(secret, safe=""), quote_plus(secret), basic}
        return sorted(found, key=len, reverse=True)


def _without_secrets(url: str) -> str:
    where, mark, asked = url.partition("?")
    pairs = (each.partition("=") for each in asked.split("&"))
    return (
        where
        + mark
        + "&".join(f"{name}={_HIDDEN}" if is_secret(name) else name + sign + value for name, sign, value in pairs)
    )


def _opened(path: Path) -> BinaryIO:
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        file = os.fdopen(os.open(path, how, 0o600), "ab", buffering=0)
        os.fchmod(file.fileno(), 0o600)
    except OSError as error:
        raise TargetError(
            f"the conversation cannot be written to {path}: {error.strerror}",
            remedy="correct `conversation`, or remove it",
        ) from None
    return file


def _body(octets: bytes) -> object:
    if not octets:
        return None
    try:
        return read(octets, exact=True)
    except NotJson:
        return octets[:_READ].decode("utf-8", "replace")


def _redacted(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _HIDDEN)
        return value if len(value) <= _CHARACTERS else f"{value[:_CHARACTERS]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {
            _redacted(str(name), secrets): _HIDDEN
            if is_secret(str(name)) and each is not None and not isinstance(each, bool)
            else _redacted(each, secrets)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        left_out = len(value) - _ITEMS
        shown = [_redacted(each, secrets) for each in value[:_ITEMS]]
        return [*shown, f"… {left_out} more"] if left_out > 0 else shown
    return value
