"""Reading many entries at once, at a few microseconds each.

Two readings of an entry stand side by side. The quick one takes the shape in which servers send nearly all of them,
every length checked, and says when it is another; the one of `adapters.ldap.ber` takes whatever is allowed, and says
what is wrong. Where the quick one has an answer, it is the other's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Sequence
from functools import lru_cache

from adapters.directory.entries import Entry
from adapters.ldap.ber import ENTRY, INTEGER, OCTETS, SEQUENCE, SET, Message, decode, expect, octet_strings

__all__ = ["Habits", "decoded"]


def decoded(
    data: bytes, found: Sequence[tuple[int, int]], numbers: Container[int], habits: Habits
) -> tuple[list[Entry], list[tuple[int, Message]]]:
    """The messages between those bounds: the entries that answer searches of these numbers, and all others with their
    ids. `habits` are those of the answers so far. Raises `Malformed`.
    """
    entries: list[Entry] = []
    others: list[tuple[int, Message]] = []
    opening = _NEVER
    for start, end in found:
        first = data[start + 1]
        position = start + 2 + (first & 0x7F if first & 0x80 else 0)
        if not data.startswith(opening, position):
            opening = _opening(data, position, end, numbers)
        entry = None if opening is _NEVER else _quick_entry(data, position + len(opening), end, habits)
        if entry is None:
            answered, message = decode(data[start:end])
            if answered not in numbers or not isinstance(message, Entry):
                others.append((answered, message))
                continue
            entry = message
        entries.append(entry)
    return entries, others


_NEVER = b"\x00never"
"""No message's content starts so: it would have to start with an integer."""


def _opening(data: bytes, position: int, end: int, numbers: Container[int]) -> bytes:
    """With which octets the content starts of every entry for the search that this one is for."""
    if position + 1 < end:
        stop = position + 2 + data[position + 1]
        is_entry = data[position] == INTEGER and stop < end and data[stop] == ENTRY
        if is_entry and int.from_bytes(data[position + 2 : stop], "big") in numbers:
            return data[position : stop + 1]
    return _NEVER


class _Names(dict[bytes, str]):
    """Attribute descriptions in lower case, by their octets: there are few, and they come a million times."""

    def __missing__(self, octets: bytes) -> str:
        name = octets.decode("ascii").lower()
        if len(self) < _MOST_NAMES:
            self[octets] = name
        return name


_MOST_NAMES = 1000
_names = _Names()


class Habits:
    """What the answers to a search are like: entries mostly have the same attributes in the same order, and the values
    of an attribute that has many are mostly of a few lengths.
    """

    def __init__(self) -> None:
        self.heads: list[tuple[bytes, int, str]] = []
        """How the attributes start that have one short value: the octets from the name's tag to the set's, how many
        those are, and the name.
        """
        self.many: re.Pattern[bytes] | None = None
        """Finds the values of an attribute that has many, one after the other."""
        self._lessons = _LESSONS
        self._lengths: Counter[int] = Counter()

    def learn_heads(self, data: bytes, position: int, end: int) -> None:
        """Expect the attributes that stand here, whose reading went well."""
        if not self._lessons:
            return
        self._lessons -= 1
        self.heads.clear()
        while position < end and len(self.heads) < _MOST_HEADS:
            start, stop = expect(data, position, end, SEQUENCE)
            _, name_stop = expect(data, start, stop, OCTETS)
            head = data[start : name_stop + 1]
            self.heads.append((head, len(head), _names[head[2:-1]]))
            position = stop

    def learn_lengths(self, values: Sequence[bytes]) -> None:
        """Expect many values to be as long as these."""
        if not self._lessons:
            return
        self._lessons -= 1
        self._lengths.update(map(len, values))
        usual = tuple(length for length, _ in self._lengths.most_common())
        self.many = _one_of(usual) if len(usual) <= _MOST_LENGTHS and max(usual) < 0x80 else None


