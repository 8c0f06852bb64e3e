"""What a family gave for values that it lists no more, and what was retired: both stay managed.

Otherwise the last member of an ended project would stay in its group for ever. Nobody is given what is former: its
desired membership is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from reconciler.policy.collisions import Produced, TemplateIndex
from reconciler.policy.model import (
    Binding,
    Entitlement,
    EntitlementRef,
    Permission,
    Policy,
    Resource,
    ResourceFamily,
)
from reconciler.policy.spelling import Template
from reconciler.targets import entitlement_key, entitlement_locator


def with_former(policy: Policy, refs: Iterable[EntitlementRef]) -> Policy:
    """The policy that also manages those of these entitlements, managed once, that are its own business still.

    What a family could have bound for a value comes back as an entitlement with the family's class and compartments
    (those of them that the policy has), and with a resource that ended on the first of all days; no role grants it.
    What is retired with `revoke` comes back without permissions, at the highest class. All else is left out: it belongs
    to nobody here, or (retired with `keep`) is to be left as it is.
    """
    missing = tuple(sorted({ref for ref in refs if ref not in policy.entitlements}))
    if not missing:
        return policy
    before = policy.once(_found_before)
    made = before.get(missing)
    if made is None:
        made = _with_missing(policy, missing)
        before.clear()
        before[missing] = made
    return made


def _found_before(_: Policy) -> dict[tuple[EntitlementRef, ...], Policy]:
    """The last answer: while the same was managed once, each pass asks for the same, and for what follows from it."""
    return {}


def _with_missing(policy: Policy, missing: Iterable[EntitlementRef]) -> Policy:
    found = _Former(policy)
    index = TemplateIndex.of(policy.families.values())
    for ref in missing:
        locator = entitlement_locator(ref.key)
        retirement = policy.retired.get(ref)
        if retirement is not None:
            if retirement.revoke:
                found.entitlements[ref] = Entitlement(
                    ref, retirement.locator, (), len(policy.levels) - 1, retirement.place
                )
        elif entitlement_key(locator) == ref.key:
            for made in index.producing(ref.target, locator):
                found.add(ref, locator, made)
    if not found.entitlements:
        return policy
    return replace(
        policy,
        resources={**policy.resources, **found.resources},
        entitlements={**policy.entitlements, **found.entitlements},
    )


@dataclass(slots=True)
class _Former:
    """What comes back."""

    policy: Policy
    resources: dict[str, Resource] = field(default_factory=dict)
    entitlements: dict[EntitlementRef, Entitlement] = field(default_factory=dict)

    def add(self, ref: EntitlementRef, locator: Mapping[str, str], made: Produced) -> None:
        """Take back what a template made."""
        name = Template.of(made.family.name).fill(made.value)
        compartments = _compartments(made.family, made.value, self.policy.compartments)
        permission = Permission(name, made.template.action)
        living = name in self.policy.resources
        by = made.template
        first = Entitlement(ref, locator, (), 0, by.place, frozenset(), by.mode, by.inherit)
        known = self.entitlements.get(ref, first)
        self.entitlements[ref] = replace(
            known,
            # A resource that took over the name gives its permissions through its own entitlements, never this one.
            permissions=known.permissions if living else (*known.permissions, permission),
            classification=max(known.classification, made.family.classification),
            compartments=known.compartments | compartments,
        )
        if not living:
            binding = Binding(permission, ref, locator, by.place, by.mode, by.inherit)
            self._bind(name, binding, made, compartments)

    def _bind(self, name: str, binding: Binding, made: Produced, compartments: frozenset[str]) -> None:
        family, action = made.family, made.template.action
        ended = Resource(
            name,
            family.classification,
            family.owner,
            {},
            family.place,
            compartments,
            date.min,
            family.name,
            made.value,
        )
        resource = self.resources.get(name, ended)
        actions = {**resource.actions, action: (*resource.actions.get(action, ()), binding)}
        self.resources[name] = replace(resource, actions=actions)


def _compartments(family: ResourceFamily, value: str, known: Collection[str]) -> frozenset[str]:
    names = (Template.of(name).fill(value) for name in family.compartments)
    return frozenset(name for name in names if name in known)
