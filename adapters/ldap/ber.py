"""Reading search answers straight from their octets.

Promises: the few message types that answer a search, decoded into names and raw values at a few microseconds an entry,
and an error for whatever is not well-formed. Knows neither sockets nor sessions. Source: RFC 4511 (messages), RFC 2696
(paging), X.690 (basic encoding rules, definite lengths, as RFC 4511 section 5.1 demands).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.directory.entries import Entry

__all__ = [
    "ENTRY",
    "INTEGER",
    "OCTETS",
    "SEQUENCE",
    "SET",
    "Done",
    "Malformed",
    "Message",
    "Reference",
    "bounds",
    "decode",
    "ended",
    "expect",
    "message_end",
    "octet_strings",
    "result",
]

SEQUENCE, SET, INTEGER, OCTETS, _ENUMERATED = 0x30, 0x31, 0x02, 0x04, 0x0A
ENTRY, _DONE, _REFERENCE, _EXTENDED, _INTERMEDIATE = 0x64, 0x65, 0x73, 0x78, 0x79
# Of a search, a modification, an addition, a deletion, an extended operation.
_RESULTS = frozenset({_DONE, 0x67, 0x69, 0x6B, 0x6D, _EXTENDED})
_CONTROLS, _REFERRAL = 0xA0, 0xA3
_PAGED_RESULTS = b"1.2.840.113556.1.4.319"


class Malformed(ValueError):
    """The octets are no LDAP message that may answer a search."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A part of the tree lies on another server (RFC 4511, section 4.5.3)."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """How a search, or one page of it, ended. `cookie` is empty after the last page."""

    code: int
    matched: str
    words: str
    referrals: tuple[str, ...] = ()
    cookie: bytes = field(default=b"", repr=False)


Message = Entry | Reference | Done | None
"""What a message says; None where it is nothing that a search has to mind."""


def message_end(buffer: bytes | bytearray, start: int) -> int:
    """Where the message that starts here ends; -1 while not enough of it has arrived to tell. Raises `Malformed`."""
    if len(buffer) < start + 2:
        return -1
    if buffer[start] != SEQUENCE:
        raise Malformed(f"a message starts with octet {buffer[start]:#04x}")
    first = buffer[start + 1]
    octets = first & 0x7F if first & 0x80 else 0
    if octets > 4 or first == 0x80:
        raise Malformed("a message has no definite length")
    if len(buffer) < start + 2 + octets:
        return -1
    length = int.from_bytes(buffer[start + 2 : start + 2 + octets], "big") if octets else first
    return start + 2 + octets + length


def bounds(data: bytes) -> list[tuple[int, int]]:
    """Where the whole messages at the beginning of these octets start and end; what remains is a part of the next one.

    Raises `Malformed`.
    """
    found = []
    position, size = 0, len(data)
    while position + 1 < size:
        length = data[position + 1]
        end = position + 2 + length
        if length == 0x81 and position + 2 < size and data[position] == SEQUENCE:  # most entries are that long
            end = position + 3 + data[position + 2]
        elif length >= 0x80 or data[position] != SEQUENCE:
            end = message_end(data, position)
            if end < 0:
                break
        if end > size:
            break
        found.append((position, end))
        position = end
    return found


def ended(data: bytes, start: int, end: int) -> int:
    """Which search the message there ends, without decoding it; -1 where it is another kind of message."""
    try:
        position, _ = expect(data, start, end, SEQUENCE)
        first, stop = expect(data, position, end, INTEGER)
        return int.from_bytes(data[first:stop], "big") if data[stop] == _DONE else -1
    except (Malformed, IndexError):
        return -1


def result(message: bytes) -> tuple[int, Done]:
    """The id of a message that ends an operation of whatever kind, and how it ended. Raises `Malformed`."""
    try:
        position, end = expect(message, 0, len(message), SEQUENCE)
        start, stop = expect(message, position, end, INTEGER)
        tag, first, last = _header(message, stop, end)
        if tag not in _RESULTS:
            raise Malformed(f"an operation is answered by a message of type {tag:#04x}")
        return int.from_bytes(message[start:stop], "big"), _done(message, first, last, end)
    except IndexError:
        raise Malformed("a message ends before its content") from None


def decode(message: bytes) -> tuple[int, Message]:
    """The message's id and what it says. Raises `Malformed`."""
    try:
        return _decode(message)
    except IndexError:
        raise Malformed("a message ends before its content") from None
    except UnicodeDecodeError as error:
        raise Malformed(f"a name is not UTF-8: {error.object!r}") from None


