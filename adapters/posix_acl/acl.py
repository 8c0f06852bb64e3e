"""A POSIX access control list, and the extended attribute in which the kernel keeps it. No I/O.

Source: Linux include/uapi/linux/posix_acl_xattr.h and posix_acl.h (a version, then entries of tag, permissions and id,
all little-endian); acl(5) for what the entries mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Literal, NamedTuple

__all__ = ["ACCESS", "DEFAULT", "EXECUTE", "READ", "WRITE", "Acl", "MalformedAcl", "Principal"]

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
"""The attributes: what counts for the file itself, and what is given to whatever is made in the folder."""
READ, WRITE, EXECUTE = 4, 2, 1

_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_VERSION = 2
_HEADER, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")


class MalformedAcl(ValueError):
    """These octets are no access control list."""


class Principal(NamedTuple):
    """Whom a named entry is about: a user's or a group's number."""

    kind: Literal["user", "group"]
    id: int


@dataclass(frozen=True, slots=True)
class Acl:
    """One list. Permissions are sums of `READ`, `WRITE` and `EXECUTE`; `mask` limits the owning group and all named
    entries, and is there whenever there is a named one.
    """

    owner: int
    group: int
    other: int
    named: Mapping[Principal, int] = field(default_factory=dict)
    mask: int | None = None

    @classmethod
    def of_mode(cls, mode: int) -> Acl:
        """The list of a file that has none but its mode."""
        return cls(mode >> 6 & 7, mode >> 3 & 7, mode & 7)

    @classmethod
    def decoded(cls, octets: bytes) -> Acl:
        """The list in an attribute. Raises `MalformedAcl`."""
        plain: dict[int, int] = {}
        named: dict[Principal, int] = {}
        for tag, permissions, number in _entries(octets):
            if tag in (_USER, _GROUP):
                # Of two entries for one user the kernel takes the first.
                named.setdefault(Principal("user" if tag == _USER else "group", number), permissions)
            elif tag in (_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER) and tag not in plain:
                plain[tag] = permissions
            else:
                raise MalformedAcl(f"an entry of tag {tag:#x} has no place in it")
        if not {_USER_OBJ, _GROUP_OBJ, _OTHER} <= plain.keys() or (named and _MASK not in plain):
            raise MalformedAcl("an entry that every list has is missing")
        return cls(plain[_USER_OBJ], plain[_GROUP_OBJ], plain[_OTHER], named, plain.get(_MASK))

    def encoded(self) -> bytes:
        """The attribute, in the order that the kernel demands."""
        rows = [(_USER_OBJ, self.owner, _NOBODY), (_GROUP_OBJ, self.group, _NOBODY), (_OTHER, self.other, _NOBODY)]
        rows += [(_USER if who.kind == "user" else _GROUP, held, who.id) for who, held in self.named.items()]
        if self.mask is not None:
            rows.append((_MASK, self.mask, _NOBODY))
        rows.sort(key=lambda row: (row[0], row[2]))
        return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*row) for row in rows)

    def effective(self, who: Principal) -> int:
        """What a named entry really gives: what it says, as far as the mask lets it."""
        return self.named.get(who, 0) & self.ceiling

    @property
    def ceiling(self) -> int:
        """The most that the owning group and named entries can have."""
        return 7 if self.mask is None else self.mask

    def with_rights(self, wanted: Mapping[Principal, int]) -> Acl:
        """The list in which each of these has exactly such rights, in effect (0: no entry), and nobody else has more or
        less than before.

        A mask that is too narrow is widened; whoever it limited is cut to what they had. One that is wider than what
        is in effect is narrowed to that, as setfacl does.
        """
        had = {who: held & self.ceiling for who, held in self.named.items()} | dict(wanted)
        kept = {who: held for who, held in had.items() if held or who not in wanted}
        group = self.group & self.ceiling
        if not kept:
            return Acl(self.owner, group, self.other)
        mask = reduce(or_, kept.values(), group)

        def said(before: int, in_effect: int) -> int:
            return before if before & mask == in_effect else in_effect

        named = {who: held if who in wanted else said(self.named[who], held) for who, held in kept.items()}
        return Acl(self.owner, said(self.group, group), self.other, named, mask)


def _entries(octets: bytes) -> Iterator[tuple[int, int, int]]:
    if len(octets) < _HEADER.size or (len(octets) - _HEADER.size) % _ENTRY.size:
        raise MalformedAcl(f"{len(octets)} octets are no list")
    if (version := _HEADER.unpack_from(octets)[0]) != _VERSION:
        raise MalformedAcl(f"its version is {version}, not {_VERSION}")
    for tag, permissions, number in _ENTRY.iter_unpack(octets[_HEADER.size :]):
        if permissions > 7:
            raise MalformedAcl(f"it has permissions {permissions:#x}")
        yield tag, permissions, number
