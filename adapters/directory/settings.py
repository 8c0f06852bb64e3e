"""The settings that every directory target has, checked, and turned into a `Layout`.

Mistakes are told all at once (`adapters.checking`); values never appear in a message: one of them may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from adapters import checking
from adapters.checking import PersonAttribute, Strict
from adapters.directory import names
from adapters.directory.creating import Create, Handover, problems_of, template_attributes
from adapters.directory.entries import KEPT, GroupName
from adapters.directory.groups import KINDS, GroupKind
from adapters.directory.locking import LOCKS, Lock
from reconciler.targets import Locator, Op, TargetContext

__all__ = [
    "Accounts",
    "AttributeValue",
    "DnText",
    "Groups",
    "Layout",
    "Leavers",
    "People",
    "Places",
    "Settings",
    "Strict",
    "checked",
    "layout_of",
    "within",
]


def _is_name(text: str) -> str:
    try:
        parsed = names.parse(text)
    except names.InvalidName as error:
        raise ValueError(f"is no distinguished name: {error}") from None
    if not parsed:
        raise ValueError("is empty")
    return text


DnText = Annotated[str, AfterValidator(_is_name)]
_ATTRIBUTE = re.compile("[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_NEVER_ENTITLEMENTS = frozenset({"objectclass", "uid", "cn", "sn", "userpassword", "entryuuid", "dn", "member"})


def _is_manageable(attribute: str) -> str:
    if not _ATTRIBUTE.fullmatch(attribute):
        raise ValueError("is no attribute's name")
    if attribute.lower() in _NEVER_ENTITLEMENTS:
        raise ValueError("makes the account what it is, and is no entitlement")
    return attribute


class People(Strict):
    """Where the accounts are, and which attribute of an account is which attribute of a person."""

    base: DnText
    match: Annotated[dict[str, PersonAttribute], Field(min_length=1)]
    filter: str | None = None


class Groups(Strict):
    """Where the groups are, and of which kind."""

    base: DnText
    kind: Literal["groupOfNames", "groupOfUniqueNames", "posixGroup"]
    placeholder: DnText | None = None


@dataclass(frozen=True, slots=True)
class Leavers:
    """`unit` is where disabled accounts stand, `home` where they go from there; with a blank they stay."""

    unit: str
    home: str


class Places(Strict):
    """Where accounts stand. `leavers`: the unit where disabled accounts do, `home`: where they go from there when they
    are enabled.
    """

    leavers: DnText | None = None
    home: DnText | None = None

    @property
    def leaving(self) -> Leavers | None:
        """Where disabled accounts stand, where they stand anywhere else."""
        return Leavers(self.leavers, self.home or "") if self.leavers else None

    def flaws(self, disable: str | None, base: str) -> Iterator[str]:
        """What is wrong with them, where accounts are disabled in that way (None: not at all) and looked for there."""
        if self.leavers and not disable:
            yield "`accounts.leavers` is where disabled accounts stand; it needs `disable`"
        if self.home and not self.leavers:
            yield "`accounts.home` is where accounts come back to from `leavers`; it needs that too"
        if self.home and self.leavers and within(self.home, self.leavers):
            yield "`accounts.home` lies within `leavers`"
        for unit in filter(None, (self.leavers, self.home)):
            if not within(unit, base):
                yield f"{unit} lies outside `people.base`: who is moved there would be seen no more"


class Accounts(Places):
    """What may be done with accounts themselves; nothing unless said. `attributes`: those whose values are
    entitlements.
    """

    disable: Literal["ppolicy", "shadow-expire"] | None = None
    delete: bool = False
    create: Create | None = None
    attributes: tuple[Annotated[str, AfterValidator(_is_manageable)], ...] = ()


class Settings(Strict):
    """What LDAP and LDIF targets have in common."""

    people: People
    groups: Groups
    accounts: Accounts = Accounts()

    @model_validator(mode="after")
    def _separate(self) -> Self:
        taken = {attribute.lower() for attribute in self.people.match}
        taken |= {lock.attribute for lock in LOCKS.values()}
        for attribute in self.accounts.attributes:
            if attribute.lower() in taken:
                raise ValueError(f"`accounts.attributes` names {attribute}, by which accounts are matched or locked")
        if self.accounts.create and (wrong := next(problems_of(self.accounts.create, self.people.match), "")):
            raise ValueError(wrong)
        create = self.accounts.create
        if create and create.under and not within(create.under, self.people.base):
            raise ValueError("`accounts.create.under` lies outside `people.base`, where accounts are looked for")
        if wrong := next(self.accounts.flaws(self.accounts.disable, self.people.base), ""):
            raise ValueError(wrong)
        return self


def within(dn: str, base: str) -> bool:
    """Whether a name is the base's or lies below it. Raises `InvalidName`."""
    return names.lies_under(dn, base) or names.canonical(dn) == names.canonical(base)


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """A value of an account's attribute, as an entitlement. The attribute is in lower case."""

    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How this directory is laid out: all that the shared semantics need to know of the settings."""

    people_base: str
    match: Mapping[str, str]
    groups_base: str
    kind: GroupKind
    placeholder: str
    lock: Lock | None
    deletes: bool
    attributes: Sequence[str] = ()
    """Those of accounts whose values are entitlements, in lower case."""
    create: Create | None = None
    handover: Handover | None = None
    leavers: Leavers | None = None
    login: str = "uid"
    """The attribute with an account's short name."""
    key: str = "entryUUID"
    """The attribute by which an account stays the same account, for messages."""

    @property
    def account_attributes(self) -> Sequence[str]:
        """What has to be read of an account, and nothing more."""
        locking = self.lock.attributes if self.lock else ()
        primary = (self.kind.primary,) if self.kind.primary else ()
        return tuple(dict.fromkeys((self.login, *self.match, *locking, *self.attributes, *primary)))

    @property
    def member_attributes(self) -> Sequence[str]:
        """What has to be read of an account to put it into a group, or take it out: most of what a large run reads."""
        return () if self.kind.by_dn else ("uid",)

    @property
    def ops(self) -> frozenset[Op]:
        """What this directory can be asked to do."""
        locking = {Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT} if self.lock else set()
        creating = {Op.CREATE_ACCOUNT} if self.create else set()
        deleting = {Op.DELETE_ACCOUNT} if self.deletes else set()
        return frozenset({Op.GRANT, Op.REVOKE} | locking | creating | deleting)

    @property
    def creation_attributes(self) -> Sequence[str]:
        """What has to be known of a person whose account is created."""
        return sorted(template_attributes(self.create)) if self.create else ()

    def may_be_account(self, dn: str) -> bool:
        """Whether an entry of this name would be where the accounts are. Raises `InvalidName`."""
        return within(dn, self.people_base)

    def group_name(self, locator: Locator) -> GroupName:
        """How the locator names its group; a DN only where it is one under the groups' base."""
        return _group_name(locator["group"], self.groups_base)

    def attribute_value(self, locator: Locator) -> AttributeValue | None:
        """The value that the locator names, where it names one and not a group."""
        if "attribute" not in locator:
            return None
        return AttributeValue(locator["attribute"].lower(), locator["value"])

    def locator_error(self, locator: Locator) -> str | None:
        """What is wrong with a locator, in words, or None."""
        if set(locator) == {"attribute", "value"}:
            return self._attribute_error(locator["attribute"], locator["value"])
        if set(locator) != {"group"}:
            given = ", ".join(sorted(locator)) or "nothing"
            return (
                "a directory's entitlement is named by `group` alone, e.g. {group: docs-readers}, or by `attribute` "
                f"and `value`; given: {given}"
            )
        value = locator["group"]
        if not value.strip():
            return "`group` is empty; it is the group's cn, or its DN"
        if _looks_like_dn(value) and not self.group_name(locator).dn:
            return f"{value} lies outside {self.groups_base}, where this target's groups are"
        return None

    def _attribute_error(self, attribute: str, value: str) -> str | None:
        if attribute.lower() not in self.attributes:
            known = ", ".join(self.attributes) or "none"
            return f"{attribute} is not among `accounts.attributes` of this target ({known})"
        return None if value.strip() else "`value` is empty"


