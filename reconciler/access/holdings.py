"""How one person holds a role, and with what reason each of its grants then gives a permission.

A role is held by an assignment that counts and of which its `match` is true, by one that a transfer ended and that
still overlaps, by name, or because everyone holds it. What it grants by a variable depends on the assignment's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.days import day_end, day_text, days_cover
from reconciler.access.matching import members_of, value_of
from reconciler.access.model import Reason, ReasonKind
from reconciler.access.subject import Moment, PersonAt
from reconciler.errors import Place
from reconciler.facts.model import Assignment
from reconciler.policy.model import AttributeKind, ForEach, Grant, Permission, Policy, Role


@dataclass(frozen=True, slots=True)
class Holding:
    """How a person holds a role: the reason for whatever the role gives, without the grant.

    `matched` says that it is held through the assignment's values, so that a grant's `when` can hold of them. `ceiling`
    is the highest class that an overlap gives, None where nothing bounds it.
    """

    role: Role
    kind: ReasonKind
    place: Place
    assignment: Assignment
    until: datetime | None
    text: str
    matched: bool = False
    ceiling: int | None = None

    def gives(self, grant: Grant, rank: int, moment: Moment) -> bool:
        """Whether a grant of the role, of a permission of this class, holds for the person."""
        if self.ceiling is not None and rank > self.ceiling:
            return False
        if grant.when is None:
            return True
        return self.matched and moment.reads(grant.when, self.assignment.attributes) is True

    def is_whole(self, policy: Policy) -> bool:
        """Whether all variables of the role's `for_each` have a value: only then it counts as held in a separation."""
        return not self.matched or all(_has_value(each, self.assignment, policy) for each in self.role.for_each)


def holdings(role: Role, moment: Moment, who: PersonAt) -> tuple[Holding, ...]:
    """All ways in which the person holds the role at the moment; those that a transfer ended stand last."""
    found: list[Holding] = []
    if role.matches_people:
        found += [_by_match(role, each) for each in who.assignments if _is_held_by(role, each, moment)]
    if who.assignments and (role.everyone or role.members):
        found += _for_being_there(role, moment, who)
    if role.matches_people and who.overlapping:
        found += [_by_overlap(role, each, moment) for each in who.overlapping if _is_held_by(role, each, moment)]
    return tuple(found)


def _is_held_by(role: Role, assignment: Assignment, moment: Moment) -> bool:
    return role.match is None or moment.reads(role.match, assignment.attributes) is True


def _has_value(variable: ForEach, assignment: Assignment, policy: Policy) -> bool:
    attribute, text = policy.attributes[variable.attribute], assignment.attributes.get(variable.attribute)
    return bool(members_of(text)) if attribute.kind is AttributeKind.SET else value_of(attribute, text) is not None


def _by_match(role: Role, each: Assignment) -> Holding:
    text = f"assignment {each.name} matches role {role.name}"
    return Holding(role, ReasonKind.ROLE, role.place, each, each.span.end, text, matched=True)


def _by_overlap(role: Role, each: Assignment, moment: Moment) -> Holding:
    transfer, until = moment.policy.lifecycle.transfer, moment.overlap_end(each)
    moved = day_text(each.span.end, moment.zone) if each.span.end is not None else ""
    text = f"assignment {each.name}, ended by the transfer of {moved}, still overlaps; it matches role {role.name}"
    ceiling = None if transfer is None else transfer.ceiling
    return Holding(role, ReasonKind.OVERLAP, role.place, each, until, text, matched=True, ceiling=ceiling)


def _for_being_there(role: Role, moment: Moment, who: PersonAt) -> Iterator[Holding]:
    first, last_end = who.assignments[0], last_end_of(who.assignments)
    if role.everyone:
        text = f"everyone holds role {role.name}"
        yield Holding(role, ReasonKind.EVERYONE, role.place, first, last_end, text)
    for named, member in moment.named.members.get(who.person.id, ()):
        if named is role and days_cover(moment.at, member.since, member.until, moment.zone):
            until = earliest(day_end(member.until, moment.zone), last_end)
            text = f"named as a member of role {role.name} until {member.until}: {member.reason}"
            yield Holding(role, ReasonKind.MEMBER, member.place, first, until, text)


def last_end_of(assignments: Iterable[Assignment]) -> datetime | None:
    """When the last of the assignments ends; None where one of them is open."""
    ends = [assignment.span.end for assignment in assignments]
    return None if None in ends else max((end for end in ends if end is not None), default=None)


def earliest(*ends: datetime | None) -> datetime | None:
    """The first of the ends, where None is never."""
    return min((end for end in ends if end is not None), default=None)


# --- reasons --------------------------------------------------------------------------------------------------------


def role_reason(holding: Holding, grant: Grant, chain: tuple[str, ...], moment: Moment) -> Reason:
    """The reason for a grant that the holding gives."""
    text = holding.text
    if grant.when is not None:
        text += _bound_value(holding.role, grant.permission, moment.policy)
    if len(chain) > 1:
        text += f", which inherits {' > '.join(chain[1:])}"
    return Reason(
        kind=holding.kind,
        roles=chain,
        place=grant.place,
        holds_place=holding.place,
        assignment=holding.assignment.name,
        entry=holding.assignment.span.entry,
        until=holding.until,
        text=text,
    )


def _bound_value(role: Role, permission: Permission, policy: Policy) -> str:
    resource = policy.resources[permission.resource]
    family = policy.families.get(resource.family)
    return "" if family is None or not role.for_each else f" for {family.variable} {resource.value}"


def exception_reasons(permission: Permission, moment: Moment, who: PersonAt) -> Iterator[Reason]:
    """The live exceptions that give the person the permission."""
    for exception in moment.named.exceptions.get(who.person.id, ()):
        for grant in exception.grants:
            if grant.permission == permission and days_cover(moment.at, exception.since, exception.until, moment.zone):
                ticket = f" ({exception.ticket})" if exception.ticket else ""
                yield Reason(
                    kind=ReasonKind.EXCEPTION,
                    roles=(),
                    place=grant.place,
                    holds_place=exception.place,
                    assignment="",
                    entry=0,
                    until=day_end(exception.until, moment.zone),
                    text=f"exception until {exception.until}{ticket}: {exception.reason}",
                )
