"""Clauses for who gets what: roles and their members."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, WithJsonSchema, model_validator
from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import (
    Day,
    Grants,
    ListOf,
    MatchText,
    Prose,
    Variable,
    Word,
    mistake,
)


class MemberClause(Clause):
    """A person named in a role, where no rule fits."""

    person: Word
    """The person's id, in quotes."""
    since: Day | None = None
    """The first day."""
    until: Day
    """The last day; every membership ends."""
    reason: Prose = ""
    """Why, for reviewers."""


def _range(value: object) -> object:
    return value if isinstance(value, dict | list) else {value: None}


_RANGE_SCHEMA = {
    "description": "An attribute; or of a tree also what lies above or below the value, itself included.",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": {"enum": ["ancestors", "descendants"]},
        },
    ],
}
RangeText = Annotated[
    dict[Word, Literal["ancestors", "descendants"] | None],
    Constraint(min_length=1, max_length=1),
    BeforeValidator(_range),
    WithJsonSchema(_RANGE_SCHEMA),
]
"""An attribute, and which values of its tree a variable runs over beside the assignment's own."""


class RoleClause(Clause):
    """Who holds it, and what it gives. With neither match, for_each, members nor everyone it exists to be inherited."""

    match: MatchText | None = None
    """Holds for whoever has one assignment for which all of this is true."""
    for_each: Annotated[dict[Variable, RangeText], Constraint(min_length=1)] | None = None
    """Holds once for each value of an attribute, bound to a variable: {project: projects} or {site: {location:
    ancestors}}. Families are then granted by that variable, such as project-docs/{project}."""
    everyone: bool = False
    """Holds for everybody who has an active assignment."""
    members: ListOf[MemberClause] | None = None
    """People named one by one."""
    inherits: ListOf[Word] | None = None
    """Roles whose grants this one gives too; never who holds them."""
    grants: Grants | None = None
    """What it gives: action → resources, such as {read: [handbook]}."""

    @model_validator(mode="after")
    def _one_audience(self) -> RoleClause:
        if self.everyone and self.match is not None:
            raise mistake("contradiction", "`everyone: true` makes `match` mean nothing", "keep one of the two")
        if self.everyone and self.for_each is not None:
            message = "`everyone: true` binds no variable, and `for_each` does"
            raise mistake("contradiction", message, "keep one of the two")
        return self
