"""What is told before anything is asked."""

from __future__ import annotations

import pytest

from adapters.mayan import MayanTarget
from reconciler.errors import ReconcilerError
from reconciler.targets import Locator, entitlement_key
from tests.adapters.mayan.lab import context

GOOD: dict[str, object] = {"url": "https://mayan.example.com", "token": "t0ken-of-mayan", "match": {"username": "id"}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ["`match` is missing", "`url` is missing"]),
        ({"matsch": {}}, ["`matsch` is not a setting", "did you mean `match`?"]),
        ({"tokn": "x"}, ["`tokn` is not a setting", "did you mean `token`?"]),
        ({"match": {"username": "id", "email": "email"}}, ["names either `username` or `email`"]),
        ({"match": {"usernam": "id"}}, ["`match.usernam` is not a setting", "did you mean `username`?"]),
        ({"auth": {"basic": {"user": "u", "password": "p"}}}, ["give one of `token`"]),
        ({"token": None}, ["give one of `token`"]),
        ({"token": "two\nlines"}, ["`token`", "cannot be sent in a header"]),
        ({"token": "令牌"}, ["`token`", "other letters than those of ASCII"]),
        ({"url": "http://mayan.example.com"}, ["in the clear", "tls: none"]),
        ({"url": "mayan.example.com"}, ["https://HOST"]),
        ({"usernames": ""}, ["`usernames`"]),
        ({"timeout": "soon", "retry": {"attempts": 0}}, ["`timeout`", "`retry.attempts`"]),
    ],
)
def test_mistakes_are_told_all_at_once(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ReconcilerError) as caught:
        MayanTarget(context(), GOOD | settings if settings else {})

    assert [word for word in words if word not in str(caught.value)] == []
    assert "t0ken" not in str(caught.value)
    assert "reconciler.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("locator", "words"),
    [
        ({"group": "读者 / 核心"}, ""),
        ({"document_type": "设计图", "permission": "documents.document_view"}, ""),
        ({"cabinet": "a / b", "permission": "cabinets.cabinet_view", "group": "g"}, ""),
        ({}, "nothing missing"),
        ({"grup": "x"}, "did you mean `group`?"),
        ({"path": "x"}, "{group: NAME}"),
        ({"group": "g", "permission": "documents.document_view"}, "nothing more"),
        ({"document_type": "t"}, "nothing missing"),
        ({"document_type": "t", "cabinet": "c", "permission": "a.b"}, "nothing more"),
        ({"group": " "}, "`group` is blank"),
        ({"document_type": "t", "permission": "read"}, "documents.document_view"),
        ({"document_type": "t", "permission": "documents.View"}, "no permission"),
    ],
)
def test_a_binding_is_right_or_told_why_not(locator: Locator, words: str) -> None:
    said = MayanTarget(context(), GOOD).check_locator(locator)

    assert words in (said or "")
    assert (said is None) is (words == "")


def test_a_cabinet_lies_in_the_root_of_its_tree_and_in_none_between() -> None:
    view = {"permission": "cabinets.cabinet_view"}
    root, middle, inner = ({"cabinet": path, **view} for path in ("研发", "研发 / 芯片", "研发 / 芯片 / 龙芯"))
    others: list[Locator] = [
        {"cabinet": "研发 / 芯片", "permission": "cabinets.cabinet_edit"},
        {"cabinet": "研发部", **view},
        {"group": "研发 / 芯片"},
    ]

    found = MayanTarget(context(), GOOD).containers([inner, *others, middle, root])

    assert found == {entitlement_key(each): [entitlement_key(root)] for each in (inner, middle)}


def test_what_crosses_a_network_in_the_clear_is_allowed_only_in_so_many_words() -> None:
    here, there = {"url": "http://127.0.0.1:1"}, {"url": "http://mayan.example.com", "tls": "none"}

    assert {MayanTarget(context(), GOOD | each).match_attributes() for each in (here, there)} == {("id",)}
