"""How groups come by permissions: a role holds them, on one object or on everything, and groups are in the role.

Mayan lets a document inherit what is held on its document type, and a cabinet what is held on the cabinet at the root
of its tree; a cabinet hands nothing on to the documents in it. Sources: Mayan EDMS 4.12, `mayan.apps.acls.managers`
and the registrations of `ModelPermission` in `documents` and `cabinets`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from adapters.api.trouble import Trouble
from adapters.mayan.api import Api, Listing
from adapters.mayan.entitlements import Kind, Managed
from reconciler.targets import TargetFinding

__all__ = ["Access", "Obstacle", "Roles"]

_SHOWN = 5
"""How many names a message lists before it only counts."""
_MODELS = {Kind.CABINET: "cabinets/cabinet", Kind.DOCUMENT_TYPE: "documents/documenttype"}


class Obstacle(Exception):
    """Why an entitlement cannot be managed, in words."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A role by which a permission is held. `on`: of what, other than the very object; blank for that."""

    role: int
    on: str = ""


class Roles:
    """All roles, and what is asked of them is asked once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._groups: dict[int, frozenset[int]] = {}
        self._permissions: dict[int, frozenset[str]] = {}

    @cached_property
    def labels(self) -> Mapping[int, str]:
        return {_id(each): str(each["label"]) for each in self._api.every("roles/", "id,label")}

    def groups(self, role: int) -> Collection[int]:
        """The ids of the groups that are in it."""
        if role not in self._groups:
            found = self._api.every(f"roles/{role}/groups/", "id")
            self._groups[role] = frozenset(_id(each) for each in found)
        return self._groups[role]

    def permissions(self, role: int) -> Collection[str]:
        """What it holds on everything."""
        if role not in self._permissions:
            found = self._api.every(f"roles/{role}/permissions/", "pk", key="pk")
            self._permissions[role] = frozenset(str(each["pk"]) for each in found)
        return self._permissions[role]


class Access:
    """Which group an entitlement is, and who else has the same."""

    def __init__(self, api: Api, roles: Roles) -> None:
        self._api = api
        self._roles = roles
        self._holding: dict[Managed, tuple[int, ...]] = {}
        self._meaningful: dict[Kind, frozenset[str]] = {}

    @cached_property
    def groups(self) -> Mapping[int, str]:
        """All groups: id → name."""
        return {_id(each): str(each["name"]) for each in self._listed.records}

    @cached_property
    def _listed(self) -> Listing:
        return self._api.readable("groups/", "id,name")

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in self.groups.items()}

    def group(self, each: Managed) -> int:
        """The id of the group in which membership is this entitlement. Raises `Obstacle`, and `Trouble`."""
        named = each.name if each.kind is Kind.GROUP else each.group
        found = self._numbers.get(named)
        if named and found is None and self._listed.flaw:
            raise Obstacle(f"whether there is a group {named} is not known: {self._listed.doubt}")
        if named and found is None:
            raise Obstacle(f"there is no group {named}; create it, or correct the binding")
        if each.kind is Kind.GROUP and found is not None:
            return found
        having = {group for role in self._directly(each) for group in self._roles.groups(role)}
        if not having:
            raise Obstacle(f"no group has {each.shown}: put one into a role that holds it there")
        if found is not None and found not in having:
            raise Obstacle(f"group {named} does not have {each.shown}; these do: {self._names(having)}")
        if found is None and len(having) > 1:
            raise Obstacle(f"several groups have {each.shown}: {self._names(having)}; say which with `group`")
        return found if found is not None else next(iter(having))

    def told(self, each: Managed, group: int) -> Iterator[TargetFinding]:
        """Who else has what the group is there for, and what else the group has."""
        if each.kind is Kind.GROUP:
            return
        for way in (*map(_Way, self._directly(each)), *self._otherwise(each)):
            label, groups = self._roles.labels.get(way.role, str(way.role)), self._roles.groups(way.role)
            if others := set(groups) - {group}:
                text = f"whoever is in {self._names(others)} has {each.shown} too, beside any policy, by role {label}"
                yield TargetFinding("access-by-another-way", each.shown, text + way.on)
            held = len(self._roles.permissions(way.role)) if group in groups else 0
            if held:
                text = f"role {label} of group {self.groups[group]} also holds {held} permission(s) on everything"
                yield TargetFinding("role-too-wide", each.shown, f"{text}: make a role for {each.shown} alone")

    def _names(self, groups: Collection[int]) -> str:
        names = sorted(self.groups.get(number, f"group {number}") for number in groups)
        more = len(names) - _SHOWN
        return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

    def _directly(self, each: Managed) -> tuple[int, ...]:
        """The roles that hold the permission on the very object."""
        if each not in self._holding:
            self._holding[each] = tuple(self._holders(each, self._object(each)))
        return self._holding[each]

    def _otherwise(self, each: Managed) -> Iterator[_Way]:
        number, objects = self._object(each), self._objects(each.kind)
        root = _root(number, objects)
        if root != number:
            on = f", held on the cabinet {objects[root][0]}"
            yield from (_Way(role, on) for role in self._holders(each, root))
        for role in self._roles.labels:
            if each.permission in self._roles.permissions(role):
                yield _Way(role, ", held on everything")

    def _object(self, each: Managed) -> int:
        numbers = [number for number, (name, _) in self._objects(each.kind).items() if name == each.name]
        if len(numbers) != 1:
            why = "there is no" if not numbers else "there are several of the path"
            raise Obstacle(f"{why} {each.kind.words} {each.name} that we may see; correct the binding, or the labels")
        if each.permission not in self._possible(each.kind):
            raise Obstacle(_no_such(each))
        return numbers[0]

    def _objects(self, kind: Kind) -> Mapping[int, tuple[str, int | None]]:
        return self._cabinets if kind is Kind.CABINET else self._document_types

    def _holders(self, each: Managed, number: int) -> Iterator[int]:
        """The roles that hold the permission on the object of this id."""
        path = f"objects/{_MODELS[each.kind]}/{number}/acls/"
        try:
            for acl in self._api.every(path, "id,role"):
                held = self._api.every(f"{path}{_id(acl)}/permissions/", "pk", key="pk")
                role = acl["role"]
                if isinstance(role, Mapping) and any(one["pk"] == each.permission for one in held):
                    yield _id(role)
        except Trouble as trouble:
            if trouble.status == 404:
                raise Obstacle(f"we may not read who has {each.shown}: our role needs acls.acl_view") from None
            raise

    def _possible(self, kind: Kind) -> Collection[str]:
        """The permissions that mean something on an object of this kind."""
        if kind not in self._meaningful:
            found = self._api.every(f"objects/{_MODELS[kind]}/permissions/", "pk", key="pk")
            self._meaningful[kind] = frozenset(str(each["pk"]) for each in found)
        return self._meaningful[kind]

    @cached_property
    def _document_types(self) -> Mapping[int, tuple[str, int | None]]:
        found = self._api.every("document_types/", "id,label")
        return {_id(each): (str(each["label"]), None) for each in found}

    @cached_property
    def _cabinets(self) -> Mapping[int, tuple[str, int | None]]:
        """Id → the path, as Mayan shows it, and the id of the cabinet in which it stands."""
        found = self._api.every("cabinets/", "id,full_path,parent_id")
        return {_id(each): (str(each["full_path"]), _parent(each.get("parent_id"))) for each in found}


def _root(number: int, objects: Mapping[int, tuple[str, int | None]]) -> int:
    for _ in objects:
        parent = objects[number][1]
        if parent is None or parent not in objects:
            break
        number = parent
    return number


def _no_such(each: Managed) -> str:
    words = (
        f"Mayan knows no permission {each.permission} on a {each.kind.words}: it takes it there, and it does nothing"
    )
    if each.kind is Kind.CABINET:
        return f"{words}; a cabinet opens none of the documents in it, so bind their document type"
    return f"{words}; correct the binding"


def _parent(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _id(record: Mapping[str, object]) -> int:
    value = record.get("id")
    if not isinstance(value, int):
        raise Trouble("a record has no id", "let `url` name a Mayan EDMS, without /api/v4")
    return value
