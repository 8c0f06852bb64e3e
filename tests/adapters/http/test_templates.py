"""How values enter a request: as one segment, one parameter, one JSON value; or not at all."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.templates import Body, CannotSay, Template

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SAID = ANY.filter(bool)


def values(key: object) -> dict[str, object]:
    return {"account.key": key, "entitlement.group": "readers"}


# --- paths ------------------------------------------------------------------------------------------------------------


@given(SAID)
def test_a_value_in_a_path_is_one_segment_and_arrives_as_it_is_or_is_refused(text: str) -> None:
    """Through the library that sends it, which takes `.` and `..` out of paths."""
    template = Template("groups/{entitlement.group}/users/{account.key}")
    try:
        path = template.path(values(text), slashes=False)
    except CannotSay:
        assert "/" in text or "\\" in text or text in (".", "..")
        return
    url = requests.Request("GET", f"https://h.example/api/{path}").prepare().url
    assert url is not None
    _, _, below = url.partition("https://h.example/api/")
    assert below.isascii()
    assert [unquote(segment) for segment in below.split("/")] == ["groups", "readers", "users", text]


@given(SAID)
def test_with_encoded_slashes_only_dots_are_refused(text: str) -> None:
    try:
        path = Template("users/{account.key}").path(values(text), slashes=True)
    except CannotSay:
        assert text in (".", "..")
        return
    assert [unquote(segment) for segment in path.split("/")] == ["users", text]


@pytest.mark.parametrize("value", ["", None, True, [], {}, "\ud800"])
def test_what_names_nothing_is_refused_in_words(value: object) -> None:
    with pytest.raises(CannotSay, match=r"account\.key"):
        Template("users/{account.key}").path(values(value), slashes=True)
    with pytest.raises(CannotSay, match=r"account\.key"):
        Template("id={account.key}").within(values(value))


def test_a_number_is_as_good_as_its_digits_in_a_path() -> None:
    assert Template("users/{account.key}/").path(values(42), slashes=False) == "users/42/"


def test_a_value_that_is_not_known_is_refused() -> None:
    with pytest.raises(CannotSay, match="not known here"):
        Template("users/{account.name}").path(values("x"), slashes=False)


# --- bodies -----------------------------------------------------------------------------------------------------------


@given(st.one_of(SAID, st.integers()))
def test_a_value_in_a_body_is_a_json_value_whatever_it_holds(value: object) -> None:
    body = Body({"user": "{account.key}", "fixed": [1, None, True, "{{literal}}"], "deep": [{"id": "{account.key}"}]})

    said = json.loads(json.dumps(body.value(values(value), ())))

    assert said == {"user": value, "fixed": [1, None, True, "{literal}"], "deep": [{"id": value}]}


@given(SAID)
def test_amid_a_text_a_value_is_harmless_or_refused(text: str) -> None:
    body = Body('members[value eq "{account.key}"]')
    try:
        said = body.value(values(text), ())
    except CannotSay as error:
        assert "{account.key:json}" in str(error)  # noqa: PT017  # and otherwise the text is harmless
        assert not (text.isascii() and text.isalnum())
        return
    assert said == f'members[value eq "{text}"]'
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@given(SAID)
def test_amid_a_text_a_value_may_be_a_json_string_or_percent_encoded(text: str) -> None:
    before, _, after = str(Body("a {account.key:json} b").value(values(text), ())).partition(" ")
    assert (before, json.loads(after.removesuffix(" b"))) == ("a", text)
    assert unquote(str(Body("x={account.key:url}").value(values(text), ()))) == f"x={text}"


@given(st.lists(SAID, max_size=5))
def test_each_account_is_an_element_of_a_list(keys: list[str]) -> None:
    body = Body({"add": {"for_each_account": {"id": "{account.key}", "in": "{entitlement.group}"}}})

    said = body.value({"entitlement.group": "g"}, [{"account.key": key} for key in keys])

    assert said == {"add": [{"id": key, "in": "g"} for key in keys]}


@given(st.lists(SAID, min_size=1, max_size=5))
def test_each_account_may_be_a_part_of_one_text(keys: list[str]) -> None:
    joined = {"before": "[", "for_each_account": "{account.key:json}", "joined_by": ",", "after": "]"}

    said = Body({"ids": joined}).value({}, [{"account.key": key} for key in keys])

    assert isinstance(said, dict)
    assert json.loads(said["ids"]) == keys


def test_a_part_of_a_joined_text_is_harmless_or_refused() -> None:
    body = Body({"ids": {"for_each_account": "{account.key}", "joined_by": ","}})

    assert body.value({}, [{"account.key": 7}, {"account.key": "b-8"}]) == {"ids": "7,b-8"}
    with pytest.raises(CannotSay, match="only letters"):
        body.value({}, [{"account.key": "a,admin"}])


def test_a_number_may_be_sent_as_text() -> None:
    assert Body({"id": "{account.key:text}"}).value(values(7), ()) == {"id": "7"}


# --- templates that mean nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{acount.key}", "`{acount.key}` is no placeholder"),
        ("{account.key:xml}", "`:xml` in `{account.key:xml}` means nothing"),
        ("{account.key", "`{` is no placeholder"),
        ("a } b", "`}` is no placeholder"),
        ("{}", "no placeholder"),
        ("{account.__class__}", "no placeholder"),
    ],
)
def test_braces_that_mean_nothing_are_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"placeholder|means nothing") as caught:
        Template(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [{"{account.key}": 1}, {1: "x"}, {"for_each_account": "{account.key}", "and": 1}, [{"a": {"b": object()}}]],
)
def test_a_body_that_is_no_json_is_said(shape: object) -> None:
    with pytest.raises(ValueError, match=r"cannot be a name|no JSON value"):
        Body(shape)


@given(ANY)
def test_text_is_a_template_of_itself_or_an_error(text: str) -> None:
    try:
        template = Template(text)
    except ValueError as error:
        assert "{" in text or "}" in text, error  # noqa: PT017
        return
    if not any(mark in text for mark in "{}"):
        assert template.value({}) == text
