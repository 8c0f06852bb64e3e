"""How an observation comes about: accounts first, then the groups, whose members become positions among the accounts.

Promises: what may be missing is said and never taken for absent; a group that cannot be read excludes only itself; the
number of requests depends on the number of groups and pages, not on that of people or members. Holds no connection: it
asks a `DirectoryReader`.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

from adapters.directory import names
from adapters.directory.entries import KEPT, DirectoryReader, Entry, GroupName
from adapters.directory.groups import DYNAMIC, GroupKind, dynamic, of_another_class, value_principal
from adapters.directory.settings import AttributeValue, Layout
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Reading,
    TargetError,
    TargetFinding,
    entitlement_key,
)

__all__ = ["canonical_name", "group_keys", "observation"]

_TOLD_ONE_BY_ONE = 5
"""Of more accounts than that there is one finding, and not one for each."""


def observation(
    reader: DirectoryReader,
    layout: Layout,
    locators: Sequence[Locator],
    keys: Collection[str] | None,
    at: datetime,
    bound_as: str = "",
) -> Observation:
    """What this directory says about its accounts and these groups; `keys` limits the accounts (a narrow read).
    `bound_as` is the DN that the reader reads as, blank where there is none.
    """
    # What is read stays until all is read: looking for garbage meanwhile takes a quarter of the time and finds none.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _observation(reader, layout, locators, keys, at, bound_as)
    finally:
        if collecting:
            gc.enable()


def _observation(
    reader: DirectoryReader,
    layout: Layout,
    locators: Sequence[Locator],
    keys: Collection[str] | None,
    at: datetime,
    bound_as: str,
) -> Observation:
    findings: list[TargetFinding] = []
    asked = {entitlement_key(each): each for each in locators}
    values = {key: value for key, each in asked.items() if (value := layout.attribute_value(each))}
    roll = _roll(reader, layout, _Holders(values.values()), keys, at, findings)
    named = {key: layout.group_name(each) for key, each in asked.items() if "group" in each}
    wanted = {key: canonical_name(name) for key, name in named.items()}
    groups = _Groups(layout, roll, narrow=keys is not None)
    found = groups.found(reader, wanted.values())
    findings += groups.findings
    read = {key: groups.entitlement(key, named[key], found[name]) for key, name in wanted.items()}
    read |= {key: roll.holders.entitlement(key, value, roll.read) for key, value in values.items()}
    read = _with_groups_within(read, layout.kind)
    entitlements = {key: read[key] for key in asked}
    return Observation(
        at, roll.read, entitlements, tuple(findings), _own(bound_as, layout, roll, entitlements.values())
    )


def _with_groups_within(read: dict[str, EntitlementRead], kind: GroupKind) -> dict[str, EntitlementRead]:
    """The same, each with the others that are a member of it as a group."""
    holding = {key: each.foreign for key, each in read.items() if each.foreign} if kind.by_dn else {}
    if not holding:
        return read
    known: dict[str, list[str]] = {}
    for key, each in read.items():
        known.setdefault(kind.principal(each.name.encode("utf-8", "surrogateescape")), []).append(key)
    for key, foreign in holding.items():
        principals = (kind.principal(name.encode("utf-8", "surrogateescape")) for name in foreign)
        if within := sorted(other for principal in principals for other in known.get(principal, ())):
            read[key] = replace(read[key], within=within)
    return read


def group_keys(entry: Entry) -> Iterator[GroupName]:
    """All the names under which a locator may ask for this group, in canonical spelling."""
    yield GroupName(dn=names.canonical(entry.dn))
    for value in dict.fromkeys(entry.values("cn")):
        yield GroupName(cn=names.fold(value.decode("utf-8", "surrogateescape")))


@lru_cache(maxsize=KEPT)
def canonical_name(name: GroupName) -> GroupName:
    """A locator's name for a group in the spelling under which equal names are equal."""
    return GroupName(dn=names.canonical(name.dn)) if name.dn else GroupName(cn=names.fold(name.cn))


def _own(bound_as: str, layout: Layout, roll: _Roll, read: Iterable[EntitlementRead]) -> frozenset[str]:
    """The key of the account that we are here, and how we are spelled where we are a member without one."""
    if not bound_as:
        return frozenset()
    ours, kind, accounts = names.canonical(bound_as), layout.kind, roll.read.accounts
    if kind.by_dn:
        positions = roll.positions(bound_as.encode()) if layout.may_be_account(bound_as) else ()
        spelled = {each for one in read for each in one.foreign if names.canonical(each) == ours}
        return frozenset({accounts[position].key for position in positions} | spelled)
    value = names.rdn_value(bound_as).casefold()  # names are dear to parse, and there may be very many
    alike = (account for account in accounts if value in account.name.casefold())
    return frozenset(account.key for account in alike if names.canonical(account.name) == ours)


