"""JSONPath: the quick way says what the library says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath import JSONPathEnvironment

from adapters.api.json_values import MISSING
from adapters.http.queries import Condition, Query, plain, text_of

NAMES = st.sampled_from(["a", "b", "c", "核心"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)
STEPS = st.lists(
    st.one_of(
        NAMES.map(lambda name: f"['{name}']"),
        NAMES.map(lambda name: f".{name}"),
        st.integers(-3, 3).map(lambda number: f"[{number}]"),
    ),
    max_size=4,
)


@given(VALUES, STEPS)
def test_one_way_finds_what_the_library_finds(value: Any, steps: list[str]) -> None:
    text = "$" + "".join(steps)
    expected = JSONPathEnvironment(strict=True).findall(text, value)

    assert Query(text).all(value) == expected
    found = Query(text).one(value)
    assert ([] if found is MISSING else [found]) == expected


def test_a_choice_finds_one_or_none_or_says_how_many() -> None:
    query = Query("$.emails[?@.primary == true].value")
    work = {"value": "w@example.com", "primary": True}

    assert query.one({"emails": [work, {"value": "h@example.com"}]}) == "w@example.com"
    assert query.one({"emails": []}) is MISSING
    with pytest.raises(ValueError, match="finds 2 values and should find one"):
        query.one({"emails": [work, work]})


@pytest.mark.parametrize("text", ["", "items", "$.", "$[", "$.a b", "$..[?(@.x=~/y/)]", "$.a[?@.b", "$.items.length()"])
def test_what_is_no_jsonpath_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSONPath"):
        Query(text)


@given(st.text(st.sampled_from("$.[]'\"?@*:,()ab0-1&|!=<> \\"), max_size=12))
def test_any_text_is_a_query_or_an_error_in_words(text: str) -> None:
    try:
        query = Query(text)
    except ValueError as error:
        assert "is no JSONPath" in str(error)  # noqa: PT017
        return
    query.all({"a": [1, {"b": None}]})


def test_what_can_name_something() -> None:
    assert [text_of("x"), text_of(7), text_of(10**30)] == ["x", "7", "1" + "0" * 30]
    nameless: tuple[object, ...] = (None, True, [], {}, "", MISSING)
    for value in nameless:
        with pytest.raises(ValueError, match="is "):
            text_of(value)


def test_what_settings_compare() -> None:
    assert [plain(True), plain(False), plain(None), plain(0), plain("ok")] == ["true", "false", "null", "0", "ok"]


def test_a_condition_holds_of_an_item_or_does_not() -> None:
    condition = Condition("@.type == 'User' && @.name != 'root'")

    items = [{"type": "User", "name": "zhang"}, {"type": "User", "name": "root"}, {"name": "zhang"}, None, 7]
    assert [condition.holds(each) for each in items] == [True, False, False, False, False]
    with pytest.raises(ValueError, match="is no condition"):
        Condition("type = User")
