"""Attributes of a resource, as SCIM spells them: what stands there, how to ask for it, how to look for it. Pure.

Names of attributes are compared without regard to capitals (RFC 7643, 2.1). Paths are read by the grammar of
scim2-models (RFC 7644, 3.10); of their filters, only `eq` and `and` are taken.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from scim2_models import Path, SCIMException
from scim2_models.path import AttrPath, CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator, ValuePath

__all__ = ["USER", "Attribute", "Resource", "any_of", "attribute", "equal", "is_true", "joined", "one_text", "part"]

Resource: TypeAlias = Mapping[str, object]
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_CLAUSES = 40
_LONGEST = 4_000
"""How much of a URL one filter may take up: many servers refuse addresses beyond 8 KB."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, or one value of several: `userName`, `name.familyName`, `emails[type eq "work"].value`, or with
    the URN of an extension before it.
    """

    text: str
    host: str
    """The URN of the extension that has it; blank for what every user has."""
    name: str
    sub: str
    only: Sequence[tuple[str, object]]
    """Which of several values: sub-attribute and what it is."""

    @property
    def asked(self) -> str:
        """As it is named where a provider is asked for some attributes only."""
        return f"{self.host}:{self.name}" if self.host else self.name

    def values(self, resource: Resource) -> Sequence[str]:
        """What stands there, without what is blank or said twice."""
        host = part(resource, self.host) if self.host else resource
        found = part(host, self.name)
        each = found if isinstance(found, list) else [found]
        meant = (value for value in each if all(part(value, name) == wanted for name, wanted in self.only))
        texts = (one_text(part(value, self.sub) if self.sub else value) for value in meant)
        return list(dict.fromkeys(text for text in texts if text))

    def equals(self, value: str) -> str:
        """The filter that finds whoever has this value there."""
        if not self.only:
            return equal(f"{self.asked}.{self.sub}" if self.sub else self.asked, value)
        clauses = [equal(name, wanted) for name, wanted in self.only]
        return f"{self.asked}[{' and '.join([*clauses, equal(self.sub or 'value', value)])}]"

    def enter(self, resource: dict[str, object], value: str) -> None:
        """Let the value stand there."""
        host = resource.setdefault(self.host, {}) if self.host else resource
        assert isinstance(host, dict)  # noqa: S101  # made here, and by nobody else
        if self.only:
            host.setdefault(self.name, []).append({**dict(self.only), self.sub or "value": value})
        elif self.sub:
            host.setdefault(self.name, {})[self.sub] = value
        else:
            host[self.name] = value


def attribute(text: str) -> Attribute:
    """Raises `ValueError`, in words."""
    try:
        node = Path(text).ast
    except SCIMException as error:
        raise ValueError(f"{text!r} is no path to an attribute: {error.detail}") from None
    if isinstance(node, AttrPath):
        return _named(text, node, node.sub_attr or "", ())
    if isinstance(node, ValuePath):
        return _named(text, node.attr_path, node.sub_attr or "value", tuple(_conditions(text, node.val_filter)))
    raise ValueError(f'{text!r} names no attribute: write e.g. userName, or emails[type eq "work"].value')


def _named(text: str, path: AttrPath, sub: str, only: Sequence[tuple[str, object]]) -> Attribute:
    host = path.uri or ""
    return Attribute(text, "" if host.casefold() == USER.casefold() else host, path.attr, sub, only)


def _conditions(text: str, node: FilterNode) -> Iterator[tuple[str, object]]:
    if isinstance(node, LogicalExpr) and node.op is LogicalOperator.and_:
        for term in node.terms:
            yield from _conditions(text, term)
    elif isinstance(node, Comparison) and node.op is CompareOperator.eq:
        yield str(node.attr_path), node.value
    else:
        raise ValueError(f"{text!r}: between [ and ], only `eq` and `and` are understood")


def part(value: object, name: str) -> object:
    """What a resource or a complex value has under this name; None where it has nothing."""
    if not isinstance(value, Mapping):
        return None
    if name in value:
        return value[name]
    folded = name.casefold()
    return next((inner for other, inner in value.items() if str(other).casefold() == folded), None)


def one_text(value: object) -> str:
    """A value as text: what it is itself, or its `value`; a blank where it is none."""
    if isinstance(value, Mapping):
        value = part(value, "value")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() if isinstance(value, str | int | float) else ""


def is_true(value: object) -> bool:
    """Whether a provider says yes, as JSON does or in a text."""
    return value is True or (isinstance(value, str) and value.strip().casefold() == "true")


def equal(path: str, value: object) -> str:
    """`path eq value`, the value as JSON spells it (RFC 7644, 3.4.2.2). Letters stay as they are where they can:
    many a provider does not understand `\\u4e2d`.
    """
    spelled = json.dumps(value, ensure_ascii=False)
    try:
        spelled.encode()
    except UnicodeEncodeError:
        spelled = json.dumps(value)
    return f"{path} eq {spelled}"


def any_of(path: str, values: Collection[str]) -> Iterator[str]:
    """Filters that together find whatever has one of these values; each fits into a URL."""
    return joined(equal(path, value) for value in values)


def joined(alternatives: Iterable[str]) -> Iterator[str]:
    """Filters that together find whatever one of these finds; each fits into a URL."""
    clauses: list[str] = []
    length = 0
    for clause in alternatives:
        size = len(quote(clause)) + len(quote(" or "))
        if clauses and (len(clauses) == _CLAUSES or length + size > _LONGEST):
            yield " or ".join(clauses)
            clauses, length = [], 0
        clauses.append(clause)
        length += size
    if clauses:
        yield " or ".join(clauses)
