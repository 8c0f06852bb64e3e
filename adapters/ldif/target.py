"""`LdifTarget`: an LDIF export of a directory as a target.

`apply` reads the file, changes it in memory, notes the changes in the file of changes, and replaces the file, each time
anew: between two calls nothing is kept, so that whoever else writes the file is never overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from adapters.directory.leavers import step_writer
from adapters.directory.reading import observation
from adapters.directory.settings import Layout, Settings, checked, layout_of
from adapters.ldif.changes import append_changes
from adapters.ldif.contents import Contents
from adapters.ldif.document import Document, Malformed, parse
from adapters.ldif.files import replace_file
from adapters.marks import mark_of
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Outcome,
    OutcomeKind,
    Place,
    Problem,
    ProblemsFound,
    Step,
    Target,
    TargetContext,
    TargetError,
    TargetWriter,
)

__all__ = ["LdifTarget"]

_ATTEMPTS = 3


class LdifSettings(Settings):
    """All settings of an LDIF target: those of a directory, the file, and where its changes are noted."""

    path: str
    changes: str | None = None


class LdifTarget(Target):
    """An LDIF file, relative to the workspace's folder."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        parsed = checked(LdifSettings, settings, context)
        if parsed.people.filter is not None:
            message = f"target {context.name}: `people.filter` cannot be applied to a file"
            remedy = "leave it out, or export only the entries that it would let through"
            raise ProblemsFound(f"target {context.name}", [Problem("target-settings", message, context.place, remedy)])
        if parsed.accounts.create is not None and parsed.accounts.create.secret is not None:
            message = f"target {context.name}: `accounts.create.secret` has no place in a file"
            remedy = "leave it out, and set initial passwords where the changes are brought to the directory"
            raise ProblemsFound(f"target {context.name}", [Problem("target-settings", message, context.place, remedy)])
        self._path = context.folder / parsed.path
        self._changes = (
            context.folder / parsed.changes
            if parsed.changes
            else self._path.with_name(f"{self._path.stem}.changes.ldif")
        )
        self._layout = layout_of(parsed, context.folder)

    def describe(self) -> Capabilities:
        return Capabilities(ops=self._layout.ops, batch_size=10_000)

    def check_locator(self, locator: Locator) -> str | None:
        return self._layout.locator_error(locator)

    def creation_attributes(self) -> Sequence[str]:
        return self._layout.creation_attributes

    def match_attributes(self) -> Sequence[str]:
        return tuple(self._layout.match.values())

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        contents = Contents(_document(_read(self._path), self._path), self._layout, str(self._path))
        return observation(contents, self._layout, locators, accounts, datetime.now(UTC))

    def mark(self, since: str = "") -> str:
        """By all that stands in the file."""
        return mark_of(repr(self._layout), _read(self._path))

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        _document(_read(self._path), self._path)
        yield _FileWriter(self._path, self._changes, self._layout)


class _FileWriter(TargetWriter):
    def __init__(self, path: Path, changes: Path, layout: Layout) -> None:
        self._path = path
        self._changes = changes
        self._layout = layout

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        try:
            for _ in range(_ATTEMPTS):
                outcomes = self._attempt(steps)
                if outcomes is not None:
                    return outcomes
        except TargetError as error:
            return [Outcome(OutcomeKind.REFUSED, str(error))] * len(steps)
        except OSError as error:
            words = f"{error.filename or self._path} cannot be written: {error.strerror}"
            return [Outcome(OutcomeKind.UNAVAILABLE, words)] * len(steps)
        return [Outcome(OutcomeKind.UNAVAILABLE, f"somebody else keeps changing {self._path}")] * len(steps)

    def _attempt(self, steps: Sequence[Step]) -> Sequence[Outcome] | None:
        """The outcomes, or None where somebody else changed the file meanwhile and nothing was written."""
        before = _read(self._path)
        document = _document(before, self._path)
        contents = Contents(document, self._layout, str(self._path))
        outcomes = step_writer(contents, self._layout, lambda: datetime.now(UTC)).apply(steps)
        if not contents.changes:
            return outcomes
        if _read(self._path) != before:
            return None
        append_changes(self._changes, contents.changes)
        replace_file(self._path, document.rendered())
        return outcomes


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "correct `path` in the target's settings, or put the export there"
        raise TargetError(f"{path} cannot be read: {error.strerror}", remedy=remedy) from None


def _document(data: bytes, path: Path) -> Document:
    try:
        return parse(data)
    except Malformed as error:
        place = Place(str(path), error.line)
        raise TargetError(str(error), place=place, remedy="correct the line, or export the directory again") from None
