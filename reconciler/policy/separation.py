"""What nobody may have together, and who has to answer for whom.

A rule that would always apply to somebody who holds a role, or to whoever is given a permission, is a mistake of the
policy and not of those people, so it is told here: as an error where it would withhold, since then a merge would take
access from all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from reconciler.policy.document.bounds import SeparationClause, SponsorClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import Attribute, AttributeKind, Permission, Role, Separation, SponsorRule
from reconciler.policy.patterns import PermissionPatterns
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report, listed


@dataclass(frozen=True, slots=True)
class _Parties:
    """What can be separated. `held` is role → the roles that whoever holds it holds, `given` what it gives to all."""

    roles: Mapping[str, Role]
    role_names: Names
    patterns: PermissionPatterns
    report: Report
    held: Mapping[str, frozenset[str]]
    given: Mapping[str, frozenset[Permission]]


def compile_separations(
    section: Section[SeparationClause],
    roles: Mapping[str, Role],
    role_names: Names,
    patterns: PermissionPatterns,
    report: Report,
) -> tuple[Separation, ...]:
    """The separation rules that are whole, in the order of the files."""
    held = {name: frozenset(_chain(role, roles)) for name, role in roles.items()}
    given = {
        name: frozenset(grant.permission for grant, _ in role.all_grants if grant.when is None)
        for name, role in roles.items()
    }
    parties = _Parties(roles, role_names, patterns, report, held, given)
    return tuple(_separation(declared, parties) for declared in section.whole)


def _separation(declared: Declared[SeparationClause], parties: _Parties) -> Separation:
    clause = declared.clause
    separation = Separation(
        declared.name,
        tuple(_roles(declared, parties)),
        tuple(_between(declared, parties)),
        clause.on_conflict == "withhold",
        declared.place,
    )
    if not _refuse_overlaps(declared, separation, parties.report):
        _tell_always(declared, separation, parties)
    return separation


def _roles(declared: Declared[SeparationClause], parties: _Parties) -> Iterator[str]:
    user = f"separation `{declared.name}`"
    seen: set[str] = set()
    for index, name in enumerate(declared.clause.roles or ()):
        place = declared.at("roles", index)
        if name in seen:
            message = f"{user}: the role `{name}` stands here a second time"
            parties.report.error("duplicate-value", message, place, "keep one of the two, or name the other role")
        elif parties.role_names.check(name, f"{user} names the", place, parties.report):
            yield name
        seen.add(name)


def _between(declared: Declared[SeparationClause], parties: _Parties) -> Iterator[frozenset[Permission]]:
    user = f"separation `{declared.name}`"
    for side, patterns in enumerate(declared.clause.between or ()):
        named = (
            parties.patterns.permissions(text, user, declared.at("between", side, index), parties.report) or ()
            for index, text in enumerate(patterns)
        )
        yield frozenset(permission for permissions in named for permission in permissions)


def _refuse_overlaps(declared: Declared[SeparationClause], separation: Separation, report: Report) -> bool:
    """Whether something stands on two sides: then it is in conflict with itself, which is reported."""
    overlaps = False
    for (one, left), (other, right) in combinations(enumerate(separation.between), 2):
        if both := left & right:
            overlaps = True
            message = (
                f"separation `{separation.name}`: `{min(both)}` stands in list {one + 1} and in list {other + 1}, "
                "so that whoever is given it is in conflict by that alone"
            )
            place = declared.at("between", other)
            report.error("overlapping-separation", message, place, "take it out of one of the lists")
    return overlaps


def _tell_always(declared: Declared[SeparationClause], separation: Separation, parties: _Parties) -> None:
    """Roles that whoever holds them is in conflict by that alone."""
    caught = {name: why for name in parties.roles if (why := _always(name, separation, parties))}
    for name, why in caught.items():
        if caught.keys() & set(parties.roles[name].inherits):
            continue  # it follows from the role that is inherited
        message = f"separation `{separation.name}`: whoever holds the role `{name}` is always in conflict: {why}"
        remedy = f"take one of the two out of the role `{name}`, or out of this rule"
        place = declared.key("roles") if separation.roles else declared.key("between")
        tell = parties.report.error if separation.withhold else parties.report.warn
        tell("always-conflicts", message, place, remedy)


def _always(role: str, separation: Separation, parties: _Parties) -> str:
    """Why whoever holds the role is in conflict, or nothing."""
    named = [name for name in separation.roles if name in parties.held[role]]
    if len(named) > 1:
        others = " and ".join(f"`{name}`" for name in named if name != role)
        return f"it {'inherits' if role in named else 'is made of'} {others}"
    given = parties.given[role]
    sides = [min(given & side) for side in separation.between if given & side]
    return f"it gives `{sides[0]}` and `{sides[1]}`" if len(sides) > 1 else ""


def _chain(role: Role, roles: Mapping[str, Role]) -> Iterator[str]:
    """The role and all that it inherits, from near or far, whether or not they grant anything."""
    seen: dict[str, None] = {role.name: None}
    ahead = [role.name]
    while ahead:
        for parent in roles[ahead.pop()].inherits:
            if parent in roles and parent not in seen:
                seen[parent] = None
                ahead.append(parent)
    yield from seen


def compile_sponsors(
    section: Section[SponsorClause],
    attributes: Mapping[str, Attribute],
    attribute_names: Names,
    matches: MatchReader,
    report: Report,
) -> tuple[SponsorRule, ...]:
    """The sponsor rules that are whole, in the order of the files."""
    rules = []
    for declared in section.whole:
        clause = declared.clause
        of = matches.match(declared.node_at("of"), "sponsor rule, `of`")
        must = matches.match(declared.node_at("must"), "sponsor rule, `must`") if clause.must is not None else None
        _check_by(declared, attributes, attribute_names, report)
        if of is not None:
            ends = clause.ends == "required"
            rules.append(SponsorRule(of, clause.by, must, clause.lapse, declared.place, ends))
    return tuple(rules)


def _check_by(
    declared: Declared[SponsorClause], attributes: Mapping[str, Attribute], names: Names, report: Report
) -> None:
    by, place = declared.clause.by, declared.at("by")
    if not names.check(by, "a sponsor rule finds the sponsor by the", place, report) or by not in attributes:
        return
    if attributes[by].kind is not AttributeKind.PERSON:
        persons = [name for name, attribute in attributes.items() if attribute.kind is AttributeKind.PERSON]
        message = f"`by` names an attribute whose value is a person's id, and `{by}` is `{attributes[by].kind}`"
        declare = "declare one, such as `attributes: {sponsor: {kind: person}}`"
        remedy = f"there is {listed(persons)}" if persons else declare
        report.error("attribute-kind", f"sponsor rule: {message}", place, remedy)
