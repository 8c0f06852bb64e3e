"""Reading what somebody sends: no more than was agreed, and nothing that could wear the reader out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from reconciler.service.answers import BodyRefused, BodyTooLarge

__all__ = ["document_in", "events_in", "json_body", "read_body", "read_json", "said_in"]

DEEPEST = 16
"""So many levels of lists and objects. An event has three."""

MOST_DIGITS = 100
"""Of a whole number. A version has three."""

LONGEST = 500
"""Characters of a message, whatever somebody wrote into a body."""


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


def events_in(body: bytes) -> Sequence[object]:
    """The events of a body: an object, a list of them, or ``{"events": [...]}``. Raises `BodyRefused`."""
    document = document_in(body)
    if isinstance(document, Mapping) and "events" in document:
        if set(document) != {"events"} or not isinstance(document["events"], list):
            raise BodyRefused("`events` is a list, and stands alone", remedy='send {"events": [...]}')
        document = document["events"]
    events = document if isinstance(document, list) else [document]
    if not events:
        raise BodyRefused("there is no event in the body", remedy="send at least one")
    return events


def document_in(body: bytes) -> object:
    """The JSON document that a body is. Raises `BodyRefused`, for a name that stands twice in an object as well: one
    reader would take the first value, another one the second.
    """
    try:
        document = json.loads(
            body.decode(), parse_constant=_no_number, parse_int=_whole_number, object_pairs_hook=_once_each
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise BodyRefused(f"the body is no JSON: {error}", remedy="send one JSON document in UTF-8") from None
    _check_depth(document)
    return document


T = TypeVar("T", bound=BaseModel)


async def read_json(request: Request, limit: int) -> bytes:
    """A body that is said to be JSON, of at most `limit` bytes. Raises `BodyTooLarge` and `BodyRefused`."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        raise BodyRefused("the request says of its body that it is no JSON", remedy="content-type: application/json")
    return await read_body(request, limit)


def said_in(body: bytes, kind: type[T]) -> T:
    """What a body of JSON says; worked out for those alone who may say it. Raises `BodyRefused`."""
    document = document_in(body)
    if not _is_text(document):
        raise BodyRefused("the body holds half a character (a lone surrogate)", remedy="send whole characters")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        flaws = error.errors(include_url=False, include_context=False, include_input=False)
        words = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in flaws[:3])
        raise BodyRefused(words[:LONGEST], remedy="/docs says what the body holds") from None


def json_body(kind: type[BaseModel]) -> dict[str, object]:
    """Such a body, for the OpenAPI document: with everything in one place, since it is no parameter of the route."""
    schema = kind.model_json_schema()
    parts = schema.pop("$defs", {})
    content = {"application/json": {"schema": _resolved(schema, parts)}}
    return {"requestBody": {"required": True, "content": content}}


def _resolved(value: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_resolved(each, parts) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _resolved(parts[value["$ref"].rpartition("/")[2]], parts)
    return {name: _resolved(each, parts) for name, each in value.items()}


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number in it has more than {MOST_DIGITS} digits")
    return int(digits)


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _is_text(document: object) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number")


def _check_depth(document: object) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        level = [inner for outer in level for inner in _inside(outer)]


def _inside(value: object) -> Sequence[object]:
    found = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [inner for inner in found if isinstance(inner, dict | list)]


def _too_deep() -> BodyRefused:
    return BodyRefused(
        f"the body is nested more than {DEEPEST} levels deep", remedy="nothing taken here has more than four"
    )
