"""Clauses about single people and accounts: exceptions and their limits, lockouts, service accounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field as Constraint
from pydantic import model_validator

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import (
    Day,
    Grants,
    ListOf,
    OwnerText,
    Prose,
    SomeTime,
    Word,
    mistake,
)


class ExceptionClause(Clause):
    """Access for one person beside the roles. It ends, and clearance is needed all the same."""

    person: Word
    """The person's id, in quotes."""
    grants: Grants
    """What it gives: action → resources."""
    since: Day | None = None
    """The first day."""
    until: Day
    """The last day; every exception ends."""
    reason: Prose
    """Why, for reviewers and auditors."""
    ticket: Word = ""
    """Where it was asked for."""
    approved_by: ListOf[Word] | None = None
    """The ids of those who approved it, in quotes; never the person's own."""


class ExceptionLimitClause(Clause):
    """What an exception for this class, or one above it without a limit of its own, has to keep to."""

    max: SomeTime | None = None
    """The longest that it may last, from its first day to its last."""
    approvers: Annotated[int, Constraint(ge=1, le=100)] | None = None
    """How many people must have approved it; never the person themselves."""

    @model_validator(mode="after")
    def _some_limit(self) -> ExceptionLimitClause:
        if self.max is None and self.approvers is None:
            raise mistake("empty", "this limits nothing", "write `max: 14d`, `approvers: 2`, or both")
        return self


class LockoutClause(Clause):
    """A person who may open nothing, or not some resources. Without free text, since git is read by many."""

    person: Word
    """The person's id, in quotes."""
    ref: Word
    """Where those who may know can read why, such as a case number."""
    since: Day | None = None
    """The first day; from ever where this is left out."""
    from_: Annotated[ListOf[Word] | None, Constraint(alias="from")] = None
    """The resources that it is about; all where this is left out."""


class ServiceAccountClause(Clause):
    """An account that is no person."""

    owner: OwnerText
    """Who answers for it: an attribute and its value, or {person: id}."""
    ceiling: Word
    """The highest class that it may open."""
    until: Day
    """The last day; every service account ends, and is then renewed on purpose."""
    grants: Grants
    """What it gives: action → resources."""
