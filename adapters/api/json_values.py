"""JSON as an API sends it: read strictly, looked into by dotted paths, and turned into cells. Pure.

Promises: a number is the text that was sent, so that no digit is lost; what cannot be a cell says why. Source:
RFC 8259.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, NoReturn

from adapters.records import SET_SEPARATORS

__all__ = ["MISSING", "Missing", "NotJson", "cell", "find", "kind_of", "paths", "read"]

_DEPTH = 4
_MOST = 200


class Missing(Enum):
    """There is nothing of this name."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class NotJson(ValueError):
    """Why a body cannot be read, in words."""


class Number(str):
    """A number as it was sent."""

    __slots__ = ()


def read(body: bytes, *, exact: bool = False) -> object:
    """The value that the body is. `exact`: whole numbers are numbers, so that they can be sent back as such. Raises
    `NotJson`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotJson(f"it is not UTF-8 (octet {error.start + 1} of {len(body)})") from None
    if not text.strip():
        raise NotJson("it is empty")
    try:
        whole = int if exact else Number
        return json.loads(text, parse_int=whole, parse_float=Number, parse_constant=_refuse)
    except RecursionError:
        raise NotJson("it is nested without end") from None
    except ValueError as error:
        raise NotJson(f"it is not JSON: {error}") from None


def find(value: object, path: str) -> object:
    """What stands at a dotted path: a key, or the number of an element, at each step; across the elements of a list
    where a key is asked of it. `MISSING` where there is no such key, None below what is null.
    """
    if not path or value is None:
        return value
    if isinstance(value, list):
        return _across(value, path)
    if not isinstance(value, dict):
        return MISSING
    if path in value:
        return value[path]
    head, dot, rest = path.partition(".")
    return find(value[head], rest) if dot and head in value else MISSING


def cell(value: object) -> str:
    """A value as a cell; a list of plain values is a set. Raises `ValueError` for what cannot be one."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(_elements(value))
    assert isinstance(value, dict)  # noqa: S101  # JSON has no other kinds
    names = ", ".join(list(value)[:10])
    raise ValueError(f"it is an object ({names or 'empty'}), not a value: name one of its fields with a dot")


def kind_of(value: object) -> str:
    """What a value is, in words."""
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, Number | int):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"


def paths(value: object, depth: int = _DEPTH) -> list[str]:
    """The dotted paths that a value has, those of lists as of their first element; bounded."""
    found: list[str] = []
    for path in _paths(value, depth):
        found.append(path)
        if len(found) == _MOST:
            break
    return found


def _across(values: Sequence[object], path: str) -> object:
    head, _, rest = path.partition(".")
    if head.isascii() and head.isdigit():
        return find(values[int(head)], rest) if int(head) < len(values) else None
    found = [item for item in (find(value, path) for value in values) if item is not MISSING]
    return found if found or not values else MISSING


def _elements(values: Sequence[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from _elements(value)
        elif text := cell(value).strip():
            if any(mark in text for mark in SET_SEPARATORS):
                raise ValueError(f"`{text}` holds a `;`, which separates the values of a set")
            yield text


def _paths(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, list):
        yield from _paths(value[0], depth) if value else ()
    elif isinstance(value, Mapping) and depth:
        for name, inner in value.items():
            yield str(name)
            yield from (f"{name}.{path}" for path in _paths(inner, depth - 1))


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"`{word}` is no JSON value")
