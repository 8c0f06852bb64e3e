"""What works and that somebody should look at: a table of short checks over a policy that has no errors.

Each check yields its warnings and knows nothing of the others. Those that ask about time are given the day, and are
silent without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from reconciler.errors import Place, Problem
from reconciler.policy.contradictions import impossible
from reconciler.policy.model import (
    Grant,
    Policy,
    Resource,
    Role,
)

Check = Callable[[Policy, date | None], Iterator[Problem]]


def lint_policy(policy: Policy, today: date | None) -> tuple[Problem, ...]:
    """All warnings, in the order of `CHECKS`."""
    return tuple(problem for check in CHECKS for problem in check(policy, today))


def _warning(code: str, message: str, place: Place, remedy: str) -> Problem:
    return Problem(code, message, place, remedy, "warning")


def _ended(policy: Policy, today: date | None) -> Iterator[Problem]:
    if today is None:
        return
    clauses = [(f"exception for {one.person}", one.until, one.place) for one in policy.exceptions]
    clauses += [
        (f"role `{role.name}`, member {member.person}", member.until, member.place)
        for role in policy.roles.values()
        for member in role.members
    ]
    clauses += [(f"service account `{one.name}`", one.until, one.place) for one in policy.service_accounts.values()]
    for what, until, place in clauses:
        if until < today:
            yield _warning("ended", f"{what}: ended on {until} and gives nothing", place, "take it out, or renew it")


def _matches_nobody(policy: Policy, today: date | None) -> Iterator[Problem]:
    for role in policy.roles.values():
        if role.match and impossible(role.match, policy.attributes):
            message = f"role `{role.name}` can match nobody: its `match` contradicts itself"
            yield _warning("matches-nobody", message, role.place, "mend the match, or take the role out")
    for level in policy.levels:
        if level.only and impossible(level.only, policy.attributes):
            message = f"clearance `{level.name}` can be reached by nobody: its `only` contradicts itself"
            yield _warning("matches-nobody", message, level.place, "mend `only`")
    for kind in policy.evidence.values():
        if kind.applies_to and impossible(kind.applies_to, policy.attributes):
            message = f"evidence `{kind.name}` is asked of nobody: its `applies_to` contradicts itself"
            yield _warning("matches-nobody", message, kind.place, "mend `applies_to`")


def _unreachable(policy: Policy, today: date | None) -> Iterator[Problem]:
    reached = {grant.permission.resource for grant in _effective_grants(policy)}
    for name, resource in policy.resources.items():
        if name not in reached:
            message = f"resource `{name}`: nobody can reach it"
            remedy = "grant it in a role that somebody can hold, or take it out"
            yield _warning("unreachable-resource", message, resource.place, remedy)


def _effective_grants(policy: Policy) -> Iterator[Grant]:
    for role in policy.roles.values():
        if _can_be_held(role, policy):
            yield from (grant for grant, _ in role.all_grants)
    for exception in policy.exceptions:
        yield from exception.grants
    for account in policy.service_accounts.values():
        yield from account.grants


def _can_be_held(role: Role, policy: Policy) -> bool:
    if role.everyone or role.members:
        return True
    return role.match is not None and not impossible(role.match, policy.attributes)


def _held_by_nobody(policy: Policy, today: date | None) -> Iterator[Problem]:
    inherited = {parent for role in policy.roles.values() for parent in role.inherits}
    for name, role in policy.roles.items():
        if not (role.match or role.everyone or role.members or name in inherited):
            message = f"role `{name}`: nobody holds it, and no role inherits it"
            remedy = "give it `match`, `members` or `everyone: true`, inherit it, or take it out"
            yield _warning("unused-role", message, role.place, remedy)


def _mixed_classes(policy: Policy, today: date | None) -> Iterator[Problem]:
    for entitlement in policy.entitlements.values():
        classes = {policy.resources[one.resource].classification for one in entitlement.permissions}
        if len(classes) > 1:
            spelled = (
                f"`{one}` ({_class_of(policy.resources[one.resource], policy)})" for one in entitlement.permissions
            )
            highest = policy.levels[entitlement.classification].name
            message = f"`{entitlement.ref}` carries permissions of different classes: {', '.join(spelled)}"
            remedy = f"all of them now need `{highest}`; give each class an entitlement of its own"
            yield _warning("mixed-classes", message, entitlement.place, remedy)


def _class_of(resource: Resource, policy: Policy) -> str:
    return policy.levels[resource.classification].name


def _near_duplicates(policy: Policy, today: date | None) -> Iterator[Problem]:
    """Many targets take names in any case: two spellings of one group would each be tested at their own class only."""
    seen: dict[tuple[str, str], str] = {}
    for ref, entitlement in policy.entitlements.items():
        first = seen.setdefault((ref.target, ref.key.casefold()), ref.key)
        if first != ref.key:
            message = f"`{ref}` and `{ref.target}:{first}` differ only in upper and lower case"
            remedy = "where the target takes them for one, spell them alike"
            yield _warning("similar-entitlements", message, entitlement.place, remedy)


def _above_ceiling(policy: Policy, today: date | None) -> Iterator[Problem]:
    for account in policy.service_accounts.values():
        for grant in account.grants:
            rank = policy.effective_class(grant.permission)
            if rank > account.ceiling:
                ceiling, needed = policy.levels[account.ceiling].name, policy.levels[rank].name
                subject = f"service account `{account.name}`"
                message = f"{subject}: `{grant.permission}` is `{needed}`, above its ceiling `{ceiling}`"
                remedy = "it is not given; take the grant out, or raise the ceiling"
                yield _warning("above-ceiling", message, grant.place, remedy)


def _unused(policy: Policy, today: date | None) -> Iterator[Problem]:
    required = {
        name for level in policy.levels for one in level.requires for proof in one.any_of for name in [proof.kind]
    }
    for name, kind in policy.evidence.items():
        if name not in required:
            message = f"evidence `{name}`: no clearance requires it"
            yield _warning("unused-evidence", message, kind.place, "require it, or take it out")


CHECKS: tuple[Check, ...] = (
    _ended,
    _matches_nobody,
    _unreachable,
    _held_by_nobody,
    _mixed_classes,
    _near_duplicates,
    _above_ceiling,
    _unused,
)
