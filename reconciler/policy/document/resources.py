"""Clauses for what there is to open: resources and their entitlements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, WithJsonSchema
from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import (
    Day,
    ListOf,
    LocatorPart,
    Name,
    OwnerText,
    TemplateText,
    Value,
    Word,
)

_MODE_SCHEMA = {
    "enum": ["enforce", "additive", "observe"],
    "description": "How much of this one entitlement the policy owns, where that differs from the resource's mode.",
}
_INHERIT_SCHEMA = {
    "type": "boolean",
    "description": "false: who has only what contains this one, such as the folder around a folder, does not get in "
    "here by that. For targets that can keep them out.",
}
_LOCATOR_SCHEMA = {
    "type": "object",
    "description": "The target's name for it, such as {group: docs-readers}; in a family with the variable.",
    "minProperties": 1,
    "properties": {"mode": _MODE_SCHEMA, "inherit": _INHERIT_SCHEMA},
    "additionalProperties": {"type": "string"},
}


def _spelled_out(said: object) -> object:
    """All that a binding says is text, but for `inherit: false`."""
    if isinstance(said, dict) and isinstance(inherit := said.get("inherit"), bool):
        return {**said, "inherit": str(inherit).lower()}
    return said


BindingText = Annotated[
    dict[LocatorPart, TemplateText],
    Constraint(min_length=1),
    BeforeValidator(_spelled_out),
    WithJsonSchema(_LOCATOR_SCHEMA),
]


class ValueClause(Clause):
    """One listed value of a family; what it says beside the family may only be stricter."""

    classification: Word | None = None
    """The clearance that one needs to open it; the family's, or a higher one."""
    compartments: ListOf[Word] | None = None
    """Compartments that it lies in, beside those of the family."""
    until: Day | None = None
    """The last day; after it this value gives nothing."""
    owner: OwnerText | None = None
    """Who answers for it; whoever does for the family where this is left out."""


class ResourceClause(Clause):
    """A named body of documents, or with a variable in its name a family of them: one for each listed value."""

    classification: Word
    """The clearance that one needs to open it."""
    compartments: ListOf[TemplateText] | None = None
    """Compartments that it lies in; in a family also with the variable, such as project/{project}."""
    owner: OwnerText | None = None
    """Who answers for it: an attribute and its value, or {person: id}. Shown to reviewers, grants nothing."""
    mode: Literal["enforce", "additive", "observe"] = "enforce"
    """enforce: desired is all there is · additive: grants, and revokes only what was granted from here, or from a
    leaver · observe: plans and reports, changes nothing."""
    values: dict[Value, ValueClause] | None = None
    """The values of the variable; one that is not listed gives nothing. {} where there is none yet."""
    access: Annotated[
        dict[Name, Annotated[dict[Name, BindingText], Constraint(min_length=1)]],
        Constraint(min_length=1),
    ]
    """What gives access: action → target → entitlement, such as {read: {corp-ldap: {group: docs-readers}}}."""
