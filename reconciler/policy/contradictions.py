"""Whether a match can be true of any assignment at all, as far as that can be told from the policy alone.

Sound and not complete: what is called impossible is, and some of what is impossible is not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from reconciler.policy.model import (
    AllOf,
    AnyOf,
    Attribute,
    AttributeKind,
    Compare,
    Equals,
    Match,
    Negated,
    NoneOf,
    Test,
    Under,
    Within,
)


def impossible(match: Match, attributes: Mapping[str, Attribute]) -> bool:
    """Whether no assignment, whatever its values, makes the match true."""
    conditions = list(_conditions(match))
    by_attribute: dict[str, list[Compare]] = {}
    for condition in conditions:
        if isinstance(condition, AnyOf) and all(impossible(part, attributes) for part in condition.parts):
            return True
        if isinstance(condition, Compare):
            by_attribute.setdefault(condition.attribute, []).append(condition)
    return any(_contradict(attributes[name], compares) for name, compares in by_attribute.items())


def _conditions(match: Match) -> Iterator[Match]:
    """The conditions that must all hold."""
    if isinstance(match, AllOf):
        for part in match.parts:
            yield from _conditions(part)
    elif isinstance(match, NoneOf):
        # One comparison denied is a comparison; more of a denial than that is left alone.
        for part in match.parts:
            if isinstance(part, Compare) and not isinstance(part.test, Negated):
                absent = None if part.absent is None else not part.absent
                yield Compare(part.attribute, Negated(part.test), absent, part.place)
    else:
        yield match


def _contradict(attribute: Attribute, compares: Sequence[Compare]) -> bool:
    """Whether no value, nor a blank, satisfies all of these comparisons of one attribute."""
    if all(compare.absent is True for compare in compares):
        return False
    tests = [compare.test for compare in compares]
    match attribute.kind:
        case AttributeKind.ONE_OF | AttributeKind.ORDERED:
            return not any(all(_holds(test, value, attribute) for test in tests) for value in attribute.ranks)
        case AttributeKind.PERSON:
            named = frozenset().union(*(test.values for test in tests if isinstance(test, Equals)))
            asked = any(isinstance(test, Equals) for test in tests)
            return asked and not any(all(_holds(test, value, attribute) for test in tests) for value in named)
        case AttributeKind.TREE:
            return _trees_contradict(tests)
        case _:
            return False


def _holds(test: Test, value: str, attribute: Attribute) -> bool:
    match test:
        case Negated():
            return not _holds(test.test, value, attribute)
        case Equals():
            return value in test.values
        case Within():
            rank = attribute.ranks[value]
            return (test.low is None or test.low <= rank) and (test.high is None or rank <= test.high)
        case _:
            return True


def _trees_contradict(tests: Sequence[Test]) -> bool:
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
