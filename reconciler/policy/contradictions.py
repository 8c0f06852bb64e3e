"""Whether a match can be true of any assignment at all, as far as that can be told from the policy alone.

Sound and not complete: what is called impossible is, and some of what is impossible is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

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

Attributes = Mapping[str, Attribute]


def impossible(match: Match, attributes: Attributes) -> bool:
    """Whether no assignment, whatever its values, makes the match true."""
    return _impossible((), [match], attributes)


def impossible_together(matches: Iterable[Match], attributes: Attributes) -> bool:
    """Whether no assignment makes all of these matches true."""
    return _impossible((), list(matches), attributes)


def _impossible(given: Sequence[Compare], matches: Sequence[Match], attributes: Attributes) -> bool:
    """Whether the matches contradict each other or what is given. Each alternative is tried beside all comparisons."""
    conditions = [condition for match in matches for condition in _conditions(match)]
    compares = [*given, *(condition for condition in conditions if isinstance(condition, Compare))]
    by_attribute: dict[str, list[Compare]] = {}
    for compare in compares:
        by_attribute.setdefault(compare.attribute, []).append(compare)
    if any(_contradict(attributes[name], asked) for name, asked in by_attribute.items()):
        return True
    alternatives = [condition.parts for condition in conditions if isinstance(condition, AnyOf)]
    return any(all(_impossible(compares, [part], attributes) for part in parts) for parts in alternatives)


def _conditions(match: Match) -> Iterator[Compare | AnyOf]:
    """The conditions that must all hold: comparisons, and choices between matches."""
    match match:
        case AllOf(parts):
            for part in parts:
                yield from _conditions(part)
        case NoneOf(parts):
            for part in parts:
                yield from _denied(part)
        case _:
            yield match


def _denied(match: Match) -> Iterator[Compare | AnyOf]:
    """The conditions under which a match is false (in Kleene's logic, by De Morgan's laws)."""
    match match:
        case Compare():
            absent = None if match.absent is None else not match.absent
            test = match.test.test if isinstance(match.test, Negated) else Negated(match.test)
            yield Compare(match.attribute, test, absent, match.place)
        case AnyOf(parts):
            for part in parts:
                yield from _denied(part)
        case AllOf(parts):
            yield AnyOf(tuple(NoneOf((part,)) for part in parts))
        case NoneOf(parts):
            yield AnyOf(parts)


def _contradict(attribute: Attribute, compares: Sequence[Compare]) -> bool:
    """Whether no value, nor a blank, satisfies all of these comparisons of one attribute."""
    tests = [compare.test for compare in compares]
    if attribute.kind is AttributeKind.SET:
        return _sets_contradict(tests)
    if all(compare.absent is True for compare in compares):
        return False
    match attribute.kind:
        case AttributeKind.ONE_OF | AttributeKind.ORDERED:
            return not _some_holds(attribute.ranks, tests, attribute)
        case AttributeKind.TREE:
            return _trees_contradict(tests, attribute)
        case _:
            named = [test.values for test in tests if isinstance(test, Equals)]
            return bool(named) and not _some_holds(frozenset.intersection(*named), tests, attribute)


def _some_holds(values: Iterable[str], tests: Sequence[Test], attribute: Attribute) -> bool:
    return any(all(_holds(test, value, attribute) for test in tests) for value in values)


def _holds(test: Test, value: str, attribute: Attribute) -> bool:
    """Whether a test holds of a value that is not blank, of an attribute that has one value."""
    match test:
        case Negated():
            return not _holds(test.test, value, attribute)
        case Equals():
            return value in test.values
        case Under():
            return any(lies_under(value, path) for path in test.paths)
        case Within():
            rank = attribute.ranks[value]
            return (test.low is None or test.low <= rank) and (test.high is None or rank <= test.high)
        case _:
            return True


def _trees_contradict(tests: Sequence[Test], attribute: Attribute) -> bool:
    if exact := [test.values for test in tests if isinstance(test, Equals)]:
        return not _some_holds(frozenset.intersection(*exact), tests, attribute)
    asked = [test.paths for test in tests if isinstance(test, Under)]
    if any(not _meet(one, other) for one, other in combinations(asked, 2)):
        return True
    denied = {
        path for test in tests if isinstance(test, Negated) and isinstance(test.test, Under) for path in test.test.paths
    }
    return any(all(any(lies_under(path, no) for no in denied) for path in paths) for paths in asked)


def _meet(one: frozenset[str], other: frozenset[str]) -> bool:
    return any(lies_under(a, b) or lies_under(b, a) for a in one for b in other)


def lies_under(path: str, ancestor: str) -> bool:
    """Whether a path of a tree is another one or lies under it."""
    return path == ancestor or path.startswith(f"{ancestor}/")


def _sets_contradict(tests: Sequence[Test]) -> bool:
    """Whether what a set has to hold is what it must not."""
    asked = [test for test in tests if isinstance(test, Contains)]
    denied = [test.test for test in tests if isinstance(test, Negated)]
    needed = frozenset[str]().union(*(one.values for one in asked if one.every or len(one.values) == 1))
    barred = frozenset[str]().union(
        *(one.values for one in denied if isinstance(one, Contains) and (not one.every or len(one.values) == 1))
    )
    blank = any(isinstance(one, Present) for one in denied)
    return (
        (blank and (bool(asked) or any(isinstance(test, Present) for test in tests)))
        or bool(needed & barred)
        or any(one.values <= barred for one in asked)
        or any(isinstance(one, Contains) and one.every and one.values <= needed for one in denied)
    )
