"""Whatever a file holds, the author gets problems with places, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Problem, ProblemsFound
from reconciler.policy import check_policy, load_policy
from reconciler.policy.reading import Documents
from tests.policy.company import COMPANY, CONDUCT, RESOURCES, ROLES, WORDS

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
    lines = (WORDS + RESOURCES + ROLES + CONDUCT).splitlines()
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


@given(st.permutations(sorted(COMPANY)))
def test_the_order_in_which_files_come_changes_nothing(names: list[str]) -> None:
    assert check_policy({name: COMPANY[name] for name in names}) == check_policy(COMPANY)
