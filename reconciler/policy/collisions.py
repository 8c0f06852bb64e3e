"""Entitlements that two resources would share by accident, and what templates could make of a value.

Plain resources may share an entitlement on purpose. A family may not: what it binds follows from a value that somebody
adds to a list, and the names that its templates can produce belong to it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.errors import Place
from reconciler.policy.model import Binding, BindingTemplate, EntitlementRef, Resource, ResourceFamily
from reconciler.policy.report import Report
from reconciler.policy.spelling import Template, TemplateTable, has_braces


@dataclass(frozen=True, slots=True)
class Produced:
    """A template of a family that gives an entitlement for a value."""

    family: ResourceFamily
    template: BindingTemplate
    value: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    family: ResourceFamily
    template: BindingTemplate

    def gives(self, value: str, locator: Mapping[str, str]) -> bool:
        """Whether the template gives this locator for the value."""
        return all(Template.of(text).fill(value) == locator[part] for part, text in self.template.locator.items())


_Form = tuple[str, tuple[str, ...]]
"""A target and the names of a locator's parts."""


@dataclass(slots=True)
class TemplateIndex:
    """Finds the templates of families that could have produced an entitlement, however many there are."""

    _forms: dict[_Form, dict[str, TemplateTable[_Candidate]]] = field(default_factory=dict)
    """Form → a part that holds the variable → the templates, kept under that part of them."""

    @classmethod
    def of(cls, families: Iterable[ResourceFamily]) -> TemplateIndex:
        """The index of all templates of these families."""
        index = cls()
        for family in families:
            for template in family.bindings:
                index._add(family, template)
        return index

    def _add(self, family: ResourceFamily, template: BindingTemplate) -> None:
        part, text = min((part, text) for part, text in template.locator.items() if has_braces(text))
        parts = self._forms.setdefault((template.target, tuple(sorted(template.locator))), {})
        parts.setdefault(part, TemplateTable()).keep(Template.of(text), _Candidate(family, template))

    def producing(self, target: str, locator: Mapping[str, str]) -> Iterator[Produced]:
        """The templates that give this locator, each with its value, listed or not."""
        for part, table in self._forms.get((target, tuple(sorted(locator))), {}).items():
            for candidate, value in table.fitting(locator[part]):
                if candidate.gives(value, locator):
                    yield Produced(candidate.family, candidate.template, value)


def refuse_shared_entitlements(
    resources: Mapping[str, Resource], families: Mapping[str, ResourceFamily], report: Report
) -> None:
    """Report what two resources bind where a family is involved, what a family could bind for a value that is not
    listed yet, and entitlements in two modes, or cut off by one binding only. Each pair of clauses is told once.
    """
    index = TemplateIndex.of(families.values())
    first: dict[EntitlementRef, Binding] = {}
    told: set[tuple[Place, str]] = set()
    for binding in _bindings(resources.values()):
        other = first.setdefault(binding.entitlement, binding)
        _compare(other, binding, resources, told, report)
        if families and not resources[binding.permission.resource].family:
            _refuse_producible(binding, index, told, report)


def _bindings(resources: Iterable[Resource]) -> Iterator[Binding]:
    for resource in resources:
        for bindings in resource.actions.values():
            yield from bindings


def _compare(
    first: Binding, second: Binding, resources: Mapping[str, Resource], told: set[tuple[Place, str]], report: Report
) -> None:
    if first is second:
        return
    one, other = resources[first.permission.resource], resources[second.permission.resource]
    pair = (second.place, f"{first.place}")
    if one is not other and (one.family or other.family):
        if pair not in told:
            told.add(pair)
            message = (
                f"`{second.permission}` binds `{second.entitlement}`, and so does `{first.permission}` at {first.place}"
            )
            report.error("colliding-entitlement", message, second.place, "give each an entitlement of its own")
    elif first.mode is not second.mode and pair not in told:
        told.add(pair)
        message = (
            f"`{second.permission}` binds `{second.entitlement}` in mode `{second.mode}`, "
            f"and `{first.permission}` in mode `{first.mode}` at {first.place}"
        )
        report.error("mixed-modes", message, second.place, "give both the same mode, or an entitlement each")
    elif first.inherit is not second.inherit and pair not in told:
        told.add(pair)
        message = f"`{second.permission}` and `{first.permission}` at {first.place} both bind `{second.entitlement}`, "
        remedy = "write it in both, or in neither"
        report.error("mixed-inherit", f"{message}and only one says `inherit: false`", second.place, remedy)


def _refuse_producible(binding: Binding, index: TemplateIndex, told: set[tuple[Place, str]], report: Report) -> None:
    for made in index.producing(binding.entitlement.target, binding.locator):
        pair = (binding.place, f"{made.template.place}")
        if made.value not in made.family.values and pair not in told:
            told.add(pair)
            message = (
                f"`{binding.permission}` binds `{binding.entitlement}`, "
                f"which `{made.family.name}` at {made.template.place} would bind for `{made.value}`"
            )
            remedy = "name it so that no value of the family gives the same"
            report.error("colliding-entitlement", message, binding.place, remedy)
