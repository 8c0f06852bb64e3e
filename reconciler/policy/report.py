"""Where the steps of a check leave what they find, so that all mistakes are told at once and none twice.

A mistake is told where it was made. What follows from it (a name that could not be read and is then "unknown" to each
of its users) is not: `Names` knows the names that are declared but broken, and whether more names may stand in a part
that could not be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from reconciler.errors import Place, Problem

MOST_SUGGESTIONS = 200
"""Comparing names takes time; whoever has more mistakes than this has another problem than spelling."""
MOST_CANDIDATES = 2_000


class Report:
    """The problems found so far."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._suggestions = 0

    def error(self, code: str, message: str, place: Place, remedy: str = "") -> None:
        """Something for which the policy is refused."""
        self._found[Problem(code, message, place, remedy)] = None

    def warn(self, code: str, message: str, place: Place, remedy: str = "") -> None:
        """Something that works and that somebody should look at."""
        self._found[Problem(code, message, place, remedy, "warning")] = None

    def suggestion(self, wrong: str, names: Iterable[str], otherwise: str = "") -> str:
        """The remedy for a name that is none of `names`: the nearest of them, or `otherwise`."""
        near = self.nearest(wrong, names)
        return f"did you mean `{near}`?" if near else otherwise

    def nearest(self, wrong: str, names: Iterable[str]) -> str:
        """The name that is most like the wrong one, or nothing where none is near."""
        candidates = list(names)
        if self._suggestions >= MOST_SUGGESTIONS or len(candidates) > MOST_CANDIDATES or len(wrong) > 200:
            return ""
        self._suggestions += 1
        folded = {name.casefold(): name for name in reversed(candidates)}
        near = get_close_matches(wrong.casefold(), folded, 1, 0.6)
        return folded[near[0]] if near else ""

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return any(problem.severity == "error" for problem in self._found)

    def problems(self) -> tuple[Problem, ...]:
        """All problems in the order of their places."""
        return tuple(sorted(self._found, key=lambda problem: (problem.place, problem.code, problem.message)))


@dataclass(frozen=True, slots=True)
class Names:
    """All names of one sort in the policy tree, also of what is declared and broken.

    `complete` is False where more names may stand in a part that could not be read; then no name is unknown.
    """

    noun: str
    code: str
    places: Mapping[str, Place]
    complete: bool = True

    def check(self, name: str, user: str, place: Place, report: Report) -> bool:
        """Whether the name is declared; an error at `place` where it is certain that it is not.

        `user` begins the message: ``role `x` grants``.
        """
        if name in self.places:
            return True
        if self.complete:
            remedy = report.suggestion(name, self.places, self.inventory())
            report.error(self.code, f"{user} {self.noun} `{name}`, which is not declared", place, remedy)
        return False

    def inventory(self) -> str:
        """The names there are, while they are few."""
        if not self.places:
            return f"no {self.noun} is declared at all"
        return f"declared: {listed(self.places)}" if len(self.places) <= 12 else f"declare the {self.noun} first"


def listed(names: Iterable[str]) -> str:
    """Names as they stand in a message."""
    return ", ".join(f"`{name}`" for name in names)
