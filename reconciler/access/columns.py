"""The population in columns at one moment: what everybody has, as bitmaps, so that a match is set algebra.

People are `Person.number`. Assignments are dense indexes in *layers*: a person's first is their number, the second is
their number plus one stride, and so on, so that going from assignments to people is a shift per layer and no work per
person. Those that count (`lifecycle.Stand`) come first, those that only overlap after a transfer behind them.
Comparisons are evaluated per distinct value. `placement` fills the columns, `proven` those of evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.matching import paths_above, rank_within
from reconciler.access.model import LifecycleState, UndeclaredValue
from reconciler.policy.model import (
    AllOf,
    AnyOf,
    Attribute,
    AttributeKind,
    Compare,
    Contains,
    Equals,
    Match,
    Negated,
    NoneOf,
    Present,
    Proof,
    Test,
    Under,
    Within,
)


@dataclass(frozen=True, slots=True)
class Truth:
    """Over assignments: those for which something is true, and those for which it is true or unknown."""

    true: BitMap
    possible: BitMap

    @property
    def unknown(self) -> BitMap:
        """The assignments for which nobody can say."""
        return self.possible - self.true


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute: its distinct values (of a `set`, its distinct members), each with its assignments; `known` are
    those that have a value or are a set, `unknown` the others.
    """

    attribute: Attribute
    assignments: Mapping[str, BitMap]
    known: BitMap
    unknown: BitMap
    _paths: dict[str, list[str]] = field(default_factory=dict)
    """Of a tree: a path → the values that are it or lie under it."""

    @property
    def present(self) -> Mapping[str, object]:
        """By every value that somebody has; of a tree, by every path above one, too."""
        return self._by_path if self.attribute.kind is AttributeKind.TREE else self.assignments

    def under(self, path: str) -> Sequence[str]:
        """The values of a tree that are the path or lie under it; as `matching.lies_under`."""
        return self._by_path.get(path, ())

    @property
    def _by_path(self) -> Mapping[str, Sequence[str]]:
        if not self._paths:
            for value in self.assignments:
                for path_above in paths_above(value):
                    self._paths.setdefault(path_above, []).append(value)
        return self._paths

    def where(self, test: Test) -> BitMap:
        """The assignments of which the test is true."""
        if isinstance(test, Negated):
            return self.known - self.where(test.test)
        if not isinstance(test, Present) and isinstance(test, Contains) != (self.attribute.kind is AttributeKind.SET):
            raise TypeError(f"{type(test).__name__} cannot compare {self.attribute.name}")
        match test:
            case Present():
                return self.known & union(self.assignments.values())
            case Contains(values, every) if every:
                return reduce(BitMap.intersection, (self.assignments.get(value, _NONE) for value in values), self.known)
            case Contains(values) | Equals(values):
                chosen: Iterable[str] = values
            case Under(paths):
                chosen = {value for path in paths for value in self.under(path)}
            case Within(low, high):
                chosen = (value for value, rank in self.attribute.ranks.items() if rank_within(rank, low, high))
        return _any_of([self.assignments[value] for value in chosen if value in self.assignments])


@dataclass(frozen=True, slots=True)
class Columns:
    """Everybody at one moment. Bitmaps of people unless said otherwise."""

    at: datetime
    zone: ZoneInfo
    people: BitMap
    placed: BitMap
    """Those with an assignment that counts: active, or opening while preboarding."""
    evidence: Mapping[Proof, BitMap]
    """For each proof that the policy asks for, those whose evidence counts."""
    states: Mapping[LifecycleState, BitMap]
    leaves: Mapping[datetime | None, BitMap]
    """Those on leave, by the instant at which it began (None: not known)."""
    locked: BitMap
    """Those whom an event locked out."""
    undeclared: tuple[UndeclaredValue, ...]
    counting: BitMap
    """The assignments that count."""
    overlapping: BitMap
    """The assignments that a transfer ended and that still give."""
    attributes: Mapping[str, Column]
    layers: Sequence[BitMap]
    """The assignments of each layer."""
    stride: int
    _assignments: BitMap
    _compared: dict[tuple[str, Test, bool | None], Truth] = field(default_factory=dict)

    def holding(self, match: Match) -> BitMap:
        """People for whom the match is true of at least one assignment that counts."""
        return self.people_of(self.truth(match).true & self.counting)

    def always(self, match: Match) -> BitMap:
        """People for whom the match is true of every assignment that counts. Nobody without one is among them."""
        return self.placed - self.people_of(self.counting - self.truth(match).true)

    def never(self, match: Match) -> BitMap:
        """People for whom the match is false of every assignment that counts. Nobody without one is among them."""
        return self.placed - self.perhaps(match)

    def perhaps(self, match: Match) -> BitMap:
        """People for whom the match is true or unknown of at least one assignment that counts."""
        return self.people_of(self.truth(match).possible & self.counting)

    def truth(self, match: Match) -> Truth:
        """The match over all assignments, overlapping ones too, in Kleene's logic."""
        match match:
            case Compare():
                return self._comparison(match)
            case AllOf(parts):
                return reduce(_both, map(self.truth, parts), Truth(self._assignments, self._assignments))
            case AnyOf(parts):
                return reduce(_either, map(self.truth, parts), _NOWHERE)
            case NoneOf(parts):
                return self._opposite(reduce(_either, map(self.truth, parts), _NOWHERE))

    def people_of(self, assignments: BitMap) -> BitMap:
        """The people whose assignments these are."""
        top = assignments.max() // self.stride if len(self.layers) > 1 and assignments else 0
        if not top:
            return assignments
        return BitMap.union(
            *[(assignments & layer).shift(-i * self.stride) for i, layer in enumerate(self.layers[: top + 1])]
        )

    def assignments_of(self, people: BitMap) -> BitMap:
        """The assignments of these people that count."""
        deep = [people.shift(i * self.stride) & layer for i, layer in enumerate(self.layers)]
        return union(deep) & self.counting

    def _comparison(self, compare: Compare) -> Truth:
        key = (compare.attribute, compare.test, compare.absent)
        if key not in self._compared:
            self._compared[key] = _compare(self.attributes[compare.attribute], compare)
        return self._compared[key]

    def _opposite(self, truth: Truth) -> Truth:
        return Truth(self._assignments - truth.possible, self._assignments - truth.true)


_NONE = BitMap()
_NOWHERE = Truth(_NONE, _NONE)


def union(bitmaps: Iterable[BitMap]) -> BitMap:
    """Whoever is in any of the bitmaps; nobody where there are none."""
    return BitMap.union(_NONE, *bitmaps)


def in_two(bitmaps: Iterable[BitMap]) -> BitMap:
    """Whoever is in at least two of the bitmaps."""
    once, twice = BitMap(), BitMap()
    for bitmap in bitmaps:
        twice |= once & bitmap
        once |= bitmap
    return twice


def _any_of(bitmaps: list[BitMap]) -> BitMap:
    return bitmaps[0] if len(bitmaps) == 1 else union(bitmaps)


def _compare(column: Column, compare: Compare) -> Truth:
    true = column.where(compare.test)
    if not column.unknown:
        return Truth(true, true)
    if compare.absent is None:
        return Truth(true, true | column.unknown)
    settled = true | column.unknown if compare.absent else true
    return Truth(settled, settled)


def _both(one: Truth, other: Truth) -> Truth:
    return Truth(one.true & other.true, one.possible & other.possible)


def _either(one: Truth, other: Truth) -> Truth:
    return Truth(one.true | other.true, one.possible | other.possible)
