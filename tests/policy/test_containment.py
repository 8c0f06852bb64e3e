"""Bindings inside each other: what lies inside must need no more than what it lies in, or be cut off."""

from __future__ import annotations

import pytest

from adapters.posix_acl.places import containers
from reconciler.errors import Problem
from reconciler.policy import load_policy
from reconciler.policy.containment import containment_problems
from reconciler.policy.model import Policy
from tests.policy.company import WORDS, errors

COMPARTMENTS = """\
compartments:
  chips: {requires: [background-check]}
  "project/{project}": {requires: [nda]}
"""


def policy(resources: str) -> Policy:
    files = {"w.yaml": (WORDS + COMPARTMENTS).encode(), "r.yaml": ("resources:\n" + resources).encode()}
    return load_policy(files, revision="")


def found(resources: str, *, cuts_off: bool = True) -> list[Problem]:
    """What is wrong with these resources, bound on a file server."""
    checked = policy(resources)
    bound = {ref.key: each for ref, each in checked.entitlements.items()}
    around = containers([each.locator for each in bound.values()])
    return list(containment_problems("files", bound, around, checked, cuts_off=cuts_off))


def resource(name: str, needs: str, path: str, *, more: str = "", mode: str = "read") -> str:
    access = f"access: {{{mode}: {{files: {{path: {path}, permission: {mode}{more}}}}}}}"
    return f"  {name}: {{classification: {needs}, {access}}}\n"


def test_promise_1_a_higher_class_inside_a_lower_one_is_an_error_at_both_places() -> None:
    [problem] = found(resource("docs", "internal", "docs") + resource("core", "core", "docs/a/core"))

    assert (problem.code, problem.severity) == ("contained-binding", "error")
    assert str(problem.place) == "r.yaml:3:48"
    assert "`files:path=docs/a/core,permission=read` (core) lies inside" in problem.message
    assert "bound at r.yaml:2:52" in problem.message
    assert "inherit: false" in problem.remedy
    assert "`core`" in problem.remedy


@pytest.mark.parametrize(
    ("outer", "inner", "wrong"),
    [
        ("core", "internal", False),
        ("internal", "internal", False),
        ("internal", "core", True),
        ("internal, compartments: [chips]", "internal", False),
        ("internal", "internal, compartments: [chips]", True),
        ("core", "internal, compartments: [chips]", True),
        ("core, compartments: [chips]", "internal, compartments: [chips]", False),
        ("internal, compartments: [chips]", "core, compartments: [chips]", True),
    ],
)
def test_what_lies_inside_needs_no_more_than_what_it_lies_in(outer: str, inner: str, wrong: bool) -> None:
    both = resource("docs", outer, "docs")

    assert bool(found(both + resource("inner", inner, "docs/in"))) is wrong
    assert (
        bool(found(both + resource("inner", inner, "docs/in", mode="write"))) is wrong
    )  # whatever it is that comes in
    assert found(both + resource("inner", inner, "docs/in", more=", inherit: false")) == []
    assert found(both + resource("inner", inner, "docs-in")) == []
    assert found(both + resource("inner", inner, "docs", mode="write")) == []  # one folder, two permissions: said so


def test_only_the_next_ones_around_count_and_a_cut_shields_what_is_inside() -> None:
    tree = resource("a", "internal", "a") + resource("b", "core", "a/b", more=", inherit: false")

    assert found(tree + resource("c", "core", "a/b/c")) == []
    assert [each.place.line for each in found(tree + resource("c", "core", "a/c/d"))] == [4]


def test_a_target_that_keeps_nobody_out_cannot_be_told_to() -> None:
    both = resource("docs", "internal", "docs") + resource("core", "core", "docs/core", more=", inherit: false")

    [problem] = found(both, cuts_off=False)

    assert (problem.code, problem.place.line) == ("cannot-cut-off", 3)
    [problem] = found(both.replace(", inherit: false", ""), cuts_off=False)
    assert problem.code == "contained-binding"
    assert "inherit" not in problem.remedy


def test_a_family_is_told_once_for_each_pair_of_clauses() -> None:
    family = (
        "  prj/{project}: {classification: core, values: {a: {}, b: {}, c: {classification: core}}, "
        'access: {read: {files: {path: "docs/{project}", permission: read}}}}\n'
    )

    [problem] = found(resource("docs", "internal", "docs") + family)

    assert problem.place.line == 3


def test_what_is_retired_gives_nothing_to_anybody_and_shields_nothing() -> None:
    retired = (
        "retired: [{target: files, entitlement: {path: docs/old, permission: read}, members: revoke, reason: x}]\n"
    )
    outer = resource("docs", "internal", "docs")

    assert found(outer + retired) == []
    [problem] = found(outer + resource("core", "core", "docs/old/core") + retired)
    assert "bound at r.yaml:2:" in problem.message


# --- the word itself --------------------------------------------------------------------------------------------------


def test_a_binding_that_is_cut_off_is_the_same_entitlement() -> None:
    cut, open_ = (
        policy(resource("docs", "internal", "docs", more=more)) for more in (", inherit: false", ", inherit: true")
    )

    assert cut.entitlements.keys() == open_.entitlements.keys()
    assert [each.inherit for each in (*cut.entitlements.values(), *open_.entitlements.values())] == [False, True]
    assert cut.digest != open_.digest


@pytest.mark.parametrize(
    ("said", "code"), [("no", "value"), ("'none'", "value"), ("7", "unquoted"), ("{}", "type"), ("", "blank")]
)
def test_anything_but_true_or_false_is_a_mistake(said: str, code: str) -> None:
    text = "resources:\n" + resource("x", "internal", "x", more=f", inherit: {said}")

    assert code in [each.code for each in errors(text)]


def test_two_bindings_of_one_entitlement_are_cut_off_alike() -> None:
    both = "resources:\n" + resource("x", "internal", "x", more=", inherit: false") + resource("y", "internal", "x")

    [told] = errors(both)

    assert told.code == "mixed-inherit"
