"""Matches read for single assignments, each reading remembered by the values that it looks at.

Many people share a department, a post and a grade, so that most questions about the hundred-thousandth person have
been answered before. `matching` says what a match means; nothing here adds to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.access.matching import matches
from reconciler.policy.model import Attribute, Compare, Match

_Known = tuple[Match, tuple[str, ...], dict[tuple[str | None, ...], bool | None]]


class MatchReader:
    """Whether a match holds for an assignment with these values: True, False, or None where it cannot be known."""

    def __init__(self, attributes: Mapping[str, Attribute]) -> None:
        self.attributes = attributes
        # By identity: hashing a match costs more than reading it. The match is kept, so that its identity stays its.
        self._known: dict[int, _Known] = {}

    def __call__(self, match: Match, values: Mapping[str, str]) -> bool | None:
        known = self._known.get(id(match))
        if known is None:
            looked_at = tuple(sorted({each.attribute for each in comparisons(match)}))
            known = self._known[id(match)] = (match, looked_at, {})
        _, names, answers = known
        asked = tuple([values.get(name) for name in names])
        try:
            return answers[asked]
        except KeyError:
            return answers.setdefault(asked, matches(match, values, self.attributes))


def comparisons(match: Match) -> Iterator[Compare]:
    """Every comparison that the match is made of."""
    if isinstance(match, Compare):
        yield match
    else:
        for part in match.parts:
            yield from comparisons(part)
