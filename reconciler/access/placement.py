"""One pass over the people: where everybody stands, which of their assignments count, and the attributes' columns.

It does the least that can be done per person; everything else is done per distinct value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.columns import Column, Columns, union
from reconciler.access.lifecycle import ACTIVE_ALONE, covering, horizon_of, leave_start, stand_at
from reconciler.access.matching import members_of, value_of
from reconciler.access.model import LifecycleState, UndeclaredValue
from reconciler.access.proven import proven
from reconciler.facts.model import Assignment, Person, Population
from reconciler.policy.model import Attribute, AttributeKind, Policy

_DECLARING = (AttributeKind.ONE_OF, AttributeKind.ORDERED)

_CONTAINER = 1 << 16
"""Roaring bitmaps keep 2^16 numbers in a container; a shift by whole containers moves no bits."""

_Texts = Mapping[str | None, list[int]]
"""What HR sent for one attribute → the assignments for which it did; None: nothing."""


def columns_at(policy: Policy, population: Population, at: datetime) -> Columns:
    """The population in columns, as the policy's attributes, evidence and lifecycle see it at the moment."""
    zone = ZoneInfo(population.timezone)
    at = at.astimezone(UTC)
    placed = _placed(policy, population.people, at, zone)
    layers = [BitMap(layer) for layer in placed.layers]
    people = BitMap([person.number for person in population.people])
    counting, overlapping = union(layers) - BitMap(placed.overlapping), BitMap(placed.overlapping)
    return Columns(
        at=at,
        zone=zone,
        people=people,
        placed=layers[0] if layers else BitMap(),
        evidence=proven(policy, population, at, zone),
        states=_states(placed, people),
        leaves={start: BitMap(numbers) for start, numbers in placed.leaves.items()},
        locked=BitMap(placed.locked),
        undeclared=_undeclared(policy, population, placed),
        counting=counting,
        overlapping=overlapping,
        attributes={
            name: _column(attribute, placed.texts[name], counting | overlapping)
            for name, attribute in policy.attributes.items()
        },
        layers=layers,
        stride=placed.stride,
        _assignments=counting | overlapping,
    )


@dataclass(frozen=True, slots=True)
class _Placed:
    """What the pass collects: numbers of people, indexes of assignments (`layers`, `overlapping`, `texts`)."""

    stride: int
    texts: Mapping[str, defaultdict[str | None, list[int]]]
    states: Mapping[LifecycleState, list[int]] = field(default_factory=lambda: {state: [] for state in LifecycleState})
    layers: list[list[int]] = field(default_factory=list)
    overlapping: list[int] = field(default_factory=list)
    leaves: defaultdict[datetime | None, list[int]] = field(default_factory=lambda: defaultdict(list))
    locked: list[int] = field(default_factory=list)


def _placed(policy: Policy, people: Sequence[Person], at: datetime, zone: ZoneInfo) -> _Placed:
    highest = max((person.number for person in people), default=0)
    texts: dict[str, defaultdict[str | None, list[int]]] = {name: defaultdict(list) for name in policy.attributes}
    placed = _Placed((highest // _CONTAINER + 1) * _CONTAINER, texts)
    horizon = horizon_of(policy, at, zone)
    by_name = list(texts.items())
    for person in people:
        states, counting, overlapping = stand_at(person, at, horizon)
        if states is not ACTIVE_ALONE:
            _note_states(placed, person, states, at)
        if person.lockouts and covering(person.lockouts, at) is not None:
            placed.locked.append(person.number)
        index = person.number
        for depth, assignment in enumerate(counting + overlapping if overlapping else counting):
            if depth:
                index += placed.stride
            if depth == len(placed.layers):
                placed.layers.append([])
            placed.layers[depth].append(index)
            get = assignment.attributes.get
            for name, by_text in by_name:
                by_text[get(name)].append(index)
        if overlapping:
            _note_overlap(placed, person, counting, overlapping)
    return placed


def _note_states(placed: _Placed, person: Person, states: Iterable[LifecycleState], at: datetime) -> None:
    for state in states:
        placed.states[state].append(person.number)
        if state is LifecycleState.LEAVE:
            placed.leaves[leave_start(person, at)].append(person.number)


def _note_overlap(
    placed: _Placed, person: Person, counting: Sequence[Assignment], overlapping: Sequence[Assignment]
) -> None:
    depths = range(len(counting), len(counting) + len(overlapping))
    placed.overlapping.extend(person.number + depth * placed.stride for depth in depths)


def _states(placed: _Placed, people: BitMap) -> dict[LifecycleState, BitMap]:
    states = {state: BitMap(numbers) for state, numbers in placed.states.items()}
    return {**states, LifecycleState.ACTIVE: people - union(states.values())}


def _column(attribute: Attribute, texts: _Texts, assignments: BitMap) -> Column:
    found: dict[str, list[int]] = {}
    unknown: list[int] = []
    for text, indexes in texts.items():
        if attribute.kind is AttributeKind.SET:
            for member in members_of(text):
                found.setdefault(member, []).extend(indexes)
        elif (value := value_of(attribute, text)) is not None:
            found.setdefault(value, []).extend(indexes)
        else:
            unknown.extend(indexes)
    blank = BitMap(unknown)
    values = {value: BitMap(indexes) for value, indexes in found.items()}
    return Column(attribute, values, assignments - blank if blank else assignments, blank)


def _undeclared(policy: Policy, population: Population, placed: _Placed) -> tuple[UndeclaredValue, ...]:
    found = {
        (index % placed.stride, attribute.name, value)
        for attribute in policy.attributes.values()
        if attribute.kind in _DECLARING
        for text, indexes in placed.texts[attribute.name].items()
        if (value := (text or "").strip()) and not attribute.declares(value)
        for index in indexes
    }
    if not found:
        return ()
    ids = {person.number: person.id for person in population.people}
    return tuple(UndeclaredValue(ids[number], name, value) for number, name, value in sorted(found))
