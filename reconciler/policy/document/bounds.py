"""Clauses for what nobody may have together, who answers for whom, and what has to hold of every plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Constraint
from pydantic import model_validator

from reconciler.policy.document.clause import Clause
from reconciler.policy.model import Period
from reconciler.policy.values import Count, ListOf, MatchText, PeriodText, Word, mistake


class SeparationClause(Clause):
    """What nobody may have together: roles, or lists of permissions. It compares what is given, before any denial."""

    name: Word
    """How it is spoken of."""
    roles: Annotated[list[Word], Constraint(min_length=1)] | None = None
    """Roles of which nobody may hold two; who holds a role that inherits another holds both."""
    between: Annotated[list[ListOf[Word]], Constraint(min_length=1)] | None = None
    """Lists of permissions; nobody may have something out of two of them. An entry is `resource:action`, where the
    action may be `*`, and the resource a family or `prefix/*`."""
    on_conflict: Literal["withhold", "report"] = "withhold"
    """withhold: nothing of what conflicts is let through · report: it is a finding."""

    @model_validator(mode="after")
    def _two_of_a_sort(self) -> SeparationClause:
        if self.roles is not None and self.between is not None:
            raise mistake("contradiction", "`roles` and `between` cannot stand together", "make two rules of it")
        sides = self.between if self.roles is None else self.roles
        if sides is None:
            remedy = "write `roles: [one, other]`, or `between: [[docs-a:*], [docs-b:*]]`"
            raise mistake("missing", "it separates nothing: `roles` or `between` is missing", remedy)
        if len(sides) < 2:
            raise mistake("value", "it takes two to separate, and this names one", "name the other")
        return self


class SponsorClause(Clause):
    """Whom somebody else has to answer for, and whose work has to end some day. Otherwise they may open nothing."""

    of: MatchText
    """Whose assignments need a sponsor; one of which this cannot be known needs one too."""
    by: Word
    """The attribute that names the sponsor; its kind is `person`."""
    must: MatchText | None = None
    """What the sponsor has to be, in an active assignment; any will do where this is left out."""
    lapse: PeriodText = Period()
    """How long access goes on after the sponsor ceased to be one; none where this is left out."""
    ends: Literal["required"] | None = None
    """required: such an assignment needs an end date as well. Without it, they may open nothing."""


class NeverClause(Clause):
    """People who must never have a permission, by whatever way."""

    match: MatchText
    """Whom it concerns; somebody of whom this cannot be known as well."""
    permission: Word
    """`resource:action`; the action may be `*`, the resource a family or `prefix/*`."""


class InvariantClause(Clause):
    """What has to hold of the end state that a plan would lead to, on every target; a breach holds the change."""

    never: NeverClause | None = None
    """People who must never have a permission."""
    at_least: Annotated[Count, Constraint(ge=1)] | None = None
    """How many people must have `permission` at the least."""
    at_most: Count | None = None
    """How many people may have `permission` at the most."""
    permission: Word | None = None
    """With `at_least` or `at_most`: `resource:action`; the action may be `*`, the resource a family or `prefix/*`.
    Each of several permissions is counted by itself."""

    @model_validator(mode="after")
    def _one_sort(self) -> InvariantClause:
        said = [name for name in ("never", "at_least", "at_most") if getattr(self, name) is not None]
        if not said:
            remedy = "write `at_least: 2`, `at_most: 25` or `never: {match: …, permission: …}`"
            raise mistake("missing", "it says nothing: `never`, `at_least` or `at_most` is missing", remedy)
        if len(said) > 1:
            message = " and ".join(f"`{name}`" for name in said) + " cannot stand together"
            raise mistake("contradiction", message, "make an invariant of each")
        if self.never is not None and self.permission is not None:
            raise mistake("contradiction", "`never` names its own permission", "move it under `never`, or take it out")
        if self.never is None and self.permission is None:
            raise mistake("missing", "`permission` is missing", "say which, such as `permission: basic-docs:read`")
        return self
