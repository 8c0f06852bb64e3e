"""Every request has an id: what the log says while it is served carries it, and so does the answer.

Whoever sends an `X-Request-ID` gets it back as it came, whatever the answer is (OpenID AuthZEN, Authorization API 1.0).
The log has it where it is sane; what stands there otherwise is nobody's way into our log. Paths are not
logged, since they may name people: the route that a request fitted is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from uuid import uuid4

from fastapi import FastAPI

from reconciler.logs import log, within
from reconciler.service.answers import HUNG_UP
from reconciler.service.measures import Measures

__all__ = ["HEADER", "Application"]

# As ASGI has them.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADER = "X-Request-ID"
_KEY = HEADER.lower().encode()
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ASKED_OFTEN = frozenset({"/healthz", "/readyz", "/metrics"})


class Application(FastAPI):
    """FastAPI's, whose requests have ids and are measured by `state.measures`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        given = [value for key, value in scope["headers"] if key == _KEY]
        name = _name(given)
        told = given[0] if len(given) == 1 else name.encode()
        begun, status = time.perf_counter(), HUNG_UP

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (_KEY, told)]}
            await send(message)

        with within(request=name):
            try:
                await super().__call__(scope, receive, answer)
            finally:
                seconds = time.perf_counter() - begun
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = getattr(scope.get("route"), "path", "")
                measures: Measures = self.state.measures
                measures.answered(method, route, status, seconds)
                tell = log.debug if route in _ASKED_OFTEN else log.info
                tell("request-answered", method=method, route=route, status=status, seconds=round(seconds, 3))


def _name(given: Sequence[bytes]) -> str:
    text = given[0].decode("latin-1") if len(given) == 1 else ""
    return text if _SANE.fullmatch(text) else uuid4().hex
