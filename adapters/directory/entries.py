"""What a directory holds, and the two protocols behind which it stands: one reads, the other also writes.

Attribute names are in lower case throughout, values are octets, and names (DNs) are text as the directory spells them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol

__all__ = [
    "Answer",
    "DirectoryReader",
    "DirectoryWriter",
    "Edit",
    "Entry",
    "GroupName",
    "Listing",
    "Modification",
    "Move",
    "NewEntry",
    "Request",
    "Verdict",
]


@dataclass(slots=True)  # and not frozen, which triples the time that making one takes: there may be a million
class Entry:
    """One entry, with the attributes that were asked for."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def values(self, attribute: str) -> Sequence[bytes]:
        return self.attributes.get(attribute.lower(), ())

    def text(self, attribute: str) -> str:
        """The attribute's first value as text, stripped; empty where there is none."""
        values = self.values(attribute)
        return values[0].decode("utf-8", "replace").strip() if values else ""


@dataclass(slots=True)
class Listing:
    """Entries as they come. Once exhausted, `shortfalls` says why some may be missing; empty means that none are."""

    entries: Iterable[Entry]
    shortfalls: list[str] = field(default_factory=list)
    confirmed_empty: bool = False
    """Set where there is no entry and the directory itself says so."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


KEPT = 1 << 15
"""What is worked out from names alone is kept for so many: the same groups are asked about for every leaver."""


@dataclass(frozen=True, slots=True)
class GroupName:
    """How a locator names a group: by `cn` under the groups' base, or by its DN."""

    cn: str = ""
    dn: str = ""


class Edit(Enum):
    """What a modification does with its values; `REPLACE` without values removes the attribute."""

    ADD = "add"
    DELETE = "delete"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Modification:
    """One part of a modify request: all parts take effect, or none."""

    attribute: str
    edit: Edit
    values: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """A change of one entry: all its parts take effect, or none. `provided`: only where the entry still has these
    values, as far as the directory can be asked for that; each attribute has one.
    """

    dn: str
    parts: Sequence[Modification] = ()
    provided: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be added. There may be a secret among its attributes."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Move:
    """An entry to be put below another one, under the same name of its own."""

    entry: Entry
    unit: str


class Verdict(StrEnum):
    """What a directory answers to a modification."""

    DONE = "done"
    CONFLICT = "conflict"
    """A value, or an entry, to add is there already, or a value to delete is not."""
    VIOLATION = "violation"
    """The entry would no longer be valid, e.g. a group without its last member."""
    CHANGED = "changed"
    """What the request was provided with is so no more."""
    GONE = "gone"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, with the directory's own words."""

    verdict: Verdict
    words: str = ""


class DirectoryReader(Protocol):
    """A directory that cannot be written. Bases, filters and class names are the implementation's own configuration.

    Every method raises `TargetUnavailable` where there is no answer and `TargetError` where the directory cannot be
    used.
    """

    def accounts(self, attributes: Sequence[str], keys: Collection[str] | None = None) -> Listing:
        """The entries under the people's base that are accounts: all, or those with these keys."""

    def having(self, values: Mapping[str, str]) -> Listing:
        """The accounts with all of these values, as the directory compares them; of each only its key."""

    def groups(
        self, names: Sequence[GroupName], attributes: Sequence[str], holding: Collection[bytes] | None = None
    ) -> Listing:
        """The groups of the configured kind with these names; with `holding`, those with one of these members only."""

    def other_groups(self, names: Sequence[GroupName], attributes: Sequence[str]) -> Listing:
        """Groups of whatever class with these names."""

    def groups_of(self, members: Collection[bytes], attributes: Sequence[str]) -> Listing:
        """The groups of the configured kind that have one of these members."""

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        """One entry by its name, or None where there is none."""

    def key(self, entry: Entry) -> str:
        """The entry's stable identifier; empty where it cannot be read."""

    def same(self, entry: Entry) -> Mapping[str, bytes]:
        """The values by which a change can be bound to this very entry, whatever has its name by then."""


class DirectoryWriter(DirectoryReader, Protocol):
    """A directory that can be written. A write never raises: what went wrong is in its answer."""

    def modify(self, wanted: Sequence[Request]) -> Sequence[Answer]:
        """Make these changes, of different entries, in no particular order; one answer for each."""

    def delete(self, wanted: Request) -> Answer: ...

    def move(self, wanted: Sequence[Move]) -> Sequence[Answer]:
        """Move these, in no particular order; one answer for each. Groups that have them as members have them still;
        where one could not be brought to that, the words of a `DONE` say so.
        """

    def add(self, wanted: NewEntry) -> Answer:
        """Add one entry; a `CONFLICT` where there is one of that name."""

    def with_secret(self, wanted: NewEntry, secret: str) -> NewEntry | None:
        """The entry with what somebody signs in with, where a directory takes that in one request with all else; None
        where `give_secret` comes afterwards.
        """

    def give_secret(self, dn: str, secret: str) -> Answer:
        """Set what somebody signs in with, to be kept as the directory keeps such things."""
