"""Clauses for policy tests: given people and a day, what has to come out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, model_validator
from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import Day, ListOf, Word, mistake

_TEXTS: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _also_a_name(schema: dict[str, Any]) -> None:
    spelled_out = {**schema}
    schema.clear()
    schema.update(
        {"anyOf": [{"type": "string"}, spelled_out], "description": "A kind of evidence, or a record spelled out."}
    )


class SupposedEvidenceClause(Clause):
    """A proof: a kind alone is signed on the test's day, in its current version."""

    model_config = ConfigDict(json_schema_extra=_also_a_name)

    evidence: Word
    """The kind."""
    scope: Word = ""
    """The value that it is about, where its kind is `per` an attribute."""
    version: Annotated[int, Constraint(ge=1, le=1_000_000)] | None = None
    """The version signed; the current one where this is left out."""
    valid_from: Day | None = None
    """The first day; the test's where this is left out."""
    valid_until: Day | None = None
    """The last day; as long as the kind is valid where this is left out."""
    result: Literal["passed", "failed"] = "passed"
    """How it came out."""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {"evidence": value} if not isinstance(value, dict | list) else value


class SupposedAssignmentClause(Clause):
    """An assignment: attributes and their values (a list for a set), and when it holds. What attributes there are is
    known later, so `trials` reads them."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": _TEXTS})

    since: Day | None = None
    """The first day; long ago where this is left out."""
    until: Day | None = None
    """The last day; open where this is left out."""
    transferred: bool = False
    """Whether it ended by a transfer."""


class SupposedClause(Clause):
    """What a test supposes of a person."""

    assignments: list[SupposedAssignmentClause] = Constraint(default_factory=list)
    """The posts that they hold; none where this is left out."""
    evidence: list[SupposedEvidenceClause] = Constraint(default_factory=list)
    """The proofs that they have brought."""
    notice: Day | None = None
    """The day on which they gave notice."""
    leave: Day | None = None
    """The day on which their leave began."""
    exited: Day | None = None
    """The day on which they left."""
    locked_out: bool = False
    """Whether an event has locked them out."""


class OtherPersonClause(SupposedClause):
    """Somebody else whom the test needs, such as a sponsor."""

    person: Word
    """The id, in quotes."""


class ExpectClause(Clause):
    """What has to come out. Permissions are spelled `resource:action`."""

    can: ListOf[Word] | None = None
    """What the person may do."""
    cannot: ListOf[Word] | None = None
    """What the person may not do, whether it is withheld or given by nothing."""
    withheld: Annotated[dict[Word, ListOf[Word]], Constraint(min_length=1)] | None = None
    """What is given and withheld, each with just these reasons: an evidence kind, `only`, a lifecycle state, a
    lockout's reference, a separation's name."""

    @model_validator(mode="after")
    def _something(self) -> ExpectClause:
        if self.can is None and self.cannot is None and self.withheld is None:
            raise mistake("empty", "this expects nothing", "write `can`, `cannot` or `withheld`")
        return self


class TrialClause(SupposedClause):
    """A test of the policy: given a person and a day, what has to come out."""

    name: Word
    """What it tests, in a few words."""
    on: Day
    """The day; the moment is noon of it in the workspace's timezone."""
    person: Word = ""
    """The id, in quotes; of somebody whom no policy names where this is left out."""
    others: list[OtherPersonClause] = Constraint(default_factory=list)
    """Further people, such as a sponsor."""
    expect: ExpectClause
    """What has to come out."""
