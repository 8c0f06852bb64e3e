"""What a policy can name in Mayan: a group, or a permission on a cabinet or a document type that a group has. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from reconciler.targets import Locator, entitlement_key

__all__ = ["Kind", "Managed", "containers", "locator_error", "managed"]


class Kind(StrEnum):
    """What an entitlement is about."""

    GROUP = "group"
    CABINET = "cabinet"
    DOCUMENT_TYPE = "document_type"

    @property
    def words(self) -> str:
        return self.replace("_", " ")


_OBJECTS = (Kind.CABINET, Kind.DOCUMENT_TYPE)
_BELOW = " / "
"""What Mayan puts between the labels of cabinets in a path."""
_PERMISSION = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
_FORMS = (
    "{group: NAME}, {document_type: LABEL, permission: …} or {cabinet: LABEL, permission: …}, with or without `group`"
)


@dataclass(frozen=True, slots=True)
class Managed:
    """One entitlement: membership in `group`, or in the group that has `permission` on the object of this name."""

    kind: Kind
    name: str
    permission: str = ""
    group: str = ""

    @property
    def shown(self) -> str:
        """What people call it."""
        if self.kind is Kind.GROUP:
            return self.name
        return f"{self.permission} on {self.kind.words} {self.name}"


def locator_error(locator: Locator) -> str | None:
    """What is wrong with it, in words, or None."""
    known = ("group", "permission", *_OBJECTS)
    for name in locator:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"an entitlement here is {_FORMS}"
            return f"`{name}` means nothing here: {hint}"
    objects = [kind for kind in _OBJECTS if kind in locator]
    if len(objects) > 1 or bool(objects) is not ("permission" in locator) or not (objects or "group" in locator):
        return f"an entitlement here is {_FORMS}, with nothing missing and nothing more"
    if blank := next((name for name, value in locator.items() if not value.strip()), None):
        return f"`{blank}` is blank"
    if objects and not _PERMISSION.fullmatch(locator["permission"]):
        return (
            f"`{locator['permission']}` is no permission of Mayan: they are written as documents.document_view, and "
            "/api/v4/permissions/ lists them as `pk`"
        )
    return None


def managed(locator: Locator) -> Managed:
    """What the locator names; it has passed `locator_error`."""
    for kind in _OBJECTS:
        if kind in locator:
            return Managed(kind, locator[kind], locator["permission"], locator.get("group", ""))
    return Managed(Kind.GROUP, locator["group"])


def containers(locators: Sequence[Locator]) -> Mapping[str, Sequence[str]]:
    """Of cabinets that lie below another that is bound with the same permission: key → the keys of that one. It is the
    one at the root of the tree: none in between hands anything down.
    """
    cabinets = [locator for locator in locators if Kind.CABINET in locator]
    roots: dict[tuple[str, str], list[str]] = {}
    for locator in cabinets:
        if _BELOW not in locator["cabinet"]:
            roots.setdefault((locator["cabinet"], locator["permission"]), []).append(entitlement_key(locator))
    found: dict[str, Sequence[str]] = {}
    for locator in cabinets:
        root, below, _ = locator["cabinet"].partition(_BELOW)
        if below and (around := roots.get((root, locator["permission"]))):
            found[entitlement_key(locator)] = around
    return found
