"""The file format of policies: one model per clause, strict, with nothing unknown let through.

The JSON Schema that editors use comes from these models, so every field says what it means. Here is what can be told
from one clause alone; whether its names exist and what follows from it is the business of `compile` and its siblings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as Constraint

from reconciler.policy.model import Period
from reconciler.policy.values import (
    Count,
    Day,
    Grants,
    ListOf,
    LocatorPart,
    LocatorValue,
    MatchText,
    Name,
    OwnerText,
    Percent,
    PeriodText,
    Prose,
    Ranks,
    SomeTime,
    Word,
    mistake,
    not_supported,
)


class Clause(BaseModel):
    """What all parts of a policy file have in common."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        model_title_generator=lambda model: model.__name__.removesuffix("Clause"),
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


class ResourceClause(Clause):
    """A named body of documents."""

    classification: Word
    """The clearance that one needs to open it."""
    owner: OwnerText | None = None
    """Who answers for it: an attribute and its value, or {person: id}. Shown to reviewers, grants nothing."""
    access: Annotated[
        dict[
            Name,
            Annotated[
                dict[Name, Annotated[dict[LocatorPart, LocatorValue], Constraint(min_length=1)]],
                Constraint(min_length=1),
            ],
        ],
        Constraint(min_length=1),
    ]
    """What gives access: action → target → entitlement, such as {read: {corp-ldap: {group: docs-readers}}}."""


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


class PreboardingClause(Clause):
    """Hired, and the first assignment has not begun."""

    ceiling: Word
    """The highest class that such people may open."""
    opens: PeriodText = Period()
    """How long before its first day an assignment counts."""


class NoticeClause(Clause):
    """A resignation is submitted and not withdrawn: the step-down happens now, not on the last day."""

    ceiling: Word
    """The highest class that such people may open."""


class ExitedClause(Clause):
    """What happens to the accounts of those who have left. They have access to nothing, whatever stands here."""

    disable: Literal["immediately"] | None = None
    """Disable the accounts with the exit."""
    delete_after: PeriodText | None = None
    """How long after the exit accounts are deleted; never where this is left out."""


class LifecycleClause(Clause):
    """What each state of somebody's time here admits."""

    preboarding: PreboardingClause | None = None
    """Without it, such people may open nothing."""
    notice: NoticeClause | None = None
    """Without it, such people are as active."""
    exited: ExitedClause | None = None
    """Without it, accounts stay enabled, without access."""

    @field_validator("notice", mode="before")
    @classmethod
    def _one_notice(cls, value: object) -> object:
        if isinstance(value, list):
            raise not_supported("a list under `lifecycle.notice`")
        return value


class LimitClause(Clause):
    """A guard's numbers: it trips beyond `people`, or beyond 2 people and `percent` of those covered."""

    percent: Percent | None = None
    """The share of the people that a slice covers, 0 to 100."""
    people: Count | None = None
    """The number of distinct people within 24 hours."""


class DirectionsClause(Clause):
    """The limits in either direction."""

    revoke: LimitClause | None = None
    """For access taken away."""
    grant: LimitClause | None = None
    """For access given."""


class FeedClause(Clause):
    """When a feed of people is refused whole."""

    shrink_percent: Percent
    """The share of people by which a feed may shrink, 0 to 100."""


class GuardsClause(Clause):
    """What holds changes back until somebody decides. On by default; there is no switch that turns them off."""

    rules: DirectionsClause | None = None
    """For changes caused by policy or drift."""
    people: DirectionsClause | None = None
    """For changes caused by facts about people."""
    exits: LimitClause | None = None
    """For exits and lockouts, of everybody, in 24 hours."""
    feed: FeedClause | None = None
    """For feeds of people."""
    approvals: dict[Word, Annotated[int, Constraint(ge=0, le=100)]] | None = None
    """Level → how many people must approve grants of that class."""
    protected: list[Word] | None = None
    """Ids and service accounts whose changes are held until somebody approves them."""


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


class PolicyFile(Clause):
    """A file of a policy tree. Any file may hold any of the sections; names are unique across the tree."""

    attributes: dict[str, AttributeClause] | None = None
    """What policies may ask about an assignment; anything else is an error."""
    evidence: dict[str, EvidenceClause] | None = None
    """What counts as proof, and for how long."""
    clearances: list[Annotated[dict[str, ClearanceClause], Constraint(min_length=1, max_length=1)]] | None = None
    """The levels, lowest first, each a mapping with its name as the one key."""
    resources: dict[str, ResourceClause] | None = None
    """Named bodies of documents."""
    roles: dict[str, RoleClause] | None = None
    """Who gets what."""
    exceptions: list[ExceptionClause] | None = None
    """The only other way to access; each ends."""
    lockouts: list[LockoutClause] | None = None
    """People who may open nothing, or not these."""
    lifecycle: LifecycleClause | None = None
    """What each state of somebody's time here admits."""
    guards: GuardsClause | None = None
    """What holds changes back until somebody decides."""
    service_accounts: dict[str, ServiceAccountClause] | None = None
    """Accounts that are no people."""


NOT_YET: Mapping[str, frozenset[str]] = {
    "": frozenset({"compartments", "exception_limits", "separation", "sponsors", "invariants", "tests", "retired"}),
    "evidence": frozenset({"per"}),
    "resources": frozenset({"compartments", "values", "until", "mode"}),
    "roles": frozenset({"for_each"}),
    "lifecycle": frozenset({"leave", "transfer", "suspend"}),
}
"""Section ("" for the file itself) → keys of the language that this version refuses by name."""
