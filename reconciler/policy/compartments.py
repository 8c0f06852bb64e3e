"""Compartments: those declared by name, and those that a template makes for each value that a resource uses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from reconciler.errors import Place
from reconciler.policy.document.words import CompartmentClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import Attribute, AttributeKind, Compartment, Proof, Requirement
from reconciler.policy.proofs import ProofReader
from reconciler.policy.reading import Section
from reconciler.policy.report import Report, listed
from reconciler.policy.spelling import Template, TemplateTable, has_braces, template_flaw
from reconciler.policy.vocabulary import optional_match


def compile_compartments(
    section: Section[CompartmentClause],
    proofs: ProofReader,
    attributes: dict[str, Attribute],
    matches: MatchReader,
    report: Report,
) -> Compartments:
    """The compartments that are whole. What resources use of the templates is added as they ask for it."""
    declared: dict[str, Compartment] = {}
    for one in section.whole:
        user = f"compartment `{one.name}`"
        requires = proofs.requirements(one, user, Template.of(one.name).variable)
        only = optional_match(one, "only", user, matches)
        declared[one.name] = Compartment(one.name, one.name, requires, only, one.place)
    return Compartments(section, declared, proofs, attributes, report)


@dataclass(slots=True)
class Compartments:
    """Finds the compartment for a name. `concrete` are those that hold no variable: declared so, or asked for."""

    section: Section[CompartmentClause]
    declared: dict[str, Compartment]
    proofs: ProofReader
    attributes: dict[str, Attribute]
    report: Report
    concrete: dict[str, Compartment] = field(init=False)
    _templates: dict[str, Template] = field(init=False)
    _fitting: TemplateTable[str] = field(init=False, default_factory=TemplateTable)
    _used: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.concrete = {name: one for name, one in self.declared.items() if not has_braces(name)}
        sound = [name for name in self.section.places if has_braces(name) and not template_flaw(name)]
        self._templates = {name: Template.of(name) for name in sound}
        for name, template in self._templates.items():
            self._fitting.keep(template, name)

    def check(self, name: str, user: str, place: Place) -> bool:
        """Whether there is a compartment of this name; reports where there is none, or where it holds a variable."""
        if has_braces(name):
            message = f"{user}: the compartment `{name}` holds a variable, and nothing binds it here"
            self.report.error("unbound-variable", message, place, "write the value, such as `project/falcon`")
            return False
        if name in self.concrete or name in self.section.places:
            return True
        fitting = dict(self._fitting.fitting(name))
        if len(fitting) > 1:
            message = f"{user} names the compartment `{name}`, which could be any of {listed(fitting)}"
            self.report.error("ambiguous-compartment", message, place, "declare it by its own name")
        for template, value in fitting.items() if len(fitting) == 1 else ():
            return self._make(name, template, value, user, place)
        return not fitting and self.section.names().check(name, f"{user} names the", place, self.report)

    def check_values(self, name: str, values: Collection[str], user: str, place: Place) -> bool:
        """Whether there is a compartment for each of the values with which a name is filled; reports the first value
        for which there is none. Where there is no value yet, the name has to be spelled like a declared template.
        """
        template = Template.of(name)
        if not template.variable:
            return self.check(name, user, place)
        if values:
            return all(self.check(template.fill(value), user, place) for value in values)
        alike = [one for one, declared in self._templates.items() if declared.parts == template.parts]
        self._used.update(alike)
        return bool(alike) or self.section.names().check(name, f"{user} names the", place, self.report)

    def warn_of_unused(self) -> None:
        """Warn of the templates that no resource has asked anything of; they leave no trace in the policy."""
        for name, one in self.declared.items():
            if name in self._templates and name not in self._used:
                message = f"compartment `{name}`: no resource lies in it"
                remedy = "name it in a resource's `compartments`, with a value, or take it out"
                self.report.warn("unused-compartment", message, one.place, remedy)

    def _make(self, name: str, template: str, value: str, user: str, place: Place) -> bool:
        self._used.add(template)
        origin = self.declared.get(template)
        if origin is None:
            return True  # declared and broken, and that has been said
        hole = f"{{{self._templates[template].variable}}}"
        for requirement in origin.requires:
            for proof in requirement.any_of:
                if proof.scope == hole and not self._has(proof.kind, value, user, place):
                    return False
        requires = tuple(_filled(requirement, hole, value) for requirement in origin.requires)
        self.concrete[name] = replace(origin, name=name, requires=requires)
        return True

    def _has(self, kind: str, value: str, user: str, place: Place) -> bool:
        """Whether the attribute that a kind is per has the value; a proof for any other could never be recorded."""
        per = self.proofs.kinds[kind].per if kind in self.proofs.kinds else None
        attribute = self.attributes.get(per or "")
        if attribute is None or attribute_has(attribute, value):
            return True
        message = f"{user} needs `{kind}` for `{value}`, and `{attribute.name}` has no such value"
        remedy = self.report.suggestion(value, attribute.ranks, f"it has {listed(list(attribute.ranks)[:20])}")
        self.report.error("unknown-value", message, place, remedy)
        return False


def attribute_has(attribute: Attribute, value: str) -> bool:
    """Whether an assignment can have the value; a path of a tree has no empty part."""
    if attribute.kind is AttributeKind.TREE:
        return "" not in value.split("/")
    return attribute.declares(value)


def _filled(requirement: Requirement, hole: str, value: str) -> Requirement:
    proofs = tuple(Proof(one.kind, value if one.scope == hole else one.scope) for one in requirement.any_of)
    return replace(requirement, any_of=proofs)
