"""Resources, who answers for them, and the entitlements on targets that carry their permissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.policy.document.grantees import ServiceAccountClause
from reconciler.policy.document.resources import ResourceClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import Binding, Entitlement, EntitlementRef, Owner, Permission, Resource
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report
from reconciler.targets import entitlement_key


def compile_resources(
    section: Section[ResourceClause],
    ranks: Mapping[str, int],
    levels: Names,
    attributes: Names,
    matches: MatchReader,
    report: Report,
) -> dict[str, Resource]:
    """The resources that are whole, by name."""
    resources: dict[str, Resource] = {}
    for declared in section.whole:
        clause, user = declared.clause, f"resource `{declared.name}`"
        owner = read_owner(declared, user, attributes, matches, report)
        known = levels.check(clause.classification, f"{user} has the", declared.at("classification"), report)
        if known and clause.classification in ranks:
            rank = ranks[clause.classification]
            resources[declared.name] = Resource(declared.name, rank, owner, _actions(declared), declared.place)
    return resources


def read_owner(
    declared: Declared[ResourceClause] | Declared[ServiceAccountClause],
    user: str,
    attributes: Names,
    matches: MatchReader,
    report: Report,
) -> Owner | None:
    """Who answers for a clause: its one-key `owner`, with the attribute and the value checked."""
    for attribute, value in (declared.clause.owner or {}).items():
        if attribute == "person":
            return Owner(attribute, value)
        if attributes.check(attribute, f"{user} is owned by the", declared.key("owner", attribute), report):
            checked = matches.value(attribute, declared.node_at("owner", attribute), user)
            return Owner(attribute, value) if checked is not None else None
    return None


def _actions(declared: Declared[ResourceClause]) -> dict[str, tuple[Binding, ...]]:
    return {
        action: tuple(
            Binding(
                Permission(declared.name, action),
                EntitlementRef(target, entitlement_key(locator)),
                dict(locator),
                declared.key("access", action, target),
            )
            for target, locator in targets.items()
        )
        for action, targets in declared.clause.access.items()
    }


def tabulate_entitlements(resources: Iterable[Resource]) -> dict[EntitlementRef, Entitlement]:
    """Every entitlement with all permissions that it carries, at the highest class among them."""
    table: dict[EntitlementRef, Entitlement] = {}
    for resource in resources:
        for bindings in resource.actions.values():
            for binding in bindings:
                known = table.get(binding.entitlement)
                table[binding.entitlement] = Entitlement(
                    binding.entitlement,
                    known.locator if known else binding.locator,
                    (*(known.permissions if known else ()), binding.permission),
                    max(known.classification if known else 0, resource.classification),
                    known.place if known else binding.place,
                )
    return table