SettingsType = TypeVar("SettingsType", bound=Settings)


def checked(model: type[SettingsType], settings: Mapping[str, object], context: TargetContext) -> SettingsType:
    """The settings, or `ProblemsFound` with all that is wrong with them."""
    return checking.checked(model, settings, f"target {context.name}", "target-settings", context.place)


def layout_of(settings: Settings, folder: Path = Path()) -> Layout:
    """The layout that these settings describe; what is handed over goes to a folder relative to this one."""
    create = settings.accounts.create
    secret = create.secret if create else None
    placeholder = settings.groups.placeholder or f"cn=placeholder,{settings.groups.base}"
    return Layout(
        people_base=settings.people.base,
        match={attribute.lower(): person for attribute, person in settings.people.match.items()},
        groups_base=settings.groups.base,
        kind=KINDS[settings.groups.kind],
        placeholder=placeholder,
        lock=LOCKS[settings.accounts.disable] if settings.accounts.disable else None,
        deletes=settings.accounts.delete,
        create=create,
        handover=Handover(folder / secret.folder, secret.length) if secret else None,
        leavers=settings.accounts.leaving,
        attributes=tuple(attribute.lower() for attribute in settings.accounts.attributes),
    )


def _looks_like_dn(value: str) -> bool:
    try:
        return len(names.parse(value)) > 1
    except names.InvalidName:
        return False


@lru_cache(maxsize=KEPT)
def _group_name(value: str, base: str) -> GroupName:
    try:
        return GroupName(dn=value) if names.lies_under(value, base) else GroupName(cn=value)
    except names.InvalidName:
        return GroupName(cn=value)
