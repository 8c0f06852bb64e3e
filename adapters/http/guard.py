"""What may be sent at all: to read, what is declared as a list; to write, also what is declared as a change.

The client asks this of every request before it is on the wire, so that a mistake above it cannot turn reading into
writing (a method, a path): it ends instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from adapters.http.settings import HttpSettings
from adapters.http.templates import Template

__all__ = ["reading_only", "writing_too"]

Allows = Callable[[str, str], bool]


def reading_only(settings: HttpSettings) -> Allows:
    """GET anywhere on the server (its links lead on), and POST where a list is declared as `safe`."""
    safe = _declared(settings, (("POST", each.path) for each in settings.endpoints if each.method == "POST"))
    return lambda method, url: method == "GET" or safe(method, url)


def writing_too(settings: HttpSettings) -> Allows:
    """That, and the declared changes."""
    reading = reading_only(settings)
    writing = _declared(settings, ((write.method, write.path) for write in settings.writes.values()))
    return lambda method, url: reading(method, url) or writing(method, url)


def _declared(settings: HttpSettings, requests: Iterable[tuple[str, Template]]) -> Allows:
    base = re.escape(settings.url.rstrip("/") + "/")
    patterns = [(method, re.compile(base + path.pattern())) for method, path in requests]

    def allows(method: str, url: str) -> bool:
        return any(method == known and pattern.fullmatch(url) is not None for known, pattern in patterns)

    return allows
