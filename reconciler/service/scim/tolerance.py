"""Requests as they are really sent: what well-known providers write otherwise than the RFC, put as it would have it.

And what nobody knows is refused here: the reading that follows is a tolerant one, since attributes that RFC 7643 has
and that are not kept are let go without a word. Case of `op`, booleans in quotes, keys that are paths, and entries that
a path's filter describes are understood by `scim2_models` itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from scim2_models import InvalidFilterException, InvalidPathException, InvalidSyntaxException, InvalidValueException

from reconciler.service.bodies import document_in
from reconciler.service.scim.schemas import ENTERPRISE, OWN, Language

__all__ = ["LONGEST_EXPRESSION", "check_expressions", "is_text", "patch_read", "resource_read", "search_read"]

LONGEST_EXPRESSION = 1000
"""Characters of a filter, or of a path."""

MOST_OPERATIONS = 200
"""In one PATCH. Each is applied to the whole resource."""

_MANAGER = f"{ENTERPRISE}:manager".casefold()
_EXTENSIONS = frozenset({ENTERPRISE.casefold(), OWN.casefold()})


def is_text(value: object) -> bool:
    """Whether a text can be kept: whole characters, and no NUL among them."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in str(value)


def check_expressions(**given: str | None) -> None:
    """Raises `InvalidFilterException` for a filter, and `InvalidPathException` for paths, that nobody means."""
    for name, text in given.items():
        if text is not None and len(text) > LONGEST_EXPRESSION:
            kind = InvalidFilterException if name == "filter" else InvalidPathException
            raise kind(detail=f"`{name}` has more than {LONGEST_EXPRESSION} characters")


def resource_read(body: bytes, language: Language) -> bytes:
    """The resource in a POST or PUT."""
    document = _document(body)
    _check_keys(language, document, "")
    for key in list(document):
        if key.casefold() == ENTERPRISE.casefold() and isinstance(document[key], dict):
            document[key] = _with_manager(document[key])
    return _again(document)


def search_read(body: bytes) -> bytes:
    """The message of a search."""
    document = _document(body)
    for key, value in document.items():
        if key.casefold() in ("filter", "sortby") and isinstance(value, str):
            check_expressions(**{"filter" if key.casefold() == "filter" else "sortBy": value})
    return _again(document)


def patch_read(body: bytes, language: Language) -> bytes:
    """The operations of a PATCH. Raises `InvalidPathException` where one is on what there is not."""
    document = _document(body)
    key = next((each for each in document if each.casefold() == "operations"), None)
    operations = document.get(key) if key else None
    if key is None or not isinstance(operations, list):
        return _again(document)
    if len(operations) > MOST_OPERATIONS:
        raise InvalidValueException(detail=f"a PATCH has at most {MOST_OPERATIONS} operations here")
    document[key] = [_operation(each, language) if isinstance(each, dict) else each for each in operations]
    return _again(document)


def _operation(operation: dict[str, Any], language: Language) -> dict[str, Any]:
    path, value = operation.get("path"), operation.get("value")
    if path is not None and not isinstance(path, str):
        raise InvalidPathException(detail="a path is a text")
    if path:
        check_expressions(path=path)
        _check_known(language, path)
        if path.casefold() == _MANAGER:
            return _manager_operation(operation, value)
    if isinstance(value, dict) and (not path or path.casefold() in _EXTENSIONS):
        _check_keys(language, value, f"{path}:" if path else "")
        return {**operation, "value": _with_managers(value, path or "")}
    return operation


def _with_managers(value: dict[str, Any], path: str) -> dict[str, Any]:
    if path.casefold() == ENTERPRISE.casefold():
        return _with_manager(value)
    found = dict(value)
    for key, inner in value.items():
        if key.casefold() == ENTERPRISE.casefold() and isinstance(inner, dict):
            found[key] = _with_manager(inner)
        elif key.casefold() == _MANAGER:
            found[key] = _manager(inner)
    return found


def _with_manager(extension: dict[str, Any]) -> dict[str, Any]:
    return {key: _manager(value) if key.casefold() == "manager" else value for key, value in extension.items()}


def _manager_operation(operation: dict[str, Any], value: object) -> dict[str, Any]:
    removes = str(operation.get("op")).casefold() == "remove"
    manager = None if removes else _manager(value)
    if manager is None:
        return {"op": "remove", "path": operation["path"]}
    return {**operation, "value": manager}


def _manager(value: object) -> object:
    """A manager is a text, an object, or an object in a list; with an id, or a link to one."""
    if isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    if isinstance(value, str):
        return {"value": value} if value.strip() else None
    if isinstance(value, dict) and isinstance(value.get("$ref"), str) and not value.get("value"):
        return {"value": unquote(value["$ref"].rstrip("/").rsplit("/", 1)[-1])}
    if isinstance(value, dict) and not value.get("value"):
        return None
    return value


def _check_keys(language: Language, document: dict[str, Any], prefix: str) -> None:
    for key, value in document.items():
        check_expressions(path=key)
        _check_known(language, prefix + key)
        if not prefix and key.casefold() in _EXTENSIONS and isinstance(value, dict):
            _check_keys(language, value, f"{key}:")


def _check_known(language: Language, path: str) -> None:
    if not language.knows(path):
        raise InvalidPathException(detail=f"there is no attribute `{path}`")


# --- JSON -------------------------------------------------------------------------------------------------------------


def _document(body: bytes) -> dict[str, Any]:
    document = document_in(body)
    if not isinstance(document, dict):
        raise InvalidSyntaxException(detail="a SCIM message is a JSON object")
    if not all(map(is_text, _all_texts(document))):
        raise InvalidValueException(detail="a text holds half a character (a lone surrogate), or NUL")
    return document


def _all_texts(document: object) -> Iterator[str]:
    """Keys and values. The depth is bounded by now."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from _all_texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _all_texts(value)


def _again(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
