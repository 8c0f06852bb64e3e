"""A request's own name comes back with its answer, whatever that is.

Source: OpenID AuthZEN, Authorization API 1.0 (request identification).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["RequestIds"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
"""As the ASGI specification (version 3.0) has them."""

HEADER = b"x-request-id"


class RequestIds:
    """Middleware. What a sender calls a request is sent back as it came."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        given = next((value for name, value in scope.get("headers", ()) if name == HEADER), None)
        if scope["type"] != "http" or given is None:
            await self._app(scope, receive, send)
            return

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, given)]
            await send(message)

        await self._app(scope, receive, send_named)