@dataclass(slots=True)
class _Roll:
    """The accounts that were read, and where each of their spellings as a member leads.

    The canonical spellings are worked out once somebody asks: where everybody is spelled as the directory spells them,
    nobody does, and it is as much work as reading the accounts.
    """

    kind: GroupKind
    holders: _Holders
    read: AccountsRead = field(default_factory=lambda: AccountsRead(Reading.FAILED))
    spelled: list[tuple[bytes, int]] = field(default_factory=list)
    exact: dict[bytes, int] = field(default_factory=dict)
    primaries: dict[bytes, list[int]] = field(default_factory=dict)
    """Who is in a group without being among its members, by the number that they share with it."""
    _principals: dict[str, list[int]] | None = None

    def enter(self, values: Sequence[bytes], position: int) -> None:
        """The account at this position is a member by any of these values."""
        for value in values:
            self.spelled.append((value, position))
            self.exact.setdefault(value, position)

    @property
    def principals(self) -> Mapping[str, Sequence[int]]:
        """Canonical spelling → the accounts that are members by it."""
        if self._principals is None:
            found: dict[str, list[int]] = {}
            for value, position in self.spelled:
                own = found.setdefault(self.kind.principal(value), [])
                if position not in own[-1:]:
                    own.append(position)
            self._principals = found
        return self._principals

    def positions(self, value: bytes) -> Sequence[int]:
        """Which accounts are members where this value is one."""
        return self.principals.get(self.kind.principal(value), ())


class _Holders:
    """Which accounts have one of the values that are asked about."""

    def __init__(self, values: Iterable[AttributeValue]) -> None:
        self._positions: dict[str, dict[str, list[int]]] = {}
        for each in values:
            self._positions.setdefault(each.attribute, {})[names.fold(each.value)] = []

    def enter(self, entry: Entry, position: int) -> None:
        """The account at this position is this entry."""
        for attribute, wanted in self._positions.items():
            for value in set(map(value_principal, entry.attributes.get(attribute, ()))):
                if value in wanted:
                    wanted[value].append(position)

    def entitlement(self, key: str, value: AttributeValue, accounts: AccountsRead) -> EntitlementRead:
        """Who has the value; as far to be trusted as the reading of the accounts."""
        reading = Reading.COMPLETE if accounts.reading.whole else Reading.PARTIAL
        members = BitMap(self._positions[value.attribute][names.fold(value.value)])
        return EntitlementRead(key, f"{value.attribute}={value.value}", reading, members, detail=accounts.detail)


def _roll(
    reader: DirectoryReader,
    layout: Layout,
    holders: _Holders,
    keys: Collection[str] | None,
    at: datetime,
    findings: list[TargetFinding],
) -> _Roll:
    listing, kind = reader.accounts(layout.account_attributes, keys), layout.kind
    accounts: list[ObservedAccount] = []
    roll = _Roll(kind, holders)
    seen: set[str] = set()
    unreadable: list[str] = []
    for entry in listing:
        key = reader.key(entry)
        if not key:
            unreadable.append(entry.dn)
            continue
        if key in seen:  # a page that was delivered twice
            continue
        seen.add(key)
        roll.enter(kind.spellings(entry), len(accounts))
        for value in entry.values(kind.primary) if kind.primary else ():
            roll.primaries.setdefault(value, []).append(len(accounts))
        holders.enter(entry, len(accounts))
        accounts.append(_account(entry, key, layout, at, findings))
    findings.extend(_unreadable(unreadable, layout))
    if kind.needs_member and layout.may_be_account(layout.placeholder):
        for position in roll.positions(layout.placeholder.encode()):
            raise _placeholder_is_account(accounts[position].name)
    if not kind.by_dn:  # no two entries have one name
        findings.extend(_shared_logins(roll, accounts))
    shortfalls = [
        *listing.shortfalls,
        *([f"{len(unreadable)} entries without a readable {layout.key}"] if unreadable else []),
    ]
    reading = Reading.PARTIAL if shortfalls else Reading.COMPLETE
    if listing.confirmed_empty and not accounts and not shortfalls:
        reading = Reading.CONFIRMED_EMPTY
    roll.read = AccountsRead(reading, tuple(accounts), "; ".join(shortfalls))
    return roll


