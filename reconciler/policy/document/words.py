"""Clauses for the words of a policy: attributes, evidence, clearances, compartments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, model_validator
from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import (
    Day,
    ListOf,
    MatchText,
    PeriodText,
    Ranks,
    SomeTime,
    Word,
    not_supported,
)


def _near(value: Mapping[str, Any], key: str) -> bool:
    """Whether the mapping's one key is the wanted one, misspelt."""
    return re.sub(r"[^a-z]", "", next(iter(value)).casefold()) == re.sub(r"[^a-z]", "", key)


def _also_text(schema: dict[str, Any], description: str) -> None:
    spelled_out = {**schema}
    schema.clear()
    schema.update({"anyOf": [{"type": "string"}, spelled_out], "description": description})


class AttributeClause(Clause):
    """Something that policies may ask about an assignment."""

    kind: Literal["tree", "one_of", "ordered", "set", "person"]
    """tree: a path, under which others lie · one_of: one of the values · ordered: one of the values, lowest first ·
    set: many values · person: somebody's id."""
    values: Ranks | None = None
    """The values that there are (one_of, ordered). In an ordered attribute a nested list holds values of equal rank."""


class EvidenceClause(Clause):
    """What counts as proof about a person, and for how long."""

    kind: Literal["agreement", "check", "training"]
    """What sort of proof it is."""
    version: Annotated[int, Constraint(ge=1, le=1_000_000)] = 1
    """The version in force. A record without a version is version 1."""
    superseded_on: Day | None = None
    """The first day on which older versions no longer count; without it they do not count at all."""
    valid_for: SomeTime | None = None
    """How long it counts where the record does not say; without it, for good."""
    grace: PeriodText | None = None
    """How much longer it counts after it has run out."""
    applies_to: MatchText | None = None
    """Whom it is asked of; of everybody where this is left out."""
    survives_rehire: bool = False
    """Whether evidence from before a rehire still counts."""


class RequirementClause(Clause):
    """A kind of evidence, or several of which any is enough."""

    any_of: ListOf[Word]
    """Kinds of evidence, of which any one is enough."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: _also_text(
            schema, "A kind of evidence; or {any_of: […]}, of which any is enough."
        )
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) == 1 and "any_of" not in value and not _near(value, "any_of"):
            raise not_supported(f"a requirement with an argument (`{next(iter(value))}: …`)")
        return {"any_of": [value]} if not isinstance(value, dict | list) else value


class ClearanceClause(Clause):
    """A level: it needs its own requirements, and those of all below."""

    requires: list[RequirementClause] = Constraint(default_factory=list)
    """The evidence that this level needs beside what those below need."""
    only: MatchText | None = None
    """Whom it is reserved for: this has to hold for every active assignment."""
