"""Bindings inside each other on one target: who has the outer one comes to have the inner one, too.

So what lies inside must need no more than what it lies in: no higher class, no compartment that the outer one lacks.
Otherwise people get in whose clearance was tested for the outer one only. Where the target can keep them out, the inner
binding says `inherit: false`, and what is around it does not matter. It is enough to look at the next ones around each:
what needs no more than they do needs no more than those around them, and what is cut off shields all that is inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reconciler.errors import Place, Problem
from reconciler.policy.model import Entitlement, Policy

__all__ = ["admits_too_many", "containment_problems", "needs"]


def containment_problems(
    target: str,
    bound: Mapping[str, Entitlement],
    containers: Mapping[str, Sequence[str]],
    policy: Policy,
    *,
    cuts_off: bool,
) -> Iterator[Problem]:
    """What is wrong with these bindings on one target, given the next ones around each of them (key → keys).

    Each pair of clauses is told once, however many values of a family they stand for.
    """
    told: set[tuple[Place, Place]] = set()
    for key, inner in bound.items():
        if not inner.permissions:  # it is retired: nobody is given it
            continue
        if not inner.inherit:
            if not cuts_off and (inner.place, inner.place) not in told:
                told.add((inner.place, inner.place))
                yield _not_kept_out(target, inner)
            continue
        for outer in _around(key, bound, containers):
            pair = inner.place, outer.place
            if admits_too_many(outer, inner) and pair not in told:
                told.add(pair)
                yield _inside(outer, inner, policy, cuts_off=cuts_off)


def _around(
    key: str, bound: Mapping[str, Entitlement], containers: Mapping[str, Sequence[str]]
) -> Iterator[Entitlement]:
    """The next ones around it that are given to anybody: what is retired shields nothing."""
    waiting, seen = list(containers.get(key, ())), {key}
    while waiting:
        each = waiting.pop(0)
        if each in bound and each not in seen:
            seen.add(each)
            if bound[each].permissions:
                yield bound[each]
            else:
                waiting += containers.get(each, ())


def admits_too_many(outer: Entitlement, inner: Entitlement) -> bool:
    """Whether somebody may have the outer one without the clearance that the inner one needs."""
    return outer.classification < inner.classification or not inner.compartments <= outer.compartments


def _inside(outer: Entitlement, inner: Entitlement, policy: Policy, *, cuts_off: bool) -> Problem:
    message = (
        f"`{inner.ref}` ({needs(inner, policy)}) lies inside `{outer.ref}` ({needs(outer, policy)}), bound at "
        f"{outer.place}: whoever has that one gets in here, without the clearance for it"
    )
    higher = f"give what is around it `{policy.levels[inner.classification].name}`"
    if lacking := sorted(inner.compartments - outer.compartments):
        higher += f" and {', '.join(f'`{name}`' for name in lacking)}"
    keep_out = "write `inherit: false` in this binding, which keeps them out; or " if cuts_off else ""
    return Problem("contained-binding", message, inner.place, f"{keep_out}move it out of there, or {higher}")


def _not_kept_out(target: str, inner: Entitlement) -> Problem:
    message = f"`{inner.ref}` says `inherit: false`, and `{target}` cannot keep anybody out who has what contains it"
    remedy = "take it out; to keep people out, bind something that lies in nothing which others have"
    return Problem("cannot-cut-off", message, inner.place, remedy)


def needs(entitlement: Entitlement, policy: Policy) -> str:
    """The class and the compartments that it takes, in words."""
    return ", ".join([policy.levels[entitlement.classification].name, *sorted(entitlement.compartments)])
