"""Paths and filters: whatever stands in a name, it stays a name. Read back by the grammar of scim2-models."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import EnterpriseUser, Group, PatchOp, ScimFilter, User
from scim2_models import Path as ScimPath
from scim2_models.path import CompareOperator, Comparison, LogicalExpr, LogicalOperator, ValuePath

from adapters.scim.attributes import any_of, attribute, equal, is_true
from adapters.scim.dialects import DIALECTS

HOSTILE = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ['" or userName pr or userName eq "', "\\", '\\"', "]", "a\u2028b", "\x00", "价格", "x\ny", "'; --", "a eq b"]
)
PATHS = ["userName", "externalId", "name.familyName", 'emails[type eq "work"].value']


@given(HOSTILE)
def test_a_value_in_a_filter_is_a_value(text: str) -> None:
    node = ScimFilter(equal("userName", text)).ast

    assert isinstance(node, Comparison)
    assert (str(node.attr_path), node.op, node.value) == ("userName", CompareOperator.eq, text)


@given(st.lists(HOSTILE, min_size=1, max_size=120))
def test_all_values_are_asked_for_once_and_each_filter_fits_into_a_url(texts: list[str]) -> None:
    asked: list[str] = []
    for filter_ in any_of("id", texts):
        node = ScimFilter(filter_).ast
        terms = node.terms if isinstance(node, LogicalExpr) else (node,)
        assert not isinstance(node, LogicalExpr) or node.op is LogicalOperator.or_
        asked += [term.value for term in terms if isinstance(term, Comparison)]
        assert len(quote(filter_)) < 4_100 or len(terms) == 1

    assert asked == texts


@given(HOSTILE.filter(str.strip), st.sampled_from(PATHS))
def test_what_is_entered_at_a_path_is_read_there_and_found_by_its_filter(text: str, path: str) -> None:
    named = attribute(path)
    resource: dict[str, object] = {}
    named.enter(resource, text)

    assert named.values(resource) == [text.strip()]
    node = ScimFilter(named.equals(text)).ast
    last = (
        node.val_filter.terms[-1] if isinstance(node, ValuePath) and isinstance(node.val_filter, LogicalExpr) else node
    )
    assert isinstance(last, Comparison)
    assert last.value == text


@given(st.lists(HOSTILE, min_size=1, max_size=150, unique=True), st.sampled_from(["standard", "okta"]))
def test_a_removal_names_these_members_and_nobody_else(members: list[str], dialect: Any) -> None:
    named: list[str] = []
    for operation in DIALECTS[dialect].remove("members", members):
        node = ScimPath(str(operation["path"])).ast
        assert isinstance(node, ValuePath)
        terms = node.val_filter.terms if isinstance(node.val_filter, LogicalExpr) else (node.val_filter,)
        named += [term.value for term in terms if isinstance(term, Comparison)]

    assert named == members


def test_what_is_said_is_scim_as_its_models_have_it() -> None:
    for dialect in (DIALECTS["standard"], DIALECTS["okta"]):
        for operations in (dialect.add("members", ["a"]), dialect.remove("members", ["a", "b"])):
            PatchOp[Group].model_validate({"operations": operations})
        PatchOp[User[EnterpriseUser]].model_validate({"operations": dialect.switch(active=False)})


EXTENSION = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SMITH = {
    "userName": "smith",
    "Name": {"FAMILYNAME": "Smith"},
    "emails": [{"type": "home", "value": "h@x"}, {"type": "work", "value": "w@x", "primary": True}, {"value": "w@x"}],
    EXTENSION: {"employeeNumber": 701},
    "roles": [{"value": "a"}, "b", {"value": True}, {"display": "nothing"}, None],
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("username", ["smith"]),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName", ["smith"]),
        ("name.familyName", ["Smith"]),
        ("emails.value", ["h@x", "w@x"]),
        ("emails", ["h@x", "w@x"]),
        ('emails[type eq "work"].value', ["w@x"]),
        ('emails[type eq "work" and primary eq true]', ["w@x"]),
        ('emails[type eq "other"].value', []),
        (f"{EXTENSION}:employeeNumber", ["701"]),
        (f"{EXTENSION.upper().replace('URN:', 'urn:')}:employeeNumber", ["701"]),
        ("roles", ["a", "b", "true"]),
        ("nothing", []),
        ("userName.value", []),
    ],
)
def test_what_stands_at_a_path(path: str, values: list[str]) -> None:
    assert attribute(path).values(SMITH) == values


def test_the_real_models_agree_on_what_a_filter_finds() -> None:
    work = {"type": "work", "value": 'o"b'}
    user = User[EnterpriseUser].model_validate({"userName": "x", "name": {"familyName": "\\王"}, "ims": [work]})

    for path, value in (("userName", "x"), ("name.familyName", "\\王"), ('ims[type eq "work"].value', 'o"b')):
        assert ScimFilter[User[EnterpriseUser]](attribute(path).equals(value)).match(user)
        assert not ScimFilter[User[EnterpriseUser]](attribute(path).equals("other")).match(user)


@pytest.mark.parametrize(
    ("said", "meant"), [(True, True), ("True", True), (" true ", True), (False, False), ("False", False), (None, False)]
)
def test_yes_is_said_in_several_ways(said: object, meant: bool) -> None:
    assert is_true(said) is meant