def _account(entry: Entry, key: str, layout: Layout, at: datetime, findings: list[TargetFinding]) -> ObservedAccount:
    attributes, match = entry.attributes, {}
    for attribute, person in layout.match.items():  # in lower case, as the names of an entry's attributes are
        values = attributes.get(attribute, ())
        if len(values) > 1:
            text = f"{entry.dn} has several values of {attribute}, so nobody can say whose account it is"
            findings.append(TargetFinding("ambiguous-account", entry.dn, text))
        elif values and (value := values[0].decode("utf-8", "replace").strip()):
            match[person] = value
    enabled = layout.lock is None or not layout.lock.is_locked(entry, at)
    return ObservedAccount(key, entry.dn, entry.text(layout.login) or names.rdn_value(entry.dn), match, enabled)


def _unreadable(dns: Sequence[str], layout: Layout) -> Iterator[TargetFinding]:
    if len(dns) > _TOLD_ONE_BY_ONE:
        some = "; ".join(dns[:_TOLD_ONE_BY_ONE])
        text = f"{layout.key} of {len(dns)} accounts cannot be read: {some}; …"
        yield TargetFinding("unreadable-account", layout.people_base, text)
        return
    for dn in dns:
        yield TargetFinding("unreadable-account", dn, f"{dn}: its {layout.key} cannot be read")


def _shared_logins(roll: _Roll, accounts: Sequence[ObservedAccount]) -> Iterator[TargetFinding]:
    for principal, positions in roll.principals.items():
        if len(positions) > 1:
            dns = " and ".join(sorted(accounts[position].name for position in positions))
            yield TargetFinding("shared-login", principal, f"{dns} share the login {principal}: what one has, all have")


def _placeholder_is_account(dn: str) -> TargetError:
    return TargetError(
        f"the placeholder of empty groups, {dn}, is somebody's account",
        remedy="set groups.placeholder to a name under which there is no entry",
    )


def _by_primary_group(group: Entry, members: BitMap, roll: _Roll) -> Iterator[TargetFinding]:
    """Who is in a group by their own entry (RFC 2307: its `gidNumber`), where no removal from the group ends that."""
    kind, accounts = roll.kind, roll.read.accounts
    shared = group.values(kind.primary) if kind.primary else ()
    holders = [accounts[at].name for value in shared for at in roll.primaries.get(value, ()) if at not in members]
    ending = f"in {group.dn} by {kind.primary}, beside any policy, until given another primary group"
    if len(holders) > _TOLD_ONE_BY_ONE:
        some = "; ".join(holders[:_TOLD_ONE_BY_ONE])
        yield TargetFinding("primary-group", group.dn, f"{len(holders)} accounts are {ending}: {some}; …")
        return
    for holder in holders:
        yield TargetFinding("primary-group", holder, f"{holder} is {ending}")


@dataclass(frozen=True, slots=True)
class _Members:
    """One group as it was found."""

    dn: str
    members: BitMap
    foreign: Sequence[str]
    reading: Reading
    detail: str = ""


@lru_cache(maxsize=KEPT)
def _without_members(key: str, label: str, reading: Reading, detail: str) -> EntitlementRead:
    """Whoever asks about one person hears this of nearly every group, each time."""
    return EntitlementRead(key, label, reading, detail=detail)


