"""What a casbin policy store is to the rest of this adapter, wherever its lines are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.casbin.model import VaultModel
from adapters.casbin.rules import Edits, Meaning, Rule, Unreadable


@dataclass(frozen=True, slots=True)
class Line:
    """One line, where it stands, and what it means."""

    where: str
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Contents:
    """All lines of a store, in order."""

    lines: Sequence[Line]

    @property
    def rules(self) -> Sequence[Rule]:
        """The lines that count; a line that stands twice is there twice."""
        return [line.meaning for line in self.lines if isinstance(line.meaning, Rule)]

    @property
    def unreadable(self) -> Sequence[tuple[str, Unreadable]]:
        """The lines that do not count, with where they stand."""
        return [(line.where, line.meaning) for line in self.lines if isinstance(line.meaning, Unreadable)]


Decision = Callable[[Sequence[Rule]], Edits]


class Store(ABC):
    """Where the lines are kept."""

    @abstractmethod
    def reach(self) -> None:
        """Open the store for reading and do nothing else. Raises as `read` does."""

    @abstractmethod
    def read(self, model: VaultModel) -> Contents:
        """Read everything, without being able to write. Raises `TargetError` where there is no store."""

    @abstractmethod
    def change(self, model: VaultModel, decide: Decision) -> Edits:
        """Read, let `decide` say what changes, and write exactly that, all or nothing. Raises as `read` does."""

    def mark(self) -> bytes:
        """All that stands in the store, or something that changes with it; blank where that is not to be had at once.
        Raises as `read` does.
        """
        return b""

    def weaknesses(self) -> Sequence[str]:
        """What makes the store unsafe as it is configured, in words."""
        return ()
