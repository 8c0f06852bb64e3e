"""Resources, who answers for them, and the entitlements on targets that carry their permissions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.policy.compartments import Compartments
from reconciler.policy.document.exceptions import ServiceAccountClause
from reconciler.policy.document.resources import ResourceClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import (
    Binding,
    BindingTemplate,
    Entitlement,
    EntitlementRef,
    Mode,
    Owner,
    Permission,
    Resource,
)
from reconciler.policy.nodes import Path
from reconciler.policy.reading import Declared
from reconciler.policy.report import Names, Report, listed
from reconciler.policy.spelling import Template
from reconciler.targets import entitlement_key

_MODES: Mapping[str, Mode] = {mode.value: mode for mode in Mode}
_OWN_WORDS = ("mode", "inherit")
"""What stands in a binding beside the target's name for the entitlement."""


@dataclass(frozen=True, slots=True)
class ResourceWords:
    """The words that resources are declared with."""

    ranks: Mapping[str, int]
    levels: Names
    attributes: Names
    compartments: Compartments
    matches: MatchReader
    report: Report

    def rank(self, level: str, user: str, declared: Declared[ResourceClause], path: Path) -> int | None:
        """The rank of a level, or None where there is no such level."""
        known = self.levels.check(level, f"{user} has the", declared.at(*path), self.report)
        return self.ranks.get(level) if known else None


def compile_resource(declared: Declared[ResourceClause], words: ResourceWords) -> Resource | None:
    """A resource without a variable in its name, or None where it has no class."""
    clause, user = declared.clause, f"resource `{declared.name}`"
    if clause.values is not None:
        message = f"{user} lists values, and its name holds no variable"
        remedy = f"name it `{declared.name}/{{project}}`, say, or take `values` out"
        words.report.error("value", message, declared.key("values"), remedy)
    owner = read_owner(declared, user, words.attributes, words.matches, words.report)
    compartments = frozenset(_compartments(declared, user, words))
    bindings = tuple(read_bindings(declared, user, words.report))
    rank = words.rank(clause.classification, user, declared, ("classification",))
    if rank is None:
        return None
    actions = bound_actions(declared.name, bindings)
    return Resource(declared.name, rank, owner, actions, declared.place, compartments)


def _compartments(declared: Declared[ResourceClause], user: str, words: ResourceWords) -> Iterator[str]:
    for index, name in enumerate(declared.clause.compartments or ()):
        if words.compartments.check(name, user, declared.at("compartments", index)):
            yield name


def read_owner(
    declared: Declared[ResourceClause] | Declared[ServiceAccountClause],
    user: str,
    attributes: Names,
    matches: MatchReader,
    report: Report,
    path: Path = ("owner",),
) -> Owner | None:
    """Who answers for a clause: the one-key mapping at `path`, with the attribute and the value checked."""
    said = declared.clause.owner
    if len(path) > 1 and isinstance(declared.clause, ResourceClause):
        said = (declared.clause.values or {})[str(path[1])].owner
    for attribute, value in (said or {}).items():
        if attribute == "person":
            return Owner(attribute, value)
        if attributes.check(attribute, f"{user} is owned by the", declared.key(*path, attribute), report):
            checked = matches.value(attribute, declared.node_at(*path, attribute), user)
            return Owner(attribute, value) if checked is not None else None
    return None


def read_bindings(
    declared: Declared[ResourceClause], user: str, report: Report, variable: str = ""
) -> Iterator[BindingTemplate]:
    """The actions of a resource on targets; `variable` is the one that its name holds."""
    for action, targets in declared.clause.access.items():
        for target, parts in targets.items():
            path = ("access", action, target)
            locator = {part: value for part, value in parts.items() if part not in _OWN_WORDS}
            mode = _mode(declared, parts.get("mode", declared.clause.mode), path, user, report)
            inherit = _inherits(declared, parts, path, user, report)
            if not locator:
                message = f"{user}: this binding names nothing on `{target}`"
                report.error("empty", message, declared.at(*path), "name it, such as `{group: docs-readers}`")
            elif _variables_bound(declared, locator, path, user, variable, report):
                yield BindingTemplate(action, target, locator, mode, declared.key(*path), inherit)


