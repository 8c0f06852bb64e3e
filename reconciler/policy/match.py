"""What a match is: a closed language over the attributes of one assignment. Values only; `matching` reads them from
YAML, `reconciler.access` says of whom they are true.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import Place


@dataclass(frozen=True, slots=True)
class Equals:
    """The attribute's value is exactly one of these; of a `tree`, what lies under them does not count."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Under:
    """The attribute's value is one of these paths of a `tree`, or lies under one."""

    paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class Within:
    """The attribute's rank (`ordered`) lies between these, both included; None is unbounded."""

    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Contains:
    """The attribute, a `set`, holds any of these values (or, with `every`, all of them)."""

    values: frozenset[str]
    every: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute has a value; a `set` holds at least one."""


@dataclass(frozen=True, slots=True)
class Negated:
    """The comparison inside does not hold; unknown stays unknown."""

    test: Equals | Under | Within | Contains | Present


Test = Equals | Under | Within | Contains | Present | Negated


@dataclass(frozen=True, slots=True)
class Compare:
    """One attribute compared. `absent` is what a blank or undeclared value means: None leaves it unknown."""

    attribute: str
    test: Test
    absent: bool | None
    place: Place


@dataclass(frozen=True, slots=True)
class AllOf:
    """Kleene's "and" of the parts."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Kleene's "or" of the parts."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Kleene's "not" of "or": none of the parts holds."""

    parts: tuple[Match, ...]


Match = Compare | AllOf | AnyOf | NoneOf
