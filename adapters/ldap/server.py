"""An LDAP server as a directory: which searches answer what the shared semantics ask.

Filters are put together here and nowhere else, every value in them escaped.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from adapters.directory.entries import Answer, Entry, GroupName, Listing, Modification
from adapters.directory.settings import Layout
from adapters.ldap.wire import NoSuchBase, ReadOnlyWire, Wire, escaped

__all__ = ["Server", "WritableServer"]

DEFAULT_PEOPLE = "(|(objectClass=person)(objectClass=account)(objectClass=posixAccount))"
"""What counts as an account unless `people.filter` says otherwise: the usual classes, and those derived from them."""
_PER_FILTER = 200
"""The most alternatives in one filter; a bound on the size of a request, not of the answer."""
_KEY = "entryUUID"  # RFC 4530: never changes, whatever happens to the name


class Server:
    """A `DirectoryReader` over a connection that cannot write."""

    def __init__(self, wire: ReadOnlyWire, layout: Layout, people_filter: str | None) -> None:
        self._wire = wire
        self._layout = layout
        self._people = people_filter or DEFAULT_PEOPLE

    def accounts(self, attributes: Sequence[str], keys: Collection[str] | None = None) -> Listing:
        asked = (_KEY, *attributes)
        base = self._layout.people_base
        if keys is None:
            listing = self._wire.search(base, self._people, asked)
            listing.entries = self._confirming(listing.entries, listing)
            return listing
        conditions = [f"(&{self._people}{part})" for part in _alternatives(_KEY, sorted(filter(_is_uuid, keys)))]
        return self._all(base, conditions, asked)

    def having(self, values: Mapping[str, str]) -> Listing:
        """The accounts with all of these values, as the server compares them; of each only its key."""
        parts = "".join(f"({attribute}={escaped(value)})" for attribute, value in values.items())
        return self._wire.search(self._layout.people_base, f"(&{self._people}{parts})", (_KEY,))

    def groups(
        self, names: Sequence[GroupName], attributes: Sequence[str], holding: Collection[bytes] | None = None
    ) -> Listing:
        kind = self._layout.kind
        of_kind = f"(objectClass={kind.object_class})"
        holders = [""] if holding is None else list(_alternatives(kind.attribute, list(holding)))
        by_cn = list(_alternatives("cn", [name.cn for name in names if name.cn]))
        base = self._layout.groups_base
        listing = self._all(base, [f"(&{of_kind}{part}{holder})" for part in by_cn for holder in holders], attributes)
        by_dn = [
            self._one(name.dn, f"(&{of_kind}{holder})", attributes) for name in names if name.dn for holder in holders
        ]
        return _joined([listing, *by_dn]) if by_dn else listing

    def groups_of(self, members: Collection[bytes], attributes: Sequence[str]) -> Listing:
        kind = self._layout.kind
        parts = _alternatives(kind.attribute, list(members))
        conditions = [f"(&(objectClass={kind.object_class}){part})" for part in parts]
        return self._all(self._layout.groups_base, conditions, attributes)

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        entries = list(self._one(dn, "(objectClass=*)", attributes))  # to its end, so that the connection stays of use
        return entries[0] if entries else None

    def key(self, entry: Entry) -> str:
        return entry.text(_KEY).lower()

    def _all(self, base: str, conditions: Iterable[str], attributes: Sequence[str]) -> Listing:
        return _joined([self._wire.search(base, condition, attributes) for condition in conditions])

    def _one(self, dn: str, condition: str, attributes: Sequence[str]) -> Listing:
        listing = self._wire.search(dn, condition, attributes, scope="BASE")
        listing.entries = _unless_missing(listing.entries)
        return listing

    def _confirming(self, entries: Iterable[Entry], listing: Listing) -> Iterator[Entry]:
        """The entries; where there is none at all, whether the base itself says that nothing lies below it (X.501)."""
        nothing = True
        for entry in entries:
            nothing = False
            yield entry
        if nothing and not listing.shortfalls:
            base = self.read(self._layout.people_base, ("hasSubordinates",))
            if base is not None and base.text("hasSubordinates").upper() == "FALSE":
                listing.confirmed_empty = True
            else:
                listing.shortfalls.append(
                    f"no account is to be seen under {self._layout.people_base}, yet there are entries; "
                    "check people.filter and the right to read"
                )


class WritableServer(Server):
    """A `DirectoryWriter` over a connection that can write."""

    def __init__(self, wire: Wire, layout: Layout, people_filter: str | None) -> None:
        super().__init__(wire, layout, people_filter)
        self._writes = wire

    def modify(self, dn: str, modifications: Sequence[Modification]) -> Answer:
        return self._writes.modify(dn, modifications)

    def delete(self, dn: str) -> Answer:
        return self._writes.delete(dn)


def _joined(listings: Sequence[Listing]) -> Listing:
    """Several listings as one; an entry that two of them have counts once, so that nothing looks like two groups."""
    joined = Listing(())

    def entries() -> Iterator[Entry]:
        seen: set[str] = set()
        for listing in listings:
            for entry in listing:
                if entry.dn not in seen:
                    seen.add(entry.dn)
                    yield entry
            joined.shortfalls.extend(listing.shortfalls)

    joined.entries = entries()
    return joined


def _unless_missing(entries: Iterable[Entry]) -> Iterator[Entry]:
    try:
        yield from entries
    except NoSuchBase:
        return


def _alternatives(attribute: str, values: Sequence[str] | Sequence[bytes]) -> Iterator[str]:
    """Filters for "the attribute is one of these", each of bounded size."""
    for start in range(0, len(values), _PER_FILTER):
        part = "".join(f"({attribute}={escaped(value)})" for value in values[start : start + _PER_FILTER])
        yield f"(|{part})"


def _is_uuid(key: str) -> bool:
    try:
        uuid.UUID(key)
    except ValueError:
        return False
    return True