def _mode(declared: Declared[ResourceClause], said: str, path: Path, user: str, report: Report) -> Mode:
    """One that is misspelt counts as the default, so that nothing else is said about what it stands beside."""
    if said in _MODES:
        return _MODES[said]
    remedy = report.suggestion(said, Mode, f"it is one of {listed(Mode)}")
    report.error("value", f"{user}: there is no mode `{said}`", declared.at(*path, "mode"), remedy)
    return Mode.ENFORCE


def _inherits(
    declared: Declared[ResourceClause], parts: Mapping[str, str], path: Path, user: str, report: Report
) -> bool:
    """Whether it lets those in who have what contains it. What is misspelt keeps them out."""
    said = parts.get("inherit", "true")
    if said not in ("true", "false"):
        message = f"{user}: `inherit` is `false`, or left out, not `{said}`"
        remedy = "`inherit: false` keeps those out who only have what contains this"
        report.error("value", message, declared.at(*path, "inherit"), remedy)
    return said == "true"


def _variables_bound(
    declared: Declared[ResourceClause], locator: Mapping[str, str], path: Path, user: str, variable: str, report: Report
) -> bool:
    found = {part: Template.of(value).variable for part, value in locator.items() if "{" in value}
    for part, other in found.items():
        if other != variable:
            whose = f"its variable is `{{{variable}}}`" if variable else "the name of the resource holds no variable"
            message = f"{user}: `{{{other}}}` is bound by nothing here; {whose}"
            remedy = f"write `{{{variable}}}`" if variable else "write the name itself"
            report.error("unbound-variable", message, declared.at(*path, part), remedy)
            return False
    if variable and not found:
        message = f"{user}: this binding is the same for all values"
        remedy = f"write `{{{variable}}}` in it, so that each value has an entitlement of its own"
        report.error("template-without-variable", message, declared.key(*path), remedy)
    return bool(found) or not variable


def bound_actions(
    resource: str, bindings: Iterable[BindingTemplate], value: str = ""
) -> dict[str, tuple[Binding, ...]]:
    """The actions of a resource; those of a family filled with the value."""
    actions: dict[str, tuple[Binding, ...]] = {}
    for one in bindings:
        locator = {part: Template.of(text).fill(value) for part, text in one.locator.items()} if value else one.locator
        ref = EntitlementRef(one.target, entitlement_key(locator))
        binding = Binding(Permission(resource, one.action), ref, dict(locator), one.place, one.mode, one.inherit)
        actions[one.action] = (*actions.get(one.action, ()), binding)
    return actions


def tabulate_entitlements(resources: Iterable[Resource]) -> dict[EntitlementRef, Entitlement]:
    """Every entitlement with all permissions that it carries, at the highest class among them, with all compartments
    of their resources, in the mode of the first binding, and cut off as that one is.
    """
    table: dict[EntitlementRef, Entitlement] = {}
    for resource in resources:
        for bindings in resource.actions.values():
            for binding in bindings:
                known = table.get(binding.entitlement)
                table[binding.entitlement] = _carrying(known, binding, resource) if known else _first(binding, resource)
    return table


def _first(binding: Binding, resource: Resource) -> Entitlement:
    return Entitlement(
        binding.entitlement,
        binding.locator,
        (binding.permission,),
        resource.classification,
        binding.place,
        resource.compartments,
        binding.mode,
        binding.inherit,
    )


def _carrying(known: Entitlement, binding: Binding, resource: Resource) -> Entitlement:
    return replace(
        known,
        permissions=(*known.permissions, binding.permission),
        classification=max(known.classification, resource.classification),
        compartments=known.compartments | resource.compartments,
    )
