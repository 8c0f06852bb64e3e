"""What somebody of a population could come under, found by the values that people have, without asking every match.

A policy of thousands of roles or values is asked about one person far more often than about everybody, and nearly all
of its matches need a value that this person does not have. What a match needs is worked out once for the policy
(`Policy.once`). A sieve lets through whatever somebody comes under, in its order; and, since it is no more than that,
some of what nobody does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.access.columns import Columns
from reconciler.policy.model import AllOf, AnyOf, Compare, Contains, Equals, Match, NoneOf, Under

T = TypeVar("T")

Need = frozenset[tuple[str, str]]
"""Attributes with values: of an assignment that comes under the match one of these is a value, or a path above it."""


@dataclass(frozen=True, slots=True)
class Sieve(Generic[T]):
    """Things that come with a match: those that need no certain value, and the others by what they need."""

    _things: Sequence[T]
    _anyway: Sequence[int]
    _needing: Mapping[str, Mapping[str, Sequence[int]]]

    @classmethod
    def of(cls, things: Iterable[tuple[Match | None, T]]) -> Sieve[T]:
        """Of things in this order; None as the match: whatever anybody's values are."""
        kept: list[T] = []
        anyway: list[int] = []
        needing: dict[str, dict[str, list[int]]] = {}
        for index, (match, thing) in enumerate(things):
            kept.append(thing)
            need = None if match is None else needed(match)
            if need is None:
                anyway.append(index)
            for attribute, value in need or ():
                needing.setdefault(attribute, {}).setdefault(value, []).append(index)
        return cls(kept, anyway, needing)

    def through(self, columns: Columns) -> Sequence[T]:
        """Whatever some assignment of the population may come under, in order."""
        found = set(self._anyway)
        for attribute, by_value in self._needing.items():
            for value in by_value.keys() & columns.attributes[attribute].present.keys():
                found.update(by_value[value])
        return [self._things[index] for index in sorted(found)]


def needed(match: Match) -> Need | None:
    """What an assignment needs for the match to be true of it; None: no certain value."""
    match match:
        case Compare(attribute, Equals(values) | Contains(values) | Under(values), absent) if values and not absent:
            return frozenset((attribute, value) for value in values)
        case AllOf(parts):
            return min((need for need in map(needed, parts) if need is not None), key=len, default=None)
        case AnyOf(parts):
            needs = [need for need in map(needed, parts) if need is not None]
            return frozenset[tuple[str, str]]().union(*needs) if len(needs) == len(parts) else None
        case Compare() | NoneOf():
            return None