def _decode(message: bytes) -> tuple[int, Message]:
    position, end = expect(message, 0, len(message), SEQUENCE)
    start, stop = expect(message, position, end, INTEGER)
    number = int.from_bytes(message[start:stop], "big")
    tag, start, stop = _header(message, stop, end)
    if tag == ENTRY:
        return number, _entry(message, start, stop)
    if tag == _DONE:
        return number, _done(message, start, stop, end)
    if tag == _REFERENCE:
        return number, Reference(tuple(_strings(message, start, stop)))
    if tag in (_EXTENDED, _INTERMEDIATE):
        return number, None
    raise Malformed(f"a search is answered by a message of type {tag:#04x}")


def _header(data: bytes, position: int, limit: int) -> tuple[int, int, int]:
    """(tag, start, end) of the element that starts here, which has to end within its parent."""
    length = data[position + 1]
    start = position + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[start : start + octets], "big")
        start += octets
    end = start + length
    if end > limit:
        raise Malformed("an element is longer than what contains it")
    return data[position], start, end


def expect(data: bytes, position: int, limit: int, expected: int) -> tuple[int, int]:
    """Where the content of an element of that tag starts and ends. Raises `Malformed` and `IndexError`."""
    tag, start, end = _header(data, position, limit)
    if tag != expected:
        raise Malformed(f"expected an element of type {expected:#04x}, found {tag:#04x}")
    return start, end


def _entry(data: bytes, position: int, end: int) -> Entry:
    start, stop = expect(data, position, end, OCTETS)
    dn = data[start:stop].decode()
    attributes: dict[str, list[bytes]] = {}
    position, end = expect(data, stop, end, SEQUENCE)
    while position < end:
        start, stop = expect(data, position, end, SEQUENCE)
        position = stop
        name_start, name_stop = expect(data, start, stop, OCTETS)
        start, stop = expect(data, name_stop, stop, SET)
        attributes[data[name_start:name_stop].decode("ascii").lower()] = list(octet_strings(data, start, stop))
    return Entry(dn, attributes)


def octet_strings(data: bytes, position: int, end: int) -> Iterator[bytes]:
    """The octet strings between two positions. Raises `Malformed` and `IndexError`."""
    while position < end:
        if data[position] != OCTETS:
            raise Malformed(f"expected an octet string, found {data[position]:#04x}")
        length = data[position + 1]
        position += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[position : position + octets], "big")
            position += octets
        start, position = position, position + length
        if position > end:
            raise Malformed("a value is longer than what contains it")
        yield data[start:position]


def _strings(data: bytes, position: int, end: int) -> Iterator[str]:
    return (value.decode("utf-8", "replace") for value in octet_strings(data, position, end))


def _done(data: bytes, position: int, end: int, message_end: int) -> Done:
    start, stop = expect(data, position, end, _ENUMERATED)
    code = int.from_bytes(data[start:stop], "big")
    start, stop = expect(data, stop, end, OCTETS)
    matched = data[start:stop].decode("utf-8", "replace")
    start, stop = expect(data, stop, end, OCTETS)
    words = data[start:stop].decode("utf-8", "replace")
    referrals: tuple[str, ...] = ()
    if stop < end:
        tag, start, stop = _header(data, stop, end)
        referrals = tuple(_strings(data, start, stop)) if tag == _REFERRAL else ()
    return Done(code, matched, words, referrals, _cookie(data, end, message_end))


def _cookie(data: bytes, position: int, end: int) -> bytes:
    """The cookie of the paged results control among a message's controls; empty where there is none."""
    if position >= end:
        return b""
    position, end = expect(data, position, end, _CONTROLS)
    while position < end:
        start, stop = expect(data, position, end, SEQUENCE)
        position = stop
        name_start, name_stop = expect(data, start, stop, OCTETS)
        if data[name_start:name_stop] == _PAGED_RESULTS:
            return _paged_value(data, name_stop, stop)
    return b""


def _paged_value(data: bytes, position: int, end: int) -> bytes:
    tag, start, stop = _header(data, position, end)
    if tag != OCTETS:  # the criticality stands between the name and the value
        start, stop = expect(data, stop, end, OCTETS)
    start, stop = expect(data, start, stop, SEQUENCE)
    _, size_stop = expect(data, start, stop, INTEGER)
    start, stop = expect(data, size_stop, stop, OCTETS)
    return data[start:stop]
