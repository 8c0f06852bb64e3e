"""What is looked up by people's values leaves out nothing that somebody comes under, and most of what nobody does."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.columns import Columns
from reconciler.access.matching import matches
from reconciler.access.placement import columns_at
from reconciler.access.sieve import Sieve
from reconciler.policy.model import AllOf, AnyOf, Compare, Contains, Equals, Match, NoneOf, Present, Under
from tests.access import drawn_matches
from tests.access.company import ATTRIBUTES, a_person, a_policy, compare, level, local, people, post

AT = local(2026, 5, 1)
POSTS = st.fixed_dictionaries(
    {},
    optional={
        "department": st.sampled_from(["", " rd/ai ", *drawn_matches.DEPARTMENTS]),
        "post": st.sampled_from(["engineer", "hr", "nobody-declared-it", " "]),
        "grade": st.sampled_from([*drawn_matches.GRADES, "P99"]),
        "projects": st.sampled_from(["", "falcon", "falcon；凤凰", "phoenix; x"]),
        "sponsor": st.sampled_from(["", *drawn_matches.IDS]),
    },
)


def columns_of(*posts: Mapping[str, str]) -> Columns:
    policy = a_policy(levels=[level("public", 0)], resources={})
    return columns_at(policy, people(*(a_person(f"E{n}", post(**own), number=n) for n, own in enumerate(posts))), AT)


def left_of(matches: Mapping[str, Match | None], columns: Columns) -> list[str]:
    return list(Sieve.of((match, name) for name, match in matches.items()).through(columns))


@given(st.lists(st.none() | drawn_matches.matches, max_size=5), st.lists(POSTS, max_size=3))
def test_whatever_somebody_comes_under_is_let_through_in_order(
    asked: list[Match | None], posts: list[dict[str, str]]
) -> None:
    left = list(Sieve.of(zip(asked, range(len(asked)), strict=True)).through(columns_of(*posts)))

    assert left == sorted(set(left))
    for index, match in enumerate(asked):
        if match is None or any(matches(match, own, ATTRIBUTES) for own in posts):
            assert index in left


def test_what_needs_a_value_that_nobody_has_is_left_out() -> None:
    engineer, falcon = compare("post", Equals(frozenset({"engineer"}))), Contains(frozenset({"falcon", "凤凰"}))
    asked: dict[str, Match | None] = {
        "post": engineer,
        "other post": compare("post", Equals(frozenset({"hr"}))),
        "above": compare("department", Under(frozenset({"rd"}))),
        "below": compare("department", Under(frozenset({"rd/ai/vision"}))),
        "project": compare("projects", falcon),
        "both": AllOf((engineer, compare("projects", falcon))),
        "either": AnyOf((compare("post", Equals(frozenset({"hr"}))), compare("projects", falcon))),
        "neither": NoneOf((engineer,)),
        "any at all": compare("projects", Present()),
        "blank counts": Compare("projects", falcon, True, engineer.place),
        "all of nothing": compare("projects", Contains(frozenset(), every=True)),
        "whoever": None,
    }

    left = left_of(asked, columns_of({"post": "engineer", "department": "rd/ai"}))

    # "both": one of its parts is looked up; that one, the smaller need, is there.
    assert left == ["post", "above", "both", "neither", "any at all", "blank counts", "all of nothing", "whoever"]
    assert left_of(asked, columns_of()) == ["neither", "any at all", "blank counts", "all of nothing", "whoever"]
