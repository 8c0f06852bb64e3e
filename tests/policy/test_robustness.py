"""Whatever a file holds, the author gets problems with places, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Problem, ProblemsFound
from reconciler.policy import check_policy, load_policy
from reconciler.policy.reading import Documents
from tests.policy.company import BOUNDS, COMPANY, CONDUCT, RESOURCES, ROLES, WORDS, errors
from tests.policy.projects import PROJECTS

KEYS = sorted(
    {
        *Documents().sections(),
        "kind",
        "values",
        "requires",
        "any_of",
        "only",
        "match",
        "grants",
        "read",
        "access",
        "owner",
    }
    | {"person", "until", "since", "from", "members", "inherits", "everyone", "not", "min", "absent", "any", "ceiling"}
    | {
        "rules",
        "revoke",
        "percent",
        "people",
        "approvals",
        "protected",
        "department",
        "internal",
        "handbook",
        "<<",
        "a",
    }
    | {
        "per",
        "compartments",
        "mode",
        "observe",
        "for_each",
        "projects",
        "ancestors",
        "{project}",
        "project-docs/{project}",
    }
    | {"name", "between", "on_conflict", "of", "by", "must", "lapse", "max", "approvers", "never", "at_least"}
    | {"at_most", "permission", "target", "entitlement", "group", "reason", "on", "assignments", "others", "expect"}
    | {"can", "withheld", "handbook:read", "project-docs/*:read", "scope", "opens", "after", "suspend", "overlap"}
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.sampled_from(KEYS),
    st.text(max_size=5),
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


def checked(files: Mapping[str, bytes]) -> tuple[Problem, ...]:
    """The problems, having made sure that checking and loading agree and that all places are in the files."""
    policy, found = check_policy(files)
    assert (policy is None) == any(problem.severity == "error" for problem in found)
    if policy is None:
        with pytest.raises(ProblemsFound) as refused:
            load_policy(files, revision="")
        assert refused.value.problems == found
    else:
        assert load_policy(files, revision="") == policy
    for problem in found:
        assert problem.place.file in files
        assert 0 <= problem.place.line <= len(files[problem.place.file].splitlines()) + 1
        assert problem.code
        assert problem.message
    return found


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_a_list_of_problems(content: bytes) -> None:
    checked({"a.yaml": content})


@given(st.text(alphabet=st.sampled_from("ab: -[]{}&*!|>'\"#%@`,?\n\t~0"), max_size=60))
def test_any_yaml_like_text_is_a_policy_or_a_list_of_problems(text: str) -> None:
    checked({"a.yaml": text.encode()})


@given(st.dictionaries(st.sampled_from(sorted(Documents().sections())), TREES, max_size=5))
def test_any_tree_of_the_right_words_is_a_policy_or_a_list_of_problems(tree: dict[str, object]) -> None:
    checked({"words.yaml": WORDS.encode(), "a.yaml": yaml.safe_dump(tree, allow_unicode=True).encode()})


@given(st.data())
def test_a_line_lost_or_doubled_is_survived(data: st.DataObject) -> None:
    lines = (WORDS + RESOURCES + ROLES + CONDUCT + BOUNDS).splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    lines[index : index + 1] = data.draw(
        st.sampled_from([[], [lines[index]] * 2, [lines[index][1:]], [lines[index] + "x"]])
    )

    checked({"a.yaml": "\n".join(lines).encode()})


@given(st.data())
def test_a_character_changed_anywhere_is_survived(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(COMPANY)))
    content = COMPANY[name].decode()
    index = data.draw(st.integers(0, len(content) - 1))
    other = data.draw(st.sampled_from([*":{}[],'\"#\t\n 0x", "中"]))

    checked({**COMPANY, name: (content[:index] + other + content[index + 1 :]).encode()})


@given(st.data())
def test_what_has_to_do_with_variables_survives_a_change_anywhere(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(PROJECTS) - 1))
    other = data.draw(st.sampled_from([*":{}[],'\"# 0x/*", "", "{project}", "中"]))
    changed = PROJECTS[:index] + other + PROJECTS[index + data.draw(st.integers(0, 12)) :]

    checked({**COMPANY, "policies/projects.yaml": changed.encode()})


@given(st.data())
def test_a_word_put_for_another_is_survived(data: st.DataObject) -> None:
    words = sorted(set(re.findall(r"[\w/{}-]+", PROJECTS)))
    spot = data.draw(st.sampled_from(list(re.finditer(r"[\w/{}-]+", PROJECTS))))
    changed = PROJECTS[: spot.start()] + data.draw(st.sampled_from(words)) + PROJECTS[spot.end() :]

    checked({**COMPANY, "policies/projects.yaml": changed.encode()})


@given(st.permutations(sorted(COMPANY)))
def test_the_order_in_which_files_come_changes_nothing(names: list[str]) -> None:
    assert check_policy({name: COMPANY[name] for name in names}) == check_policy(COMPANY)


# --- bad input, by name -----------------------------------------------------------------------------------------------


def codes(content: bytes) -> list[str]:
    """The codes of what is wrong with a file beside the company's words."""
    return [problem.code for problem in checked({"words.yaml": WORDS.encode(), "z.yaml": content})]


