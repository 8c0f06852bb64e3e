"""Which column of a table is which of ours: for sources whose records are rows below a line of names.

Promises: a name that stands there twice, one that is mapped in the workspace and is not there, and one that is needed
and is not there are errors that say what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.columns import Columns, nearest
from reconciler.sources import Place, SourceContext, SourceError

__all__ = ["Header", "header"]


@dataclass(frozen=True, slots=True)
class Header:
    """The line of names: where each of our columns stands, and which names nothing uses."""

    width: int
    positions: Mapping[str, int]
    ignored: Sequence[str]


def header(
    context: SourceContext,
    columns: Columns,
    names: Sequence[str],
    *,
    wanted: Sequence[str],
    required: Sequence[str],
    place: Place,
) -> Header:
    """Read the line of names at `place`. Raises `SourceError`."""
    positions: dict[str, int] = {}
    for column in wanted:
        theirs = columns.theirs(column)
        count = names.count(theirs)
        if count > 1:
            said = f"source `{context.name}`: the column `{theirs}` stands there twice"
            raise SourceError(said, place=place, remedy="keep one of them")
        if count:
            positions[column] = names.index(theirs)
        elif column in required or columns.is_mapped(column):
            raise _missing(context, column, theirs, names, place)
    used = set(positions.values())
    ignored = [name for position, name in enumerate(names) if position not in used and name]
    return Header(len(names), positions, ignored)


def _missing(context: SourceContext, column: str, theirs: str, names: Sequence[str], place: Place) -> SourceError:
    near = nearest(theirs, names)
    hint = f"; the nearest is `{near}`" if near else ""
    mapped = f" (for `{column}`)" if theirs != column else ""
    return SourceError(
        f"source `{context.name}`: the column `{theirs}`{mapped} is missing{hint}; there are: {', '.join(names)}",
        place=place,
        remedy=f"map it in the workspace file: columns: {{{column}: {near or 'its header'}}}",
    )
