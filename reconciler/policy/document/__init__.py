"""The file format of policies: one model per clause, strict, with nothing unknown let through.

The JSON Schema that editors use comes from these models, so every field says what it means. Here is what can be told
from one clause alone; whether its names exist and what follows from it is the business of `compile` and its siblings.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field as Constraint

from reconciler.policy.document.bounds import InvariantClause, SeparationClause, SponsorClause
from reconciler.policy.document.clause import Clause
from reconciler.policy.document.conduct import GuardsClause, LifecycleClause
from reconciler.policy.document.exceptions import (
    ExceptionClause,
    ExceptionLimitClause,
    LockoutClause,
    ServiceAccountClause,
)
from reconciler.policy.document.grantees import RoleClause
from reconciler.policy.document.resources import ResourceClause
from reconciler.policy.document.retirement import RetirementClause
from reconciler.policy.document.trials import TrialClause
from reconciler.policy.document.words import AttributeClause, ClearanceClause, CompartmentClause, EvidenceClause


class PolicyFile(Clause):
    """A file of a policy tree. Any file may hold any of the sections; names are unique across the tree."""

    attributes: dict[str, AttributeClause] | None = None
    """What policies may ask about an assignment; anything else is an error."""
    evidence: dict[str, EvidenceClause] | None = None
    """What counts as proof, and for how long."""
    clearances: list[Annotated[dict[str, ClearanceClause], Constraint(min_length=1, max_length=1)]] | None = None
    """The levels, lowest first, each a mapping with its name as the one key."""
    compartments: dict[str, CompartmentClause] | None = None
    """Need-to-know beside the level; a name may hold one variable, such as project/{project}."""
    resources: dict[str, ResourceClause] | None = None
    """Named bodies of documents; a name may hold one variable, such as project-docs/{project}."""
    roles: dict[str, RoleClause] | None = None
    """Who gets what."""
    exceptions: list[ExceptionClause] | None = None
    """The only other way to access; each ends."""
    exception_limits: dict[str, ExceptionLimitClause] | None = None
    """Clearance → what exceptions for that class, and for those above it up to the next one named, have to keep to."""
    lockouts: list[LockoutClause] | None = None
    """People who may open nothing, or not these."""
    separation: list[SeparationClause] | None = None
    """What nobody may have together."""
    sponsors: list[SponsorClause] | None = None
    """Whom somebody else has to answer for."""
    lifecycle: LifecycleClause | None = None
    """What each state of somebody's time here admits."""
    guards: GuardsClause | None = None
    """What holds changes back until somebody decides."""
    invariants: list[InvariantClause] | None = None
    """What has to hold of the end state that a plan would lead to."""
    service_accounts: dict[str, ServiceAccountClause] | None = None
    """Accounts that are no people."""
    retired: list[RetirementClause] | None = None
    """Entitlements that no resource binds any more, and what becomes of their members."""
    tests: list[TrialClause] | None = None
    """What has to come out for people like these; `reconciler test` runs them."""
