"""The one exception root, and how a mistake is told to a person.

Every error that a person can cause or mend derives from `ReconcilerError`. It carries a stable `code` (for scripts and
for the documentation), the place it speaks of where there is one, and the remedy. Whatever is *not* a `ReconcilerError`
is a defect of ours and may show a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file, and a 1-based line and column (0 where unknown)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class ReconcilerError(Exception):
    """Root of all errors that name a thing, a place, what was expected and what to do.

    `exit_status` is what the command line ends with: 1 (nothing done) unless a subclass says otherwise.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, place: Place | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        remedy = f"\n  → {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{remedy}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake found while checking many things: reported beside all the others, never alone.

    `severity` is "error" (the thing is refused) or "warning" (it works, and somebody should look).
    """

    code: str
    message: str
    place: Place
    remedy: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        remedy = f"\n  → {self.remedy}" if self.remedy else ""
        return f"{self.place}: {self.severity}: {self.message} [{self.code}]{remedy}"


class ProblemsFound(ReconcilerError):
    """Many mistakes at once, e.g. a policy tree that does not pass `check`."""

    code = "problems"

    def __init__(self, what: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.place, problem.code, problem.message)))
        count = sum(problem.severity == "error" for problem in self.problems)
        super().__init__(f"{what}: {count} error{'' if count == 1 else 's'}")

    def __str__(self) -> str:
        return "\n".join([*map(str, self.problems), self.message])
