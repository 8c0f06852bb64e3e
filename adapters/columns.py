"""How a source's records become rows in our words: which of their fields is which column, and what is done to a cell.

Promises: the settings are checked when they are read, each mistake with its place; a cell goes through `transforms`
first and `values` last; nothing here can run what somebody typed. Shared by the sources for files, APIs and
directories.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from adapters.transforms import STEPS, Step, step_of
from reconciler.sources import SourceContext, SourceError

COLUMN_SETTINGS = frozenset({"columns", "values", "transforms"})
"""The settings that are read here; a source has others beside them."""


class Columns:
    """The settings `columns` {ours: theirs}, `transforms` {ours: [step, …]} and `values` {ours: {theirs: ours}} of one
    source.
    """

    def __init__(self, context: SourceContext, settings: Mapping[str, object]) -> None:
        """Raises `SourceError` for a setting that is wrong."""
        self._context = context
        self._names = self._texts(settings.get("columns", {}), "columns")
        values = settings.get("values", {})
        if not isinstance(values, Mapping):
            raise self.wrong("`values` must map columns", "write values: {department: {theirs: ours}}")
        self._values = {str(column): self._texts(mapping, f"values.{column}") for column, mapping in values.items()}
        self._steps = self._transforms(settings.get("transforms"))

    def theirs(self, column: str) -> str:
        """What the source calls our column."""
        return self._names.get(column, column)

    def is_mapped(self, column: str) -> bool:
        """Whether the workspace says what the source calls it: then it has to be there."""
        return column in self._names

    def cell(self, column: str, text: str) -> str:
        """A cell in our words. Raises `ValueError`, with words fit for a person, where a transform cannot take it."""
        return self.cell_of(column)(text)

    def cell_of(self, column: str) -> Callable[[str], str]:
        """`cell` of one column, for whoever reads many: most columns leave their cells as they are."""
        steps, values = self._steps.get(column), self._values.get(column)
        return partial(_translated, steps or (), values or {}) if steps or values else str.strip

    def _transforms(self, value: object) -> dict[str, list[Step]]:
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(steps, list) for steps in value.values()):
            raise self.wrong("`transforms` must list steps for columns", "write transforms: {id: [upper, {pad: 6}]}")
        return {str(column): [self._step(str(column), step) for step in steps] for column, steps in value.items()}

    def _step(self, column: str, value: object) -> Step:
        try:
            return step_of(value)
        except ValueError as error:
            raise self.wrong(f"`transforms.{column}`: {error}", f"it is one of {', '.join(STEPS)}") from None

    def wrong(self, what: str, remedy: str) -> SourceError:
        """A setting of this source is wrong."""
        return SourceError(f"source `{self._context.name}`: {what}", place=self._context.place, remedy=remedy)

    def _texts(self, value: object, name: str) -> dict[str, str]:
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for pair in value.items() for item in pair):
            raise self.wrong(f"`{name}` must map texts to texts", "put numbers and words like yes/no in quotes")
        return dict(value)


def _translated(steps: Sequence[Step], values: Mapping[str, str], text: str) -> str:
    plain = text.strip()
    for step in steps if plain else ():
        plain = step(plain)
    return values.get(plain, plain)


def check_keys(context: SourceContext, settings: Mapping[str, object], known: Iterable[str]) -> None:
    """Raises `SourceError` for a setting that a source does not have."""
    names = sorted(known)
    for key in settings:
        if key not in names:
            near = nearest(key, names)
            remedy = f"did you mean `{near}`?" if near else f"it has: {', '.join(names)}"
            text = f"source `{context.name}`: there is no setting `{key}`"
            raise SourceError(text, place=context.place, remedy=remedy)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that this one is most like, or a blank."""
    lowered = {item.casefold(): item for item in known}
    near = difflib.get_close_matches(name.casefold(), lowered, n=1, cutoff=0.5)
    return lowered[near[0]] if near else ""
