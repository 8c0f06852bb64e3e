"""`POST /v1/events`: what HR's systems tell."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from reconciler.facts.events import EventType
from reconciler.service.answers import described
from reconciler.service.bodies import events_in, read_body
from reconciler.service.inbox import Became, EventsAnswer, Inbox
from reconciler.service.signatures import HEADERS, Signatures

__all__ = ["events_router"]

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "type", "person", "effective_at"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "description": "The sender's own; the same event twice is one event."},
        "type": {"type": "string", "enum": [kind.value for kind in EventType]},
        "person": {"type": "string", "description": "The person's stable id."},
        "effective_at": {"type": "string", "description": "A date, or a moment: 2026-12-01T17:30:00+08:00."},
        "data": {"type": "object", "description": "What the type takes: docs/hr.md."},
        "source": {"type": "string", "description": "The webhook's own name, or nothing."},
        "confirmed": {"type": "boolean", "description": "Somebody has made sure, however many leave today."},
    },
}
_EVENTS: dict[str, Any] = {"type": "array", "minItems": 1, "items": _EVENT}
_BATCH: dict[str, Any] = {"type": "object", "required": ["events"], "properties": {"events": _EVENTS}}
_DOCUMENTED: dict[str, Any] = {
    "parameters": [{"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in HEADERS],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"anyOf": [_EVENT, _EVENTS, _BATCH]}}},
    },
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    422: {"model": EventsAnswer, "description": "Each of the events was refused. Nothing was recorded."}
}


def events_router(signatures: Signatures, inbox: Inbox, limit: int) -> APIRouter:
    """The route. `limit`: bytes of a body."""
    router = APIRouter(prefix="/v1", tags=["events"])

    @router.post(
        "/events",
        status_code=202,
        response_model=EventsAnswer,
        responses={**_REFUSED, **described(400, 401, 413, 503)},
        openapi_extra=_DOCUMENTED,
    )
    async def record_events(request: Request) -> JSONResponse:
        """Record one event or several, signed after Standard Webhooks. Answered once it is on disk; the passes that it
        asks for begin at once.
        """
        body = await read_body(request, limit)
        sender = signatures.sender(request.headers, body)
        answer = await run_in_threadpool(lambda: inbox.take(events_in(body), sender))
        refused = all(each.outcome is Became.REFUSED for each in answer.events)
        return JSONResponse(answer.model_dump(mode="json"), 422 if refused else 202)

    return router
