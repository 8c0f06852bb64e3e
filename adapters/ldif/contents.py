"""An LDIF file's entries as a directory: the same questions, answered from memory, and a server's answers to changes.

What needs a schema is taken as a server does it with the usual one: names, `cn` and object classes compare without
regard to case; classes derived from person are known by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from adapters.directory import names
from adapters.directory.entries import (
    Answer,
    Edit,
    Entry,
    GroupName,
    Listing,
    Modification,
    Move,
    NewEntry,
    Request,
    Verdict,
)
from adapters.directory.groups import GROUP_CLASSES, value_principal
from adapters.directory.names import canonical
from adapters.directory.reading import group_keys
from adapters.directory.settings import Layout
from adapters.ldif.changes import add_record, delete_record, modify_record, move_record
from adapters.ldif.document import Document, Record
from reconciler.targets import TargetError

__all__ = ["Contents"]

_PEOPLE = frozenset({"person", "organizationalperson", "inetorgperson", "residentialperson", "account", "posixaccount"})
_ANY_MEMBER = frozenset({"member", "uniquemember"})


class Contents:
    """A `DirectoryWriter` over a parsed file. Modifications change the document and are noted as change records."""

    def __init__(self, document: Document, layout: Layout, source: str) -> None:
        self._document = document
        self._layout = layout
        self._source = source
        self._by_name = {names.canonical(record.dn): record for record in document.records}
        self.changes: list[bytes] = []
        """What has been done, as change records in their order."""

    def accounts(self, attributes: Sequence[str], keys: Collection[str] | None = None) -> Listing:
        base = names.canonical(self._layout.people_base)
        self._check_base(self._layout.people_base)
        entries = [_entry(record) for record in self._document.records if _is_account(record) and _under(record, base)]
        found = entries if keys is None else [entry for entry in entries if self.key(entry) in keys]
        return Listing(found, self._shortfalls(), confirmed_empty=not entries)

    def groups(
        self, names: Sequence[GroupName], attributes: Sequence[str], holding: Collection[bytes] | None = None
    ) -> Listing:
        self._check_base(self._layout.groups_base)
        wanted = set(names)
        entries = [entry for entry in self._groups() if wanted.intersection(group_keys(entry))]
        return Listing(
            [entry for entry in entries if holding is None or self._holds(entry, holding)], self._shortfalls()
        )

    def other_groups(self, names: Sequence[GroupName], attributes: Sequence[str]) -> Listing:
        wanted, base = set(names), canonical(self._layout.groups_base)
        classes = {each.lower() for each in GROUP_CLASSES}
        groups = (r for r in self._document.records if not classes.isdisjoint(_classes(r)) and _under(r, base))
        return Listing([entry for entry in map(_entry, groups) if wanted.intersection(group_keys(entry))])

    def groups_of(self, members: Collection[bytes], attributes: Sequence[str]) -> Listing:
        self._check_base(self._layout.groups_base)
        return Listing([entry for entry in self._groups() if self._holds(entry, members)], self._shortfalls())

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        try:
            record = self._by_name.get(names.canonical(dn))
        except names.InvalidName:
            return None
        return _entry(record) if record else None

    def key(self, entry: Entry) -> str:
        """The entryUUID where the export has it, otherwise the name; an account renamed then counts as another one."""
        return entry.text("entryuuid").lower() or names.canonical(entry.dn)

    def same(self, entry: Entry) -> Mapping[str, bytes]:
        return {}  # nobody else changes a file that is in memory

    def modify(self, wanted: Sequence[Request]) -> Sequence[Answer]:
        return [self._modified(each.dn, each.parts) for each in wanted]

    def _modified(self, dn: str, modifications: Sequence[Modification]) -> Answer:
        record = self._by_name.get(names.canonical(dn))
        if record is None:
            return Answer(Verdict.GONE, f"{dn} is not in {self._source}")
        before, exact = list(record.lines), []
        for part in modifications:
            values = self._made(record, part)
            if values is None:
                record.lines = before
                return Answer(Verdict.CONFLICT, f"{part.attribute} of {dn}")
            exact.append(Modification(part.attribute, part.edit, values))
        if (
            self._layout.kind.needs_member
            and not record.values(self._layout.kind.attribute)
            and _is_group(record, self._layout)
        ):
            record.lines = before
            return Answer(Verdict.VIOLATION, f"{dn} would be left without a {self._layout.kind.attribute}")
        self.changes.append(modify_record(record.dn, exact))
        return Answer(Verdict.DONE)

    def delete(self, wanted: Request) -> Answer:
        dn = wanted.dn
        record = self._by_name.get(names.canonical(dn))
        if record is None:
            return Answer(Verdict.GONE, f"{dn} is not in {self._source}")
        name = names.canonical(dn)
        if any(_under(other, name) for other in self._document.records):
            return Answer(Verdict.REFUSED, f"there are entries below {dn}")
        self._document.drop(record)
        del self._by_name[names.canonical(dn)]
        self.changes.append(delete_record(record.dn))
        return Answer(Verdict.DONE)

    def move(self, wanted: Sequence[Move]) -> Sequence[Answer]:
        return [self._moved(each.entry, each.unit) for each in wanted]

    def _moved(self, entry: Entry, unit: str) -> Answer:
        """Where the file goes, groups may follow by themselves or not: so they lose the account before it is moved and
        get it back afterwards, which comes to the same on every server.
        """
        own, above = names.own_part(entry.dn), self._by_name.get(names.canonical(unit))
        record, now = self._by_name[names.canonical(entry.dn)], f"{own},{unit}"
        if not entry.text("entryuuid"):
            words = f"the export has no entryUUID of {entry.dn}, by which it would be known again under another name"
            return Answer(Verdict.REFUSED, words)
        if above is None:
            return Answer(Verdict.GONE, f"{unit} is not in {self._source}")
        if names.canonical(now) in self._by_name:
            return Answer(Verdict.CONFLICT, f"{now} is in {self._source}")
        if any(_under(other, names.canonical(entry.dn)) for other in self._document.records):
            return Answer(Verdict.REFUSED, f"there are entries below {entry.dn}")
        groups = self._left_by(entry.dn)
        self._document.rename(record, now)
        if _place(self._document.records, record) < _place(self._document.records, above):
            self._document.put_last(record)  # what adds entries one after the other needs the one above first
        del self._by_name[names.canonical(entry.dn)]
        self._by_name[names.canonical(now)] = record
        self.changes.append(move_record(entry.dn, own, unit))
        self._joined_by(now, groups)
        return Answer(Verdict.DONE)

    def _left_by(self, dn: str) -> Sequence[Entry]:
        """Take an account out of the groups that go by names; which those are."""
        kind, value = self._layout.kind, dn.encode()
        if not kind.by_dn:
            return ()
        groups = [group for group in self._groups() if self._holds(group, [value])]
        for group in groups:
            alone = kind.needs_member and len(group.values(kind.attribute)) == 1
            placeholder = [Modification(kind.attribute, Edit.ADD, [self._layout.placeholder.encode()])] if alone else []
            self._modified(group.dn, [*placeholder, Modification(kind.attribute, Edit.DELETE, [value])])
        return groups

    def _joined_by(self, dn: str, groups: Sequence[Entry]) -> None:
        """Put it into them again."""
        kind, placeholder = self._layout.kind, self._layout.placeholder.encode()
        for group in groups:
            alone = kind.needs_member and len(group.values(kind.attribute)) == 1
            out = [Modification(kind.attribute, Edit.DELETE, [placeholder])] if alone else []
            self._modified(group.dn, [Modification(kind.attribute, Edit.ADD, [dn.encode()]), *out])

    def having(self, values: Mapping[str, str]) -> Listing:
        wanted = {attribute.lower(): value_principal(value.encode()) for attribute, value in values.items()}
        listing = self.accounts(())
        same = [
            entry
            for entry in listing
            if all(value in map(value_principal, entry.values(name)) for name, value in wanted.items())
        ]
        return Listing(same, listing.shortfalls)

    def add(self, wanted: NewEntry) -> Answer:
        name = names.canonical(wanted.dn)
        if name in self._by_name:
            return Answer(Verdict.CONFLICT, f"{wanted.dn} is in {self._source}")
        self._by_name[name] = self._document.append(wanted.dn, wanted.attributes.items())
        self.changes.append(add_record(wanted.dn, wanted.attributes))
        return Answer(Verdict.DONE)

    def with_secret(self, wanted: NewEntry, secret: str) -> NewEntry | None:
        return None

    def give_secret(self, dn: str, secret: str) -> Answer:
        return Answer(Verdict.REFUSED, "a secret does not belong into a file that goes from hand to hand")

    def _made(self, record: Record, part: Modification) -> Sequence[bytes] | None:
        """Make one part of a modification; the values concerned as the file spells them, or None on a conflict."""
        same = self._layout.kind.principal if part.attribute in _ANY_MEMBER else value_principal
        present = {same(value): value for value in record.values(part.attribute)}
        wanted = [same(value) for value in part.values]
        if part.edit is Edit.ADD:
            if len(set(wanted)) < len(wanted) or not present.keys().isdisjoint(wanted):
                return None
            record.add(part.attribute, part.values, self._document.newline)
            return part.values
        if part.edit is Edit.DELETE:
            if not present.keys() >= set(wanted):
                return None
            record.remove(part.attribute, [present[value] for value in wanted])
            return [present[value] for value in wanted]
        record.remove(part.attribute, list(present.values()))
        record.add(part.attribute, part.values, self._document.newline)
        return part.values

    def _groups(self) -> list[Entry]:
        base = names.canonical(self._layout.groups_base)
        return [_entry(r) for r in self._document.records if _is_group(r, self._layout) and _under(r, base)]

    def _holds(self, entry: Entry, holding: Collection[bytes]) -> bool:
        principal = self._layout.kind.principal
        present = set(map(principal, entry.values(self._layout.kind.attribute)))
        return any(principal(value) in present for value in holding)

    def _check_base(self, base: str) -> None:
        root = names.canonical(base)
        if root not in self._by_name and not any(_under(r, root) for r in self._document.records):
            raise TargetError(
                f"{self._source} has no entry {base} and none below it",
                remedy="correct the base, or export that branch too",
            )

    def _shortfalls(self) -> list[str]:
        told = [f"{self._source}: {gap}" for gap in self._document.gaps]
        if not self._document.ends_properly:
            told.append(
                f"{self._source} ends in the middle of a line: it may have been cut off; complete it, or end its last "
                "line"
            )
        return told


def _place(records: Sequence[Record], record: Record) -> int:
    return next(place for place, other in enumerate(records) if other is record)


def _entry(record: Record) -> Entry:
    attributes: dict[str, list[bytes]] = {}
    for line in record.lines[1:]:
        if line.attribute:
            attributes.setdefault(line.attribute, []).append(line.value)
    return Entry(record.dn, attributes)


def _classes(record: Record) -> set[str]:
    return {value.decode("utf-8", "replace").strip().lower() for value in record.values("objectclass")}


def _is_account(record: Record) -> bool:
    return not _PEOPLE.isdisjoint(_classes(record))


def _is_group(record: Record, layout: Layout) -> bool:
    return layout.kind.object_class.lower() in _classes(record)


def _under(record: Record, base: str) -> bool:
    """Whether a record lies below a base in canonical spelling: there, no value has a bare `,` or `=` in it."""
    return names.canonical(record.dn).endswith("," + base)
