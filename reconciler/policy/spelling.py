"""How names are spelled, and texts with a variable in braces such as ``project-docs/{project}``.

A template is plain text with holes for one variable: no expressions, no patterns, nothing to evaluate. What it makes of
a value, and of which value it made a text, are each other's inverse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_HOLE = re.compile(r"\{([^{}]*)\}")
_MEANINGFUL = frozenset("{}:*")
"""Characters with a meaning of their own in names of resources and compartments."""


def name_flaw(name: str) -> str:
    """What is wrong with a text as a name or an id, or nothing."""
    if not name.strip():
        return "is blank"
    if name != name.strip():
        return "begins or ends with a space"
    return "" if name.isprintable() else "holds a character that cannot be seen"


def value_flaw(value: str) -> str:
    """What is wrong with a text as the value of a variable, or nothing."""
    if not _MEANINGFUL.isdisjoint(value):
        return "holds one of `{`, `}`, `:` and `*`, which have a meaning of their own"
    return name_flaw(value)


def has_braces(text: str) -> bool:
    """Whether a text means to be a template."""
    return "{" in text or "}" in text


def template_flaw(text: str) -> str:
    """What is wrong with a text as a template, or nothing; one without a variable is whole."""
    variables = dict.fromkeys(_HOLE.findall(text))
    if has_braces(_HOLE.sub("", text)):
        return "holds a brace without its partner"
    if any(value_flaw(variable) for variable in variables):
        return "holds braces without a name in them"
    return "holds more than one variable, and one is what it may hold" if len(variables) > 1 else ""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with holes for one variable: `parts` are the texts between the holes."""

    parts: tuple[str, ...]
    variable: str

    @classmethod
    def of(cls, text: str) -> Template:
        """The template that a text without `template_flaw` spells; without a variable it has a single part."""
        hole = _HOLE.search(text)
        return cls(tuple(text.split(hole[0])), hole[1]) if hole else cls((text,), "")

    def fill(self, value: str) -> str:
        """The text for a value."""
        return value.join(self.parts)

    def value_in(self, text: str) -> str | None:
        """The value for which this is the text, or None where it is the text of no value."""
        holes = len(self.parts) - 1
        size, left = divmod(len(text) - sum(map(len, self.parts)), holes) if holes else (0, 0)
        if size < 1 or left or not text.startswith(self.parts[0]):
            return None
        start = len(self.parts[0])
        value = text[start : start + size]
        return value if self.fill(value) == text and not value_flaw(value) else None


@dataclass(slots=True)
class TemplateTable(Generic[T]):
    """Things kept under templates, found by a text that their template could have made, however many there are."""

    _frames: dict[tuple[int, int], dict[tuple[str, str], list[tuple[Template, T]]]] = field(default_factory=dict)
    """How long the texts before the first and after the last hole are → those texts → what is kept there."""

    def keep(self, template: Template, thing: T) -> None:
        """Keep the thing under a template, which has a variable."""
        before, after = template.parts[0], template.parts[-1]
        frame = self._frames.setdefault((len(before), len(after)), {})
        frame.setdefault((before, after), []).append((template, thing))

    def fitting(self, text: str) -> Iterator[tuple[T, str]]:
        """Each thing whose template could have made the text, with the value it would have been made of."""
        for (before, after), frame in self._frames.items():
            if len(text) > before + after:
                for template, thing in frame.get((text[:before], text[len(text) - after :]), ()):
                    value = template.value_in(text)
                    if value is not None:
                        yield thing, value
