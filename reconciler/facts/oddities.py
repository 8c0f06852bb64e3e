"""What is odd in a delivery as a whole, and no mistake of any one row: for a person to look at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from reconciler.facts.decision import FeedFinding
from reconciler.facts.events import MAIN
from reconciler.facts.rows import ReadRow
from reconciler.policy.model import Attribute, AttributeKind

__all__ = ["oddities"]

FAR_AHEAD = timedelta(days=731)
"""Nobody is hired for a day that is further away; a slip of the keyboard is."""
LONG_AGO = date(1950, 1, 1)
"""Nobody who works today began before."""


def oddities(rows: Sequence[ReadRow], attributes: Mapping[str, Attribute], today: date) -> Iterator[FeedFinding]:
    """Days that can hardly be meant, and people who answer for each other in a circle."""
    for row in rows:
        if row.cells.get("starts_on"):
            yield from _days(row, date.fromisoformat(row.cells["starts_on"]), today)
    for name, attribute in attributes.items():
        if attribute.kind is AttributeKind.PERSON:
            yield from _circles(name, rows)


def _days(row: ReadRow, starts: date, today: date) -> Iterator[FeedFinding]:
    if starts > today + FAR_AHEAD or starts < LONG_AGO:
        text = f"`starts_on` is {starts}: can that be? The row counts as it is"
        yield FeedFinding("strange-date", row.person, text, row.place)


def _circles(name: str, rows: Sequence[ReadRow]) -> Iterator[FeedFinding]:
    leads = {row.person: row for row in rows if row.assignment == MAIN and row.cells.get(name)}
    done: set[str] = set()
    for person in leads:
        path: list[str] = []
        at = person
        while at in leads and at not in done:
            done.add(at)
            path.append(at)
            at = leads[at].cells[name]
        if at in path:
            circle = [*path[path.index(at) :], at]
            text = f"`{name}` leads round in a circle: {' → '.join(circle)}"
            yield FeedFinding("person-cycle", at, text, leads[at].place)
