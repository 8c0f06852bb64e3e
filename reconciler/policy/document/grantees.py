"""Clauses for who gets what: roles, exceptions, lockouts, service accounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field as Constraint
from pydantic import model_validator

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import (
    Day,
    Grants,
    ListOf,
    MatchText,
    OwnerText,
    Prose,
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


class RoleClause(Clause):
    """Who holds it, and what it gives. With neither match, members nor everyone it exists to be inherited."""

    match: MatchText | None = None
    """Holds for whoever has one assignment for which all of this is true."""
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
        return self


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
