"""Families: one resource for each listed value of the variable in a name such as ``project-docs/{project}``.

What is listed is expanded here once and for all, so that whoever evaluates a policy sees plain resources. A value that
is not listed gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.policy.document.resources import ResourceClause, ValueClause
from reconciler.policy.model import Owner, Resource, ResourceFamily
from reconciler.policy.reading import Declared, Section
from reconciler.policy.resources import ResourceWords, bound_actions, compile_resource, read_bindings, read_owner
from reconciler.policy.spelling import Template, has_braces


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is to open: all resources, those of families among them, and the families."""

    resources: dict[str, Resource]
    families: dict[str, ResourceFamily]


def compile_resources(section: Section[ResourceClause], words: ResourceWords) -> Inventory:
    """The resources that are whole, by name, in the order of the files, and the families likewise."""
    inventory = Inventory({}, {})
    for declared in section.whole:
        if not has_braces(declared.name):
            resource = compile_resource(declared, words)
            inventory.resources.update({declared.name: resource} if resource else {})
        elif declared.clause.values is not None:
            _add_family(declared, inventory, section, words)
        elif declared.name not in section.impaired:
            message = f"resource `{declared.name}`: `values` is missing, and its name holds a variable"
            remedy = "list the values, such as `values: {falcon: {}}`, or write `values: {}` where there is none yet"
            words.report.error("missing", message, declared.place, remedy)
    return inventory


def _add_family(
    declared: Declared[ResourceClause], inventory: Inventory, section: Section[ResourceClause], words: ResourceWords
) -> None:
    family = _family(declared, words)
    if family is None:
        return
    inventory.families[family.name] = family
    for resource in _members(declared, family, words):
        first = inventory.resources.get(resource.name)
        taken = first.place if first else section.places.get(resource.name)
        if taken:
            message = f"the resource `{resource.name}` is declared a second time; first at {taken}"
            words.report.error("duplicate-name", message, resource.place, "keep one of the two")
        inventory.resources.setdefault(resource.name, resource)


def _family(declared: Declared[ResourceClause], words: ResourceWords) -> ResourceFamily | None:
    clause, user, template = declared.clause, f"resource `{declared.name}`", Template.of(declared.name)
    owner = read_owner(declared, user, words.attributes, words.matches, words.report)
    bindings = tuple(read_bindings(declared, user, words.report, template.variable))
    compartments = tuple(_family_compartments(declared, user, template.variable, words))
    rank = words.rank(clause.classification, user, declared, ("classification",))
    if rank is None:
        return None
    values = {value: template.fill(value) for value in clause.values or ()}
    return ResourceFamily(declared.name, template.variable, rank, owner, compartments, bindings, values, declared.place)


def _family_compartments(
    declared: Declared[ResourceClause], user: str, variable: str, words: ResourceWords
) -> Iterator[str]:
    """The compartments of a family that exist for all of its values; the first value for which one does not is told."""
    for index, name in enumerate(declared.clause.compartments or ()):
        place, template = declared.at("compartments", index), Template.of(name)
        if template.variable not in ("", variable):
            message = f"{user}: `{name}` is bound by nothing here; its variable is `{{{variable}}}`"
            words.report.error("unbound-variable", message, place, f"write `{template.fill(f'{{{variable}}}')}`")
        elif words.compartments.check_values(name, list(declared.clause.values or ()), user, place):
            yield name


def _members(declared: Declared[ResourceClause], family: ResourceFamily, words: ResourceWords) -> Iterator[Resource]:
    shared = [Template.of(name) for name in family.compartments]
    for value, entry in (declared.clause.values or {}).items():
        name = family.values[value]
        user = f"resource `{name}`"
        compartments = {template.fill(value) for template in shared}
        for index, own in enumerate(entry.compartments or ()):
            place = declared.at("values", value, "compartments", index)
            compartments.update([own] if words.compartments.check(own, user, place) else [])
        yield Resource(
            name,
            _stricter(declared, family, value, entry, words),
            _owner(declared, family, value, entry, words),
            bound_actions(name, family.bindings, value),
            declared.key("values", value),
            frozenset(compartments),
            entry.until,
            family.name,
            value,
        )


def _owner(
    declared: Declared[ResourceClause], family: ResourceFamily, value: str, entry: ValueClause, words: ResourceWords
) -> Owner | None:
    if entry.owner is None:
        return family.owner
    user, path = f"resource `{family.values[value]}`", ("values", value, "owner")
    return read_owner(declared, user, words.attributes, words.matches, words.report, path)


def _stricter(
    declared: Declared[ResourceClause], family: ResourceFamily, value: str, entry: ValueClause, words: ResourceWords
) -> int:
    if entry.classification is None:
        return family.classification
    user, path = f"resource `{family.values[value]}`", ("values", value, "classification")
    rank = words.rank(entry.classification, user, declared, path)
    if rank is not None and rank < family.classification:
        message = f"{user} is `{entry.classification}`, lower than its family (`{declared.clause.classification}`)"
        remedy = "an entry may only be stricter: raise it, take it out, or lower the family and raise the others"
        words.report.error("laxer-value", message, declared.at(*path), remedy)
    return max(family.classification, rank or 0)