@dataclass(slots=True)
class _Groups:
    """Turns the groups that are found into entitlements."""

    layout: Layout
    roll: _Roll
    narrow: bool
    shortfalls: list[str] = field(default_factory=list)
    findings: list[TargetFinding] = field(default_factory=list)

    def found(self, reader: DirectoryReader, wanted: Iterable[GroupName]) -> Mapping[GroupName, list[_Members]]:
        """The groups under each wanted name, in canonical spelling; usually one, none where it does not exist."""
        result: dict[GroupName, list[_Members]] = {name: [] for name in wanted}
        for entry, members in self._read(reader, list(result)):
            for name in set(group_keys(entry)) & result.keys():
                result[name].append(members)
        missing = [name for name, own in result.items() if not own]
        if missing and not (self.narrow and self.layout.kind.by_dn):
            for entry in reader.other_groups(missing, ("cn", "objectclass", DYNAMIC)):
                for name in set(group_keys(entry)).intersection(missing):
                    result[name].append(self._unusable(entry, of_another_class(entry, self.layout.kind)))
        return result

    def _unusable(self, entry: Entry, why: str) -> _Members:
        return _Members(entry.dn, BitMap(), (), Reading.FAILED, why)

    def entitlement(self, key: str, name: GroupName, found: Sequence[_Members]) -> EntitlementRead:
        label = name.dn or name.cn
        match found:
            case [group]:
                cut = self.shortfalls and group.reading is not Reading.FAILED
                reading = Reading.PARTIAL if cut else group.reading
                detail = "; ".join(filter(None, [group.detail, *self.shortfalls]))
                return EntitlementRead(key, group.dn, reading, group.members, group.foreign, detail)
            case [] if (
                self.narrow and self.layout.kind.by_dn
            ):  # whoever is asked about is not in it: all there is to say
                reading = Reading.COMPLETE if self.roll.read.reading.whole and not self.shortfalls else Reading.PARTIAL
                return _without_members(key, label, reading, "; ".join(self.shortfalls))
            case []:
                kind, base = self.layout.kind.object_class, self.layout.groups_base
                todo = "create it, correct the binding, or give the right to read it"
                told = self.shortfalls or [todo]  # of a search that was cut short nobody can say what is not there
                detail = "; ".join([f"no group named {label} of class {kind} is to be seen under {base}", *told])
                return EntitlementRead(key, label, Reading.FAILED, detail=detail)
            case several:
                dns = " and ".join(sorted(group.dn for group in several))
                detail = f"{len(several)} groups are named {label}: {dns}; name the group by its DN"
                return EntitlementRead(key, label, Reading.FAILED, detail=detail)

    def _read(self, reader: DirectoryReader, wanted: Sequence[GroupName]) -> Iterator[tuple[Entry, _Members]]:
        if not wanted:
            return
        if self.narrow and self.layout.kind.by_dn:
            yield from self._narrow(reader)
            return
        kind = self.layout.kind
        attributes = ("cn", DYNAMIC, kind.attribute, *((kind.primary,) if kind.primary else ()))
        listing = reader.groups(wanted, attributes)
        for entry in listing:
            members = self._members(entry)
            self.findings += _by_primary_group(entry, members.members, self.roll)
            yield entry, members
        self.shortfalls += listing.shortfalls

    def _narrow(self, reader: DirectoryReader) -> Iterator[tuple[Entry, _Members]]:
        """Which groups have the accounts that were asked for: one question, however many groups there are."""
        if not self.roll.exact:
            return
        alone = BitMap([0]) if len(self.roll.read.accounts) == 1 else None
        attributes = ("cn", DYNAMIC) if alone else ("cn", DYNAMIC, self.layout.kind.attribute)
        whole = self.roll.read.reading.whole
        listing = reader.groups_of(self.roll.exact, attributes)
        for entry in listing:
            if entry.values(DYNAMIC):
                yield entry, self._unusable(entry, dynamic(entry.dn))
                continue
            members = alone or self._members(entry).members
            yield entry, _Members(entry.dn, members, (), Reading.COMPLETE if whole else Reading.PARTIAL)
        self.shortfalls += listing.shortfalls

    def _members(self, entry: Entry) -> _Members:
        if entry.values(DYNAMIC):
            return self._unusable(entry, dynamic(entry.dn))
        values, partly = _values(entry, self.layout.kind.attribute)
        positions, foreign = self._sorted(values)
        reading, detail = Reading.COMPLETE, ""
        if partly:
            reading, detail = Reading.PARTIAL, f"the server returned only a part of {self.layout.kind.attribute}"
        elif not values and self.layout.kind.needs_member:
            reading, detail = Reading.PARTIAL, f"no {self.layout.kind.attribute} to be seen; may it be read at all?"
        elif not positions and not foreign and not self.narrow:
            reading = Reading.CONFIRMED_EMPTY
        if not self.roll.read.reading.whole:
            reading, foreign = Reading.PARTIAL, []
            detail = f"who is foreign cannot be told, since the accounts were not read whole: {self.roll.read.detail}"
        return _Members(entry.dn, BitMap(positions), () if self.narrow else tuple(foreign), reading, detail)

    def _sorted(self, values: Sequence[bytes]) -> tuple[list[int], list[str]]:
        """The positions of the members that are accounts, and the others as spelled; a placeholder is neither."""
        roll, kind = self.roll, self.layout.kind
        if kind.by_dn:  # nearly all are spelled as the accounts' own names are, and nearly all groups have no others
            found = list(map(roll.exact.get, values))
            positions = [position for position in found if position is not None]
            others = [value for value, position in zip(values, found, strict=True) if position is None]
        else:
            positions, others = [], list(values)
        foreign: list[str] = []
        placeholder = self.layout.placeholder.encode() if kind.needs_member else b""
        nobody = {kind.principal(placeholder), ""}
        for value in others:
            if value in (placeholder, b""):
                continue
            if own := roll.positions(value):
                positions += own
            elif kind.principal(value) not in nobody:
                foreign.append(value.decode("utf-8", "replace"))
        return positions, foreign


def _values(entry: Entry, attribute: str) -> tuple[Sequence[bytes], bool]:
    """The attribute's values, and whether the server held some back (`member;range=0-1499`, ranged retrieval)."""
    values = entry.values(attribute)
    ranged = [name for name in entry.attributes if name.startswith(f"{attribute};range=")]
    return (values, False) if not ranged else (entry.values(ranged[0]), not ranged[0].endswith("-*"))
