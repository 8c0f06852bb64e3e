"""A match, spelled as facts about one assignment, and what facts one assignment has.

Facts are what HR says (``grade = P6``, ``grade unknown``, ``projects has falcon``). What a policy makes of them is
said in links from one fact to the next, which casbin follows: a value to the paths of a tree above it, a value to its
rank, a rank to a range, one of several values to their list. So a comparison is one fact, and a match a condition over
such facts, in three values: where a fact says *unknown*, neither `true` nor `false` holds.

The spelling is written down here as it is met; `links` then gives what was used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.access.casbin.formula import ALWAYS, NEVER, Both, Condition, Either, Literal, both, either, negated
from reconciler.access.casbin.names import part
from reconciler.access.matching import members_of, value_of
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
    Test,
    Under,
    Within,
)

POST = "post"
"""The fact that there is an assignment at all."""


class Vocabulary:
    """The facts that the matches read through it are about."""

    def __init__(self, attributes: Mapping[str, Attribute]) -> None:
        self._attributes = attributes
        self._lists: dict[str, tuple[str, ...]] = {}
        self._paths: dict[str, set[str]] = {}
        self._ranked: set[str] = set()

    # --- matches as conditions ------------------------------------------------------------------------------------

    def true(self, match: Match | None, slot: str) -> Condition:
        """When the match is true of the assignment in the slot; no match is always true."""
        match match:
            case None:
                return ALWAYS
            case Compare():
                return self._true(match, slot)
            case AllOf(parts):
                return Both(tuple(self.true(each, slot) for each in parts))
            case AnyOf(parts):
                return Either(tuple(self.true(each, slot) for each in parts))
            case NoneOf(parts):
                return Both(tuple(self.false(each, slot) for each in parts))

    def false(self, match: Match | None, slot: str) -> Condition:
        """When the match is false of it: neither true nor unknown."""
        match match:
            case None:
                return NEVER
            case Compare():
                return self._false(match, slot)
            case AllOf(parts):
                return Either(tuple(self.false(each, slot) for each in parts))
            case AnyOf(parts):
                return Both(tuple(self.false(each, slot) for each in parts))
            case NoneOf(parts):
                return Either(tuple(self.true(each, slot) for each in parts))

    def present(self, attribute: str, slot: str) -> Condition:
        """When the attribute has a value there; a set at least one."""
        if self._attributes[attribute].kind is AttributeKind.SET:
            return Literal(_given(attribute), slot)
        return both(Literal(POST, slot), Literal(_unknown(attribute), slot, holds=False))

    def _true(self, compare: Compare, slot: str) -> Condition:
        holds, unknown = self._reading(compare, slot)
        return either(holds, unknown) if compare.absent is True else holds

    def _false(self, compare: Compare, slot: str) -> Condition:
        holds, unknown = self._reading(compare, slot)
        return negated(self._true(compare, slot)) if compare.absent is not None else negated(either(holds, unknown))

    def _reading(self, compare: Compare, slot: str) -> tuple[Condition, Condition]:
        """When the test holds of a known value, and when there is none. A set is never unknown."""
        attribute = self._attributes[compare.attribute]
        test, turned = (compare.test.test, True) if isinstance(compare.test, Negated) else (compare.test, False)
        holds = self._test(attribute, test, slot)
        if attribute.kind is AttributeKind.SET:
            return negated(holds) if turned else holds, NEVER
        unknown = Literal(_unknown(attribute.name), slot)
        return both(negated(holds), negated(unknown)) if turned else holds, unknown

    def _test(self, attribute: Attribute, test: Test, slot: str) -> Condition:
        name = attribute.name
        match test:
            case Equals(values):
                return Literal(self._any_of(name, "=", values), slot)
            case Under(paths):
                self._paths.setdefault(name, set()).update(paths)
                return Literal(self._any_of(name, "under", paths), slot)
            case Within(low, high):
                return Literal(self._range(attribute, low, high), slot)
            case Contains(values, every=True):
                return Both(tuple(Literal(_value(name, "has", value), slot) for value in sorted(values)))
            case Contains(values):
                return Literal(self._any_of(name, "has", values), slot)
            case Present():
                return self.present(name, slot)
            case Negated():
                raise TypeError(f"a negation of a negation compares {name}")

    def _any_of(self, attribute: str, word: str, values: Iterable[str]) -> str:
        singly = tuple(_value(attribute, word, value) for value in sorted(values))
        if len(singly) == 1:
            return singly[0]
        name = f"{part(attribute)} {word} {'|'.join(part(value) for value in sorted(values))}"
        self._lists[name] = singly
        return name

    def _range(self, attribute: Attribute, low: int | None, high: int | None) -> str:
        self._ranked.add(attribute.name)
        name = f"{part(attribute.name)} ranks {'' if low is None else low}..{'' if high is None else high}"
        ranks = sorted(
            {r for r in attribute.ranks.values() if (low is None or low <= r) and (high is None or r <= high)}
        )
        self._lists[name] = tuple(_rank(attribute.name, rank) for rank in ranks)
        return name

    # --- facts of an assignment -----------------------------------------------------------------------------------

    def facts(self, values: Mapping[str, str]) -> Iterator[str]:
        """What HR says of an assignment with these values."""
        yield POST
        for attribute in self._attributes.values():
            text = values.get(attribute.name)
            if attribute.kind is AttributeKind.SET:
                members = sorted(members_of(text))
                yield from (_value(attribute.name, "has", member) for member in members)
                yield from (_given(attribute.name),) if members else ()
            else:
                value = value_of(attribute, text)
                yield _unknown(attribute.name) if value is None else _value(attribute.name, "=", value)

    def links(self, assignments: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
        """From fact to fact, as far as the matches read so far ask for it, for the values that these have."""
        everybody = tuple(assignments)
        for name, paths in sorted(self._paths.items()):
            values = {value for each in everybody if (value := value_of(self._attributes[name], each.get(name)))}
            for value in sorted(values):
                yield from ((_value(name, "=", value), _value(name, "under", p)) for p in _above(value) if p in paths)
        for name in sorted(self._ranked):
            ranks = self._attributes[name].ranks
            yield from ((_value(name, "=", value), _rank(name, rank)) for value, rank in ranks.items())
        for name, singly in sorted(self._lists.items()):
            yield from ((each, name) for each in singly)

    def reached(self, values: Mapping[str, str]) -> frozenset[str]:
        """All facts of one assignment, with those that the links lead to."""
        found, onward = set(self.facts(values)), tuple(self.links((values,)))
        while more := {target for source, target in onward if source in found} - found:
            found |= more
        return frozenset(found)


def _above(path: str) -> Iterator[str]:
    """The path and all those above it, by whole segments."""
    segments = path.split("/")
    return ("/".join(segments[:count]) for count in range(1, len(segments) + 1))


def _value(attribute: str, word: str, value: str) -> str:
    return f"{part(attribute)} {word} {part(value)}"


def _unknown(attribute: str) -> str:
    return f"{part(attribute)} unknown"


def _given(attribute: str) -> str:
    return f"{part(attribute)} given"


def _rank(attribute: str, rank: int) -> str:
    return f"{part(attribute)} rank {rank}"
