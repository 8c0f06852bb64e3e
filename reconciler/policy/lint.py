"""What works and that somebody should look at: a table of short checks over a policy that has no errors.

Each check yields its warnings and knows nothing of the others. Those that ask about time are given the day, and are
silent without one. What can be reached at all, and by whom, is asked in `reachable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from reconciler.errors import Problem
from reconciler.policy.model import AccessException, ClearanceLevel, Compartment, InvariantKind, Policy, Resource
from reconciler.policy.reachable import (
    Ways,
    matches_nobody,
    unreachable_grants,
    unreachable_resources,
    unsatisfiable,
    warning,
)

Check = Callable[[Policy, date | None], Iterator[Problem]]


def lint_policy(policy: Policy, today: date | None) -> tuple[Problem, ...]:
    """All warnings, in the order of `CHECKS`."""
    return tuple(problem for check in CHECKS for problem in check(policy, today))


# --- what is over, or never begins ------------------------------------------------------------------------------------


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
            yield warning("ended", f"{what}: ended on {until} and gives nothing", place, "take it out, or renew it")


def _locked_out(policy: Policy, today: date | None) -> Iterator[Problem]:
    """A lockout ends only by being taken out, so an exception that begins under one gives nothing."""
    for exception in policy.exceptions:
        lockouts = [one for one in policy.lockouts if one.person == exception.person]
        refs = [one.ref for one in lockouts if one.since is None or one.since <= (exception.since or date.min)]
        everything = any(one.resources is None for one in lockouts if one.ref in refs)
        shut = frozenset[str]().union(*(one.resources or () for one in lockouts if one.ref in refs))
        if refs and (everything or _resources(exception) <= shut):
            message = f"exception for {exception.person}: they are locked out ({', '.join(refs)}), so it gives nothing"
            yield warning("locked-out-exception", message, exception.place, "take out the exception, or the lockout")


def _resources(exception: AccessException) -> frozenset[str]:
    return frozenset(grant.permission.resource for grant in exception.grants)


def _unreachable_rules(policy: Policy, today: date | None) -> Iterator[Problem]:
    """Of a list the first rule that fits counts, and one without `match` fits all."""
    states = policy.lifecycle
    for state, rules in (("preboarding", states.preboarding), ("notice", states.notice), ("leave", states.leave)):
        for index, rule in enumerate(rules):
            fits_all = next((earlier for earlier in rules[:index] if earlier.match is None), None)
            if fits_all:
                message = f"lifecycle `{state}`: this rule is never reached, since the one at {fits_all.place} fits all"
                remedy = "put the rule without `match` last, or take this one out"
                yield warning("unreachable-rule", message, rule.place, remedy)


def _nothing_superseded(policy: Policy, today: date | None) -> Iterator[Problem]:
    for kind in policy.evidence.values():
        if kind.superseded_on is not None and kind.version == 1:
            message = f"evidence `{kind.name}`: `superseded_on` speaks of older versions, and this is the first"
            remedy = "raise `version` with the new text, or take `superseded_on` out"
            yield warning("nothing-superseded", message, kind.place, remedy)


# --- what is declared and not used ------------------------------------------------------------------------------------


def _held_by_nobody(policy: Policy, today: date | None) -> Iterator[Problem]:
    inherited = {parent for role in policy.roles.values() for parent in role.inherits}
    for name, role in policy.roles.items():
        if not (role.matches_people or role.everyone or role.members or name in inherited):
            message = f"role `{name}`: nobody holds it, and no role inherits it"
            remedy = "give it `match`, `for_each`, `members` or `everyone: true`, inherit it, or take it out"
            yield warning("unused-role", message, role.place, remedy)


def _unused_evidence(policy: Policy, today: date | None) -> Iterator[Problem]:
    askers: list[ClearanceLevel | Compartment] = [*policy.levels, *policy.compartments.values()]
    required = {proof.kind for asker in askers for requirement in asker.requires for proof in requirement.any_of}
    for name, kind in policy.evidence.items():
        if name not in required:
            message = f"evidence `{name}`: no clearance or compartment requires it"
            yield warning("unused-evidence", message, kind.place, "require it, or take it out")


def _unused_compartments(policy: Policy, today: date | None) -> Iterator[Problem]:
    carried = {name for resource in policy.resources.values() for name in resource.compartments}
    carried |= {name for family in policy.families.values() for name in family.compartments}
    for name, compartment in policy.compartments.items():
        if name not in carried and compartment.declared not in carried:
            message = f"compartment `{name}`: no resource lies in it"
            remedy = "put a resource into it, or take it out"
            yield warning("unused-compartment", message, compartment.place, remedy)


# --- what is not what it looks like -----------------------------------------------------------------------------------


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
            yield warning("mixed-classes", message, entitlement.place, remedy)


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
            yield warning("similar-entitlements", message, entitlement.place, remedy)


def _above_ceiling(policy: Policy, today: date | None) -> Iterator[Problem]:
    for account in policy.service_accounts.values():
        for grant in account.grants:
            rank = policy.effective_class(grant.permission)
            if rank > account.ceiling:
                ceiling, needed = policy.levels[account.ceiling].name, policy.levels[rank].name
                subject = f"service account `{account.name}`"
                message = f"{subject}: `{grant.permission}` is `{needed}`, above its ceiling `{ceiling}`"
                remedy = "it is not given; take the grant out, or raise the ceiling"
                yield warning("above-ceiling", message, grant.place, remedy)


def _never_conflicts(policy: Policy, today: date | None) -> Iterator[Problem]:
    """A rule of which only one side can be given to anybody keeps nothing apart.

    Matches that exclude each other do not make a rule idle: somebody can hold two posts, one under each.
    """
    ways = Ways.of(policy)
    held = {name for role in ways.held for _, chain in role.all_grants for name in chain}
    held |= {name for role in ways.held for name in (role.name, *role.inherits)}
    for rule in policy.separations:
        parties = [name in held for name in rule.roles] or [bool(side & ways.given) for side in rule.between]
        if sum(parties) < 2:
            what = "roles can be held" if rule.roles else "lists can be given"
            message = f"separation `{rule.name}`: fewer than two of its {what} by anybody, so it never applies"
            yield warning("never-conflicts", message, rule.place, "mend the names, or take the rule out")


def _unmeetable(policy: Policy, today: date | None) -> Iterator[Problem]:
    """Where only people named one by one can have a permission, it is known how many there can be."""
    ways = Ways.of(policy)
    for one in policy.invariants:
        for permission in one.permissions if one.kind is InvariantKind.AT_LEAST else ():
            named = ways.named.get(permission, frozenset())
            if len(named) < one.count and (permission in ways.named or permission not in ways.given):
                can = f"only {len(named)} can" if named else "nobody can"
                message = f"invariant: at least {one.count} must have `{permission}`, and {can}: every change is held"
                yield warning("unmeetable-invariant", message, one.place, "grant it to more, or lower the number")
                break


CHECKS: tuple[Check, ...] = (
    _ended,
    _locked_out,
    _unreachable_rules,
    _nothing_superseded,
    lambda policy, today: matches_nobody(policy),
    lambda policy, today: unsatisfiable(policy),
    lambda policy, today: unreachable_grants(policy),
    lambda policy, today: unreachable_resources(policy),
    _held_by_nobody,
    _mixed_classes,
    _near_duplicates,
    _above_ceiling,
    _never_conflicts,
    _unmeetable,
    _unused_evidence,
    _unused_compartments,
)
