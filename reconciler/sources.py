"""The contract every people source fulfils.

A source yields rows: a mapping from the canonical column to the text that stood there, with the place of each row. It
knows nothing of policies or of what is already known; deciding what a row means is the business of `facts`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path

from reconciler.errors import Place, Problem, ProblemsFound, ReconcilerError

__all__ = ["Feed", "FeedEmpty", "Place", "Problem", "ProblemsFound", "Row", "Source", "SourceContext", "SourceError"]


class SourceError(ReconcilerError):
    """The source could not be read at all: nothing of it counts."""

    code = "source"


class FeedEmpty(SourceError):
    """The source delivered nothing at all, which is far more often a failure than the truth: it counts for nothing, and
    somebody has to look.
    """

    code = "feed-held"
    exit_status = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a feed: canonical column → text, stripped; a blank cell is an empty string.

    `problem` says why the row cannot be trusted as a whole (a wrong number of cells, a cut last line); what could be
    read of it is still in `cells`, because an exit counts even where the rest of the row cannot be read.
    """

    cells: Mapping[str, str]
    place: Place
    problem: str = ""
    cut: bool = False
    """The record's end is missing: any cell may be half a cell, so that nothing in it counts, not even an exit."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a source delivered: the columns it has, its rows, and columns that nothing uses (said once)."""

    columns: Sequence[str]
    rows: Iterable[Row]
    digest: str
    """SHA-256 of what was delivered, hexadecimal: names the delivery in the record."""
    ignored_columns: Sequence[str] = field(default=())
    full: bool = True
    """Whether it names everybody. One that does not holds what changed since an earlier delivery: nobody who is
    missing from it is absent.
    """
    cursor: str = ""
    """What the next reading is given as `since`, once this one is on record; blank where the source cannot go on from
    anywhere.
    """


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the workspace hands to a source beside its settings."""

    name: str
    folder: Path
    place: Place
    zone: tzinfo = UTC
    """Whose days are meant, where a system writes a day as an instant."""


class Source(ABC):
    """One configured people source. Constructing it checks its settings and does no I/O."""

    @abstractmethod
    def __init__(self, context: SourceContext, settings: Mapping[str, object]) -> None: ...

    @abstractmethod
    def read(self, columns: Sequence[str], required: Sequence[str], since: str = "") -> Feed:
        """Read everything, or what changed since the cursor of an earlier delivery where the source can tell.

        `columns` are the canonical columns that are of use; `required` must be there. A source that cannot tell what
        changed ignores `since` and delivers a full feed. Raises `SourceError` where the source cannot be read, or only
        a part of it, or a required column is missing: half a delivery is none.
        """