def test_a_file_of_fifty_megabytes_is_refused_unread() -> None:
    assert codes(b"# " + b"x" * (50 << 20)) == ["too-large"]


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    assert "too-large" in codes("\n".join(lines).encode())


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_a_file_that_goes_ever_deeper_is_refused(opening: str) -> None:
    assert codes(b"tests: " + opening.encode() * 100_000) == ["too-deep"]


def test_an_anchor_of_one_file_is_not_known_in_another() -> None:
    files = {
        "a.yaml": b"roles: {x: &x {everyone: true}}",
        "b.yaml": b"roles: {y: *x}",
        "words.yaml": WORDS.encode(),
    }

    assert [(one.place.file, one.code) for one in checked(files) if one.severity == "error"] == [("b.yaml", "aliases")]


def test_an_alias_in_a_section_is_told_about_where_it_is_defined() -> None:
    text = "separation: [{name: x, roles: &r [engineer, enginer]}, {name: y, roles: *r}]"

    assert {one.code for one in errors(text, roles=ROLES)} == {"unknown-role"}


@pytest.mark.parametrize(
    "content",
    ["tests: [{name: 测试}]".encode("gb18030"), b"tests: []\n# \xff", b"\xff\xfet\x00", b"tests: []\x00"],
)
def test_what_is_not_utf_8_is_refused_by_name(content: bytes) -> None:
    assert codes(content) == ["encoding"]


def test_a_tab_is_refused_by_name() -> None:
    assert codes(b"tests:\n\t- name: x") == ["tab"]


@pytest.mark.parametrize(
    "text",
    [
        "retired:\n  - target: a\n    target: b",
        "lifecycle: {leave: {suspend: true}, leave: {suspend: false}}",
        "exception_limits: {core: {max: 1d}, core: {max: 9y}}",
        "invariants: [{at_most: 1, at_most: 999, permission: 'handbook:read'}]",
    ],
)
def test_of_a_key_that_stands_twice_neither_counts(text: str) -> None:
    assert "duplicate-key" in [one.code for one in errors(text)]


NO_DAYS = ["2026-02-30", "2026-13-01", "2025-02-29", "never", "''", "20261231", "~", "9999999-01-01", "2026-1-1", "1e9"]
DATED = [
    "exceptions: [{person: 'E1', grants: {read: [handbook]}, until: DAY, reason: x}]",
    "exceptions: [{person: 'E1', grants: {read: [handbook]}, since: DAY, until: 2026-01-01, reason: x}]",
    "roles: {x: {members: [{person: 'E1', until: DAY}]}}",
    "service_accounts: {s: {owner: {post: it}, ceiling: public, until: DAY, grants: {read: [handbook]}}}",
    "lockouts: [{person: 'E1', ref: X, since: DAY}]",
    "tests: [{name: x, on: DAY, expect: {can: ['handbook:read']}}]",
    "tests: [{name: x, on: 2026-01-01, assignments: [{until: DAY}], expect: {can: ['handbook:read']}}]",
    "tests: [{name: x, on: 2026-01-01, evidence: [{evidence: nda, valid_until: DAY}], expect: {can: [handbook:read]}}]",
    "tests: [{name: x, on: 2026-01-01, exited: DAY, expect: {can: ['handbook:read']}}]",
]


@pytest.mark.parametrize("text", DATED)
@pytest.mark.parametrize("day", NO_DAYS)
def test_e5_no_section_takes_a_day_that_does_not_exist_for_ever(text: str, day: str) -> None:
    found = errors(text.replace("DAY", day))

    assert [problem.code for problem in found] in (["date"], ["blank"], ["type"]), found


def test_a_limit_that_is_no_period_is_never_no_limit() -> None:
    for limit in ("never", "0d", "14", "-1d", "1y ago", "''", "~", "999y"):
        assert errors(f"exception_limits: {{core: {{max: {limit}}}}}"), limit


@given(st.text(alphabet=st.sampled_from("ab*/:{}- 中"), max_size=12))
def test_any_text_as_a_pattern_names_permissions_or_is_one_mistake(pattern: str) -> None:
    files = {"words.yaml": WORDS.encode(), "resources.yaml": RESOURCES.encode()}
    text = yaml.safe_dump({"invariants": [{"at_most": 1, "permission": pattern}]}, allow_unicode=True)

    found = [one for one in checked({**files, "a.yaml": text.encode()}) if one.severity == "error"]

    assert [one.place.file for one in found] == ["a.yaml"]
    assert found[0].code in ("empty-pattern", "pattern", "text", "unquoted")
