"""Entitlements that no resource binds any more, given up on purpose.

An entitlement whose last declaration disappears is not forgotten: plans say so until it stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.policy.document.retirement import RetirementClause
from reconciler.policy.model import Entitlement, EntitlementRef, Retirement
from reconciler.policy.reading import Section
from reconciler.policy.report import Report
from reconciler.targets import entitlement_key


def compile_retired(
    section: Section[RetirementClause], bound: Mapping[EntitlementRef, Entitlement], report: Report
) -> dict[EntitlementRef, Retirement]:
    """The retired entitlements; `bound` are those that resources bind, of which none may be retired."""
    retired: dict[EntitlementRef, Retirement] = {}
    for declared in section.whole:
        clause = declared.clause
        ref, place = EntitlementRef(clause.target, entitlement_key(clause.entitlement)), declared.key("entitlement")
        if ref in bound:
            users = ", ".join(f"`{permission}`" for permission in bound[ref].permissions)
            message = f"`{ref}` is retired here, and carries {users} at {bound[ref].place}"
            report.error("retired-in-use", message, place, "take it out of here, or out of the resource")
        elif ref in retired:
            message = f"`{ref}` is retired a second time; first at {retired[ref].place}"
            report.error("duplicate-name", message, place, "keep one of the two")
        else:
            revoke = clause.members == "revoke"
            retired[ref] = Retirement(ref, dict(clause.entitlement), revoke, declared.place)
    return retired


def emptied(retired: Iterable[Retirement], highest: int) -> dict[EntitlementRef, Entitlement]:
    """The retired entitlements whose members are to be removed: they carry nothing, and nobody is desired in them."""
    return {one.ref: Entitlement(one.ref, one.locator, (), highest, one.place) for one in retired if one.revoke}
