"""Texts that are filled in with what is known of a person: `{attribute}`, `{attribute|lower}`, `{attribute|upper}`.

An attribute of the person, nothing else, and no expressions. What the filled-in text has to be escaped for, whoever
uses it knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["Template", "fields", "filled", "literal"]

_FIELD = re.compile(r"\{([^{}|]*)(?:\|([^{}]*))?\}")
_FILTERS: Mapping[str, Callable[[str], str]] = {"": str, "lower": str.lower, "upper": str.upper}


def _is_template(text: str) -> str:
    left = literal(text)
    if "{" in left or "}" in left:
        raise ValueError(f"{text!r} has a brace that belongs to no `{{attribute}}`")
    for name, filtered in _FIELD.findall(text):
        if not name.strip():
            raise ValueError(f"{text!r} names no attribute between its braces")
        if filtered and filtered not in _FILTERS:
            raise ValueError(f"{text!r}: there is no filter `{filtered}`; there are `lower` and `upper`")
    return text


Template = Annotated[str, AfterValidator(_is_template), Field(min_length=1)]


def fields(text: str) -> Sequence[str]:
    """The attributes of a person that the template asks for."""
    return [name.strip() for name, _ in _FIELD.findall(text)]


def literal(text: str) -> str:
    """What stands in the template whoever it is filled in for."""
    return _FIELD.sub("", text)


def filled(text: str, person: Mapping[str, str]) -> str:
    """The text for a person of whom everything is known that it asks for."""

    def value(found: re.Match[str]) -> str:
        return _FILTERS[found[2] or ""](person[found[1].strip()].strip())

    return _FIELD.sub(value, text)
