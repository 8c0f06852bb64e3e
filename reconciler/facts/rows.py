"""One row of an HR feed, read: canonical spellings, and what is wrong with it. Pure.

The id, the status and `ends_on` are read by themselves, so that an exit or a notice counts even where the rest of the
row cannot be read. A value that the policy does not declare is no mistake of the row: it is unknown, and a finding.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.errors import Place, Problem
from reconciler.facts.days import UNLIMITED_YEAR, parse_day
from reconciler.facts.events import MAIN
from reconciler.policy.model import Attribute, AttributeKind
from reconciler.sources import Row

STATUSES = ("preboarding", "active", "leave", "notice", "exited")
PERSON_COLUMNS = ("id", "name", "email", "assignment", "status", "starts_on", "ends_on")
REQUIRED_COLUMNS = ("id",)
SET_SEPARATOR = ";"
_MAX_ID = 100
_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A value of an attribute that the policy does not declare."""

    column: str
    value: str


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row in canonical spelling: days as 2026-12-01, sets sorted, status one of the known words or blank.

    `cells` are those that could be read; `problems` says why the row is quarantined (empty: it counts).
    """

    person: str
    assignment: str
    cells: Mapping[str, str]
    place: Place
    problems: tuple[Problem, ...] = ()
    undeclared: tuple[Undeclared, ...] = ()
    cut: bool = False

    @property
    def good(self) -> bool:
        """Whether all of it counts."""
        return not self.problems


def leaving_row(rows: Sequence[ReadRow]) -> ReadRow:
    """The row whose status speaks for the person: that of the main assignment, or else one that says they left."""
    main = next((row for row in rows if row.assignment == MAIN), None)
    return main or next((row for row in rows if row.cells.get("status") == "exited"), rows[0])


def post_cells(cells: Mapping[str, str]) -> dict[str, str]:
    """What a row says of an assignment and its holder: all but the status and what is blank."""
    return {key: value for key, value in cells.items() if value and key != "status"}


def status_cells(row: ReadRow) -> dict[str, str]:
    """The status, where the row has one."""
    return {"status": row.cells["status"]} if row.cells.get("status") else {}


def ending_cells(row: ReadRow) -> dict[str, str]:
    """The cells that say that, and when, an assignment ends."""
    return {key: row.cells[key] for key in ("status", "ends_on") if key in row.cells}


def feed_columns(attributes: Collection[str]) -> list[str]:
    """The columns of a people feed that are of use under a policy with these attributes."""
    return [*PERSON_COLUMNS, *(name for name in attributes if name not in PERSON_COLUMNS)]


def read_rows(rows: Iterable[Row], attributes: Mapping[str, Attribute]) -> list[ReadRow]:
    """All rows; two with the same id and assignment are both unusable."""
    read = [read_row(row, attributes) for row in rows]
    seen: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(read):
        if row.person and not row.cut:
            seen.setdefault((row.person, row.assignment), []).append(index)
    for (person, assignment), twins in seen.items():
        if len(twins) > 1:
            lines = ", ".join(str(read[index].place.line) for index in twins)
            for index in twins:
                read[index] = _twin(
                    read[index], f"`{person}` stands here twice as `{assignment}` (lines {lines})", read, twins
                )
    return read


def _twin(row: ReadRow, message: str, read: Sequence[ReadRow], twins: Sequence[int]) -> ReadRow:
    """Of rows that contradict each other, only what all of them say is believed."""
    agreed = {key: value for key, value in row.cells.items() if all(read[n].cells.get(key) == value for n in twins)}
    problem = Problem("row-twice", message, row.place, "keep one row for each id and assignment")
    return ReadRow(row.person, row.assignment, agreed, row.place, (*row.problems, problem), cut=row.cut)


def read_row(row: Row, attributes: Mapping[str, Attribute]) -> ReadRow:
    """One row by itself."""
    if row.cut:
        problem = Problem("row-cut", row.problem, row.place, "fetch the file again, whole")
        return ReadRow(row.cells.get("id", "").strip(), "", {}, row.place, (problem,), cut=True)
    problems = [Problem("row-shape", row.problem, row.place, "correct the row at its source")] if row.problem else []
    raw = {column: value.strip() for column, value in row.cells.items()}
    person, assignment = raw.pop("id", ""), raw.pop("assignment", "") or MAIN
    problems += _id_problems(person, row.place) + _id_problems(assignment, row.place, "assignment")
    cells: dict[str, str] = {}
    undeclared: list[Undeclared] = []
    for column, text in raw.items():
        if "\x00" in text:
            told = f"`{column}` holds a NUL character, which no text has"
            problems.append(Problem("row-value", told, row.place, "correct it at its source"))
        elif column in attributes:
            attribute = attributes[column]
            cells[column] = value = _attribute(attribute, text)
            if value and not attribute.declares(value):
                undeclared.append(Undeclared(column, value))
        elif column in PERSON_COLUMNS:
            try:
                cells[column] = _READ[column](text) if column in _READ else text
            except ValueError as error:
                problems.append(Problem("row-value", f"`{column}`: {error}", row.place, "correct it at its source"))
    problems += _date_problems(cells, row.place)
    if row.problem:  # cells may have moved: of these only what proves itself by its words is kept
        problems = problems[:1]
        cells = {"status": cells["status"]} | _end_of(cells) if cells.get("status") in ("exited", "notice") else {}
    return ReadRow(person, assignment, cells, row.place, tuple(problems), tuple(undeclared))


_dump = json.JSONEncoder(ensure_ascii=False).encode


def content_digest(rows: Iterable[ReadRow]) -> str:
    """SHA-256 over what the rows say, whatever their order, encoding or notation; hexadecimal."""
    said = sorted(_dump([row.person, row.assignment, sorted(row.cells.items()), row.good, row.cut]) for row in rows)
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()


def _end_of(cells: Mapping[str, str]) -> dict[str, str]:
    return {"ends_on": cells["ends_on"]} if cells["status"] == "exited" and "ends_on" in cells else {}


def _attribute(attribute: Attribute, text: str) -> str:
    if attribute.kind is not AttributeKind.SET:
        return text
    values = text.replace("；", SET_SEPARATOR).split(SET_SEPARATOR)
    return SET_SEPARATOR.join(sorted({value.strip() for value in values if value.strip()}))


def _status(text: str) -> str:
    if text and text not in STATUSES:
        raise ValueError(f"`{text}` is no status (one of {', '.join(STATUSES)}; map other words with `values`)")
    return text


def _day(text: str) -> str:
    if not text:
        return ""
    day = parse_day(text)
    return "" if day.year == UNLIMITED_YEAR else day.isoformat()


_READ = {"status": _status, "starts_on": _day, "ends_on": _day}


def _id_problems(text: str, place: Place, column: str = "id") -> list[Problem]:
    if not text:
        return [Problem("row-id", f"`{column}` is blank", place, "every row needs the person's stable id")]
    if len(text) > _MAX_ID or _CONTROL.search(text):
        return [
            Problem("row-id", f"`{column}` is too long or holds control characters", place, "correct it at its source")
        ]
    return []


def _date_problems(cells: Mapping[str, str], place: Place) -> list[Problem]:
    starts, ends = cells.get("starts_on"), cells.get("ends_on")
    if starts and ends and ends < starts:
        return [
            Problem("row-value", f"`ends_on` ({ends}) lies before `starts_on` ({starts})", place, "correct the dates")
        ]
    if cells.get("status") == "preboarding" and not starts:
        return [
            Problem(
                "row-value",
                "`status` is preboarding, and `starts_on` does not say from when",
                place,
                "fill in `starts_on`",
            )
        ]
    return []
