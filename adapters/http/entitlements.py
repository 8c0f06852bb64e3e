"""The entitlements of a REST system and who is in them.

Promises: two that are called the same are neither; members that were not read whole are never told as all; nobody is
told as nobody only where the system says so (an empty list in the entitlement's own item, or a total of zero).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.api.json_values import MISSING, kind_of
from adapters.api.trouble import Trouble
from adapters.http.listing import Api, Items
from adapters.http.queries import text_of
from adapters.http.settings import Entitlements, Members
from adapters.http.templates import CannotSay, Values
from reconciler.targets import Locator, Reading

__all__ = ["Found", "find_again", "find_entitlements", "locator_of", "shown"]


@dataclass(frozen=True, slots=True)
class Found:
    """One entitlement. `values` is what templates say of it, `principals` who is in it, as the system has them, and
    `nested` the ids of the entitlements in it.
    `missing`: the system says that there is no such thing; `trouble` is why it could not be read.
    """

    name: str
    reading: Reading
    values: Values = field(default_factory=dict, repr=False)
    principals: Sequence[object] = field(default=(), repr=False)
    nested: frozenset[str] = frozenset()
    detail: str = ""
    missing: bool = False
    trouble: Trouble | None = None


def find_entitlements(api: Api, locators: Sequence[Locator]) -> list[Found]:
    """These entitlements, in their order; what cannot be read is `FAILED`, with the reason."""
    settings = api.settings.entitlements
    if not locators:
        return []
    if settings.list is None:
        return [_members_of(api, shown(each), _values(settings, each, None), None) for each in locators]
    try:
        listed = api.all(settings.list, {})
    except Trouble as trouble:
        said = f"the list of entitlements cannot be read: {trouble.said}; {trouble.remedy}"
        return [Found(shown(each), Reading.FAILED, detail=said, trouble=trouble) for each in locators]
    by_parts, wrong = _by_parts(settings, listed.items)
    return [_listed(api, each, listed, by_parts, wrong) for each in locators]


def find_again(api: Api, locator: Locator, before: Found) -> Found | None:
    """One entitlement that is known, read again; None where the system has no question for one alone."""
    settings = api.settings.entitlements
    if settings.list is None:
        return _members_of(api, before.name, before.values, None)
    if settings.one is None:
        return None
    try:
        item = api.one(settings.one, before.values)
        parts, values = _parts(settings, item), _values(settings, locator, item)
    except Trouble as trouble:
        return _failed(before.name, before.values, trouble)
    except ValueError as error:
        return Found(before.name, Reading.FAILED, before.values, detail=str(error))
    if parts != tuple(locator[part] for part in settings.named_by):
        said = f"{before.name} is called {'/'.join(parts)} by now"
        return Found(before.name, Reading.FAILED, before.values, detail=said, missing=True)
    return _members_of(api, before.name, values, item)


def locator_of(settings: Entitlements, item: Any) -> Locator:
    """How a policy names an item of the list. Raises `ValueError`, in words."""
    return dict(zip(settings.named_by, _parts(settings, item), strict=True))


def shown(locator: Locator) -> str:
    """An entitlement as people see it."""
    return "/".join(locator.values())


def _by_parts(settings: Entitlements, items: Sequence[Any]) -> tuple[Mapping[tuple[str, ...], list[Any]], str]:
    found: dict[tuple[str, ...], list[Any]] = {}
    wrong = ""
    for item in items:
        try:
            found.setdefault(_parts(settings, item), []).append(item)
        except ValueError as error:
            wrong = wrong or str(error)
    return found, wrong


def _parts(settings: Entitlements, item: Any) -> tuple[str, ...]:
    parts: list[str] = []
    for name, query in settings.locator.items():
        try:
            parts.append(text_of(query.one(item)))
        except ValueError as error:
            raise ValueError(f"`locator.{name}: {query}` {error}") from None
    return tuple(parts)


def _listed(
    api: Api, locator: Locator, listed: Items, by_parts: Mapping[tuple[str, ...], list[Any]], wrong: str
) -> Found:
    settings, name = api.settings.entitlements, shown(locator)
    items = by_parts.get(tuple(locator[part] for part in settings.named_by), [])
    if len(items) > 1:
        return Found(name, Reading.FAILED, detail=f"{len(items)} entitlements are called {name}: rename all but one")
    if items:
        try:
            return _members_of(api, name, _values(settings, locator, items[0]), items[0])
        except ValueError as error:
            return Found(name, Reading.FAILED, detail=f"{name}: {error}")
    if not listed.reading.whole or wrong:
        said = f"{name} is not among the entitlements that could be read: {listed.detail or wrong}"
        return Found(name, Reading.FAILED, detail=said, trouble=listed.trouble)
    return Found(name, Reading.FAILED, detail=f"there is no {name}", missing=True)


def _values(settings: Entitlements, locator: Locator, item: Any) -> dict[str, object]:
    values: dict[str, object] = {f"entitlement.{part}": locator[part] for part in settings.named_by}
    if settings.id is not None:
        value = settings.id.one(item)
        text_of(value)
        values["entitlement.id"] = value
    return values


def _members_of(api: Api, name: str, values: Values, item: Any) -> Found:
    members = api.settings.entitlements.members
    try:
        listed = _inline(members, item) if members.list is None else api.all(members.list, values)
        principals, nested = _principals(members, listed.items)
    except Trouble as trouble:
        return _failed(name, values, trouble)
    except CannotSay as error:
        return Found(name, Reading.FAILED, values, detail=str(error))
    except ValueError as error:
        return Found(name, Reading.FAILED, values, detail=f"{name}: {error}")
    return Found(name, listed.reading, values, principals, nested, listed.detail)


def _inline(members: Members, item: Any) -> Items:
    assert members.items is not None  # noqa: S101  # checked with the settings
    there = members.items.one(item)
    if there is MISSING and members.absent:
        there = []
    if there is MISSING:
        raise ValueError(
            f"there is nothing at `members.items: {members.items}`; `absent: empty` would take it for nobody"
        )
    if not isinstance(there, list):
        raise ValueError(f"`members.items: {members.items}` should lead to a list, and leads to {kind_of(there)}")
    if members.total is not None:
        total = members.total.one(item)
        if plain_number(total) != len(there):
            says = "nothing" if total is MISSING else total
            said = f"it shows {len(there)} members, and `members.total` says {says}"
            return Items(there, Reading.PARTIAL, said)
    return Items(there, Reading.COMPLETE if there else Reading.CONFIRMED_EMPTY)


def plain_number(value: object) -> int | None:
    """A whole number, as a number or as its digits."""
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _principals(members: Members, items: Sequence[Any]) -> tuple[list[object], frozenset[str]]:
    """Who is in it, and which entitlements are."""
    found: list[object] = []
    nested: set[str] = set()
    for number, each in enumerate(items, start=1):
        value = members.at.one(each)
        try:
            text = text_of(value)
        except ValueError as error:
            raise ValueError(f"member {number}: `members.at: {members.at}` {error}") from None
        if members.nested is not None and members.nested.holds(each):
            nested.add(text)
        else:
            found.append(value)
    return found, frozenset(nested)


def _failed(name: str, values: Values, trouble: Trouble) -> Found:
    missing = trouble.status in (404, 410)
    said = f"{name}: {trouble.said}" + ("" if missing else f"; {trouble.remedy}")
    return Found(name, Reading.FAILED, values, detail=said, missing=missing, trouble=trouble)