_LESSONS = 40
"""So often is it worth while to learn anew: where answers differ so much, expecting anything gains nothing."""
_MOST_HEADS = 32
_MOST_LENGTHS = 8
"""With more of them, trying one after the other takes longer than looking."""
_MANY = 2000
"""So many octets of values are worth it."""


@lru_cache(maxsize=64)
def _one_of(lengths: tuple[int, ...]) -> re.Pattern[bytes]:
    """An octet string of one of these lengths; its one group is its content."""
    heads = b"".join(re.escape(bytes((length,))) for length in lengths)
    contents = (b"(?<=%b).{%d}" % (re.escape(bytes((length,))), length) for length in lengths)
    return re.compile(b"\\x04[%b](%b)" % (heads, b"|".join(contents)), re.DOTALL)


def _quick_entry(data: bytes, position: int, end: int, habits: Habits) -> Entry | None:
    """An entry, from the length of its element to the end of its message; None where its shape is not the usual one.

    INVARIANT: an answer is what `_entry` would give. Every element ends exactly where what contains it ends.
    """
    try:
        position = _content(data, position, end)
        start = position + 2
        length = data[position + 1]
        if data[position] != OCTETS or length >= 0x80:
            return None
        position = start + length
        dn = data[start:position].decode()
        if data[position] != SEQUENCE:
            return None
        first = _content(data, position + 1, end)
        attributes: dict[str, list[bytes]] = {}
        position = _as_expected(data, first, end, habits, attributes)
        if position < end:
            while position < end:
                position = _quick_attribute(data, position, end, attributes, habits)
            habits.learn_heads(data, first, end)
    except (IndexError, UnicodeDecodeError, _Unusual):
        return None
    return Entry(dn, attributes)


def _as_expected(data: bytes, position: int, end: int, habits: Habits, attributes: dict[str, list[bytes]]) -> int:
    """Read attributes for as long as they are those expected, with one short value each; where the rest starts."""
    for head, size, name in habits.heads:
        start = position + 2
        at = start + size
        if data[start:at] != head:
            continue
        length = data[position + 1]
        stop = start + length
        # The set ends where the attribute does and the value where the set does: all three lengths are short ones.
        if length >= 0x80 or data[at] + 1 != length - size or data[at + 1] != OCTETS or data[at + 2] + 2 != data[at]:
            break
        if data[position] != SEQUENCE or stop > end:
            break
        attributes[name] = [data[at + 3 : stop]]
        position = stop
    return position


class _Unusual(Exception):
    """The quick reading does not know this shape."""


def _content(data: bytes, position: int, end: int) -> int:
    """Where the content starts of an element whose length stands here, and which has to reach to `end`."""
    length = data[position]
    position += 1
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[position : position + octets], "big")
        position += octets
    if position + length != end:
        raise _Unusual
    return position


def _quick_attribute(data: bytes, position: int, limit: int, attributes: dict[str, list[bytes]], habits: Habits) -> int:
    """Read one attribute into the others; where it ends. The inner loop of all bulk reading, hence without calls."""
    length = data[position + 1]
    start = position + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[start : start + octets], "big")
        start += octets
    end = start + length
    length = data[start + 1]
    at = start + 2 + length
    if data[position] != SEQUENCE or data[start] != OCTETS or length >= 0x80 or data[at] != SET or end > limit:
        raise _Unusual
    name = _names[data[start + 2 : at]]
    length = data[at + 1]
    at += 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[at : at + octets], "big")
        at += octets
    if at + length != end:
        raise _Unusual
    many = end - at > _MANY
    if many and habits.many is not None:
        values = habits.many.findall(data, at, end)
        # Together they are as long as all there is, so that there is nothing between them.
        if sum(map(len, values)) + 2 * len(values) == end - at:
            attributes[name] = values
            return end
    values = attributes[name] = []
    while at < end:
        length = data[at + 1]
        if data[at] != OCTETS or length >= 0x80:
            values += octet_strings(data, at, end)
            return end
        start = at + 2
        at = start + length
        values.append(data[start:at])
    if at != end:
        raise _Unusual
    if many:
        habits.learn_lengths(values)
    return end
