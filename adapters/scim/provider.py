"""What a provider has: its features, its users, its groups and who is in them, asked with few questions.

A filter narrows a question where the provider offers filters; what does not come back by one is not believed to be
absent, but looked for by itself. A group's members are taken from a listing only if that listing shows members at all.

Sources: RFC 7643, sections 4.1, 4.2, 5; RFC 7644, sections 3.4 and 4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from adapters.api.trouble import Trouble
from adapters.scim.attributes import Resource, any_of, is_true, one_text, part
from adapters.scim.paging import Listing, NoList, read_list
from adapters.scim.session import Answer, Session, address
from adapters.scim.settings import Layout

__all__ = ["Features", "Group", "Groups", "Provider", "User", "members_of"]

_MOST_NAMED = 120
"""Up to so many groups are asked for by name; beyond that, all of them are read."""
_MOST_OF = 40
"""Up to so many users are asked for the groups that they are in; beyond that, the groups are read."""
_NOT_OFFERED = frozenset({400, 403, 404, 405, 501})
"""How a provider refuses a question that it does not understand."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the provider offers and the settings do not exclude. `bulk`: the most operations at once, 0 for none."""

    patch: bool
    filter: bool
    etag: bool
    bulk: int
    bulk_octets: int
    most: int
    """The most resources of one page; 0 where it does not say."""
    announced: bool
    """Whether it said so itself."""


@dataclass(frozen=True, slots=True)
class User:
    """A user. `version`: blank where there is none."""

    key: str
    name: str
    active: bool
    version: str
    resource: Resource = field(repr=False)


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


