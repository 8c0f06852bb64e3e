"""Where something stands in an answer: JSONPath, compiled once and asked many thousand times. Pure.

Source: RFC 9535. A query that can find one thing only (names and numbers, no choice) is walked without the library's
machinery, which makes a location for every node: of 50,000 such questions this spares half a second.
"""

from __future__ import annotations

from typing import Annotated, Any

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.selectors import IndexSelector, NameSelector
from pydantic import PlainValidator

from adapters.api.json_values import MISSING

__all__ = ["At", "Condition", "Query", "Where", "plain", "text_of"]

_ENVIRONMENT = JSONPathEnvironment(strict=True)


class Query:
    """One JSONPath query. Raises `ValueError`, in words, for a text that is none."""

    __slots__ = ("_compiled", "_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = _ENVIRONMENT.compile(text)
        except (JSONPathError, RecursionError) as error:
            why = str(error.args[0]).partition("\n")[0]  # `str` of it fails where the text is blank
            raise ValueError(f"is no JSONPath (RFC 9535), such as $.items or $.id: {why}") from None
        self._steps = _steps(self._compiled)

    def __repr__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Query) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def all(self, value: Any) -> list[object]:
        """Everything that it finds, in order."""
        if self._steps is None:
            return list(self._compiled.findall(value))
        found = self._walk(value)
        return [] if found is MISSING else [found]

    def one(self, value: Any) -> object:
        """The one thing that it finds, or `MISSING`. Raises `ValueError` where there are several."""
        if self._steps is not None:
            return self._walk(value)
        found = self.all(value)
        if len(found) > 1:
            raise ValueError(f"`{self.text}` finds {len(found)} values and should find one: narrow it, e.g. by [?…]")
        return found[0] if found else MISSING

    def _walk(self, value: Any) -> object:
        for step in self._steps or ():
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    return MISSING
            elif not isinstance(value, list) or not -len(value) <= step < len(value):
                return MISSING
            value = value[step]
        return value


class Condition:
    """What must hold of an item for it to count: the inside of a JSONPath filter, e.g. `@.type == 'User'`. Raises
    `ValueError`, in words, for a text that is none.
    """

    __slots__ = ("_query", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._query = Query(f"$[?{text}]")
        except ValueError:
            raise ValueError("is no condition (RFC 9535, 2.3.5), such as @.type == 'User'") from None

    def holds(self, item: object) -> bool:
        """Whether it holds."""
        return bool(self._query.all([item]))


def _steps(compiled: Any) -> tuple[str | int, ...] | None:
    """The names and numbers of a query that can find one thing only; None of any other."""
    if not compiled.singular_query():
        return None
    steps: list[str | int] = []
    for segment in compiled.segments:
        (selector,) = segment.selectors
        if isinstance(selector, NameSelector):
            steps.append(selector.name)
        elif isinstance(selector, IndexSelector):
            steps.append(selector.index)
        else:
            return None
    return tuple(steps)


def _query(value: object) -> Query:
    if isinstance(value, Query):
        return value
    if not isinstance(value, str):
        raise ValueError("is no JSONPath (RFC 9535), such as $.items or $.id")
    return Query(value)


At = Annotated[Query, PlainValidator(_query)]
"""A query as a setting."""


def _condition(value: object) -> Condition:
    if not isinstance(value, str):
        raise ValueError("is no condition (RFC 9535, 2.3.5), such as @.type == 'User'")
    return Condition(value)


Where = Annotated[Condition, PlainValidator(_condition)]
"""A condition as a setting."""


def text_of(value: object) -> str:
    """A value that names something, as text. Raises `ValueError`, in words, for what can name nothing."""
    if isinstance(value, bool) or value is None or isinstance(value, dict | list) or value is MISSING:
        raise ValueError(f"is {_kind(value)}")
    text = str(value)
    if not text:
        raise ValueError("is a blank")
    return text


def plain(value: object) -> str:
    """A value for comparison with a setting: `true`, `0`, `ok`, `null`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _kind(value: object) -> str:
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return "a list" if isinstance(value, list) else "an object"
