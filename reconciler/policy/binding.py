"""`for_each`: a role that holds once for each value of an attribute, with the value bound to a variable.

What a role grants by the variable becomes one grant for each listed value of the family, under the condition that an
assignment has that value. A variable that nothing binds, or that nothing uses, is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.errors import Place
from reconciler.policy.compartments import attribute_has
from reconciler.policy.document.grantees import RoleClause
from reconciler.policy.grants import FamilyGrant, Permissions
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import (
    AllOf,
    Attribute,
    AttributeKind,
    Compare,
    Contains,
    Equals,
    ForEach,
    Grant,
    Match,
    Permission,
    Present,
    Reach,
    ResourceFamily,
    Role,
    Test,
    Under,
)
from reconciler.policy.reading import Declared
from reconciler.policy.report import Names, Report, listed
from reconciler.policy.spelling import Template


@dataclass(frozen=True, slots=True)
class RoleWords:
    """The words that roles are declared with."""

    permissions: Permissions
    attributes: Mapping[str, Attribute]
    attribute_names: Names
    matches: MatchReader
    report: Report


def read_for_each(declared: Declared[RoleClause], user: str, words: RoleWords) -> Iterator[ForEach]:
    """The variables that a role binds; those that are wrong are reported and left out."""
    sets: list[str] = []
    for variable, said in (declared.clause.for_each or {}).items():
        for name, reach in said.items():
            place = declared.at("for_each", variable) if reach is None else declared.key("for_each", variable, name)
            known = words.attribute_names.check(name, f"{user} runs over the", place, words.report)
            attribute = words.attributes.get(name) if known else None
            if attribute and _reaches(attribute, reach, user, declared.at("for_each", variable, name), words.report):
                sets += [name] if attribute.kind is AttributeKind.SET else []
                yield ForEach(variable, name, Reach(reach or "own"), declared.key("for_each", variable))
    if len(sets) > 1:
        message = f"{user} runs over two sets, {listed(sets)}: it would hold for each pair of their values"
        words.report.error("two-sets", message, declared.key("for_each"), "make a role of each")


def _reaches(attribute: Attribute, reach: str | None, user: str, place: Place, report: Report) -> bool:
    if reach is None or attribute.kind is AttributeKind.TREE:
        return True
    message = f"{user}: `{reach}` is for trees, and `{attribute.name}` is none ({attribute.kind})"
    report.error("comparison", message, place, f"write `{attribute.name}` alone, for the value itself")
    return False


class Binder:
    """Binds the variables in what one role grants, its own grants and those that it inherits.

    `families` are the families that it has bound, each with what binds them.
    """

    def __init__(self, role: Role, declared: Declared[RoleClause], attributes: Mapping[str, Attribute]) -> None:
        self._role = role
        self._declared = declared
        self._attributes = attributes
        self._bound = {one.variable: one for one in role.for_each}
        self._whens: dict[tuple[str, str], Match] = {}
        self._present = [Compare(one.attribute, Present(), None, one.place) for one in role.for_each]
        self._unbound: dict[str, tuple[str, Place]] = {}
        self.families: dict[tuple[str, ForEach], ResourceFamily] = {}

    def grants(self, given: Grant | FamilyGrant, chain: Sequence[str]) -> Iterator[Grant]:
        """What a grant is in this role, which comes to it through the chain: of a family, one for each value."""
        if isinstance(given, Grant):
            yield replace(given, when=_all_of(self._present)) if self._present else given
            return
        family = given.family
        bound = self._bound.get(family.variable)
        if bound is None:
            self._unbound.setdefault(family.variable, (family.name, self._place(given, chain)))
            return
        self.families[family.name, bound] = family
        for value, resource in family.values.items():
            yield Grant(Permission(resource, given.action), given.place, self._when(bound, value))

    def _place(self, given: FamilyGrant, chain: Sequence[str]) -> Place:
        """Where this role names the grant, or what brings it."""
        if len(chain) == 1:
            return given.place
        return self._declared.at("inherits", (self._declared.clause.inherits or []).index(chain[1]))

    def _when(self, bound: ForEach, value: str) -> Match:
        key = (bound.variable, value)
        if key not in self._whens:
            this = Compare(
                bound.attribute, _test(self._attributes[bound.attribute], bound.reach, value), None, bound.place
            )
            others = [one for one, by in zip(self._present, self._role.for_each, strict=True) if by is not bound]
            self._whens[key] = _all_of([this, *others])
        return self._whens[key]

    def report_unbound(self, report: Report) -> None:
        """Report what the role grants to people by a variable that it does not bind, or that its members cannot."""
        role, user = self._role, f"role `{self._role.name}`"
        if role.matches_people or role.everyone or role.members:
            for variable, (family, place) in self._unbound.items():
                message = f"{user} gives `{family}`, and binds no `{{{variable}}}`"
                remedy = f"bind it, such as `for_each: {{{variable}: ATTRIBUTE}}`, or name one resource"
                report.error("unbound-variable", message, place, remedy)
        if role.members and self.families:
            names = listed(dict.fromkeys(family for family, _ in self.families))
            message = f"{user} gives {names} by a variable, and its members have no value for it"
            remedy = "name people in a role of their own, which grants the resources by their names"
            report.error("unbound-variable", message, self._declared.key("members"), remedy)

    def report_values(self, report: Report) -> None:
        """Report listed values that the attribute cannot have, the first of each family: they would give nothing."""
        for (name, bound), family in self.families.items():
            attribute = self._attributes[bound.attribute]
            strange = next((value for value in family.values if not attribute_has(attribute, value)), None)
            if strange is not None:
                user = f"role `{self._role.name}`"
                message = f"{user} runs over `{attribute.name}`, which has no value `{strange}`; `{name}` lists it"
                remedy = report.suggestion(strange, attribute.ranks, "list only values that the attribute can have")
                report.error("unknown-value", message, bound.place, remedy)

    def report_unused(self, spelled: Collection[Template], families: Iterable[ResourceFamily], report: Report) -> None:
        """Report the variables that no grant spells, out of all grants of the role and those that it inherits.

        A name that spells a family's variable wrongly has been reported, and uses the right one.
        """
        unused = self._bound.keys() - {template.variable for template in spelled}
        if unused:
            parts = {template.parts for template in spelled}
            unused -= {family.variable for family in families if Template.of(family.name).parts in parts}
        for variable, bound in self._bound.items():
            if variable in unused:
                message = f"role `{self._role.name}`: no grant uses the variable `{{{variable}}}`"
                remedy = "grant a family by it, or take it out; to ask only for a value, use `match`"
                report.error("unused-variable", message, bound.place, remedy)


def _all_of(parts: Sequence[Match]) -> Match:
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _test(attribute: Attribute, reach: Reach, value: str) -> Test:
    """What an assignment's value has to be for the role to hold with the variable bound to this value."""
    if attribute.kind is AttributeKind.SET:
        return Contains(frozenset({value}))
    match reach:
        case Reach.ANCESTORS:
            return Under(frozenset({value}))
        case Reach.DESCENDANTS:
            steps = value.split("/")
            return Equals(frozenset("/".join(steps[:length]) for length in range(1, len(steps) + 1)))
        case Reach.OWN:
            return Equals(frozenset({value}))