class Provider:
    """Reads a provider. Everything raises `Trouble`."""

    def __init__(self, session: Session, layout: Layout) -> None:
        self._session = session
        self._layout = layout
        self._refused: set[str] = set()
        """The attributes that it takes no filter of."""
        self._listed_some = False
        """Whether a listing has shown members: then a group that shows none has none."""

    @cached_property
    def features(self) -> Features:
        """What it says of itself; the least that any provider has where it says nothing."""
        try:
            said = self._session.get("/ServiceProviderConfig").value
        except Trouble as trouble:
            if trouble.status not in _NOT_OFFERED:
                raise
            said = None
        without = self._layout.without
        bulk = part(said, "bulk")
        return Features(
            patch="patch" not in without and (said is None or _supported(said, "patch")),
            filter="filter" not in without and _supported(said, "filter"),
            etag="etag" not in without and _supported(said, "etag"),
            bulk=_number(bulk, "maxOperations") if "bulk" not in without and _supported(said, "bulk") else 0,
            bulk_octets=_number(bulk, "maxPayloadSize"),
            most=_number(part(said, "filter"), "maxResults"),
            announced=said is not None,
        )

    def own_key(self) -> str:
        """The key of the account that we are signed in as; a blank where it cannot be told."""
        try:
            return one_text(part(self._session.get("/Me", {"attributes": "id"}).value, "id"))
        except Trouble:
            return ""

    def probe(self) -> None:
        """Whether users and groups can be read at all."""
        for path in ("/Users", "/Groups"):
            answer = self._session.get(path, {"attributes": "id", "startIndex": "1", "count": "1"})
            if not one_text(part(answer.value, "totalResults")):
                raise Trouble(f"{path} answers with something else than a list", "check `url`")

    # --- users ------------------------------------------------------------------------------------------------------

    def users(self) -> Listing:
        """All of them, without versions."""
        return self._list("/Users", self._of_users)

    def users_of(self, keys: Collection[str], *, bare: bool = False) -> Listing:
        """Those of these keys that there are, with their versions, in about as few questions as possible; `bare`: with
        nothing but their keys.
        """
        attributes = "id" if bare else f"{self._of_users},meta"
        wanted = {key for key in keys if address("Users", key)}
        if len(wanted) <= 1:
            return Listing({key: found for key in wanted if (found := self._one("Users", key, attributes))})
        listing = self._filtered("/Users", "id", sorted(wanted), attributes) if self._is_narrow(wanted) else None
        missing = wanted - set(listing.resources) if listing else wanted
        if listing is None or len(missing) > 1:
            listing = self._list("/Users", attributes)
        elif missing:
            listing.resources |= self.users_of(missing, bare=bare).resources
        return Listing({key: each for key, each in listing.resources.items() if key in wanted}, listing.shortfall)

    def users_having(self, asked: Mapping[str, str]) -> Listing | None:
        """Those who have all these values (attribute of a person → value); None where that cannot be asked."""
        if not self.features.filter:
            return None
        clauses = [self._layout.match[person].equals(value) for person, value in asked.items()]
        return self._ask_filtered("/Users", "match", " and ".join(clauses), self._of_users)

    def user(self, resource: Resource) -> User:
        """A user as it was read."""
        key, active = one_text(part(resource, "id")), part(resource, "active")
        name = one_text(part(resource, "userName")) or key
        return User(key, name, active is None or is_true(active), _version(resource), resource)

    @property
    def _of_users(self) -> str:
        layout = self._layout
        named = [*layout.match.values(), *layout.managed.values()]
        return ",".join(dict.fromkeys(["userName", "active", *(each.asked for each in named)]))

    def _is_narrow(self, wanted: Collection[str]) -> bool:
        """Whether asking for these is less work than reading everybody."""
        if not self._can_filter("id"):
            return False
        questions = len(list(any_of("id", wanted)))
        if questions == 1:
            return True
        answer = self._session.get("/Users", {"attributes": "id", "startIndex": "1", "count": "1"})
        return questions <= _number(answer.value, "totalResults") / self._page_size

    # --- groups -----------------------------------------------------------------------------------------------------

    def groups(self, names: Collection[str], keys: Collection[str], of: Collection[str] | None = None) -> Groups:
        """The groups of these names and keys, with their members; `of`: of the members, only these users count."""
        if of is not None and (groups := self._groups_of_few(names, keys, of)) is not None:
            return groups
        return self._with_members(self._named(names, keys, "displayName,members"))

    def groups_without_members(self, names: Collection[str]) -> Groups:
        """The groups of these names, without anybody in them."""
        return self._named(names, (), "displayName")

    def groups_of(self, keys: Collection[str]) -> dict[str, Group]:
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
        if not of or len(of) > _MOST_OF or not self._layout.lists_members or not self._can_filter("members.value"):
            return None
        found = self._filtered("/Groups", "members.value", sorted(of), "displayName,members")
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
        if listing is None:
            listing = self._list("/Groups", attributes)
        shown = (part(each, "members") for each in listing.resources.values())
        self._listed_some = self._listed_some or any(members is not None for members in shown)
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
            found = self._filtered("/Groups", attribute, values, attributes) if values else Listing()
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
        found = self._one("Groups", key, _WITH_VERSION)
        return None if found is None else _group(found)

    # --- questions --------------------------------------------------------------------------------------------------

    def _can_filter(self, attribute: str) -> bool:
        return self.features.filter and attribute not in self._refused

    @property
    def _page_size(self) -> int:
        return min(self._layout.page_size, self.features.most or self._layout.page_size)

    def _list(self, path: str, attributes: str, filter_: str = "") -> Listing:
        def ask(page: Mapping[str, str]) -> object:
            asked = {"attributes": attributes, **({"filter": filter_} if filter_ else {}), **page}
            return self._session.get(path, asked).value

        try:
            return read_list(ask, max(self._page_size, 2))
        except NoList as error:
            raise Trouble(f"{path} answers with something else than a list: {error}", "check `url`") from None

    def _ask_filtered(self, path: str, attribute: str, filter_: str, attributes: str) -> Listing | None:
        try:
            return self._list(path, attributes, filter_)
        except Trouble as trouble:
            if trouble.status not in _NOT_OFFERED:
                raise
            self._refused.add(attribute)
            return None

    def _filtered(self, path: str, attribute: str, values: Sequence[str], attributes: str) -> Listing | None:
        """Whatever has one of these values; None where the provider does not take such a filter."""
        listing = Listing()
        for filter_ in any_of(attribute, values):
            asked = self._can_filter(attribute)
            found = self._ask_filtered(path, attribute, filter_, attributes) if asked else None
            if found is None:
                return None
            listing.resources |= found.resources
            listing.shortfall = listing.shortfall or found.shortfall
        return listing

    def _one(self, kind: str, key: str, attributes: str) -> Resource | None:
        path = address(kind, key)
        if not path:
            return None
        try:
            answer: Answer = self._session.get(path, {"attributes": attributes})
        except Trouble as trouble:
            if trouble.status == 404:
                return None
            raise
        value = answer.value
        if not isinstance(value, Mapping) or one_text(part(value, "id")) != key:
            raise Trouble(f"{path} answers with something else than what has this id", "check `url`")
        return {**value, _VERSION: answer.version} if answer.version else value


_WITH_VERSION = "displayName,members,meta"
_VERSION = "\0version"
"""Where the version of a resource is noted that was read alone: no attribute has such a name."""


def _group(resource: Resource) -> Group:
    members, nested = [], set()
    for member in members_of(resource):
        key = one_text(part(member, "value"))
        members.append(key)
        reference = one_text(part(member, "$ref"))
        if one_text(part(member, "type")).casefold() == "group" or "/groups/" in reference.casefold():
            nested.add(key)
    key = one_text(part(resource, "id"))
    name = one_text(part(resource, "displayName")) or key
    return Group(key, name, _version(resource), list(dict.fromkeys(members)), frozenset(nested))


def members_of(resource: Resource) -> Iterator[object]:
    """The members of a group, as it lists them. Raises `Trouble` for what is no list of members."""
    members = part(resource, "members")
    if members is None:
        return
    if not isinstance(members, list) or not all(one_text(part(member, "value")) for member in members):
        raise Trouble(f"the members of {one_text(part(resource, 'id'))} are no list of values", "ask who runs it")
    yield from members


def _version(resource: Resource) -> str:
    return one_text(part(resource, _VERSION)) or one_text(part(part(resource, "meta"), "version"))


def _supported(said: object, name: str) -> bool:
    return is_true(part(part(said, name), "supported"))


def _number(said: object, name: str) -> int:
    text = one_text(part(said, name))
    return int(text) if text.isascii() and text.isdigit() else 0
