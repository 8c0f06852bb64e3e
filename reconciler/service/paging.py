"""Pages of a long list: where the next one begins, in a text that means nothing to whoever gets it.

It is neither secret nor signed: it holds nothing that its bearer could not have asked for.
"""

from __future__ import annotations

import base64
import binascii
import json

from reconciler.audit.moments import QuestionRefused

__all__ = ["LONGEST", "PAGE", "is_plain", "read_token", "token_of"]

PAGE, LONGEST = 200, 1000
"""How many are on a page where nobody says, and at the most."""

LARGEST = 1 << 53
"""No number of ours is as large, and every reader of JSON knows those below it exactly."""


def token_of(*parts: str | int) -> str:
    """The text for these parts."""
    return base64.urlsafe_b64encode(json.dumps(parts, ensure_ascii=False).encode()).decode().rstrip("=")


def read_token(text: str, *kinds: type[str] | type[int]) -> list[str | int]:
    """The parts again, each of its kind, and such as a database can be asked about. Raises `QuestionRefused`."""
    try:
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or len(parts) != len(kinds) or not all(map(_fits, parts, kinds)):
        raise QuestionRefused("this names no page", remedy="give what the page before named, or leave it out")
    return parts


def _fits(part: object, kind: type) -> bool:
    if isinstance(part, str):
        return kind is str and is_plain(part)
    return type(part) is int and kind is int and 0 <= part < LARGEST


def is_plain(text: str) -> bool:
    """Whether it is whole characters, none of which a database would choke on."""
    return not any(each == "\x00" or "\ud800" <= each <= "\udfff" for each in text)
