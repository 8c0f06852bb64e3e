"""What may be configured of a SCIM provider, and what is refused because it could not be safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from adapters import checking
from adapters.api.settings import ApiSettings, Auth, secrets_of
from adapters.checking import PersonAttribute, Strict
from adapters.scim.attributes import Attribute, attribute
from adapters.scim.dialects import DIALECTS, Dialect, DialectName
from adapters.templates import Template, fields, literal
from reconciler.targets import Locator, Op, TargetContext

__all__ = ["Endpoint", "Feature", "Layout", "ScimSettings", "endpoint_of", "layout_of", "scim_settings"]

Feature = Literal["patch", "bulk", "filter", "etag", "attributes", "me"]
_NEVER_ENTITLEMENTS = frozenset({"id", "username", "active", "schemas", "meta", "groups", "password", "externalid"})


def _is_attribute(text: str) -> str:
    attribute(text)
    return text


def _is_manageable(text: str) -> str:
    named = attribute(text)
    if named.sub or named.only or named.host:
        raise ValueError(f"{text!r} is none of a user's own attributes of many values: name e.g. roles or entitlements")
    if named.name.casefold() in _NEVER_ENTITLEMENTS:
        raise ValueError(f"{text!r} makes the account what it is, and is no entitlement")
    return text


AttributeText = Annotated[str, AfterValidator(_is_attribute)]


class Create(Strict):
    """A new account: its attributes, each a template."""

    attributes: Annotated[dict[AttributeText, Template], Field(min_length=1)]


class Accounts(Strict):
    """What may be done with accounts themselves; nothing unless said. `attributes`: those whose values are
    entitlements.
    """

    disable: Literal["active"] | None = None
    delete: bool = False
    create: Create | None = None
    attributes: tuple[Annotated[str, AfterValidator(_is_manageable)], ...] = ()


class ScimSettings(ApiSettings):
    """All settings. `without`: what is not used, whatever the provider says that it has."""

    auth: Auth
    match: Annotated[dict[AttributeText, PersonAttribute], Field(min_length=1)]
    dialect: DialectName = "standard"
    without: tuple[Feature, ...] = ()
    page_size: Annotated[int, Field(ge=2, le=100_000)] = 1000
    pages_overlap: bool = True
    members_per_request: Annotated[int, Field(ge=1, le=100_000)] = 1000
    members: Literal["listed", "each"] = "listed"
    accounts: Accounts = Accounts()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if wrong := next(self._problems(), ""):
            raise ValueError(wrong)
        return self

    def _problems(self) -> Iterator[str]:
        if len(set(self.match.values())) < len(self.match):
            yield "`match` names an attribute of a person twice"
        taken = {attribute(text).name.casefold() for text in self.match}
        for text in self.accounts.attributes:
            if attribute(text).name.casefold() in taken:
                yield f"`accounts.attributes` names {text}, by which accounts are matched"
        if self.accounts.create is None:
            return
        own = {text.casefold(): template for text, template in self.accounts.create.attributes.items()}
        if "username" not in own:
            yield "`accounts.create.attributes` has no `userName`, without which there is no user"
        for text, person in self.match.items():
            template = own.get(text.casefold(), "")
            if fields(template) != [person] or literal(template):
                yield (
                    f'`accounts.create.attributes` has no `{text}: "{{{person}}}"`, by which the account would be '
                    "found again"
                )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the provider is, and how it is signed in to."""

    api: ApiSettings
    folder: Path
    secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which attributes of an account matter, what may be done here, and how it is said."""

    match: Mapping[str, Attribute]
    """Attribute of a person → attribute of an account."""
    managed: Mapping[str, Attribute]
    """The attributes whose values are entitlements, by their names in small letters."""
    accounts: Accounts
    dialect: Dialect
    without: frozenset[Feature]
    page_size: int
    pages_overlap: bool
    members_per_request: int
    lists_members: bool

    @property
    def ops(self) -> frozenset[Op]:
        """What this provider can be asked to do."""
        found = {Op.GRANT, Op.REVOKE}
        found |= {Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT} if self.accounts.disable else set()
        found |= {Op.DELETE_ACCOUNT} if self.accounts.delete else set()
        return frozenset(found | ({Op.CREATE_ACCOUNT} if self.accounts.create else set()))

    @property
    def creation_attributes(self) -> Sequence[str]:
        """The attributes of a person that an account is made of."""
        templates = self.accounts.create.attributes.values() if self.accounts.create else ()
        return sorted({name for template in templates for name in fields(template)})

    def locator_error(self, locator: Locator) -> str | None:
        """What is wrong with a locator, in words, or None."""
        if set(locator) == {"attribute", "value"}:
            if locator["attribute"].casefold() not in self.managed:
                named = ", ".join(each.text for each in self.managed.values()) or "none"
                return f"`{locator['attribute']}` is not in `accounts.attributes` (there: {named})"
            return None if locator["value"].strip() else "`value` is blank"
        if set(locator) not in ({"group"}, {"id"}):
            return "should be {group: NAME}, {id: THE GROUP'S id} or {attribute: NAME, value: TEXT}"
        [(name, value)] = locator.items()
        return None if value.strip() else f"`{name}` is blank"


def scim_settings(settings: Mapping[str, object], context: TargetContext) -> ScimSettings:
    """The settings, or `ProblemsFound` with all that is wrong with them."""
    return checking.checked(ScimSettings, settings, f"target {context.name}", "target-settings", context.place)


def endpoint_of(settings: ScimSettings, folder: Path) -> Endpoint:
    """Where these settings point to; a relative CA file is looked for in `folder`."""
    return Endpoint(settings, folder, secrets_of(settings))


def layout_of(settings: ScimSettings) -> Layout:
    """What these settings make of the provider."""
    return Layout(
        match={person: attribute(text) for text, person in settings.match.items()},
        managed={text.casefold(): attribute(text) for text in settings.accounts.attributes},
        accounts=settings.accounts,
        dialect=DIALECTS[settings.dialect],
        without=frozenset(settings.without),
        page_size=settings.page_size,
        pages_overlap=settings.pages_overlap,
        members_per_request=settings.members_per_request,
        lists_members=settings.members == "listed",
    )
