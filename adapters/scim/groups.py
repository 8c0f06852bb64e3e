"""The groups of a provider, and who is in them.

A group's members are taken from a listing only if that listing shows members at all. Which groups somebody is in is
asked the other way round only of a provider that shows that it understands the question. Source: RFC 7643, section 4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.api.trouble import Trouble
from adapters.scim.asking import Questions, version_of
from adapters.scim.attributes import Resource, one_text, part
from adapters.scim.paging import Listing
from adapters.scim.settings import Layout

__all__ = ["Group", "GroupReader", "Groups"]

_MOST_NAMED = 120
"""Up to so many groups are asked for by name; beyond that, all of them are read."""
_MOST_OF = 40
"""Up to so many users are asked for the groups that they are in; beyond that, the groups are read."""
_WITH_VERSION = "displayName,members,meta"


@dataclass(frozen=True, slots=True)
class Group:
    """A group. `nested` are those of its members that are groups."""

    key: str
    name: str
    version: str
    members: Sequence[str]
    nested: frozenset[str] = frozenset()


@dataclass(slots=True)
class Groups:
    """The groups that were asked for: by what they were asked for, small letters; and why some may be missing."""

    by_key: dict[str, Group] = field(default_factory=dict)
    by_name: dict[str, list[Group]] = field(default_factory=dict)
    shortfall: str = ""

    def enter(self, group: Group) -> None:
        """One more."""
        self.by_key[group.key] = group
        self.by_name.setdefault(group.name.casefold(), []).append(group)

    def found(self, locator: Mapping[str, str]) -> Sequence[Group]:
        """The groups that a locator means: one, none, or several that nothing tells apart."""
        if "id" in locator:
            group = self.by_key.get(locator["id"])
            return [group] if group else []
        return self.by_name.get(locator["group"].casefold(), [])


class GroupReader:
    """Reads the groups of one provider. Everything raises `Trouble`."""

    def __init__(self, questions: Questions, layout: Layout) -> None:
        self._questions = questions
        self._layout = layout
        self._listed_some = False
        """Whether a listing has shown members: then a group that shows none has none."""

    def named(self, names: Collection[str], keys: Collection[str], of: Collection[str] | None = None) -> Groups:
        """The groups of these names and keys, with their members; `of`: of the members, only these users count."""
        if of is not None and (groups := self._groups_of_few(names, keys, of)) is not None:
            return groups
        return self._with_members(self._named(names, keys, "displayName,members"))

    def without_members(self, names: Collection[str]) -> Groups:
        """The groups of these names, without anybody in them."""
        return self._named(names, (), "displayName")

    def of(self, keys: Collection[str]) -> dict[str, Group]:
        """Those of these keys that there are, as they are now."""
        if len(keys) > 1 and self._layout.lists_members:
            groups = self._with_members(self._named((), keys, _WITH_VERSION))
            missing = set(keys) - set(groups.by_key)
            found = {key: group for key, group in groups.by_key.items() if key in keys}
        else:
            missing, found = set(keys), {}
        each = (self._group_alone(key) for key in missing)
        return found | {group.key: group for group in each if group}

    def _groups_of_few(self, names: Collection[str], keys: Collection[str], of: Collection[str]) -> Groups | None:
        """By asking which groups these users are in, rather than who is in these groups; None where the provider does
        not show that it understands the question, by one group at least, in which one of them is.
        """
        may_ask = self._layout.lists_members and self._questions.can_filter("/Groups", "members.value")
        if not of or len(of) > _MOST_OF or not may_ask:
            return None
        found = self._questions.having("/Groups", "members.value", sorted(of), "displayName,members")
        if found is None or found.shortfall or not found.resources:
            return None
        holding = {key: _group(resource) for key, resource in found.resources.items()}
        if not all(set(group.members) & set(of) for group in holding.values()):
            return None
        groups = self._named(names, keys, "displayName")
        for named in groups.by_name.values():
            named[:] = [holding.get(group.key, group) for group in named]
        groups.by_key |= {key: group for key, group in holding.items() if key in groups.by_key}
        return groups

    def _named(self, names: Collection[str], keys: Collection[str], attributes: str) -> Groups:
        wanted = {"displayName": sorted({name.casefold(): name for name in names}.values()), "id": sorted(set(keys))}
        listing = self._narrowly(wanted, attributes) if len(names) + len(keys) <= _MOST_NAMED else None
        if listing is None or not _are_there(listing, names, keys):
            listing = self._questions.list("/Groups", attributes)
        self._listed_some = self._listed_some or any(part(each, "members") for each in listing.resources.values())
        groups = Groups(shortfall=listing.shortfall)
        folded = {name.casefold() for name in names}
        for resource in listing.resources.values():
            group = _group(resource)
            if group.key in keys or group.name.casefold() in folded:
                groups.enter(group)
        return groups

    def _narrowly(self, wanted: Mapping[str, Sequence[str]], attributes: str) -> Listing | None:
        listing = Listing()
        for attribute, values in wanted.items():
            found = self._questions.having("/Groups", attribute, values, attributes) if values else Listing()
            if found is None:
                return None
            listing.resources |= found.resources
            listing.shortfall = listing.shortfall or found.shortfall
        return listing

    def _with_members(self, groups: Groups) -> Groups:
        """Each group read by itself, where the listing that they come from shows nobody's members."""
        if self._layout.lists_members and self._listed_some:
            return groups
        read = {key: self._group_alone(key) for key in groups.by_key}
        alone = Groups(shortfall=groups.shortfall)
        for group in read.values():
            if group is not None:
                alone.enter(group)
        return alone

    def _group_alone(self, key: str) -> Group | None:
        found = self._questions.one("Groups", key, _WITH_VERSION)
        return None if found is None else _group(found)


def _are_there(listing: Listing, names: Collection[str], keys: Collection[str]) -> bool:
    """Whether a filter found all that it was asked for: many a provider answers one that it does not understand, or
    takes capitals for other letters, with an empty list.
    """
    called = {one_text(part(each, "displayName")).casefold() for each in listing.resources.values()}
    return {name.casefold() for name in names} <= called and set(keys) <= set(listing.resources)


def _group(resource: Resource) -> Group:
    members, nested = [], set()
    for member in _members(resource):
        key = one_text(part(member, "value"))
        members.append(key)
        reference = one_text(part(member, "$ref"))
        if one_text(part(member, "type")).casefold() == "group" or "/groups/" in reference.casefold():
            nested.add(key)
    key = one_text(part(resource, "id"))
    name = one_text(part(resource, "displayName")) or key
    return Group(key, name, version_of(resource), list(dict.fromkeys(members)), frozenset(nested))


def _members(resource: Resource) -> Sequence[object]:
    """The members of a group, as it lists them. Raises `Trouble` for what is no list of members."""
    members = part(resource, "members")
    if members is None:
        return ()
    if not isinstance(members, list) or not all(one_text(part(member, "value")) for member in members):
        raise Trouble(f"the members of {one_text(part(resource, 'id'))} are no list of values", "ask who runs it")
    return members
