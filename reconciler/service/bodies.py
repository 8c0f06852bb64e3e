"""Reading what somebody sends: no more than was agreed, and nothing that could wear the reader out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from fastapi import Request

from reconciler.service.answers import BodyRefused, BodyTooLarge

__all__ = ["document_in", "events_in", "read_body"]

DEEPEST = 16
"""So many levels of lists and objects. An event has three."""


async def read_body(request: Request, limit: int) -> bytes:
    """The body. Raises `BodyTooLarge` as soon as it is clear that it has more than `limit` bytes."""
    text = f"a request has at most {limit} bytes here"
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise BodyTooLarge(text, remedy="send the events in several batches")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge(text, remedy="send the events in several batches")
        parts.append(part)
    return b"".join(parts)


def document_in(body: bytes, remedy: str, deep: str) -> object:
    """The body's JSON. Raises `BodyRefused` with `remedy` where it is none, with `deep` where it is nested too deep."""
    try:
        document = json.loads(body.decode(), parse_constant=_no_number)
    except RecursionError:
        raise _too_deep(deep) from None
    except ValueError as error:
        raise BodyRefused(f"the body is no JSON: {error}", remedy=remedy) from None
    _check_depth(document, deep)
    return document


def events_in(body: bytes) -> Sequence[object]:
    """The events of a body: an object, a list of them, or ``{"events": [...]}``. Raises `BodyRefused`."""
    document = document_in(body, "send UTF-8, one event or a list", "an event has three")
    if isinstance(document, Mapping) and "events" in document:
        if set(document) != {"events"} or not isinstance(document["events"], list):
            raise BodyRefused("`events` is a list, and stands alone", remedy='send {"events": [...]}')
        document = document["events"]
    events = document if isinstance(document, list) else [document]
    if not events:
        raise BodyRefused("there is no event in the body", remedy="send at least one")
    return events


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number")


def _check_depth(document: object, remedy: str) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep(remedy)
        level = [inner for outer in level for inner in _inside(outer)]


def _inside(value: object) -> Sequence[object]:
    found = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [inner for inner in found if isinstance(inner, dict | list)]


def _too_deep(remedy: str) -> BodyRefused:
    return BodyRefused(f"the body is nested more than {DEEPEST} levels deep", remedy=remedy)
