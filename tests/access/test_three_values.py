"""Blank and undeclared values are unknown; read for one assignment and for everybody alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access.matching import first_place, lies_under, matches, members_of
from reconciler.access.placement import columns_at
from reconciler.policy.model import (
    AllOf,
    AnyOf,
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
from tests.access import drawn_matches, worlds
from tests.access.company import ATTRIBUTES, a_person, a_policy, compare, level, local, people, post
from tests.access.naive_rule import NaiveRule

AT = local(2026, 5, 1)
HIGH = Within(3, None)
ENGINEER = Equals(frozenset({"engineer"}))


def verdict(match: Match, **attributes: str) -> bool | None:
    """For one assignment, and the same from the columns of a population that has just this one."""
    one = matches(match, attributes, ATTRIBUTES)
    policy = a_policy(levels=[level("public", 0)], resources={})
    truth = columns_at(policy, people(a_person("E1", post(**attributes), number=7)), AT).truth(match)
    assert (7 in truth.true) == (one is True)
    assert (7 in truth.possible) == (one is not False)
    return one


@pytest.mark.parametrize("blank", [{}, {"grade": ""}, {"grade": "  "}, {"grade": "P99"}])
def test_a_blank_or_undeclared_value_is_unknown_also_under_not(blank: dict[str, str]) -> None:
    assert verdict(compare("grade", HIGH), **blank) is None
    assert verdict(compare("grade", Negated(HIGH)), **blank) is None
    assert verdict(NoneOf((compare("grade", HIGH),)), **blank) is None


@pytest.mark.parametrize("test", [HIGH, Negated(HIGH)])
@pytest.mark.parametrize("absent", [True, False])
def test_absent_says_what_a_blank_means(test: Test, absent: bool) -> None:
    assert verdict(compare("grade", test, absent)) is absent
    assert verdict(compare("grade", test, absent), grade="P99") is absent
    assert verdict(compare("grade", test, absent), grade="P7") is (test == HIGH)


def test_kleene() -> None:
    true, false, unknown = (compare("post", ENGINEER), compare("post", Negated(ENGINEER)), compare("grade", HIGH))
    values = {"post": "engineer"}

    assert verdict(AllOf((true, unknown)), **values) is None
    assert verdict(AllOf((false, unknown)), **values) is False
    assert verdict(AnyOf((true, unknown)), **values) is True
    assert verdict(AnyOf((false, unknown)), **values) is None
    assert verdict(NoneOf((true, unknown)), **values) is False
    assert verdict(NoneOf((false, unknown)), **values) is None
    assert verdict(NoneOf((false, false)), **values) is True


def test_equal_ranks_are_equal() -> None:
    assert verdict(compare("grade", HIGH), grade="M1") is True
    assert verdict(compare("grade", Within(None, 2)), grade="M1") is False
    assert verdict(compare("grade", Within(3, 3)), grade="P6") is True


def test_a_tree_goes_by_whole_segments() -> None:
    under_rd = compare("department", Under(frozenset({"rd", "研发中心/视觉"})))

    assert verdict(under_rd, department="rd") is True
    assert verdict(under_rd, department="rd/ai/vision") is True
    assert verdict(under_rd, department="rdx") is False
    assert verdict(under_rd, department="研发中心/视觉/一组") is True
    assert verdict(under_rd, department="研发中心") is False
    assert not lies_under("rd", "rd/ai")


def test_a_blank_set_is_the_empty_set() -> None:
    falcon = Contains(frozenset({"falcon"}))

    assert verdict(compare("projects", falcon)) is False
    assert verdict(compare("projects", Negated(falcon)), projects=" ; ") is True
    assert verdict(compare("projects", falcon, absent=True)) is False


def test_present_is_unknown_of_a_blank_and_false_of_the_empty_set() -> None:
    assert verdict(compare("grade", Present()), grade="P3") is True
    assert verdict(compare("grade", Present())) is None
    assert verdict(compare("grade", Negated(Present()))) is None
    assert verdict(compare("grade", Present()), grade="P99") is None
    assert verdict(compare("grade", Present(), absent=False)) is False
    assert verdict(compare("projects", Present()), projects=" ; ") is False
    assert verdict(compare("projects", Negated(Present()))) is True


def test_sets_are_separated_by_either_semicolon() -> None:
    assert members_of("falcon； 凤凰 ;;phoenix;") == {"falcon", "凤凰", "phoenix"}
    both = frozenset({"falcon", "凤凰"})
    assert verdict(compare("projects", Contains(both, every=True)), projects="凤凰；falcon") is True
    assert verdict(compare("projects", Contains(both, every=True)), projects="凤凰") is False
    assert verdict(compare("projects", Contains(both)), projects="凤凰") is True


def test_a_comparison_that_the_attribute_cannot_have_is_a_defect_and_no_answer() -> None:
    for attribute, test in (("projects", ENGINEER), ("post", Contains(frozenset({"engineer"})))):
        with pytest.raises(TypeError, match=attribute):
            matches(compare(attribute, test), {attribute: "engineer"}, ATTRIBUTES)


def test_a_match_stands_where_its_first_comparison_stands() -> None:
    first, second = compare("post", ENGINEER), compare("grade", HIGH)

    assert first_place(AllOf((AnyOf(()), NoneOf((first,)), second))) == first.place
    assert first_place(AllOf(())) is None


@settings(max_examples=100, deadline=None)
@given(worlds.worlds(), st.data())
def test_columns_and_the_single_reading_agree_on_any_match(world: worlds.World, data: st.DataObject) -> None:
    match = data.draw(drawn_matches.matches)
    columns = columns_at(world.policy, world.population, world.at)
    naive = NaiveRule(world.policy, world.population, world.at, world.written)

    for person in world.population:
        values = [naive.truth(match, each) for each in naive.assignments(person)]
        assert values == [matches(match, each.attributes, ATTRIBUTES) for each in naive.assignments(person)]
        assert (person.number in columns.holding(match)) == (True in values)
        assert (person.number in columns.always(match)) == (bool(values) and set(values) == {True})
        assert (person.number in columns.never(match)) == (bool(values) and set(values) == {False})
