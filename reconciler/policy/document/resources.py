"""Clauses for what there is to open: resources and their entitlements."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field as Constraint

from reconciler.policy.document.clause import Clause
from reconciler.policy.values import (
    LocatorPart,
    LocatorValue,
    Name,
    OwnerText,
    Word,
)


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
