"""The population in columns at one moment: what everybody has, as bitmaps, so that a match is set algebra.

People are `Person.number`. Assignments that count (`lifecycle.Stand`) are dense indexes in *layers*: a
person's first is their number, the second is their number plus one stride, and so on. Going from assignments to
people is then a shift per layer and no work per person. Columns are built in one pass, and per distinct attribute
tuple rather than per assignment; comparisons are evaluated per distinct value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.evidence import by_kind, kinds_at
from reconciler.access.lifecycle import covering, employed_since, opening_horizon, stand_at
from reconciler.access.matching import lies_under, members_of, rank_within, value_of
from reconciler.access.model import LifecycleState, UndeclaredValue
from reconciler.facts.model import EvidenceRecord, Population
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
    Policy,
    Present,
    Test,
    Under,
    Within,
)

_DECLARING = (AttributeKind.ONE_OF, AttributeKind.ORDERED)

_CONTAINER = 1 << 16
"""Roaring bitmaps keep 2^16 numbers in a container; a shift by whole containers moves no bits."""


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
class _Column:
    """One attribute: its distinct values (of a `set`, its distinct members), each with its assignments."""

    attribute: Attribute
    assignments: Mapping[str, BitMap]
    unknown: BitMap


@dataclass(frozen=True, slots=True)
class Columns:
    """Everybody at one moment. Bitmaps of people unless said otherwise."""

    people: BitMap
    placed: BitMap
    """Those with an assignment that counts: active, or opening while preboarding."""
    evidence: Mapping[str, BitMap]
    states: Mapping[LifecycleState, BitMap]
    locked: BitMap
    """Those whom an event locked out."""
    undeclared: tuple[UndeclaredValue, ...]
    _layers: tuple[BitMap, ...]
    _stride: int
    _attributes: Mapping[str, _Column]
    _assignments: BitMap
    _compared: dict[tuple[str, Test, bool | None], Truth] = field(default_factory=dict)

    def holding(self, match: Match) -> BitMap:
        """People for whom the match is true of at least one assignment."""
        return self._holders(self.truth(match).true)

    def always(self, match: Match) -> BitMap:
        """People for whom the match is true of every assignment. Nobody without an assignment is among them."""
        return self.placed - self._holders(self._assignments - self.truth(match).true)

    def never(self, match: Match) -> BitMap:
        """People for whom the match is false of every assignment. Nobody without an assignment is among them."""
        return self.placed - self._holders(self.truth(match).possible)

    def truth(self, match: Match) -> Truth:
        """The match over all assignments, in Kleene's logic."""
        match match:
            case Compare():
                return self._comparison(match)
            case AllOf(parts):
                return reduce(_both, map(self.truth, parts), Truth(self._assignments, self._assignments))
            case AnyOf(parts):
                return reduce(_either, map(self.truth, parts), _NOWHERE)
            case NoneOf(parts):
                return self._opposite(reduce(_either, map(self.truth, parts), _NOWHERE))

    def _comparison(self, compare: Compare) -> Truth:
        key = (compare.attribute, compare.test, compare.absent)
        if key not in self._compared:
            self._compared[key] = self._compare(self._attributes[compare.attribute], compare)
        return self._compared[key]

    def _compare(self, column: _Column, compare: Compare) -> Truth:
        known = self._assignments - column.unknown
        true = self._where(column, compare.test, known)
        if compare.absent:
            true = true | column.unknown
        return Truth(true, true | column.unknown if compare.absent is None else true)

    def _where(self, column: _Column, test: Test, known: BitMap) -> BitMap:
        if isinstance(test, Negated):
            return known - self._where(column, test.test, known)
        if not isinstance(test, Present) and isinstance(test, Contains) != (column.attribute.kind is AttributeKind.SET):
            raise TypeError(f"{type(test).__name__} cannot compare {column.attribute.name}")
        match test:
            case Present():
                return known & union(column.assignments.values())
            case Contains(values, every) if every:
                return reduce(BitMap.intersection, (column.assignments.get(value, _NONE) for value in values), known)
            case Contains(values) | Equals(values):
                chosen: Iterable[str] = values
            case Under(paths):
                chosen = (value for value in column.assignments if any(lies_under(value, path) for path in paths))
            case Within(low, high):
                chosen = (value for value, rank in column.attribute.ranks.items() if rank_within(rank, low, high))
        return union(column.assignments[value] for value in chosen if value in column.assignments)

    def _opposite(self, truth: Truth) -> Truth:
        return Truth(self._assignments - truth.possible, self._assignments - truth.true)

    def _holders(self, assignments: BitMap) -> BitMap:
        if len(self._layers) <= 1:
            return assignments
        return union((assignments & layer).shift(-i * self._stride) for i, layer in enumerate(self._layers))


_NONE = BitMap()
_NOWHERE = Truth(_NONE, _NONE)


