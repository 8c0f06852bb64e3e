"""A match read for ONE assignment, in three values: True, False, or None where it cannot be known (Kleene's logic).

`columns` reads the same language for everybody at once; this is the reading for the one person asked about. How the
text that HR sent becomes a value (`value_of`, `members_of`) is said here once, for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from reconciler.errors import Place
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

_SEPARATORS = re.compile("[;；]")


def value_of(attribute: Attribute, text: str | None) -> str | None:
    """The value that HR's text means, or None where it is blank or not declared: then every comparison is unknown."""
    value = (text or "").strip()
    return value if value and attribute.declares(value) else None


def members_of(text: str | None) -> frozenset[str]:
    """The values of a `set`: separated by ``;`` or ``；``, stripped. A blank is the empty set."""
    return frozenset(part.strip() for part in _SEPARATORS.split(text or "") if part.strip())


def lies_under(path: str, ancestor: str) -> bool:
    """Whether a path of a tree is the ancestor or lies under it: ``rd/ai`` under ``rd``, ``rdx`` not."""
    return path == ancestor or path.startswith(ancestor + "/")


def paths_above(path: str) -> Iterator[str]:
    """Every path that this one lies under, itself included: ``rd/ai`` and ``rd``."""
    yield path
    yield from (path[:i] for i, letter in enumerate(path) if letter == "/")


def matches(match: Match, values: Mapping[str, str], attributes: Mapping[str, Attribute]) -> bool | None:
    """Whether the match holds for an assignment with these values."""
    match match:
        case Compare():
            return _compare(match, attributes[match.attribute], values.get(match.attribute))
        case AllOf(parts):
            return _conjunction(matches(part, values, attributes) for part in parts)
        case AnyOf(parts):
            return _disjunction(matches(part, values, attributes) for part in parts)
        case NoneOf(parts):
            return _negation(_disjunction(matches(part, values, attributes) for part in parts))


def first_place(match: Match) -> Place | None:
    """Where the match stands: the place of its first comparison, None where it has none."""
    if isinstance(match, Compare):
        return match.place
    return next((place for part in match.parts if (place := first_place(part)) is not None), None)


def _compare(compare: Compare, attribute: Attribute, text: str | None) -> bool | None:
    if attribute.kind is AttributeKind.SET:
        return _holds_of_set(compare.test, members_of(text), attribute)
    value = value_of(attribute, text)
    return compare.absent if value is None else _holds(compare.test, value, attribute)


def _holds(test: Test, value: str, attribute: Attribute) -> bool:
    match test:
        case Negated(inner):
            return not _holds(inner, value, attribute)
        case Equals(values):
            return value in values
        case Under(paths):
            return any(lies_under(value, path) for path in paths)
        case Within(low, high):
            return rank_within(attribute.ranks[value], low, high)
        case Present():
            return True
        case Contains():
            raise _misplaced(test, attribute)


def _holds_of_set(test: Test, members: frozenset[str], attribute: Attribute) -> bool:
    match test:
        case Negated(inner):
            return not _holds_of_set(inner, members, attribute)
        case Present():
            return bool(members)
        case Contains(values, every):
            return values <= members if every else not values.isdisjoint(members)
        case _:
            raise _misplaced(test, attribute)


def _misplaced(test: Test, attribute: Attribute) -> TypeError:
    return TypeError(f"{type(test).__name__} cannot compare {attribute.name}, which is {attribute.kind}")


def rank_within(rank: int, low: int | None, high: int | None) -> bool:
    """Whether a rank lies between two, both included; None is unbounded."""
    return (low is None or low <= rank) and (high is None or rank <= high)


def _conjunction(parts: Iterable[bool | None]) -> bool | None:
    values = list(parts)
    if False in values:
        return False
    return None if None in values else True


def _disjunction(parts: Iterable[bool | None]) -> bool | None:
    values = list(parts)
    if True in values:
        return True
    return None if None in values else False


def _negation(value: bool | None) -> bool | None:
    return None if value is None else not value
