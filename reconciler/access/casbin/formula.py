"""Conditions over facts, and how they become what a casbin rule can hold: a list of facts that must be there and a
list of facts that must not.

A condition is built from literals with `both` and `either`, turned round with `negated`, and multiplied out by `terms`
(disjunctive normal form). Nothing here knows what a fact says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True, slots=True, order=True)
class Literal:
    """A fact that must be there or, without `holds`, must not. `slot` says of which assignment ("": of the person)."""

    fact: str
    slot: str = ""
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts; of no parts, what is always so."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of the parts; of no parts, what is never so."""

    parts: tuple[Condition, ...]


Condition = Literal | Both | Either
Term = frozenset[Literal]

ALWAYS = Both(())
NEVER = Either(())


def both(*parts: Condition) -> Condition:
    """All of these."""
    return parts[0] if len(parts) == 1 else Both(parts)


def either(*parts: Condition) -> Condition:
    """Any of these."""
    return parts[0] if len(parts) == 1 else Either(parts)


def negated(condition: Condition) -> Condition:
    """The opposite, with the "not" moved down to the facts."""
    match condition:
        case Literal(fact, slot, holds):
            return Literal(fact, slot, not holds)
        case Both(parts):
            return Either(tuple(negated(part) for part in parts))
        case Either(parts):
            return Both(tuple(negated(part) for part in parts))


def terms(condition: Condition) -> tuple[Term, ...]:
    """The condition as alternatives, each a set of literals that must all hold; without contradictions, and without
    alternatives that a shorter one covers.
    """
    return _shortest(_multiplied(condition))


def is_true(condition: Condition, holds: Callable[[str, str], bool]) -> bool:
    """Whether the condition is so where `holds` says of a fact (and its slot) whether it is there."""
    match condition:
        case Literal(fact, slot, wanted):
            return holds(fact, slot) == wanted
        case Both(parts):
            return all(is_true(part, holds) for part in parts)
        case Either(parts):
            return any(is_true(part, holds) for part in parts)


def _multiplied(condition: Condition) -> Iterable[Term]:
    match condition:
        case Literal():
            return (frozenset({condition}),)
        case Either(parts):
            return tuple(term for part in parts for term in terms(part))
        case Both(parts):
            choices = product(*(terms(part) for part in parts))
            return tuple(frozenset().union(*choice) for choice in choices)


def _shortest(found: Iterable[Term]) -> tuple[Term, ...]:
    possible = dict.fromkeys(term for term in found if not _contradicts_itself(term))
    return tuple(term for term in possible if not any(other < term for other in possible))


def _contradicts_itself(term: Term) -> bool:
    return any(not each.holds and Literal(each.fact, each.slot) in term for each in term)
