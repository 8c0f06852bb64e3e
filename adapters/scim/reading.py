"""From a provider's resources to an observation.

An account is a user; its key is the SCIM id. A group's member that is no user is foreign: a group in the group, an id
that nobody has any more. Groups are read before users, so that who was created in between is not taken for a stranger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.api.trouble import Trouble
from adapters.scim.groups import Groups
from adapters.scim.paging import Listing
from adapters.scim.provider import Provider
from adapters.scim.settings import Layout
from adapters.scim.users import User, matches, user_of
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Reading,
    TargetFinding,
    entitlement_key,
)

__all__ = ["belongs_to", "observation", "several"]


def observation(
    provider: Provider, layout: Layout, locators: Sequence[Locator], keys: Collection[str] | None, at: datetime
) -> Observation:
    """What the provider says about its accounts and these entitlements; `keys` limits the accounts (a narrow read).
    Raises `Trouble` where the accounts cannot be read.
    """
    groups, obstacle = _groups(provider, locators, keys)
    listing = provider.users.all() if keys is None else provider.users.of(keys)
    users = [user_of(resource) for resource in listing.resources.values()]
    scene = _Scene(layout, users, listing, narrow=keys is not None)
    accounts = tuple(scene.account(user) for user in users)
    read: dict[str, EntitlementRead] = {}
    for locator in locators:
        key = entitlement_key(locator)
        if "attribute" in locator:
            read[key] = scene.holders(key, locator)
        elif obstacle:
            read[key] = EntitlementRead(key, _name(locator), Reading.FAILED, detail=obstacle)
        else:
            read[key] = scene.members(key, locator, groups)
    if keys is None:
        scene.findings += _with_groups_within(read, locators, groups)
    own = provider.own_key()
    return Observation(at, scene.accounts_read(accounts), read, scene.findings, frozenset({own} if own else ()))


def _groups(provider: Provider, locators: Sequence[Locator], of: Collection[str] | None) -> tuple[Groups, str]:
    """The groups of these locators, or why they cannot be read."""
    names = {locator["group"] for locator in locators if "group" in locator}
    keys = {locator["id"] for locator in locators if "id" in locator}
    if not names and not keys:
        return Groups(), ""
    try:
        return provider.groups.named(names, keys, of), ""
    except Trouble as trouble:
        return Groups(), f"the groups cannot be read: {trouble.said}; {trouble.remedy}"


def belongs_to(layout: Layout, user: User, asked: Mapping[str, str]) -> bool:
    """Whether it is the account of somebody of whom this is known (attribute of a person → value)."""
    own = matches(layout, user.resource)
    return {name: value.casefold() for name, value in own.items()} == {
        name: asked[name].strip().casefold() for name in layout.match
    }


def several(name: str, count: int) -> str:
    """That a display name tells nothing."""
    return f"there are {count} groups called {name}: name the one that is meant by {{id: …}}, or rename the others"


@dataclass(slots=True)
class _Scene:
    """The accounts, where they stand, and what was noticed."""

    layout: Layout
    users: Sequence[User]
    listing: Listing
    narrow: bool
    findings: list[TargetFinding] = field(default_factory=list)
    _positions: dict[str, int] = field(default_factory=dict)
    _holding: dict[str, dict[str, BitMap]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._positions = {user.key: position for position, user in enumerate(self.users)}

    def account(self, user: User) -> ObservedAccount:
        """The account that a user is."""
        match = matches(self.layout, user.resource)
        for person, attribute in self.layout.match.items():
            if person not in match and len(attribute.values(user.resource)) > 1:
                text = f"{user.name} has several values of {attribute.text}: it is nobody's"
                self.findings.append(TargetFinding("ambiguous-account", user.name, text))
        return ObservedAccount(user.key, user.name, user.name, match, user.active)

    def accounts_read(self, accounts: Sequence[ObservedAccount]) -> AccountsRead:
        """All of them, and how far that can be trusted."""
        if self.listing.shortfall:
            detail = f"the list of users may not be whole: {self.listing.shortfall}"
            return AccountsRead(Reading.PARTIAL, accounts, detail)
        return AccountsRead(Reading.COMPLETE if accounts or self.narrow else Reading.CONFIRMED_EMPTY, accounts)

    def members(self, key: str, locator: Locator, groups: Groups) -> EntitlementRead:
        """Who is in a group."""
        found = groups.found(locator)
        if len(found) > 1:
            return EntitlementRead(key, _name(locator), Reading.FAILED, detail=several(_name(locator), len(found)))
        if not found:
            detail = f"there is no group {_name(locator)}; create it, or correct the binding"
            if groups.shortfall:
                detail = f"{_name(locator)} was not found, and the list may not be whole: {groups.shortfall}"
            return EntitlementRead(key, _name(locator), Reading.FAILED, detail=detail)
        [group] = found
        inside = BitMap([self._positions[each] for each in group.members if each in self._positions])
        others = () if self.narrow else tuple(each for each in group.members if each not in self._positions)
        if groups.shortfall and "group" in locator:
            detail = f"another group may have the same name: the list may not be whole: {groups.shortfall}"
            return EntitlementRead(key, group.name, Reading.PARTIAL, inside, detail=detail)
        if others and self.listing.shortfall:
            detail = f"who of its members is a user is not known: {self.listing.shortfall}"
            return EntitlementRead(key, group.name, Reading.PARTIAL, inside, detail=detail)
        empty = not group.members and not self.narrow
        return EntitlementRead(key, group.name, Reading.CONFIRMED_EMPTY if empty else Reading.COMPLETE, inside, others)

    def holders(self, key: str, locator: Locator) -> EntitlementRead:
        """Who has a value of an attribute."""
        attribute = locator["attribute"].casefold()
        name = f"{self.layout.managed[attribute].text}: {locator['value']}"
        inside = self._holders_of(attribute).get(locator["value"].casefold(), BitMap())
        if self.listing.shortfall:
            detail = f"the list of users may not be whole: {self.listing.shortfall}"
            return EntitlementRead(key, name, Reading.PARTIAL, inside, detail=detail)
        empty = not inside and not self.narrow
        return EntitlementRead(key, name, Reading.CONFIRMED_EMPTY if empty else Reading.COMPLETE, inside)

    def _holders_of(self, attribute: str) -> Mapping[str, BitMap]:
        if attribute not in self._holding:
            holding: dict[str, BitMap] = {}
            for position, user in enumerate(self.users):
                for value in self.layout.managed[attribute].values(user.resource):
                    holding.setdefault(value.casefold(), BitMap()).add(position)
            self._holding[attribute] = holding
        return self._holding[attribute]


def _with_groups_within(
    read: dict[str, EntitlementRead], locators: Sequence[Locator], groups: Groups
) -> Iterator[TargetFinding]:
    """Note which of the groups asked for lie in others of them, so that their members have those too; a finding for
    each group inside one that was not asked for.
    """
    meant = {entitlement_key(locator): groups.found(locator) for locator in locators if "attribute" not in locator}
    single = {key: found[0] for key, found in meant.items() if len(found) == 1}
    keys: dict[str, list[str]] = {}
    for key, group in single.items():
        keys.setdefault(group.key, []).append(key)
    for key, group in single.items():
        within = sorted(each for inner in group.nested for each in keys.get(inner, ()))
        read[key] = replace(read[key], within=within) if within else read[key]
        for inner in sorted(group.nested - keys.keys()):
            text = (
                f"the group with the id {inner} is a member of {group.name}: whoever is in it has what {group.name} "
                "gives, beside any policy"
            )
            yield TargetFinding("nested-group", group.name, text)


def _name(locator: Locator) -> str:
    return locator.get("group") or locator.get("id") or ""
