"""SCIM's routes for the OpenAPI document: what there is, and how each of it is refused. What a person's resource holds
depends on the policy, and `/scim/v2/Schemas` tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scim2_server.responses import SCIM_MEDIA_TYPE

from reconciler.service.callers import BEARER

__all__ = ["DESCRIBED", "Described"]

_WORDS = {
    304: "Nothing is new since `If-None-Match`.",
    400: "The request cannot be read, or says what cannot be. Nothing was recorded.",
    401: "No token, or one that has ended, was taken back or was never ours.",
    403: "The token is not good for this, or its owner may not do it here.",
    404: "There is no such person, schema or resource type.",
    409: "Somebody else has that id or name, or the record contradicts it. Nothing was recorded.",
    412: "Somebody else has changed it since. Nothing was recorded.",
    413: "The body is larger than SCIM takes; it was not read.",
    415: "The body is said to be no JSON.",
    429: "More exits than the policy lets through: ask again, after `Retry-After` seconds. Nothing was recorded.",
    503: "The record is out of reach, and nothing was recorded: ask again, after `Retry-After` seconds.",
}
_READ = (400, 401, 403, 413, 503)
_SEARCHED = (*_READ, 415)
_WRITTEN = (*_READ, 404, 409, 412, 415, 429)

_RESOURCE: dict[str, Any] = {
    "type": "object",
    "required": ["schemas"],
    "properties": {"schemas": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
}
_LIST: dict[str, Any] = {
    **_RESOURCE,
    "required": ["schemas", "totalResults"],
    "properties": {
        **_RESOURCE["properties"],
        "totalResults": {"type": "integer", "minimum": 0},
        "startIndex": {"type": "integer"},
        "itemsPerPage": {"type": "integer", "minimum": 0},
        "Resources": {"type": "array", "items": {"type": "object"}},
    },
}
_ERROR: dict[str, Any] = {
    **_RESOURCE,
    "required": ["schemas", "status"],
    "properties": {
        **_RESOURCE["properties"],
        "status": {"type": "string", "pattern": "^[45][0-9][0-9]$"},
        "scimType": {"type": "string"},
        "detail": {"type": "string"},
    },
}
_SHOWN = ("attributes", "excludedAttributes")
_ASKED = ("filter", "sortBy", "sortOrder", "startIndex", "count", *_SHOWN)
_NUMBERS = frozenset({"startIndex", "count"})


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one path. `answers`: what each status that is no refusal is answered with, None: with nothing."""

    method: str
    path: str
    summary: str
    answers: Mapping[int, dict[str, Any] | None]
    refused: Sequence[int]
    asked: Sequence[str] = ()
    said: dict[str, Any] | None = None
    open: bool = False

    @property
    def responses(self) -> dict[int | str, dict[str, Any]]:
        """As FastAPI takes them."""
        told: dict[int | str, dict[str, Any]] = {
            status: {"description": _WORDS.get(status, self.summary), **_content(schema)}
            for status, schema in self.answers.items()
        }
        return told | {status: {"description": _WORDS[status], **_content(_ERROR)} for status in self.refused}

    @property
    def extra(self) -> dict[str, Any]:
        """What FastAPI cannot see."""
        held = "user" if "{user}" in self.path else "name" if "{name}" in self.path else ""
        path = [{"name": held, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
        query = [
            {"name": name, "in": "query", "schema": {"type": "integer" if name in _NUMBERS else "string"}}
            for name in self.asked
        ]
        found: dict[str, Any] = {"parameters": [*(path if held else ()), *query]}
        if not self.open:
            found["security"] = [{BEARER.scheme_name: []}]
        if self.said is not None:
            found["requestBody"] = {"required": True, **_content(self.said)}
        return found


def _content(schema: dict[str, Any] | None) -> dict[str, Any]:
    return {} if schema is None else {"content": {SCIM_MEDIA_TYPE: {"schema": schema}}}


_ONE, _MANY = {200: _RESOURCE, 304: None}, {200: _LIST}
_SAVED = {200: _RESOURCE}
_OPERATIONS = {
    **_RESOURCE,
    "required": ["schemas", "Operations"],
    "properties": {
        **_RESOURCE["properties"],
        "Operations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["op"],
                "properties": {"op": {"enum": ["add", "replace", "remove"]}, "path": {"type": "string"}, "value": {}},
            },
        },
    },
}

DESCRIBED: Sequence[Described] = (
    Described("GET", "/Users", "The people whom SCIM has told of.", {200: _LIST}, _READ, _ASKED),
    Described("POST", "/Users", "Make a person known.", {201: _RESOURCE}, _WRITTEN, _SHOWN, _RESOURCE),
    Described("POST", "/Users/.search", "The same as GET, asked in the body.", _MANY, _SEARCHED, (), _RESOURCE),
    Described("GET", "/Users/{user}", "A person.", _ONE, (*_READ, 404), _SHOWN),
    Described("PUT", "/Users/{user}", "Say all of a person anew.", _SAVED, _WRITTEN, _SHOWN, _RESOURCE),
    Described(
        "PATCH",
        "/Users/{user}",
        "Change some of what is said of a person.",
        {**_SAVED, 204: None},
        _WRITTEN,
        _SHOWN,
        _OPERATIONS,
    ),
    Described("DELETE", "/Users/{user}", "A person has left.", {204: None}, _WRITTEN),
    Described("POST", "/.search", "A search among all that there is.", _MANY, _SEARCHED, (), _RESOURCE),
    Described("GET", "/ServiceProviderConfig", "What of SCIM is spoken.", _SAVED, (413, 503), open=True),
    Described("GET", "/ResourceTypes", "What kinds of resources there are.", _MANY, _READ),
    Described("GET", "/ResourceTypes/{name}", "One kind of resources.", _SAVED, (*_READ, 404)),
    Described("GET", "/Schemas", "What a resource holds.", _MANY, _READ),
    Described("GET", "/Schemas/{name}", "One schema.", _SAVED, (*_READ, 404)),
)
