"""Canonical JSON (RFC 8785) for payloads, quickly.

The standard library's encoder, written in C, writes what RFC 8785 asks for unless a value holds a number that is no
small integer, or a text beyond the basic multilingual plane (where the order of keys by UTF-16 is another). Whatever
might be such a value goes to the library that knows all of RFC 8785. A test holds the two together. The record of a
long run is mostly this.
"""

from __future__ import annotations

import json
import re
from typing import Any

import rfc8785

__all__ = ["canonical_json"]

_SPECIAL_NUMBER = re.compile(r"[:,\[]-?[0-9]+(?:[.e]|(?<=[0-9]{16}))")
"""A fraction, a power of ten, or an integer that not every reader of JSON can hold (2^53 has 16 digits), inside another
value. With the beginning of the text as another place to find one, looking takes three times as long.
"""

_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical_json(value: Any) -> bytes:
    """The value as canonical JSON, UTF-8. Raises `rfc8785.CanonicalizationError` for what cannot be written so."""
    try:
        text = _encode(value)
        plain = text.isascii() or len(text.encode("utf-16-le")) == 2 * len(text)
    except (ValueError, TypeError):
        return rfc8785.dumps(value)
    by_itself = isinstance(value, int | float)
    return text.encode() if plain and not by_itself and not _SPECIAL_NUMBER.search(text) else rfc8785.dumps(value)
