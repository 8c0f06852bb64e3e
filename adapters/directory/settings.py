"""The settings that every directory target has, checked, and turned into a `Layout`.

Mistakes are told all at once, each with its key, and a likely spelling for a key that does not exist. Values never
appear in a message: one of them may be a password.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from adapters.directory import names
from adapters.directory.entries import GroupName
from adapters.directory.groups import KINDS, GroupKind
from adapters.directory.locking import LOCKS, Lock
from reconciler.targets import Locator, Op, Problem, ProblemsFound, TargetContext

__all__ = ["Accounts", "DnText", "Groups", "Layout", "People", "Settings", "Strict", "checked", "layout_of"]


def _is_name(text: str) -> str:
    try:
        parsed = names.parse(text)
    except names.InvalidName as error:
        raise ValueError(f"is no distinguished name: {error}") from None
    if not parsed:
        raise ValueError("is empty")
    return text


DnText = Annotated[str, AfterValidator(_is_name)]


class Strict(BaseModel):
    """Settings in which every key is known, and which are never shown in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class People(Strict):
    """Where the accounts are, and which attribute of an account is which attribute of a person."""

    base: DnText
    match: Annotated[dict[str, str], Field(min_length=1)]
    filter: str | None = None


class Groups(Strict):
    """Where the groups are, and of which kind."""

    base: DnText
    kind: Literal["groupOfNames", "groupOfUniqueNames", "posixGroup"]
    placeholder: DnText | None = None


class Accounts(Strict):
    """What may be done with accounts themselves; nothing unless said."""

    disable: Literal["ppolicy", "shadow-expire"] | None = None
    delete: bool = False


class Settings(Strict):
    """What LDAP and LDIF targets have in common."""

    people: People
    groups: Groups
    accounts: Accounts = Accounts()


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

    @property
    def account_attributes(self) -> Sequence[str]:
        """What has to be read of an account, and nothing more."""
        return ("uid", *self.match, *(self.lock.attributes if self.lock else ()))

    @property
    def ops(self) -> frozenset[Op]:
        """What this directory can be asked to do."""
        locking = {Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT} if self.lock else set()
        return frozenset({Op.GRANT, Op.REVOKE} | locking | ({Op.DELETE_ACCOUNT} if self.deletes else set()))

    def group_name(self, locator: Locator) -> GroupName:
        """How the locator names its group; a DN only where it is one under the groups' base."""
        value = locator["group"]
        try:
            return GroupName(dn=value) if names.lies_under(value, self.groups_base) else GroupName(cn=value)
        except names.InvalidName:
            return GroupName(cn=value)

    def locator_error(self, locator: Locator) -> str | None:
        """What is wrong with a locator, in words, or None."""
        if set(locator) != {"group"}:
            given = ", ".join(sorted(locator)) or "nothing"
            return f"a directory's entitlement is named by `group` alone, e.g. {{group: docs-readers}}; given: {given}"
        value = locator["group"]
        if not value.strip():
            return "`group` is empty; it is the group's cn, or its DN"
        if _looks_like_dn(value) and not self.group_name(locator).dn:
            return f"{value} lies outside {self.groups_base}, where this target's groups are"
        return None


SettingsType = TypeVar("SettingsType", bound=Settings)


def checked(model: type[SettingsType], settings: Mapping[str, object], context: TargetContext) -> SettingsType:
    """The settings, or `ProblemsFound` with all that is wrong with them."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    problems = [_problem(model, detail, context) for detail in details]
    raise ProblemsFound(f"target {context.name}", problems)


def layout_of(settings: Settings) -> Layout:
    """The layout that these settings describe."""
    placeholder = settings.groups.placeholder or f"cn=placeholder,{settings.groups.base}"
    return Layout(
        people_base=settings.people.base,
        match={attribute.lower(): person for attribute, person in settings.people.match.items()},
        groups_base=settings.groups.base,
        kind=KINDS[settings.groups.kind],
        placeholder=placeholder,
        lock=LOCKS[settings.accounts.disable] if settings.accounts.disable else None,
        deletes=settings.accounts.delete,
    )


def _looks_like_dn(value: str) -> bool:
    try:
        return len(names.parse(value)) > 1
    except names.InvalidName:
        return False


def _problem(model: type[BaseModel], detail: ErrorDetails, context: TargetContext) -> Problem:
    path = [str(part) for part in detail["loc"]]
    where = f"target {context.name}: `{'.'.join(path)}`" if path else f"target {context.name}"
    match detail["type"]:
        case "extra_forbidden":
            return Problem("target-settings", f"{where} is not a setting", context.place, _suggestion(model, path))
        case "missing":
            return Problem("target-settings", f"{where} is missing", context.place, "add it to the target's settings")
        case _:
            words = detail["msg"].removeprefix("Value error, ")
            return Problem("target-settings", f"{where}: {words}", context.place)


def _suggestion(model: type[BaseModel], path: Sequence[str]) -> str:
    for part in path[:-1]:
        model = _nested(model, part) or model
    near = difflib.get_close_matches(path[-1], model.model_fields, n=1)
    known = ", ".join(model.model_fields)
    return f"did you mean `{near[0]}`?" if near else f"possible here: {known}"


def _nested(model: type[BaseModel], part: str) -> type[BaseModel] | None:
    annotation = model.model_fields[part].annotation if part in model.model_fields else None
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
