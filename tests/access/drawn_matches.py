"""Random matches, over the attributes of `company`, and small ways to draw."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from reconciler.policy.model import (
    AllOf,
    AnyOf,
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
from tests.access import company

T = TypeVar("T")

IDS = ("E1", "E2", "工号3", "E4", "E5")


def some(strategy: st.SearchStrategy[T], most: int = 2) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


def one_in(n: int, strategy: st.SearchStrategy[T], otherwise: T) -> st.SearchStrategy[T]:
    return st.integers(1, n).flatmap(lambda drawn: strategy if drawn == n else st.just(otherwise))


DEPARTMENTS = ("rd", "rd/ai", "rd/ai/vision", "rdx", "研发/视觉")
GRADES = ("P3", "P5", "P6", "M1", "P7")
TESTS: dict[str, st.SearchStrategy[Test]] = {
    "department": st.builds(Under, st.frozensets(st.sampled_from(("rd", "rd/ai", "研发")), min_size=1))
    | st.builds(Equals, st.frozensets(st.sampled_from(DEPARTMENTS), min_size=1)),
    "post": st.builds(Equals, st.frozensets(st.sampled_from(("engineer", "hr")), min_size=1)),
    "grade": st.builds(Within, maybe(st.integers(0, 4)), maybe(st.integers(0, 4)))
    | st.builds(Equals, st.frozensets(st.sampled_from(GRADES), min_size=1)),
    "projects": st.builds(
        Contains, st.frozensets(st.sampled_from(("falcon", "phoenix", "凤凰")), min_size=1), st.booleans()
    ),
    "sponsor": st.builds(Equals, st.frozensets(st.sampled_from(IDS), min_size=1)),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    attribute = draw(st.sampled_from(sorted(TESTS)))
    test = draw(one_in(6, st.builds(Present), None)) or draw(TESTS[attribute])
    if draw(st.booleans()):
        assert not isinstance(test, Negated)
        test = Negated(test)
    return company.compare(attribute, test, draw(st.sampled_from([None, None, None, True, False])))


def _combined(inner: st.SearchStrategy[Match]) -> st.SearchStrategy[Match]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(AllOf, parts) | st.builds(AnyOf, parts) | st.builds(NoneOf, parts)


matches: st.SearchStrategy[Match] = st.recursive(comparisons(), _combined, max_leaves=4)
