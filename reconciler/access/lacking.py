"""What an assignment lacks for a match, comparison by comparison, in words that a manager understands.

``grade: P6 or above, has P5``. The fewest comparisons that would have to turn out otherwise, with what they would have
to be; for most of them also the text that HR would have to send, so that the case can be tried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product

from reconciler.access.matching import matches, members_of, rank_within, value_of
from reconciler.access.model import FactKind, NeededFact
from reconciler.access.readings import comparisons
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

_MOST_NAMED = 6
_MOST_TRIED = 500
"""So many combinations of values are tried where what is lacking does not go together as it stands."""

Attributes = Mapping[str, Attribute]
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lack:
    """A comparison that would have to hold, and does not. `has` is what the assignment has, in words.

    `value` is a text for the attribute with which the comparison holds (of a `set`: what it has and what is missing);
    None where no text can be told.
    """

    attribute: str
    wanted: str
    has: str
    value: str | None
    place: Place

    @property
    def fact(self) -> NeededFact:
        """The same as something that would have to be otherwise."""
        text = f"{self.attribute}: {self.wanted}, has {self.has}"
        return NeededFact(FactKind.ASSIGNMENT, text, attribute=self.attribute, wanted=self.wanted, place=self.place)


def lacks(match: Match | None, values: Values, attributes: Attributes) -> tuple[Lack, ...]:
    """The fewest comparisons that would have to hold for the match to be true; none where it is, or where there is
    no match.
    """
    if match is None or matches(match, values, attributes) is True:
        return ()
    match match:
        case Compare():
            return (_lack(match, match.test, values, attributes, want=True),)
        case AllOf(parts):
            return _all(lacks(part, values, attributes) for part in parts)
        case AnyOf(parts):
            return _fewest(lacks(part, values, attributes) for part in parts)
        case NoneOf(parts):
            return _all(_excess(part, values, attributes) for part in parts)


def _excess(match: Match, values: Values, attributes: Attributes) -> tuple[Lack, ...]:
    """The fewest comparisons that would have to fail for the match to be false."""
    if matches(match, values, attributes) is False:
        return ()
    match match:
        case Compare():
            return (_lack(match, match.test, values, attributes, want=False),)
        case AllOf(parts):
            return _fewest(_excess(part, values, attributes) for part in parts)
        case AnyOf(parts):
            return _all(_excess(part, values, attributes) for part in parts)
        case NoneOf(parts):
            return _fewest(lacks(part, values, attributes) for part in parts)


def _all(found: Iterable[tuple[Lack, ...]]) -> tuple[Lack, ...]:
    return tuple(dict.fromkeys(lack for each in found for lack in each))


def _fewest(found: Iterable[tuple[Lack, ...]]) -> tuple[Lack, ...]:
    return min(found, key=len, default=())


def with_match(match: Match, values: Values, missing: Sequence[Lack], attributes: Attributes) -> Values | None:
    """The assignment's values, otherwise where they lack something, with which the match is true; None where none are
    found: the lacks exclude each other, or nobody can tell which values would do.
    """
    changed = _with_values(values, missing, attributes)
    if changed is not None and matches(match, changed, attributes) is True:
        return changed
    names = list(dict.fromkeys(lack.attribute for lack in missing))
    for texts in islice(product(*(_texts(name, match, attributes) for name in names)), _MOST_TRIED):
        changed = {**values, **dict(zip(names, texts, strict=True))}
        if matches(match, changed, attributes) is True:
            return changed
    return None


def _texts(name: str, match: Match, attributes: Attributes) -> Sequence[str]:
    """The texts worth trying for an attribute: those declared or, where any may be sent, those that the match names."""
    if attributes[name].ranks:
        return [*attributes[name].ranks, ""]
    spelled = sorted({value for each in comparisons(match) if each.attribute == name for value in _spelled(each.test)})
    return [*spelled, ";".join(spelled), ""] if attributes[name].kind is AttributeKind.SET else [*spelled, ""]


def _spelled(test: Test) -> frozenset[str]:
    match test:
        case Equals(values) | Under(values) | Contains(values, _):
            return values
        case Negated(inner):
            return _spelled(inner)
        case _:
            return frozenset()


def _with_values(values: Values, missing: Sequence[Lack], attributes: Attributes) -> Values | None:
    """The assignment's values as the lacks would have them; None where a text for one of them cannot be told."""
    changed = dict(values)
    for lack in missing:
        if lack.value is None:
            return None
        if attributes[lack.attribute].kind is AttributeKind.SET and lack.value:
            together = members_of(changed.get(lack.attribute)) | members_of(lack.value)
            changed[lack.attribute] = ";".join(sorted(together))
        else:
            changed[lack.attribute] = lack.value
    return changed


