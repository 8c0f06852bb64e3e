"""Records that an API or a directory delivers, gathered into the rows of a feed.

Promises: a column that the workspace maps is there or the delivery is refused, where the source can tell; a record that
was delivered twice alike counts once; the digest is that of what was said, in whatever order and pages. Knows neither
JSON nor LDAP: how a field is found in a record is the caller's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.columns import Columns, nearest
from adapters.instants import day_of
from reconciler.sources import Feed, FeedEmpty, Place, Row, SourceContext, SourceError

__all__ = ["SET_SEPARATORS", "Field", "Gathering"]

Field = Callable[[str], str | None]
"""What one record has under a name of theirs: text, None where it has no such field. Raises `ValueError`, in words,
where what it has cannot be a cell."""
SET_SEPARATORS = (";", "；")
"""What stands between the values of a set; no value of one may hold it."""
_REMEMBERED = 4096
_NAMED = 30
"""The most names that a message lists."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    words: str
    place: Place


class Gathering:
    """The rows of one delivery, as they come in."""

    def __init__(self, context: SourceContext, columns: Columns, wanted: Sequence[str]) -> None:
        self._context = context
        self._columns = columns
        self._wanted = [(column, columns.theirs(column)) for column in wanted]
        self._present: set[str] = set()
        self._refused: dict[str, _Refusal] = {}
        self._rows: list[Row] = []
        self._digests: list[bytes] = []
        self._said: dict[tuple[str, str], Mapping[str, str]] = {}
        self._otherwise: dict[tuple[str, str], list[Mapping[str, str]]] = {}
        self._cells: dict[str, dict[str, str]] = {column: {} for column in wanted}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def used(self) -> Sequence[str]:
        """What the source calls the columns that it has."""
        return [theirs for column, theirs in self._wanted if column in self._present]

    @property
    def rows(self) -> Sequence[Row]:
        """What came in, each record once."""
        return self._rows

    def take(self, field: Field, place: Place) -> None:
        """One record more."""
        cells: dict[str, str] = {}
        problems: list[str] = []
        for column, theirs in self._wanted:
            try:
                cells[column] = self._cell(column, field(theirs), theirs)
            except ValueError as error:
                self._refused.setdefault(column, _Refusal(str(error), place))
                problems.append(f"`{theirs}`: {error}")
        if not self._is_known(cells):
            self._rows.append(Row(cells, place, "; ".join(problems)))
            self._digests.append(hashlib.sha256(json.dumps(cells, ensure_ascii=True).encode()).digest())

    def feed(self, ignored: Iterable[str], *, full: bool, cursor: str = "") -> Feed:
        """The delivery, once all of it is in; `ignored` are the names that records have and nothing uses."""
        present = [column for column, _ in self._wanted if column in self._present or not self._rows]
        digest = hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()
        return Feed(present, self._rows, digest, sorted(ignored), full=full, cursor=cursor)

    def missing(self, required: Sequence[str]) -> list[str]:
        """The columns that are required or mapped, and that no record has."""
        return [
            column
            for column, _ in self._wanted
            if column not in self._present
            and column not in self._refused
            and (column in required or self._columns.is_mapped(column))
        ]

    def check_count(self, minimum: int, place: Place) -> None:
        """Raises `FeedEmpty` where there are fewer records than there can be: nobody, at any rate."""
        count = len(self._rows)
        if count >= max(minimum, 1):
            return
        expected = f"; at least {minimum} are expected (`expect.minimum`)" if minimum > 1 else ""
        raise FeedEmpty(
            f"source `{self._context.name}`: it delivers {count or 'no'} record{'' if count == 1 else 's'}{expected}",
            place=place,
            remedy="check where it reads, and what this account may see there; nothing was taken",
        )

    def check(self, required: Sequence[str], names: Sequence[str], place: Place, blank: Sequence[str] = ()) -> None:
        """Raises `SourceError` where a needed column is in no record, or can be read in none; `names` are those that
        the records have, and columns that are `blank` everywhere may be in none.
        """
        for column, refusal in self._refused.items():
            if column not in self._present:
                theirs = self._columns.theirs(column)
                mapped = f" (for `{column}`)" if theirs != column else ""
                said = f"`{theirs}`{mapped} can be read in no record: {refusal.words}"
                raise SourceError(
                    f"source `{self._context.name}`: {said}",
                    place=refusal.place,
                    remedy=f"correct the workspace file: columns: {{{column}: …}}",
                )
        for column in self.missing(required):
            if column in blank:
                continue
            theirs = self._columns.theirs(column)
            near = nearest(theirs, names)
            hint = f"; the nearest is `{near}`" if near else ""
            mapped = f" (for `{column}`)" if theirs != column else ""
            there = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
            said = f"no record has `{theirs}`{mapped}{hint}; they have: {there or 'nothing'}"
            raise SourceError(
                f"source `{self._context.name}`: {said}",
                place=place,
                remedy=f"map it in the workspace file: columns: {{{column}: {near or 'its name there'}}}",
            )

    def _cell(self, column: str, text: str | None, theirs: str) -> str:
        """A cell in our words; remembered, because most are one of a few."""
        if text is None:
            return ""
        self._present.add(column)
        known = self._cells[column]
        if (cell := known.get(text)) is None:
            cell = day_of(self._columns.cell(column, text), self._context.zone)
            if len(known) < _REMEMBERED:
                known[text] = cell
        return cell

    def _is_known(self, cells: Mapping[str, str]) -> bool:
        """Whether the same was said before: pages move while they are read. What differs is for others to judge."""
        person = cells.get("id", "")
        if not person:
            return False
        key = (person, cells.get("assignment", ""))
        first = self._said.setdefault(key, cells)
        if first is cells:
            return False
        others = self._otherwise.setdefault(key, [])
        if cells in (first, *others):
            return True
        others.append(cells)
        return False
