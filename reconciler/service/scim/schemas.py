"""What a person looks like in SCIM here: the schemas that are served, and which attribute of a policy is read where.

Of the core schema only what says who somebody is and what they do; the enterprise extension; and an extension of our
own with the attributes that the policy declares and the other two have no place for. What is not in them is not kept.

Sources: RFC 7643 (schemas), and Microsoft's requirement that an extension's URN begin as ours does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Filter,
    InvalidPathException,
    Pagination,
    Patch,
    Path,
    Resource,
    ResourceType,
    Schema,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)

from reconciler.errors import Place
from reconciler.facts.rows import PERSON_COLUMNS
from reconciler.policy.model import Attribute, AttributeKind, Policy
from reconciler.workspace import WorkspaceError
from reconciler.workspace.service import ScimSettings

__all__ = ["CORE", "ENTERPRISE", "OWN", "Language", "language_of"]

CORE = str(User.__schema__)
ENTERPRISE = str(EnterpriseUser.__schema__)
OWN = "urn:ietf:params:scim:schemas:extension:reconciler:2.0:User"

PAGE = 100
"""So many people a page has where nobody asks for more."""
LARGEST_PAGE = 1000

_KEPT = ("userName", "name", "displayName", "title", "userType", "active", "emails")
_USUAL = {
    "department": f"{ENTERPRISE}:department",
    "division": f"{ENTERPRISE}:division",
    "organization": f"{ENTERPRISE}:organization",
    "manager": f"{ENTERPRISE}:manager.value",
}
"""Where an attribute of this name is read, unless the workspace says otherwise."""

_ID = {"employeeNumber": f"{ENTERPRISE}:employeeNumber", "externalId": "externalId", "userName": "userName"}
_DAYS = {
    "startsOn": ("The first day of the assignment.", "2020-01-01"),
    "endsOn": ("The last day of the assignment.", "2099-12-31"),
}
"""What each of our own says, and an example of how it is written."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_RESERVED = frozenset({"schemas", "id", "meta", "externalid", *(name.casefold() for name in _DAYS)})

_TOLERANT = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""As Entra needs it. What nobody knows is refused before, by `Language.knows`."""


@dataclass(frozen=True)
class Language:
    """The schemas, and what their attributes mean. `reads`: policy attribute → the SCIM attribute that it is read
    from; `sets`: the ones with many values; `identity`: the one that carries a person's id; `unread`: policy attributes
    that SCIM cannot name and that nothing is read for, so that they stay blank.
    """

    provider: ScimProvider
    reads: Mapping[str, str]
    sets: frozenset[str]
    identity: str
    unread: tuple[str, ...] = ()

    @cached_property
    def model(self) -> type[Resource[Any]]:
        """The class of a person's resource."""
        return self._model_of(self.provider)

    @cached_property
    def _everything(self) -> type[Resource[Any]]:
        """The class with all that RFC 7643 has for a person, and our own extension."""
        own = next(schema for schema in self.provider.schemas if schema.id == OWN)
        schemas = [User.to_schema(), EnterpriseUser.to_schema(), own]
        return self._model_of(ScimProvider.from_discovery(schemas, self.provider.resource_types))

    def path(self, text: str) -> Path[Any]:
        """A path that is bound to the model."""
        bound: Any = Path.__class_getitem__(self.model)
        found: Path[Any] = bound(text)
        return found

    def knows(self, text: str) -> bool:
        """Whether there is such a path, here or in RFC 7643. Raises `InvalidPathException` where it is none at all."""
        everything: Any = Path.__class_getitem__(self._everything)
        path = everything(text)
        return path.model is not None or path.resolve() is not None

    @staticmethod
    def _model_of(provider: ScimProvider) -> type[Resource[Any]]:
        model: Any = provider.model_for("User")
        found: type[Resource[Any]] = model
        return found


def language_of(policy: Policy, settings: ScimSettings, limit: int, place: Place) -> Language:
    """The language for this policy. `limit`: bytes of a body. Raises `WorkspaceError` where the settings name what is
    not there, or would leave everything with people who are not active; `place` is that of the settings.
    """
    attributes = policy.attributes
    if settings.inactive == "leave" and not policy.lifecycle.leave:
        text = "`inactive: leave` changes nothing: no policy says what people on leave may still do"
        raise WorkspaceError(text, place=place, remedy="declare `lifecycle: {leave: …}`, or take `inactive: exit`")
    unknown = sorted((settings.attributes.keys() | settings.values.keys()) - attributes.keys())
    if unknown:
        text = f"inbound SCIM maps `{unknown[0]}`, which no policy declares"
        raise WorkspaceError(text, place=place, remedy=f"the policies have: {', '.join(sorted(attributes)) or 'none'}")
    usable = {name: each for name, each in attributes.items() if name not in PERSON_COLUMNS}
    reads = {name: where for name in usable if (where := settings.attributes.get(name) or _USUAL.get(name))}
    own = [name for name in usable if name not in reads and _fits(name)]
    schemas = [_core(settings, reads), _enterprise(settings), _own({name: usable[name] for name in own})]
    provider = ScimProvider.from_discovery(schemas, [_resource_type(settings)], _config(limit), _TOLERANT)
    sets = frozenset(name for name, each in usable.items() if each.kind is AttributeKind.SET)
    unread = tuple(sorted(usable.keys() - reads.keys() - set(own)))
    found = Language(provider, reads | {name: f"{OWN}:{name}" for name in own}, sets, _ID[settings.id], unread)
    for name, where in settings.attributes.items():
        _check(found, name, where, place)
    return found


