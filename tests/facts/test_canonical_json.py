"""The quick way to canonical JSON writes what the library that knows all of RFC 8785 writes."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.facts.canonical_json import canonical_json

texts = st.text(max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def by_the_library(value: Any) -> bytes | type[Exception]:
    try:
        return rfc8785.dumps(value)
    except Exception as error:
        return type(error)


def quickly(value: Any) -> bytes | type[Exception]:
    try:
        return canonical_json(value)
    except Exception as error:
        return type(error)


@given(values)
@example({"😀": 1, "\uffff": 2})
@example({"a": 1e21, "b": [1.0, -0.0, 5e-324]})
@example([2**53 - 1, 2**53, -(2**53)])
@example(9007199254740992)
@example(1.5)
@example(['\x7f\u2028\x00\x1f\b\f\n\r\t"\\/é中'])
@example("\ud800")
@example({"when": "3e-12", "key": "1.5", "n": 15})
def test_it_writes_what_rfc_8785_asks_for(value: Any) -> None:
    assert quickly(value) == by_the_library(value)


@pytest.mark.parametrize("value", [{1, 2}, object(), {"a": b"x"}])
def test_what_cannot_be_written_is_refused(value: Any) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_json(value)
