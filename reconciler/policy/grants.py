"""What a clause gives: names of resources and actions → permissions, each with its place.

A grant names a permission that exists, or it is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from reconciler.errors import Place
from reconciler.policy.document.exceptions import ExceptionClause, ServiceAccountClause
from reconciler.policy.document.grantees import RoleClause
from reconciler.policy.model import Grant, Permission, Resource, ResourceFamily
from reconciler.policy.reading import Declared
from reconciler.policy.report import Names, Report, listed
from reconciler.policy.spelling import Template, TemplateTable, has_braces, template_flaw

Giving = Declared[RoleClause] | Declared[ExceptionClause] | Declared[ServiceAccountClause]


@dataclass(frozen=True, slots=True)
class FamilyGrant:
    """A grant that names a family by its variable; it becomes a `Grant` for each listed value where that is bound."""

    family: ResourceFamily
    action: str
    place: Place


@dataclass(slots=True)
class Permissions:
    """What can be granted: the resources and families that are whole, and the names of all that are declared."""

    resources: Mapping[str, Resource]
    families: Mapping[str, ResourceFamily]
    names: Names
    _declared_families: TemplateTable[str] = field(init=False, default_factory=TemplateTable)

    def __post_init__(self) -> None:
        for name in self.names.places:
            if has_braces(name) and not template_flaw(name):
                self._declared_families.keep(Template.of(name), name)

    def known(self, name: str, user: str, place: Place, report: Report) -> bool:
        """Whether this is the name of one resource; reports where not."""
        if name in self.resources:
            return True
        if has_braces(name):
            self._refuse_variable(name, user, place, report)
            return False
        if name not in self.names.places:
            for family, value in self._declared_families.fitting(name):
                self._refuse_unlisted(name, family, value, user, place, report)
                return False
        return self.names.check(name, f"{user} names the", place, report)

    def _refuse_variable(self, name: str, user: str, place: Place, report: Report) -> None:
        family = self.families.get(name)
        example = next(iter(family.values.values()), "") if family else ""
        remedy = f"name one resource, such as `{example}`" if example else "name one resource, spelled with its value"
        message = f"{user} names `{name}`, and nothing binds a variable here"
        report.error("unbound-variable", message, place, remedy)

    def _refuse_unlisted(self, name: str, family: str, value: str, user: str, place: Place, report: Report) -> None:
        known = self.families.get(family)
        if known is None:
            return  # declared and broken, and that has been said
        near = report.nearest(name, known.values.values())
        remedy = f"list `{value}` under `values` of `{family}`"
        remedy = f"did you mean `{near}`? otherwise {remedy}" if near else remedy
        message = f"{user} names the resource `{name}`, and `{family}` does not list `{value}`"
        report.error(self.names.code, message, place, remedy)

    def family(self, name: str, user: str, place: Place, report: Report) -> ResourceFamily | None:
        """The family that a name with a variable means, or None; reports where there is none."""
        if name in self.families:
            return self.families[name]
        if flaw := template_flaw(name):
            report.error("template", f"{user} names `{name}`, which {flaw}", place, "write one variable")
            return None
        parts = Template.of(name).parts
        same = (one for one in self.families.values() if Template.of(one.name).parts == parts)
        if name not in self.names.places and (meant := next(same, None)):
            message = f"{user} names `{name}`, and the variable of that family is `{{{meant.variable}}}`"
            report.error("unbound-variable", message, place, f"write `{meant.name}`")
        else:
            self.names.check(name, f"{user} names the", place, report)
        return None

    def grants(self, declared: Giving, user: str, report: Report) -> tuple[Grant, ...]:
        """The grants of a clause, in its order; those that name no permission are reported and left out."""
        found: dict[Permission, Grant] = {}
        for action, name, place in _named(declared):
            if grant := self._grant(action, name, place, declared, user, report):
                found.setdefault(grant.permission, grant)
        return tuple(found.values())

    def role_grants(self, declared: Declared[RoleClause], user: str, report: Report) -> tuple[Grant | FamilyGrant, ...]:
        """The same of a role, which may also name families by their variable."""
        found: dict[tuple[str, str], Grant | FamilyGrant] = {}
        for action, name, place in _named(declared):
            reader = self._family_grant if has_braces(name) else self._grant
            if grant := reader(action, name, place, declared, user, report):
                found.setdefault((name, action), grant)
        return tuple(found.values())

    def _grant(self, action: str, name: str, place: Place, declared: Giving, user: str, report: Report) -> Grant | None:
        resource = self.resources.get(name) if self.known(name, user, place, report) else None
        if resource and _has(name, resource.actions, action, user, declared, report):
            return Grant(Permission(name, action), place)
        return None

    def _family_grant(
        self, action: str, name: str, place: Place, declared: Giving, user: str, report: Report
    ) -> FamilyGrant | None:
        family = self.family(name, user, place, report)
        if family and _has(name, [one.action for one in family.bindings], action, user, declared, report):
            return FamilyGrant(family, action, place)
        return None


def _named(declared: Giving) -> Iterator[tuple[str, str, Place]]:
    """Action, name and place of each thing that a clause gives."""
    for action, names in (declared.clause.grants or {}).items():
        for index, name in enumerate(names):
            yield action, name, declared.at("grants", action, index)


def _has(name: str, actions: Collection[str], action: str, user: str, declared: Giving, report: Report) -> bool:
    if action in actions:
        return True
    if not actions:  # none of its bindings could be read, and that has been said
        return False
    remedy = report.suggestion(action, actions, f"its actions: {listed(dict.fromkeys(actions))}")
    message = f"{user} grants `{name}:{action}`, and the resource has no action `{action}`"
    report.error("unknown-action", message, declared.key("grants", action), remedy)
    return False


def check_days(user: str, since: date | None, until: date, place: Place, report: Report) -> None:
    """Report a clause that ends before it begins."""
    if since is not None and since > until:
        report.error("order", f"{user}: ends on {until}, before it begins on {since}", place, "swap or mend the days")
