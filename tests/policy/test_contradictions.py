"""What is called impossible is: against every assignment over a few values, read by the evaluator itself."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access.matching import matches
from reconciler.errors import Place
from reconciler.policy.contradictions import impossible, impossible_together
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
    Under,
    Within,
)

HERE = Place("a.yaml", 1, 1)
ATTRIBUTES: Mapping[str, Attribute] = {
    "post": Attribute("post", AttributeKind.ONE_OF, {"it": 0, "hr": 0, "rd": 0}, HERE),
    "grade": Attribute("grade", AttributeKind.ORDERED, {"P1": 0, "P2": 1, "M2": 1, "P3": 2}, HERE),
    "place": Attribute("place", AttributeKind.TREE, {}, HERE),
    "tags": Attribute("tags", AttributeKind.SET, {}, HERE),
    "boss": Attribute("boss", AttributeKind.PERSON, {}, HERE),
}
VALUES = {
    "post": ["", "it", "hr", "rd"],
    "grade": ["", "P1", "P2", "M2", "P3"],
    "place": ["", "a", "a/b", "a/b/c", "a/z", "x", "x/y", "elsewhere"],
    "tags": ["", "1", "2", "1;2", "3", "1;2;3"],
    "boss": ["", "E1", "E2", "E9"],
}
"""The values that tests speak of, and at least one of each kind that none speaks of."""
ASSIGNMENTS = [dict(zip(VALUES, values, strict=True)) for values in product(*VALUES.values())]


def some(*values: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), min_size=1, max_size=2)


RANK = st.one_of(st.none(), st.integers(0, 2))
PLAIN = {
    "post": st.builds(Equals, some("it", "hr")) | st.just(Present()),
    "grade": st.builds(Within, RANK, RANK) | st.builds(Equals, some("P1", "P2", "M2")),
    "place": st.builds(Under, some("a", "a/b", "x/y")) | st.builds(Equals, some("a/b", "x")) | st.just(Present()),
    "tags": st.builds(Contains, some("1", "2"), st.booleans()) | st.just(Present()),
    "boss": st.builds(Equals, some("E1", "E2")),
}


@st.composite
def compares(draw: st.DrawFn) -> Match:
    name = draw(st.sampled_from(sorted(PLAIN)))
    test = draw(PLAIN[name])
    absent = None if name == "tags" else draw(st.sampled_from([None, True, False]))
    return Compare(name, Negated(test) if draw(st.booleans()) else test, absent, HERE)


MATCHES: st.SearchStrategy[Match] = st.recursive(
    compares(),
    lambda inner: st.builds(
        lambda combine, parts: combine(tuple(parts)),
        st.sampled_from([AllOf, AllOf, AnyOf, NoneOf]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(MATCHES)
def test_what_is_called_impossible_is_true_of_no_assignment(match: Match) -> None:
    if impossible(match, ATTRIBUTES):
        assert not any(matches(match, values, ATTRIBUTES) is True for values in ASSIGNMENTS)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(PLAIN)), st.data())
def test_comparisons_of_one_attribute_are_judged_exactly(name: str, data: st.DataObject) -> None:
    """Two comparisons of one attribute are called impossible together exactly where no value satisfies both."""
    pair = [Compare(name, data.draw(PLAIN[name]), None, HERE) for _ in range(2)]
    possible = any(matches(AllOf(tuple(pair)), {name: value}, ATTRIBUTES) is True for value in VALUES[name])

    assert impossible_together(pair, ATTRIBUTES) == (not possible)


def compare(name: str, *values: str) -> Compare:
    kinds = {"place": Under, "tags": Contains}
    return Compare(name, kinds.get(name, Equals)(frozenset(values)), None, HERE)


@pytest.mark.parametrize(
    "parts",
    [
        (compare("post", "it"), AnyOf((compare("post", "hr"), compare("post", "rd")))),
        (AnyOf((compare("post", "hr"), compare("post", "rd"))), NoneOf((compare("post", "hr", "rd"),))),
        (compare("post", "it"), NoneOf((AnyOf((compare("post", "it"), compare("boss", "E1"))),))),
        (compare("tags", "1"), NoneOf((compare("tags", "1"),))),
        (compare("place", "a/b"), Compare("place", Equals(frozenset({"x"})), None, HERE)),
        (AllOf((compare("post", "it"), compare("boss", "E1"))), NoneOf((NoneOf((compare("boss", "E2"),)),))),
        (
            compare("post", "it"),
            compare("boss", "E1"),
            NoneOf((AllOf((compare("post", "it"), compare("boss", "E1"))),)),
        ),
    ],
)
def test_contradictions_across_combinations_are_found(parts: tuple[Match, ...]) -> None:
    assert impossible_together(parts, ATTRIBUTES)
    assert not any(impossible_together([part], ATTRIBUTES) for part in parts)
