"""An LDAP server as a directory: which searches answer what the shared semantics ask.

Filters are put together here and nowhere else, of values and never of texts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from adapters.directory.entries import Answer, Entry, GroupName, Listing, Move, NewEntry, Request, Verdict
from adapters.directory.groups import GROUP_CLASSES
from adapters.directory.leavers import follow
from adapters.directory.names import own_part
from adapters.directory.settings import Layout
from adapters.ldap.filters import HOLDERS_PER_FILTER, alternatives, people_filter
from adapters.ldap.requests import Filter, Scope, all_of, any_of, any_value, equal
from adapters.ldap.wire import Question, ReadOnlyWire, Wire

__all__ = ["Server", "WritableServer"]

DEFAULT_PEOPLE = any_of(equal("objectClass", name) for name in ("person", "account", "posixAccount"))
"""What counts as an account unless `people.filter` says otherwise: the usual classes, and those derived from them."""
_KEY = "entryUUID"  # RFC 4530: never changes, whatever happens to the name
_KEY_LOWER = _KEY.lower()


class Server:
    """A `DirectoryReader` over a connection that cannot write."""

    def __init__(self, wire: ReadOnlyWire, layout: Layout, condition: str | None) -> None:
        self._wire = wire
        self._layout = layout
        self._people = people_filter(condition, "(objectClass=inetOrgPerson)") if condition else DEFAULT_PEOPLE

    def accounts(self, attributes: Sequence[str], keys: Collection[str] | None = None) -> Listing:
        asked = (_KEY, *attributes)
        base = self._layout.people_base
        if keys is None:
            listing = self._wire.search(base, self._people, asked)
            listing.entries = self._confirming(listing.entries, listing)
            return listing
        # An entry has one key, so that it is the answer to one of these at most, and need not be looked for twice.
        parts = alternatives(_KEY, sorted({uuid for key in keys if (uuid := _as_uuid(key))}))
        return self._wire.ask([Question(base, Scope.SUBTREE, all_of(self._people, part)) for part in parts], asked)

    def having(self, values: Mapping[str, str]) -> Listing:
        """The accounts with all of these values, as the server compares them; of each only its key."""
        parts = (equal(attribute, value) for attribute, value in values.items())
        return self._wire.search(self._layout.people_base, all_of(self._people, *parts), (_KEY,))

    def groups(
        self, names: Sequence[GroupName], attributes: Sequence[str], holding: Collection[bytes] | None = None
    ) -> Listing:
        kind = self._layout.kind
        of_kind = equal("objectClass", kind.object_class)
        holders = [[]] if holding is None else [[part] for part in alternatives(kind.attribute, list(holding))]
        return self._named(names, [all_of(of_kind, *holder) for holder in holders], attributes)

    def other_groups(self, names: Sequence[GroupName], attributes: Sequence[str]) -> Listing:
        return self._named(names, [any_of(equal("objectClass", each) for each in GROUP_CLASSES)], attributes)

    def _named(self, names: Sequence[GroupName], conditions: Sequence[Filter], attributes: Sequence[str]) -> Listing:
        by_cn = list(alternatives("cn", [name.cn for name in names if name.cn]))
        base = self._layout.groups_base
        questions = [Question(base, Scope.SUBTREE, all_of(part, each)) for part in by_cn for each in conditions]
        questions += [Question(name.dn, Scope.BASE, each) for name in names if name.dn for each in conditions]
        return self._all(questions, attributes)

    def groups_of(self, members: Collection[bytes], attributes: Sequence[str]) -> Listing:
        of_kind = equal("objectClass", self._layout.kind.object_class)
        parts = alternatives(self._layout.kind.attribute, list(members), HOLDERS_PER_FILTER)
        base = self._layout.groups_base
        return _joined([self._wire.search(base, all_of(of_kind, part), attributes) for part in parts])

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        entries = list(self._wire.ask([Question(dn, Scope.BASE, any_value("objectClass"))], attributes))
        return entries[0] if entries else None

    def key(self, entry: Entry) -> str:
        return _in_lower_case(entry.attributes.get(_KEY_LOWER, ()))

    def same(self, entry: Entry) -> Mapping[str, bytes]:
        return {_KEY: self.key(entry).encode()}

    def _all(self, questions: Sequence[Question], attributes: Sequence[str]) -> Listing:
        return _joined([self._wire.ask(questions, attributes)])

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

    def __init__(self, wire: Wire, layout: Layout, condition: str | None) -> None:
        super().__init__(wire, layout, condition)
        self._writes = wire

    def modify(self, wanted: Sequence[Request]) -> Sequence[Answer]:
        return self._writes.modify(wanted)

    def delete(self, wanted: Request) -> Answer:
        return self._writes.delete(wanted)

    def move(self, wanted: Sequence[Move]) -> Sequence[Answer]:
        moves = [
            (Request(each.entry.dn, provided=self.same(each.entry)), own_part(each.entry.dn), each.unit)
            for each in wanted
        ]
        answers = self._writes.move(moves)
        renamed = {
            request.dn: f"{rdn},{unit}"
            for (request, rdn, unit), answer in zip(moves, answers, strict=True)
            if answer.verdict is Verdict.DONE
        }
        told = follow(self, self._layout.kind, renamed)
        return [replace(each, words=told) if each.verdict is Verdict.DONE else each for each in answers]

    def add(self, wanted: NewEntry) -> Answer:
        return self._writes.add(wanted)

    def with_secret(self, wanted: NewEntry, secret: str) -> NewEntry | None:
        return None  # the server hashes what its own operation sets, and keeps what comes with an entry as it came

    def give_secret(self, dn: str, secret: str) -> Answer:
        return self._writes.give_secret(dn, secret)


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


def _in_lower_case(values: Sequence[bytes]) -> str:
    return values[0].decode("utf-8", "replace").strip().lower() if values else ""


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _as_uuid(key: str) -> str:
    """As servers spell it; a blank where it is none."""
    if _UUID.fullmatch(key):
        return key
    try:
        return str(UUID(key))
    except ValueError:
        return ""
