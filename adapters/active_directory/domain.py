"""A domain as a directory: which searches answer what the shared semantics ask, and what is never written.

Filters are put together here and nowhere else, of values and never of texts. While accounts and groups pass through, it
is noted what else they are (`standing`): that gives findings, and a writer refuses by it. Whoever has a group as the
primary one is in it without being among its members (MS-SAMR), and is put among them here.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from adapters.active_directory.ranges import first_range, whole
from adapters.active_directory.settings import KEY
from adapters.active_directory.standing import (
    ACCOUNT_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    AccountStanding,
    GroupStanding,
    account_of,
    group_of,
)
from adapters.directory.entries import Entry, GroupName, Listing
from adapters.directory.settings import Layout
from adapters.ldap.filters import HOLDERS_PER_FILTER, alternatives, people_filter
from adapters.ldap.requests import Filter, Scope, all_of, any_of, any_value, equal, none_of
from adapters.ldap.wire import Question, ReadOnlyWire
from reconciler.targets import TargetError, TargetUnavailable

__all__ = ["Domain"]

DEFAULT_PEOPLE = all_of(equal("objectCategory", "person"), equal("objectClass", "user"))
"""What counts as an account unless `people.filter` says otherwise: users, and neither contacts nor computers."""
_EXAMPLE = "(&(objectCategory=person)(objectClass=user))"
_MEMBER = "member"
_OTHER_CONTEXTS = re.compile(r"ldaps?://[^/]*/(CN=Configuration|DC=DomainDnsZones|DC=ForestDnsZones),\S*$", re.I)
"""Parts of every domain that lie below its root, hold no account and no group, and are referred to by every search."""


class Domain:
    """A `DirectoryReader` over a connection that cannot write."""

    def __init__(
        self, wire: ReadOnlyWire, layout: Layout, condition: str | None, system_groups: frozenset[str]
    ) -> None:
        self._wire = wire
        self._layout = layout
        self._people = (
            people_filter(condition, "(&(objectCategory=person)(objectClass=user))") if condition else DEFAULT_PEOPLE
        )
        self._system_groups = system_groups
        self._holders: dict[bytes, dict[str, None]] = {}
        """Who has a group as the primary one, by the group's SID and in the order in which they passed."""
        self.account_standings: dict[str, AccountStanding] = {}
        """What was noted of every account that passed, by its name as the domain spells it."""
        self.group_standings: dict[str, GroupStanding] = {}
        """The same of every group."""

    # -- accounts ------------------------------------------------------------------------------------------------------

    def accounts(self, attributes: Sequence[str], keys: Collection[str] | None = None) -> Listing:
        asked = (KEY, *ACCOUNT_ATTRIBUTES, *attributes)
        if keys is None:
            listing = self._search(self._layout.people_base, self._people, asked)
            return self._passing(
                listing, "no account is to be seen under it; check people.filter and the right to read"
            )
        octets = [value for key in sorted(keys) if (value := _octets(key))]
        parts = [all_of(self._people, part) for part in alternatives(KEY, octets)]
        questions = [Question(self._layout.people_base, Scope.SUBTREE, part) for part in parts]
        return self._passing(self._ask(questions, asked), "")

    def having(self, values: Mapping[str, str]) -> Listing:
        """The accounts with all of these values, as the domain compares them; of each only its key."""
        parts = (equal(attribute, value) for attribute, value in values.items())
        return self._search(self._layout.people_base, all_of(self._people, *parts), (KEY,))

    def key(self, entry: Entry) -> str:
        values = entry.values(KEY)
        return str(uuid.UUID(bytes_le=bytes(values[0]))) if values and len(values[0]) == 16 else ""

    def same(self, entry: Entry) -> Mapping[str, bytes]:
        return {KEY: entry.values(KEY)[0]} if self.key(entry) else {}

    def holders(self, group: GroupStanding) -> Collection[str]:
        """The accounts, of those that passed, whose primary group this is."""
        return self._holders.get(group.sid, {}).keys() if group.sid else ()

    def _passing(self, listing: Listing, nobody: str) -> Listing:
        """The listing, with what is noted of its entries; `nobody` is what it means that there are none."""
        passed = Listing(())

        def entries() -> Iterator[Entry]:
            count = blind = 0
            for entry in listing:
                count += 1
                blind += not self._note_account(entry)
                yield entry
            passed.shortfalls += listing.shortfalls
            if blind:
                why = "so that nobody can say who is in a group by it; give the bind account the right to read it"
                passed.shortfalls.append(f"primaryGroupID or objectSid of {blind} accounts cannot be read, {why}")
            if not count and nobody and not passed.shortfalls:
                passed.shortfalls.append(f"{self._layout.people_base}: {nobody}")

        passed.entries = entries()
        return passed

    def _note_account(self, entry: Entry) -> bool:
        """Whether its primary group could be read."""
        standing, before = account_of(entry), self.account_standings.get(entry.dn)
        if before is not None and before.primary_group != standing.primary_group:
            self._holders.get(before.primary_group, {}).pop(entry.dn, None)
        if standing.primary_group:
            self._holders.setdefault(standing.primary_group, {})[entry.dn] = None
        self.account_standings[entry.dn] = standing
        return bool(standing.primary_group)

    # -- groups --------------------------------------------------------------------------------------------------------

    def groups(
        self, names: Sequence[GroupName], attributes: Sequence[str], holding: Collection[bytes] | None = None
    ) -> Listing:
        holders = [[]] if holding is None else [[part] for part in alternatives(_MEMBER, list(holding))]
        by_cn = list(alternatives("cn", [name.cn for name in names if name.cn]))
        base, by_dn = self._layout.groups_base, [name.dn for name in names if name.dn]
        questions = [
            Question(base, Scope.SUBTREE, all_of(self._of_kind, part, *holder)) for part in by_cn for holder in holders
        ]
        questions += [Question(dn, Scope.BASE, all_of(self._of_kind, *holder)) for dn in by_dn for holder in holders]
        listing = self._whole([self._ask(questions, self._asked(attributes))], attributes)
        if _MEMBER in attributes:
            listing.entries = self._doubting(list(listing.entries))
        return listing

    def _doubting(self, groups: Sequence[Entry]) -> Iterator[Entry]:
        """The groups; one without members that somebody is a member of all the same is read in part, because its
        members may not be read. Seen from here it would be empty, and nobody would ever be taken out of it.
        """
        empty = [entry.dn for entry in groups if not any(name.startswith(_MEMBER) for name in entry.attributes)]
        conditions = alternatives("memberOf", empty)
        listing = self._all(self.root(), list(conditions), ("memberOf",)) if empty else Listing(())
        belied = {value for entry in listing for value in entry.values("memberOf")}
        for entry in groups:
            if entry.dn.encode("utf-8", "surrogateescape") in belied:
                yield Entry(entry.dn, {**entry.attributes, f"{_MEMBER};range=0-0": []})
            else:
                yield entry

    def other_groups(self, names: Sequence[GroupName], attributes: Sequence[str]) -> Listing:
        """None: a domain knows no other kind of group."""
        return Listing(())

    def groups_of(self, members: Collection[bytes], attributes: Sequence[str]) -> Listing:
        """Those that have one of these members, as their primary group too."""
        sids = {self.account_standings[dn].primary_group for dn in self._known(members)} - {b""}
        parts = [*alternatives(_MEMBER, list(members), HOLDERS_PER_FILTER), *alternatives("objectSid", sorted(sids))]
        base, asked = self._layout.groups_base, self._asked(attributes)
        return self._whole([self._search(base, all_of(self._of_kind, part), asked) for part in parts], attributes)

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        entry = self._read(dn, self._asked(attributes))
        return None if entry is None else self._completed(entry, attributes)

    def lacks(self, group: str, members: Iterable[bytes]) -> bool:
        """Whether at least one of these is not among the group's members."""
        absent = any_of(none_of(equal(_MEMBER, value)) for value in members)
        return bool([*self._ask([Question(group, Scope.BASE, absent)], ("1.1",))])

    def nested(self, groups: Collection[str]) -> frozenset[str]:
        """The names of the groups, anywhere in the domain, that are members of these."""
        conditions = [all_of(self._of_kind, part) for part in alternatives("memberOf", sorted(groups))]
        return frozenset(entry.dn for entry in self._all(self.root(), conditions, ("1.1",)))

    def root(self) -> str:
        """The domain's own name."""
        entry = self._read("", ("defaultNamingContext",))
        return entry.text("defaultNamingContext") if entry else ""

    def own_name(self) -> str:
        """The name of the entry that we are signed in as, whatever name we gave; blank where the domain does not say.

        By the SIDs that the controller goes by (`tokenGroups` of the root DSE, MS-ADTS 3.1.1.3.2): of one user, and of
        groups.
        """
        entry = self._read("", ("tokenGroups",))
        sids = entry.values("tokenGroups") if entry else ()
        root, user = self.root(), equal("objectClass", "user")
        questions = [Question(root, Scope.SUBTREE, all_of(user, part)) for part in alternatives("objectSid", sids)]
        found = [each.dn for each in self._ask(questions, ("objectClass",))]
        return found[0] if len(found) == 1 else ""

    def attributes_known(self, names: Collection[str]) -> Collection[str]:
        """Those of these attributes that the domain's schema has; where one is none, all that it has instead, for who
        meant another. Nothing where the schema cannot be read (MS-ADTS 3.1.1.2).
        """
        root = self._read("", ("schemaNamingContext",))
        context = root.text("schemaNamingContext") if root else ""
        if not context:
            return ()
        is_one, name = equal("objectClass", "attributeSchema"), "lDAPDisplayName"
        try:
            listing = self._all(context, [all_of(is_one, part) for part in alternatives(name, list(names))], (name,))
            found = [entry.text(name) for entry in listing]
            whole = len(found) == len({each.lower() for each in names})
            everything = found if whole or not found else [e.text(name) for e in self._search(context, is_one, (name,))]
        except TargetUnavailable:
            raise
        except TargetError:
            return ()
        return () if listing.shortfalls else everything

    @property
    def _of_kind(self) -> Filter:
        return equal("objectClass", self._layout.kind.object_class)

    def _known(self, members: Iterable[bytes]) -> Iterator[str]:
        names = (value.decode("utf-8", "surrogateescape") for value in members)
        return (name for name in names if name in self.account_standings)

    def _asked(self, attributes: Sequence[str]) -> Sequence[str]:
        """The attributes of a group to ask for: its standing too, and members in ranges."""
        asked = [name for name in attributes if name != _MEMBER]
        return (*asked, *GROUP_ATTRIBUTES, *(first_range(_MEMBER) if _MEMBER in attributes else ()))

    def _whole(self, listings: Sequence[Listing], attributes: Sequence[str]) -> Listing:
        """Several listings as one, each group once and with all of its members.

        They are read to their end first: what is missing of a large group is asked for on the same connection.
        """
        found: dict[str, Entry] = {}
        shortfalls: list[str] = []
        for listing in listings:
            for entry in listing:
                found.setdefault(entry.dn, entry)
            shortfalls += listing.shortfalls
        for entry in found.values():
            self.group_standings[entry.dn] = group_of(entry, self._system_groups)
        if _MEMBER in attributes:
            shortfalls += self._note_outsiders({self.group_standings[dn].sid for dn in found} - {b""})
        return Listing((self._completed(entry, attributes) for entry in found.values()), shortfalls)

    def _note_outsiders(self, sids: Collection[bytes]) -> Sequence[str]:
        """Who has one of these as the primary group and is none of the accounts that passed; what may be missing."""
        relative = sorted({str(int.from_bytes(sid[-4:], "little")) for sid in sids})
        users = equal("objectClass", "user")
        conditions = [all_of(users, part) for part in alternatives("primaryGroupID", relative)]
        listing = self._all(self.root(), conditions, ("primaryGroupID", "objectSid")) if conditions else Listing(())
        for entry in listing:
            sid = account_of(entry).primary_group
            if entry.dn not in self.account_standings and sid in sids:
                self._holders.setdefault(sid, {})[entry.dn] = None
        return listing.shortfalls

    def _completed(self, entry: Entry, attributes: Sequence[str]) -> Entry:
        """A group with all of its members, those by their primary group among them."""
        if _MEMBER not in attributes:
            return entry
        full = whole(entry, _MEMBER, self._read)
        holders = self.holders(group_of(entry, self._system_groups))
        if not holders:
            return full
        name = next((name for name in full.attributes if name.startswith(_MEMBER)), _MEMBER)
        members = dict.fromkeys((*full.values(name), *(dn.encode("utf-8", "surrogateescape") for dn in holders)))
        return Entry(full.dn, {**full.attributes, name: list(members)})

    # -- searches ------------------------------------------------------------------------------------------------------

    def _search(self, base: str, condition: Filter, attributes: Sequence[str]) -> Listing:
        return _of_domain(self._wire.search(base, condition, attributes))

    def _ask(self, questions: Sequence[Question], attributes: Sequence[str]) -> Listing:
        return _of_domain(self._wire.ask(questions, attributes))

    def _read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        entries = list(self._ask([Question(dn, Scope.BASE, any_value("objectClass"))], attributes))
        return entries[0] if entries else None

    def _all(self, base: str, conditions: Sequence[Filter], attributes: Sequence[str]) -> Listing:
        """Several searches as one listing."""
        joined = Listing(())

        def entries() -> Iterator[Entry]:
            for condition in conditions:
                listing = self._search(base, condition, attributes)
                yield from listing
                joined.shortfalls.extend(listing.shortfalls)

        joined.entries = entries()
        return joined


def _of_domain(asked: Listing) -> Listing:
    """An answer of which nothing is missing where only other contexts are referred to."""
    listing = Listing(())

    def entries() -> Iterator[Entry]:
        yield from asked
        listing.shortfalls.extend(text for text in asked.shortfalls if not _OTHER_CONTEXTS.search(text))

    listing.entries = entries()
    return listing


def _octets(key: str) -> bytes:
    """A key as the domain stores it (MS-DTYP, section 2.3.4.2: mixed order); empty for what is none."""
    try:
        return uuid.UUID(key).bytes_le
    except ValueError:
        return b""
