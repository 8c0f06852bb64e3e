"""The language of `match`: what it can say, and what it refuses before anybody is looked at."""

from __future__ import annotations

import pytest

from reconciler.policy import check_policy
from reconciler.policy.model import (
    AllOf,
    AnyOf,
    Compare,
    Contains,
    Equals,
    Match,
    Negated,
    NoneOf,
    Test,
    Under,
    Within,
)
from tests.policy.company import RESOURCES, WORDS, errors


def read(match: str) -> Match:
    """The match that a role with this text has."""
    files = {"w": WORDS, "r": RESOURCES, "a": f"roles: {{x: {{match: {match}, grants: {{read: [handbook]}}}}}}"}
    policy, found = check_policy({name: text.encode() for name, text in files.items()})
    assert policy is not None, found
    result = policy.roles["x"].match
    assert result is not None
    return result


def test_for(match: str) -> tuple[Test, bool | None]:
    """The single comparison that the text spells, and what a blank means for it."""
    result = read(match)
    assert isinstance(result, Compare)
    return result.test, result.absent


test_for.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("match", "test", "absent"),
    [
        ("{post: engineer}", Equals(frozenset({"engineer"})), None),
        ("{post: [engineer, 法务]}", Equals(frozenset({"engineer", "法务"})), None),
        ("{department: rd/ai}", Under(frozenset({"rd/ai"})), None),
        ("{department: [rd, 销售/华东]}", Under(frozenset({"rd", "销售/华东"})), None),
        ("{projects: falcon}", Contains(frozenset({"falcon"})), None),
        ("{projects: [falcon, phoenix]}", Contains(frozenset({"falcon", "phoenix"})), None),
        ("{projects: {all_of: [falcon, phoenix]}}", Contains(frozenset({"falcon", "phoenix"}), every=True), None),
        ("{sponsor: 'E1'}", Equals(frozenset({"E1"})), None),
        ("{grade: {min: M1}}", Within(3, None), None),
        ("{grade: {max: P4}}", Within(None, 1), None),
        ("{grade: {min: P4, max: P6, absent: false}}", Within(1, 3), False),
        ("{post: {not: it}}", Negated(Equals(frozenset({"it"}))), None),
        ("{post: {not: [it, engineer], absent: true}}", Negated(Equals(frozenset({"it", "engineer"}))), True),
        ("{grade: {not: {min: P6}}}", Negated(Within(3, None)), None),
        ("{projects: {not: {all_of: [a, b]}}}", Negated(Contains(frozenset({"a", "b"}), every=True)), None),
    ],
)
def test_a_comparison_says(match: str, test: Test, absent: bool | None) -> None:
    assert test_for(match) == (test, absent)


def test_whole_matches_combine() -> None:
    match = read(
        "{post: it, any: [{department: rd}, {grade: P3, location: cn}],"
        " none: [{employment: intern}], all: [{sponsor: a}]}"
    )

    assert isinstance(match, AllOf)
    post, either, neither, both = match.parts
    assert isinstance(post, Compare)
    assert isinstance(either, AnyOf)
    assert isinstance(either.parts[1], AllOf)
    assert isinstance(neither, NoneOf)
    assert isinstance(both, AllOf)


def test_words_that_yaml_1_1_reads_otherwise_stay_words() -> None:
    words = WORDS.replace("[engineer, architect, it, 法务]", "[no, on, yes, off, 12:30, 2026-01-01, 1_000, y]")
    text = "roles: {x: {match: {post: [no, on, yes, off, 12:30, 2026-01-01, 1_000, y]}, grants: {read: [handbook]}}}"

    policy, found = check_policy({"w": words.encode(), "a": text.encode(), "r": RESOURCES.encode()})

    assert policy is not None, found
    assert "12:30" in policy.attributes["post"].ranks


@pytest.mark.parametrize(
    ("match", "where", "words"),
    [
        ("{}", "1:20 empty-match", "this match is empty"),
        ("{depatment: rd}", "1:21 unknown-attribute", "the attribute `depatment`"),
        ("{post: enginer}", "1:27 unknown-value", "`post` has no value `enginer`"),
        ("{post: []}", "1:27 empty", "no value of `post`"),
        ("{post: 7}", "1:27 unquoted", "YAML reads `7` as a number"),
        ("{grade: {min: P9}}", "1:34 unknown-value", "`grade` has no value `P9`"),
        ("{post: {min: it}}", "1:27 comparison", "`post` has none (one_of)"),
        ("{grade: {all_of: [P3]}}", "1:37 comparison", "`all_of` is for sets"),
        ("{grade: {mni: P3}}", "1:29 comparison", "no comparison `mni`"),
        ("{grade: {}}", "1:28 empty", "this comparison is empty"),
        ("{grade: {absent: false}}", "1:28 comparison", "`absent` alone compares nothing"),
        ("{grade: {min: P3, absent: no}}", "1:46 type", "`absent` is true or false"),
        ("{projects: {all_of: [a], absent: false}}", "1:53 comparison", "a blank set is the empty set"),
        ("{post: {not: {not: it}}}", "1:34 comparison", "no comparison `not` here"),
        ("{post: {not: it, min: it}}", "1:28 comparison", "`not` cannot stand beside `min`"),
        ("{any: []}", "1:26 empty", "this list is empty"),
        ("{any: {post: it}}", "1:26 type", "`any` combines a list of matches"),
        ("{any: [it]}", "1:27 type", "a match is a mapping, and this is text"),
        ("{none: [{}]}", "1:28 empty-match", "this match is empty"),
        ("{department: rd/}", "1:33 value", "is no path"),
        ("{department: [[rd]]}", "1:34 type", "`department` is compared with a list"),
    ],
)
def test_what_a_match_cannot_say(match: str, where: str, words: str) -> None:
    found = errors(f"roles: {{x: {{match: {match}}}}}")

    assert [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in found] == [where]
    assert words in found[0].message
    assert found[0].remedy


def test_every_mistake_of_one_match_is_reported() -> None:
    found = errors("roles: {x: {match: {post: [itt, hr], any: [{grade: P0}, {pst: it}], grade: {min: P0, max: Q}}}}")

    assert [problem.code for problem in found] == [
        "unknown-value",
        "unknown-value",
        "unknown-value",
        "unknown-attribute",
        "unknown-value",
        "unknown-value",
    ]


def test_matches_elsewhere_are_read_alike() -> None:
    found = errors("evidence: {x: {kind: check, applies_to: {pst: it}}}", z="clearances: [{top: {only: {post: hr}}}]")

    assert [problem.code for problem in found] == ["unknown-attribute", "duplicate-name", "unknown-value"]
