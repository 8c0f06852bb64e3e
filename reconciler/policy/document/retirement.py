"""Clauses for entitlements that were managed once and are given up on purpose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import Name, Prose, Word


class RetirementClause(Clause):
    """An entitlement that no resource binds any more, and what becomes of its members."""

    target: Name
    """The target that it is on."""
    entitlement: Annotated[dict[Name, Word], Constraint(min_length=1)]
    """Which it is, as a resource named it, such as {group: old-readers}."""
    members: Literal["revoke", "keep"]
    """revoke: they are removed · keep: they are left as they are, and it is not looked at again."""
    reason: Prose
    """Why, for reviewers and auditors."""
