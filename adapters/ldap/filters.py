"""Filters that every kind of directory server is asked with, made of values and never of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.ldap.requests import Filter, any_of, equal_to
from adapters.ldap.session import encoded_filter
from reconciler.targets import TargetError

__all__ = ["HOLDERS_PER_FILTER", "alternatives", "people_filter"]

_PER_FILTER = 20
"""The most alternatives in one filter, where each has one answer: a server compares each answer with all of them, so
that a filter of 200 takes it four times as long as ten of 20.
"""
HOLDERS_PER_FILTER = 200
"""The same where one group answers for many of them: there, each filter more brings its group once more."""


def people_filter(condition: str, example: str) -> Filter:
    """What the settings say an account is. Raises `TargetError`, with an example, where that is no filter."""
    try:
        return encoded_filter(condition)
    except ValueError as error:
        raise TargetError(
            f"{condition!r} is no search filter: {error}", remedy=f"correct people.filter, e.g. {example}"
        ) from None


def alternatives(
    attribute: str, values: Sequence[str] | Sequence[bytes], at_once: int = _PER_FILTER
) -> Iterator[Filter]:
    """Filters for "the attribute is one of these", each of bounded size."""
    equals = equal_to(attribute)
    for start in range(0, len(values), at_once):
        yield any_of(map(equals, values[start : start + at_once]))
