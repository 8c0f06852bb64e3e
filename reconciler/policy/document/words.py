"""Clauses for the words of a policy: attributes, evidence, clearances, compartments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema, model_validator
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
    mistake,
)


def _near(value: Mapping[str, Any], key: str) -> bool:
    """Whether the mapping's one key is the wanted one, misspelt."""
    return re.sub(r"[^a-z]", "", next(iter(value)).casefold()) == re.sub(r"[^a-z]", "", key)


def _also_plain(schema: dict[str, Any]) -> None:
    spelled_out = {**schema}
    schema.clear()
    description = "A kind of evidence, with the value where it is per an attribute; or {any_of: […]}, of which any do."
    schema.update({"anyOf": [*_PROOF_SCHEMA["anyOf"], spelled_out], "description": description})


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
    per: Word | None = None
    """An attribute for each of whose values a proof of its own is needed; its records carry that value as scope."""


def _proof(value: object) -> object:
    return value if isinstance(value, dict | list) else {value: None}


_PROOF_SCHEMA = {
    "description": "A kind of evidence; of one that is per an attribute, with the value: {briefing: falcon}.",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "string"}},
    ],
}
ProofText = Annotated[
    dict[Word, Word | None],
    Constraint(min_length=1, max_length=1),
    BeforeValidator(_proof),
    WithJsonSchema(_PROOF_SCHEMA),
]
"""A kind of evidence with its scope, or None where it is written without one."""


class RequirementClause(Clause):
    """A kind of evidence, or several of which any is enough."""

    any_of: ListOf[ProofText]
    """Kinds of evidence, of which any one is enough."""

    model_config = ConfigDict(json_schema_extra=_also_plain)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        listing = isinstance(value, dict) and ("any_of" in value or (len(value) == 1 and _near(value, "any_of")))
        return value if listing or isinstance(value, list) else {"any_of": [value]}


class ClearanceClause(Clause):
    """A level: it needs its own requirements, and those of all below."""

    requires: list[RequirementClause] = Constraint(default_factory=list)
    """The evidence that this level needs beside what those below need."""
    only: MatchText | None = None
    """Whom it is reserved for: this has to hold for every active assignment."""


class CompartmentClause(Clause):
    """Need-to-know beside the level: it needs its own requirements, and nothing of any level. Its name may hold one
    variable, such as project/{project}."""

    requires: ListOf[RequirementClause] | None = None
    """The evidence that it needs; of a kind that is per an attribute, also {briefing: "{project}"}."""
    only: MatchText | None = None
    """Whom it is reserved for: this has to hold for every active assignment."""

    @model_validator(mode="after")
    def _some_effect(self) -> CompartmentClause:
        if self.requires is None and self.only is None:
            raise mistake("empty-compartment", "it asks for nothing and so keeps nobody out", "say what it `requires`")
        return self
