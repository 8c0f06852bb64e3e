"""Requests as octets: searches in pages, modifications and deletions, and the filters in them.

Promises: every value is a value, whatever is in it, since a filter here is never a text that somebody takes apart.
Knows neither sockets nor sessions. Sources: RFC 4511 (messages, filters), RFC 2696 (paging), RFC 4528 (assertions),
X.690 (basic encoding rules).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum

from adapters.directory.entries import Edit, Modification

__all__ = [
    "ASSERTION",
    "Filter",
    "Scope",
    "all_of",
    "any_of",
    "any_value",
    "asserting",
    "at_least",
    "deletion",
    "equal",
    "equal_to",
    "message",
    "modification",
    "move",
    "none_of",
    "page",
    "search",
]

ASSERTION = "1.3.6.1.1.12"
"""What a server announces that takes the assertion control (RFC 4528)."""
_SEQUENCE, _SET, _INTEGER, _OCTETS, _ENUMERATED = 0x30, 0x31, 0x02, 0x04, 0x0A
_SEARCH, _MODIFY, _ADD, _DELETE, _MODIFY_DN, _EXTENDED, _CONTROLS = 0x63, 0x66, 0x68, 0x4A, 0x6C, 0x77, 0xA0
_AND, _OR, _NOT, _EQUALITY, _GREATER_OR_EQUAL, _PRESENT = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5, 0x87
_PASSWORD_MODIFY = b"1.3.6.1.4.1.4203.1.11.1"
_PAGED_RESULTS = b"1.2.840.113556.1.4.319"
_EDITS = {Edit.ADD: 0, Edit.DELETE: 1, Edit.REPLACE: 2}
_TRUE = b"\x01\x01\xff"

Filter = bytes
"""A search filter in its encoding."""


class Scope(IntEnum):
    """How far below its base a search goes."""

    BASE = 0
    SUBTREE = 2


def message(number: int, operation: bytes, *controls: bytes) -> bytes:
    """A whole message of this number."""
    parts = [_integer(_INTEGER, number), operation]
    if controls:
        parts.append(_element(_CONTROLS, *controls))
    return _element(_SEQUENCE, *parts)


# --- filters ----------------------------------------------------------------------------------------------------------


def equal(attribute: str, value: bytes | str) -> Filter:
    """The attribute has this value, as the server compares it."""
    octets = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return _element(_EQUALITY, _octets(attribute.encode("ascii")), _octets(octets))


def at_least(attribute: str, value: bytes) -> Filter:
    """The attribute has this value or one that comes after it, as the server orders them."""
    return _element(_GREATER_OR_EQUAL, _octets(attribute.encode("ascii")), _octets(value))


def equal_to(attribute: str) -> Callable[[bytes | str], Filter]:
    """As `equal`, for one value after the other: most are of a few lengths, and there may be very many."""
    heads: dict[int, bytes] = {}

    def of(value: bytes | str) -> Filter:
        octets = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        size = len(octets)
        if size not in heads:
            whole = equal(attribute, octets)
            heads[size] = whole[: len(whole) - size]
        return heads[size] + octets

    return of


def any_value(attribute: str) -> Filter:
    """The attribute is there."""
    return _element(_PRESENT, attribute.encode("ascii"))


def all_of(*filters: Filter) -> Filter:
    """All of them hold."""
    return filters[0] if len(filters) == 1 else _element(_AND, *filters)


def none_of(*filters: Filter) -> Filter:
    """Not one of them holds."""
    return _element(_NOT, any_of(filters))


def any_of(filters: Iterable[Filter]) -> Filter:
    """At least one of them holds."""
    return _element(_OR, *filters)


# --- operations -------------------------------------------------------------------------------------------------------


def search(base: str, scope: Scope, condition: Filter, attributes: Sequence[str]) -> bytes:
    """A search without limits of its own; aliases stay aliases."""
    return _element(
        _SEARCH,
        _octets(_name(base)),
        _integer(_ENUMERATED, scope),
        _integer(_ENUMERATED, 0),  # aliases are never followed
        _integer(_INTEGER, 0),
        _integer(_INTEGER, 0),
        b"\x01\x01\x00",
        condition,
        _element(_SEQUENCE, *(_octets(attribute.encode("ascii")) for attribute in attributes)),
    )


def modification(dn: str, parts: Sequence[Modification]) -> bytes:
    """All these modifications of one entry, or none."""
    return _element(_MODIFY, _octets(_name(dn)), _element(_SEQUENCE, *map(_part, parts)))


def _part(part: Modification) -> bytes:
    values = _element(_SET, *map(_octets, part.values))
    attribute = _element(_SEQUENCE, _octets(part.attribute.encode("ascii")), values)
    return _element(_SEQUENCE, _integer(_ENUMERATED, _EDITS[part.edit]), attribute)


def deletion(dn: str) -> bytes:
    """One entry away."""
    return _encoded(_DELETE, _name(dn))


def addition(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> bytes:
    """A new entry."""
    parts = [
        _element(_SEQUENCE, _octets(attribute.encode("ascii")), _element(_SET, *map(_octets, values)))
        for attribute, values in attributes.items()
    ]
    return _element(_ADD, _octets(_name(dn)), _element(_SEQUENCE, *parts))


def move(dn: str, rdn: str, superior: str) -> bytes:
    """One entry below another one, under this name of its own, which replaces the former."""
    place = _encoded(0x80, _name(superior))
    return _element(_MODIFY_DN, _octets(_name(dn)), _octets(_name(rdn)), _TRUE, place)


def new_password(dn: str, password: str) -> bytes:
    """A password for an entry, in clear: on an encrypted connection only (RFC 3062)."""
    value = _element(_SEQUENCE, _encoded(0x80, _name(dn)), _encoded(0x82, password.encode()))
    return _element(_EXTENDED, _encoded(0x80, _PASSWORD_MODIFY), _encoded(0x81, value))


# --- controls ---------------------------------------------------------------------------------------------------------


def page(size: int, cookie: bytes) -> bytes:
    """So many entries at a time, from where the cookie says; without this control's answer nothing is whole."""
    value = _element(_SEQUENCE, _integer(_INTEGER, size), _octets(cookie))
    return _element(_SEQUENCE, _octets(_PAGED_RESULTS), _TRUE, _octets(value))


def asserting(condition: Filter) -> bytes:
    """The request is carried out only where this holds of its entry."""
    return _element(_SEQUENCE, _octets(ASSERTION.encode()), _TRUE, _octets(condition))


# --- encoding ---------------------------------------------------------------------------------------------------------


def _element(tag: int, *parts: bytes) -> bytes:
    return _encoded(tag, b"".join(parts))


def _octets(value: bytes) -> bytes:
    return _encoded(_OCTETS, value)


def _integer(tag: int, number: int) -> bytes:
    return _encoded(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | octets)) + length.to_bytes(octets, "big") + content


def _name(dn: str) -> bytes:
    return dn.encode("utf-8", "surrogateescape")