def _fits(name: str) -> bool:
    """Whether an attribute can be called so in SCIM; another one has to be mapped."""
    return _NAME.fullmatch(name) is not None and name.casefold() not in _RESERVED


def _check(language: Language, name: str, where: str, place: Place) -> None:
    try:
        path = language.path(where)
        there = path.model is None and path.resolve() is not None
    except InvalidPathException:
        there = False
    if not there:
        text = f"`{name}` is read from `{where}`, which is no attribute of a person in SCIM"
        remedy = 'write its path, such as title, or addresses[type eq "work"].locality'
        raise WorkspaceError(text, place=place, remedy=remedy)


# --- the schemas ------------------------------------------------------------------------------------------------------


def _core(settings: ScimSettings, reads: Mapping[str, str]) -> Schema:
    """RFC 7643, section 4.1, as far as it is kept: with what the policy's attributes are read from."""
    heads = {re.split(r"[.\[]", where.removeprefix(f"{CORE}:"))[0].casefold() for where in reads.values()}
    return Schema.model_validate(_as_served(User.to_schema(), settings, {*map(str.casefold, _KEPT), *heads}))


def _enterprise(settings: ScimSettings) -> Schema:
    """RFC 7643, section 4.3. A manager is named by their id alone: `$ref` would say the same once more."""
    served = _as_served(EnterpriseUser.to_schema(), settings, None)
    (manager,) = (each for each in served["attributes"] if each["name"] == "manager")
    manager["subAttributes"] = [each for each in manager["subAttributes"] if each["name"] == "value"]
    return Schema.model_validate(served)


def _as_served(schema: Schema, settings: ScimSettings, kept: set[str] | None) -> dict[str, Any]:
    document: dict[str, Any] = schema.model_dump()
    document["attributes"] = [
        each for each in document["attributes"] if kept is None or each["name"].casefold() in kept
    ]
    for each in document["attributes"]:
        if each["name"] == settings.id:
            each.update(required=True, mutability="immutable", uniqueness="server")
            each["caseExact"] = (
                settings.id == "employeeNumber"
            )  # ids are compared exactly; of userName RFC 7643 says how
    return document


def _own(attributes: Mapping[str, Attribute]) -> Schema:
    return Schema.model_validate(
        {
            "id": OWN,
            "name": "Reconciler",
            "description": "What the access policy asks about a person's post.",
            "attributes": [*map(_attribute, attributes.values()), *_days()],
        }
    )


def _attribute(attribute: Attribute) -> dict[str, Any]:
    served = {
        "name": attribute.name,
        "type": "string",
        "multiValued": attribute.kind is AttributeKind.SET,
        "description": f"An attribute of the policy, of kind {attribute.kind.value}.",
        "caseExact": True,
    }
    return served | ({"canonicalValues": list(attribute.ranks)} if attribute.ranks else {})


def _days() -> Iterator[dict[str, Any]]:
    """A day has no type of its own in SCIM: the value that is suggested shows the notation."""
    for name, (text, example) in _DAYS.items():
        yield {
            "name": name,
            "type": "string",
            "multiValued": False,
            "description": f"{text} A day, or a moment, which counts in the workspace's timezone.",
            "canonicalValues": [example],
        }


def _resource_type(settings: ScimSettings) -> ResourceType:
    extensions = [
        {"schema": ENTERPRISE, "required": settings.id == "employeeNumber"},
        {"schema": OWN, "required": False},
    ]
    return ResourceType.model_validate(
        {
            "id": "User",
            "name": "User",
            "description": "A person, and the post that they hold.",
            "endpoint": "/Users",
            "schema": CORE,
            "schemaExtensions": extensions,
        }
    )


def _config(limit: int) -> ServiceProviderConfig:
    bearer = AuthenticationScheme(
        type=AuthenticationScheme.Type.oauthbearertoken,
        name="Token",
        description="A token as `reconciler token create` prints it, good for the act `record`.",
    )
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=limit),
        filter=Filter(supported=True, max_results=LARGEST_PAGE),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        authentication_schemes=[bearer],
        pagination=Pagination(cursor=False, index=True, default_page_size=PAGE, max_page_size=LARGEST_PAGE),
    )
