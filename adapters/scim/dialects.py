"""How a change is said to a provider, which of several ways it understands being a matter of its upbringing. Pure.

RFC 7644, 3.5.2, lets a removal name its members by a filter. Providers that grew up with Microsoft Entra ID take a list
of values and texts for truth values; those that grew up with Okta, one operation for each member and `active` without
a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from adapters.scim.attributes import equal

__all__ = ["DIALECTS", "Dialect", "DialectName", "Operation"]

Operation: TypeAlias = dict[str, object]
DialectName = Literal["standard", "entra", "okta"]
_TERMS = 100
"""How many values one filter names."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of saying it."""

    capitals: bool = False
    removal: Literal["filter", "each", "values"] = "filter"
    active: Literal["path", "text", "object"] = "path"

    def add(self, attribute: str, values: Sequence[str]) -> list[Operation]:
        """That these stand in an attribute of many values, e.g. `members`."""
        return [{"op": self._word("add"), "path": attribute, "value": _each(values)}] if values else []

    def remove(self, attribute: str, values: Sequence[str]) -> list[Operation]:
        """That these stand there no longer."""
        word = self._word("remove")
        if not values:
            return []
        if self.removal == "values":
            return [{"op": word, "path": attribute, "value": _each(values)}]
        size = _TERMS if self.removal == "filter" else 1
        return [{"op": word, "path": f"{attribute}[{clause}]"} for clause in _clauses(values, size)]

    def switch(self, *, active: bool) -> list[Operation]:
        """That an account is enabled, or disabled."""
        word = self._word("replace")
        if self.active == "object":
            return [{"op": word, "value": {"active": active}}]
        return [{"op": word, "path": "active", "value": str(active) if self.active == "text" else active}]

    def _word(self, op: str) -> str:
        return op.capitalize() if self.capitals else op


def _each(values: Sequence[str]) -> list[dict[str, str]]:
    return [{"value": value} for value in values]


def _clauses(values: Sequence[str], size: int) -> Iterator[str]:
    for start in range(0, len(values), size):
        yield " or ".join(equal("value", value) for value in values[start : start + size])


DIALECTS: dict[DialectName, Dialect] = {
    "standard": Dialect(),
    "entra": Dialect(capitals=True, removal="values", active="text"),
    "okta": Dialect(removal="each", active="object"),
}
