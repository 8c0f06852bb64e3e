"""The file format of policies: one model per clause, strict, with nothing unknown let through.

The JSON Schema that editors use comes from these models, so every field says what it means. Here is what can be told
from one clause alone; whether its names exist and what follows from it is the business of `compile` and its siblings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.document.conduct import GuardsClause, LifecycleClause
from reconciler.policy.document.grantees import ExceptionClause, LockoutClause, RoleClause, ServiceAccountClause
from reconciler.policy.document.resources import ResourceClause
from reconciler.policy.document.words import AttributeClause, ClearanceClause, EvidenceClause


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
