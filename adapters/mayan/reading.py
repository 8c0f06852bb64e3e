"""From Mayan's answers to an observation.

An account is a user that Mayan shows us, so never staff and never a superuser; its key is the user's id, which survives
a new user name. A user that does not fit the configured pattern is nobody's account, and foreign in a group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from adapters.api.trouble import Trouble
from adapters.mayan.access import Access, Obstacle
from adapters.mayan.api import Api, Listing, Record, is_number
from adapters.mayan.entitlements import Managed, managed
from adapters.mayan.rights import Standing
from adapters.mayan.settings import MayanSettings
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

__all__ = ["USER_FIELDS", "Eye", "accounts_in"]

USER_FIELDS = "id,username,email,is_active"
_NARROW = 20
"""Up to so many accounts it is quicker to ask each for its groups than each group for its members."""


def accounts_in(users: Sequence[Record], settings: MayanSettings, own: int) -> dict[int, ObservedAccount]:
    """The accounts among these users: id → account. We ourselves are none."""
    found = {int(str(user["id"])): user for user in users if user["id"] != own}
    return {
        number: _account(number, user, settings)
        for number, user in found.items()
        if fnmatchcase(str(user["username"]), settings.usernames)
    }


def _account(number: int, user: Record, settings: MayanSettings) -> ObservedAccount:
    value = str(user.get(settings.match.field) or "").strip()
    match = {settings.match.attribute: value} if value else {}
    name = str(user["username"])
    return ObservedAccount(str(number), name, name, match, user.get("is_active") is not False)


class Eye:
    """Looks at one Mayan, once."""

    def __init__(self, api: Api, settings: MayanSettings, access: Access, standing: Standing) -> None:
        self._api = api
        self._settings = settings
        self._access = access
        self._standing = standing
        self._findings: list[TargetFinding] = []

    def observation(self, locators: Sequence[Locator], keys: Collection[str] | None, at: datetime) -> Observation:
        """All accounts, or those of these keys, and who is in each entitlement. Raises `Trouble`."""
        wanted = {entitlement_key(locator): managed(locator) for locator in locators}
        narrow = None if keys is None else [int(key) for key in keys if is_number(key)]
        listed = self._users(narrow)
        # Mayan says of whom it hides what it says of who is gone.
        blind = self._standing.blind() if narrow is None or len(listed.records) < len(narrow) else ""
        users, doubt = listed.records, blind or listed.doubt
        groups = self._groups(wanted, told=narrow is None)
        members: Mapping[str, Listing | str]
        if narrow is None or len(narrow) > _NARROW:
            members = {key: self._members(group) for key, group in groups.items()}
        else:
            members = self._members_among(users, groups)
        known = self._known(users, members, narrow)
        places = {number: place for place, number in enumerate(known)}
        read = {
            key: self._entitlement(key, each, members[key], places, blind, narrow=narrow is not None)
            for key, each in wanted.items()
        }
        if narrow is None:
            self._findings += self._standing.told()
        own = frozenset({str(self._standing.id), self._standing.name})
        reading = Reading.PARTIAL if doubt else Reading.COMPLETE
        if not known and narrow is None and not doubt:
            reading = Reading.CONFIRMED_EMPTY
        accounts = AccountsRead(reading, tuple(known.values()), doubt)
        return Observation(at, accounts, read, tuple(self._findings), own)

    def _users(self, narrow: Sequence[int] | None) -> Listing:
        if narrow is not None and len(narrow) <= _NARROW:
            found = (self._api.one(f"users/{number}/", USER_FIELDS) for number in narrow)
            return Listing([user for user in found if user is not None])
        users = self._api.readable("users/", USER_FIELDS)
        if narrow is None:
            return users
        return Listing([user for user in users.records if user["id"] in narrow], users.flaw)

    def _groups(self, wanted: Mapping[str, Managed], *, told: bool) -> dict[str, int | str]:
        """Key → the group's id, or why there is none."""
        if wanted and not self._access.groups:
            return dict.fromkeys(wanted, "Mayan shows us no group: our role needs user_management.group_view")
        found: dict[str, int | str] = {}
        for key, each in wanted.items():
            try:
                found[key] = group = self._access.group(each)
                if told:
                    self._findings += self._access.told(each, group)
            except Obstacle as obstacle:
                found[key] = str(obstacle)
            except Trouble as trouble:
                found[key] = f"{trouble.said}; {trouble.remedy}"
        for key, twins in _twins(found).items():
            names = " and ".join(sorted(wanted[twin].shown for twin in twins))
            found[key] = f"{names} are the same group: bind it once, or what one binding gives, another takes"
        return found

    def _members(self, group: int | str) -> Listing | str:
        """The users in it, or why they cannot be told."""
        if isinstance(group, str):
            return group
        try:
            return self._api.readable(f"groups/{group}/users/", USER_FIELDS)
        except Trouble as trouble:
            return f"{trouble.said}; {trouble.remedy}"

    def _members_among(self, users: Sequence[Record], groups: Mapping[str, int | str]) -> Mapping[str, Listing | str]:
        inside = {str(user["id"]): self._groups_of(user) for user in users} if groups else {}
        return {
            key: group
            if isinstance(group, str)
            else Listing([user for user in users if group in inside[str(user["id"])]])
            for key, group in groups.items()
        }

    def _groups_of(self, user: Record) -> Collection[object]:
        return {each["id"] for each in self._api.every(f"users/{user['id']}/groups/", "id")}

    def _known(
        self,
        users: Sequence[Record],
        members: Mapping[str, Listing | str],
        narrow: Sequence[int] | None,
    ) -> dict[int, ObservedAccount]:
        """Those who came while we were reading are known from the group that they came into."""
        known = accounts_in(users, self._settings, self._standing.id)
        for found in members.values() if narrow is None else ():
            if not isinstance(found, str):
                for number, account in accounts_in(found.records, self._settings, self._standing.id).items():
                    known.setdefault(number, account)
        return known

    def _entitlement(
        self,
        key: str,
        each: Managed,
        members: Listing | str,
        places: Mapping[int, int],
        blind: str,
        *,
        narrow: bool,
    ) -> EntitlementRead:
        if isinstance(members, str):
            return EntitlementRead(key, each.shown, Reading.FAILED, detail=members)
        users, doubt = members.records, blind or members.doubt
        inside = BitMap([places[number] for number in _ids(users) if number in places])
        foreign = () if narrow else tuple(str(user["username"]) for user in users if user["id"] not in places)
        reading = Reading.PARTIAL if doubt else Reading.COMPLETE
        if not doubt and not narrow and not users:
            reading = Reading.CONFIRMED_EMPTY
        return EntitlementRead(key, each.shown, reading, inside, foreign, doubt)


def _ids(users: Sequence[Record]) -> Iterator[int]:
    return (int(str(user["id"])) for user in users)


def _twins(groups: Mapping[str, int | str]) -> Mapping[str, Sequence[str]]:
    """The keys that lead to one group, of each key of which there is another."""
    keys: dict[int, list[str]] = {}
    for key, group in groups.items():
        if isinstance(group, int):
            keys.setdefault(group, []).append(key)
    return {key: alike for alike in keys.values() if len(alike) > 1 for key in alike}
