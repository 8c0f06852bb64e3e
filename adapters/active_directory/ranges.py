"""Large groups, read whole: `member;range=0-1499`, and on until the server says that nothing follows.

A controller returns at most so many values of an attribute (1,500 unless configured otherwise) and says so only in the
attribute's name (MS-ADTS, section 3.1.1.3.1.3.3). A group that grows past the limit would lose all its members to
whoever does not look there. A range is therefore asked for always, so that groups of every size take the same path.

Between two pieces somebody may change the group, and a member be missed or seen twice. The group's `uSNChanged` comes
with each piece: where it is not what it was, the group is read again from its start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.directory.entries import Entry

__all__ = ["MOST_VALUES", "first_range", "whole"]

MOST_VALUES = 1500
"""What a controller returns at once unless configured otherwise; it may return fewer."""
_ATTEMPTS = 3
"""How often a group is read again from its start because somebody keeps changing it."""
_RANGE = re.compile(r";range=(?P<first>\d+)-(?P<last>\d+|\*)$")
_STAMP = "usnchanged"

Again = Callable[[str, Sequence[str]], Entry | None]
"""One entry by its name with these attributes; None where it is there no more."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Values of an attribute, from which position on the rest follows; `following` is 0 after the last."""

    values: Sequence[bytes]
    following: int


def first_range(attribute: str, start: int = 0) -> Sequence[str]:
    """What to ask for instead of the attribute."""
    return (f"{attribute};range={start}-{start + MOST_VALUES - 1}", "uSNChanged")


def whole(entry: Entry, attribute: str, again: Again) -> Entry:
    """The entry with all values of an attribute that was asked for by `first_range`, under its plain name.

    Where the group kept changing, or is gone, it is the entry as it came: in the attribute's name stands that a part is
    missing.
    """
    current: Entry | None = entry
    for _ in range(1 + _ATTEMPTS):
        if current is None:
            break
        values = _values(current, attribute, again)
        if values is not None:
            others = {name: own for name, own in entry.attributes.items() if not _is_of(name, attribute)}
            return replace(entry, attributes={**others, attribute: values} if values else others)
        current = again(entry.dn, first_range(attribute))
    return entry


def _values(first: Entry, attribute: str, again: Again) -> Sequence[bytes] | None:
    """All values, each once; None where the entry did not stay the same while they were read."""
    piece, stamp = _piece(first.attributes, attribute), first.text(_STAMP)
    if piece is None:
        return ()
    values = dict.fromkeys(piece.values)
    while piece.following:
        entry = again(first.dn, first_range(attribute, piece.following))
        if entry is None or not stamp or entry.text(_STAMP) != stamp:
            return None
        piece = _piece(entry.attributes, attribute)
        if piece is None:
            return None
        values.update(dict.fromkeys(piece.values))
    return list(values)


def _piece(attributes: Mapping[str, Sequence[bytes]], attribute: str) -> _Piece | None:
    """The piece that an entry has; None where it has no value at all."""
    for name in _names(attributes, attribute):
        found = _RANGE.search(name)
        last = found["last"] if found else "*"
        return _Piece(attributes[name], 0 if last == "*" else int(last) + 1)
    return None


def _names(attributes: Mapping[str, Sequence[bytes]], attribute: str) -> Iterator[str]:
    """The names under which an entry has values of an attribute, those of pieces first."""
    yield from sorted((name for name in attributes if _is_of(name, attribute)), key=lambda name: name == attribute)


def _is_of(name: str, attribute: str) -> bool:
    return name == attribute or name.startswith(f"{attribute};range=")