def union(bitmaps: Iterable[BitMap]) -> BitMap:
    """Whoever is in any of the bitmaps; nobody where there are none."""
    return BitMap.union(_NONE, *bitmaps)


def columns_at(policy: Policy, population: Population, at: datetime) -> Columns:
    """The population in columns, as the policy's attributes, evidence and lifecycle see it at the moment."""
    zone = ZoneInfo(population.timezone)
    placement = _placement(policy, population, at, zone)
    return Columns(
        people=BitMap([person.number for person in population.people]),
        placed=placement.layers[0] if placement.layers else BitMap(),
        evidence=_evidence(policy, population, at, zone),
        states=placement.states,
        locked=BitMap([person.number for person in population.people if covering(person.lockouts, at) is not None]),
        undeclared=placement.undeclared,
        _layers=placement.layers,
        _stride=placement.stride,
        _attributes=placement.columns,
        _assignments=union(placement.layers),
    )


_Profiles = dict[tuple[str | None, ...], list[int]]
"""Distinct attribute texts, in the order of the policy's attributes → the assignments that have them."""


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where everybody stands, where their assignments are, and the attributes' columns over them."""

    states: Mapping[LifecycleState, BitMap]
    layers: tuple[BitMap, ...]
    stride: int
    columns: Mapping[str, _Column]
    undeclared: tuple[UndeclaredValue, ...]


def _placement(policy: Policy, population: Population, at: datetime, zone: ZoneInfo) -> _Placement:
    horizon = opening_horizon(policy.lifecycle, at, zone)
    names = tuple(policy.attributes)
    highest = max((person.number for person in population.people), default=0)
    stride = (highest // _CONTAINER + 1) * _CONTAINER
    states: dict[LifecycleState, list[int]] = {state: [] for state in LifecycleState}
    layers: list[list[int]] = []
    profiles: _Profiles = {}
    for person in population.people:
        stand = stand_at(person, at, horizon)
        for state in stand.states:
            states[state].append(person.number)
        for depth, assignment in enumerate(stand.assignments):
            if depth == len(layers):
                layers.append([])
            index = depth * stride + person.number
            layers[depth].append(index)
            profiles.setdefault(tuple(map(assignment.attributes.get, names)), []).append(index)
    return _Placement(
        states={state: BitMap(numbers) for state, numbers in states.items()},
        layers=tuple(map(BitMap, layers)),
        stride=stride,
        columns={name: _column(policy.attributes[name], i, profiles) for i, name in enumerate(names)},
        undeclared=_undeclared(policy, population, profiles, stride),
    )


def _column(attribute: Attribute, position: int, profiles: _Profiles) -> _Column:
    by_text: dict[str | None, list[int]] = {}
    for profile, indexes in profiles.items():
        by_text.setdefault(profile[position], []).extend(indexes)
    found: dict[str, list[int]] = {}
    unknown: list[int] = []
    for text, indexes in by_text.items():
        if attribute.kind is AttributeKind.SET:
            for member in members_of(text):
                found.setdefault(member, []).extend(indexes)
        elif (value := value_of(attribute, text)) is not None:
            found.setdefault(value, []).extend(indexes)
        else:
            unknown.extend(indexes)
    return _Column(attribute, {value: BitMap(indexes) for value, indexes in found.items()}, BitMap(unknown))


def _undeclared(
    policy: Policy, population: Population, profiles: _Profiles, stride: int
) -> tuple[UndeclaredValue, ...]:
    declaring = [(i, each) for i, each in enumerate(policy.attributes.values()) if each.kind in _DECLARING]
    found = {
        (index % stride, attribute.name, value)
        for i, attribute in declaring
        for profile, indexes in profiles.items()
        if (value := (profile[i] or "").strip()) and not attribute.declares(value)
        for index in indexes
    }
    if not found:
        return ()
    ids = {person.number: person.id for person in population.people}
    return tuple(UndeclaredValue(ids[number], name, value) for number, name, value in sorted(found))


def _evidence(policy: Policy, population: Population, at: datetime, zone: ZoneInfo) -> dict[str, BitMap]:
    kinds = kinds_at(policy.evidence, at, zone)
    holders: dict[str, list[int]] = {name: [] for name in kinds}
    for person in population.people:
        records: Sequence[EvidenceRecord] = population.evidence.get(person.id, ())
        if not records:
            continue
        rehired = employed_since(person, at)
        for name, group in by_kind(records).items():
            if name in kinds and kinds[name].counts(group, rehired):
                holders[name].append(person.number)
    return {name: BitMap(numbers) for name, numbers in holders.items()}


def _both(one: Truth, other: Truth) -> Truth:
    return Truth(one.true & other.true, one.possible & other.possible)


def _either(one: Truth, other: Truth) -> Truth:
    return Truth(one.true | other.true, one.possible | other.possible)
