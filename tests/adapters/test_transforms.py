"""The closed set of steps that a cell may go through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.transforms import STEPS, step_of

EXAMPLES = [
    ("upper", "e1007", "E1007"),
    ("lower", "Wang@Example.COM", "wang@example.com"),
    ("normalize", "Ｅ１００７　", "E1007"),
    ("digits", "工号 1007", "1007"),
    ({"pad": 6}, "1007", "001007"),
    ({"prefix": "E"}, "1007", "E1007"),
    ({"prefix": "E"}, "E1007", "E1007"),
    ({"date": "%d.%m.%Y"}, "06.01.2020", "2020-01-06"),
    ({"split": "、"}, "falcon、 phoenix、", "falcon;phoenix"),
]


@pytest.mark.parametrize(("step", "text", "expected"), EXAMPLES)
def test_what_the_steps_do(step: object, text: str, expected: str) -> None:
    assert step_of(step)(text) == expected


def done(step: object, text: str) -> str | None:
    """What becomes of the text; None where the step does not take it."""
    try:
        return step_of(step)(text)
    except ValueError:
        return None


@given(st.sampled_from(["normalize", "digits", {"pad": 6}, {"prefix": "E"}, {"split": "、"}]), st.text(max_size=30))
def test_a_step_done_twice_is_done_once(step: object, text: str) -> None:
    once = done(step, text)

    assert once is None or done(step, once) in (once, None)


@pytest.mark.parametrize(
    "wrong",
    [
        *("uper", "pad", {}, 3, {"upper": 1}, {"pad": 1, "prefix": "E"}, {"eval": "x"}),
        *({"pad": 0}, {"pad": "6"}, {"pad": True}, {"prefix": ""}, {"date": "dd.mm"}, {"split": ""}),
    ],
)
def test_nothing_else_is_a_step(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"step|takes"):
        step_of(wrong)


def test_a_day_that_is_written_otherwise_says_so() -> None:
    with pytest.raises(ValueError, match="is no day as `%d"):
        step_of({"date": "%d.%m.%Y"})("2020-01-06")
    assert len(STEPS) == 8
