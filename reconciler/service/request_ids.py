"""A request's own name comes back with its answer, whatever that is.

Source: OpenID AuthZEN, Authorization API 1.0 (request identification).
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestIds"]

HEADER = b"x-request-id"


class RequestIds:
    """Middleware. What a sender calls a request is sent back as it came."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