# --- in words -------------------------------------------------------------------------------------------------------


def _lack(compare: Compare, test: Test, values: Values, attributes: Attributes, *, want: bool) -> Lack:
    attribute = attributes[compare.attribute]
    text = values.get(attribute.name)
    plain, wanted = (test.test, not want) if isinstance(test, Negated) else (test, want)
    return Lack(
        attribute=attribute.name,
        wanted=_in_words(plain, attribute) if wanted else _not_in_words(plain, attribute),
        has=_has(attribute, text),
        value=_satisfying(plain, attribute, wanted=wanted),
        place=compare.place,
    )


def _in_words(test: Test, attribute: Attribute) -> str:
    match test:
        case Equals(values):
            only = " itself" if attribute.kind is AttributeKind.TREE else ""
            return _one_of(values) + only
        case Under(paths):
            return f"{_one_of(paths)} or below"
        case Within(low, high):
            return _range(attribute, low, high)
        case Contains(values, every):
            return _listed(values, " and ") if every else _one_of(values)
        case _:
            return "any value"


def _not_in_words(test: Test, attribute: Attribute) -> str:
    if isinstance(test, Present):
        return "nothing"
    if isinstance(test, Within):
        return f"known, and not {_range(attribute, test.low, test.high)}"
    several = isinstance(test, Contains) and test.every and len(test.values) > 1
    return f"not {'all of ' if several else ''}{_in_words(test, attribute)}"


def _range(attribute: Attribute, low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return _rank(attribute, low) if low == high else f"{_rank(attribute, low)} to {_rank(attribute, high)}"
    if low is not None:
        return f"{_rank(attribute, low)} or above"
    return "any value" if high is None else f"{_rank(attribute, high)} or below"


def _rank(attribute: Attribute, rank: int) -> str:
    return "/".join(value for value, its in attribute.ranks.items() if its == rank) or f"rank {rank}"


def _one_of(values: Iterable[str]) -> str:
    return _listed(values, " or ")


def _listed(values: Iterable[str], word: str) -> str:
    names = sorted(values)
    shown = word.join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown}{word}{len(names) - _MOST_NAMED} more"


def _has(attribute: Attribute, text: str | None) -> str:
    if attribute.kind is AttributeKind.SET:
        return ", ".join(sorted(members_of(text))) or "none"
    blank = not (text or "").strip()
    if blank or value_of(attribute, text) is not None:
        return (text or "").strip() or "none"
    return f"{(text or '').strip()!r}, which the policy does not declare"


def _satisfying(test: Test, attribute: Attribute, *, wanted: bool) -> str | None:
    """A text with which the comparison comes out as wanted, where one can be told from the policy alone."""
    match test:
        case Equals(values) | Under(values) if wanted:
            return min(values, default=None)
        case Contains(values, every) if wanted:
            return ";".join(sorted(values)) if every else min(values, default=None)
        case Within(low, high):
            fitting = (v for v, rank in attribute.ranks.items() if rank_within(rank, low, high) is wanted)
            return next(fitting, None)
        case Present() if not wanted or attribute.kind is not AttributeKind.SET:
            return next(iter(attribute.ranks), None) if wanted else ""
        case Equals(values) if not wanted:
            return next((value for value in attribute.ranks if value not in values), None)
        case _:
            return None
