"""What can be reached at all, and by whom, as far as the policy alone tells: warnings about what cannot.

Sound: what is reported as out of reach is so for every company. A role's match and the `only` of a class have to be
true of one and the same assignment, since `only` needs all of them; so the two can be asked together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.errors import Place, Problem
from reconciler.policy.contradictions import impossible, impossible_together
from reconciler.policy.model import Entitlement, Grant, Match, Permission, Policy, Role


def warning(code: str, message: str, place: Place, remedy: str) -> Problem:
    """Something that works and that somebody should look at."""
    return Problem(code, message, place, remedy, "warning")


@dataclass(frozen=True, slots=True)
class Ways:
    """Who can be given what: roles that somebody can hold, and the permissions that they or exceptions give.

    `named` holds the permissions that are given only to people named one by one, with those people.
    """

    held: tuple[Role, ...]
    given: frozenset[Permission]
    named: Mapping[Permission, frozenset[str]]

    @classmethod
    def of(cls, policy: Policy) -> Ways:
        """The ways of a policy."""
        held = tuple(role for role in policy.roles.values() if _can_be_held(role, policy))
        people: dict[Permission, set[str]] = {}
        by_rule: set[Permission] = set()
        for role in held:
            permissions = {grant.permission for grant, _ in role.all_grants}
            if role.everyone or role.matches_people:
                by_rule |= permissions
            for permission in permissions:
                people.setdefault(permission, set()).update(member.person for member in role.members)
        for exception in policy.exceptions:
            for grant in exception.grants:
                people.setdefault(grant.permission, set()).add(exception.person)
        named = {permission: frozenset(who) for permission, who in people.items() if permission not in by_rule}
        return cls(held, frozenset(people), named)


def _can_be_held(role: Role, policy: Policy) -> bool:
    if role.everyone or role.members:
        return True
    return role.matches_people and not (role.match and impossible(role.match, policy.attributes))


# --- matches ----------------------------------------------------------------------------------------------------------


def matches_nobody(policy: Policy) -> Iterator[Problem]:
    """Matches that contradict themselves."""
    for role in policy.roles.values():
        if _nobody(role.match, policy):
            message = f"role `{role.name}` can match nobody: its `match` contradicts itself"
            yield warning("matches-nobody", message, role.place, "mend the match, or take the role out")
    for level in policy.levels:
        if _nobody(level.only, policy):
            message = f"clearance `{level.name}` can be reached by nobody: its `only` contradicts itself"
            yield warning("matches-nobody", message, level.place, "mend `only`")
    for compartment in policy.compartments.values():
        if _nobody(compartment.only, policy):
            message = f"compartment `{compartment.name}` can be reached by nobody: its `only` contradicts itself"
            yield warning("matches-nobody", message, compartment.place, "mend `only`")
    for kind in policy.evidence.values():
        if _nobody(kind.applies_to, policy):
            message = f"evidence `{kind.name}` is asked of nobody: its `applies_to` contradicts itself"
            yield warning("matches-nobody", message, kind.place, "mend `applies_to`")
    for rule in policy.sponsors:
        if _nobody(rule.of, policy):
            message = "sponsor rule: it concerns nobody: `of` contradicts itself"
            yield warning("matches-nobody", message, rule.place, "mend `of`, or take the rule out")
        if _nobody(rule.must, policy):
            message = "sponsor rule: nobody can be such a sponsor: `must` contradicts itself"
            yield warning("matches-nobody", message, rule.place, "mend `must`")


def _nobody(match: Match | None, policy: Policy) -> bool:
    return match is not None and impossible(match, policy.attributes)


# --- classes ----------------------------------------------------------------------------------------------------------


def unsatisfiable(policy: Policy) -> Iterator[Problem]:
    """Classes and resources that no evidence can open, since what they are reserved for excludes itself."""
    low = None
    for level in policy.levels:
        if low is None and _contradict(_reserved(policy, level.rank), policy):
            low = level.rank
            if not _nobody(level.only, policy):
                message = f"clearance `{level.name}`: its `only` and that of a level below it exclude each other"
                yield warning("unsatisfiable-class", message, level.place, "mend one of them: a level needs both")
    for entitlement in policy.entitlements.values():
        if low is None or entitlement.classification < low:
            yield from _unsatisfiable_entitlement(entitlement, policy)


def _unsatisfiable_entitlement(entitlement: Entitlement, policy: Policy) -> Iterator[Problem]:
    names = sorted(name for name in entitlement.compartments if name in policy.compartments)
    onlys = [policy.compartments[name].only for name in names]
    if not entitlement.permissions or any(_nobody(only, policy) for only in onlys):
        return  # the compartment by itself has been told
    if _contradict(_reserved(policy, entitlement.classification, names), policy):
        carried = ", ".join(f"`{permission}`" for permission in entitlement.permissions)
        among = [
            f"class `{policy.levels[entitlement.classification].name}`",
            *(f"compartment `{one}`" for one in names),
        ]
        message = f"nobody can open {carried}: what these are reserved for excludes each other: {', '.join(among)}"
        yield warning("unsatisfiable-class", message, entitlement.place, "mend an `only`, or take a compartment away")


def _contradict(onlys: Iterable[Match], policy: Policy) -> bool:
    return impossible_together(onlys, policy.attributes)


def _reserved(policy: Policy, rank: int, compartments: Iterable[str] = ()) -> list[Match]:
    """What has to be true of each assignment of whoever opens something of this class and these compartments."""
    onlys = [level.only for level in policy.levels[: rank + 1]]
    onlys += [policy.compartments[name].only for name in compartments if name in policy.compartments]
    return [only for only in onlys if only is not None]


# --- grants and resources ---------------------------------------------------------------------------------------------


def unreachable_grants(policy: Policy) -> Iterator[Problem]:
    """Grants of which the role's own match excludes those for whom the class is reserved."""
    for role in policy.roles.values():
        if not role.matches_people or role.everyone or role.members or _nobody(role.match, policy):
            continue
        for place, grants in _by_place(role).items():
            if all(_excluded(grant, role, policy) for grant in grants):
                yield _unreachable(grants[0], role, place, policy)


def _by_place(role: Role) -> dict[Place, list[Grant]]:
    """A grant by variable stands for one per listed value: it is out of reach where each of them is."""
    places: dict[Place, list[Grant]] = {}
    for grant, _ in role.all_grants:
        places.setdefault(grant.place, []).append(grant)
    return places


def _excluded(grant: Grant, role: Role, policy: Policy) -> bool:
    rank = policy.effective_class(grant.permission)
    onlys = _reserved(policy, rank, policy.effective_compartments(grant.permission))
    overlap = policy.lifecycle.transfer
    if not onlys or _contradict(onlys, policy) or (overlap and rank <= overlap.ceiling):
        return False  # it is nobody's, which is told elsewhere; or the match may be of a post that has ended
    own = [match for match in (role.match, grant.when) if match is not None]
    return _contradict([*own, *onlys], policy)


def _unreachable(grant: Grant, role: Role, place: Place, policy: Policy) -> Problem:
    level = policy.levels[policy.effective_class(grant.permission)].name
    compartments = policy.effective_compartments(grant.permission)
    reserved = " and ".join([f"class `{level}`", *(f"compartment `{name}`" for name in sorted(compartments))])
    message = (
        f"role `{role.name}` grants `{grant.permission}`, and whoever it matches is not among those for whom "
        f"{reserved} is reserved (`only`)"
    )
    own = any(place == one.place for one in role.grants)
    remedy = "narrow the match, or take the grant out" if own else "inherit less, or mend the match"
    return warning("unreachable-grant", message, place if own else role.place, remedy)


def unreachable_resources(policy: Policy) -> Iterator[Problem]:
    """Resources that nothing gives."""
    given = Ways.of(policy).given
    reached = {permission.resource for permission in given}
    reached |= {grant.permission.resource for account in policy.service_accounts.values() for grant in account.grants}
    for name, resource in policy.resources.items():
        if name not in reached:
            message = f"resource `{name}`: nobody can reach it"
            remedy = "grant it in a role that somebody can hold, or take it out"
            yield warning("unreachable-resource", message, resource.place, remedy)
