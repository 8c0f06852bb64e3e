"""What a policy means, without how it is written: two policies of one meaning decide alike for anybody at any time.

Names of roles, files, lines, reasons, tickets and the order of clauses do not count; inheritance is followed,
`for_each` expanded, nested `all` flattened. What is left is compared part by part. Sound and not complete: parts that
are equal decide alike; parts that differ may still do so (logic is not rewritten), and then the effect on people has to
tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum

import rfc8785

from reconciler.policy.model import AllOf, Match, Permission, Policy, Role

Canonical = str | int | float | bool | None | list["Canonical"] | dict[str, "Canonical"]

_SAYS_NOTHING = frozenset(
    {"place", "exited_place", "reason", "ticket", "approved_by", "index", "owner", "pattern", "declared"}
)
"""Fields that tell people where and why, and decide nothing."""


def differences(base: Policy, head: Policy) -> tuple[str, ...]:
    """The parts of a policy that do not mean the same in both, by the names of the sections; none: the same meaning."""
    return tuple(name for name, part in PARTS.items() if _text(part(base)) != _text(part(head)))


def same(one: object, other: object) -> bool:
    """Whether two values of a policy (a match, a grant's condition, …) mean the same."""
    return _text(_canonical(one)) == _text(_canonical(other))


def _text(value: Canonical) -> bytes:
    return rfc8785.dumps(value)


def _canonical(value: object) -> Canonical:
    """Any value of a policy as canonical JSON: sets and mappings in order, places and prose left away."""
    match value:
        case Enum():
            return str(value.value)
        case None | bool() | int() | float() | str():
            return value
        case date():
            return value.isoformat()
        case AllOf():
            return {"AllOf": _sorted(_conditions(value))}
        case Mapping():
            pairs: list[Canonical] = [[_canonical(key), _canonical(held)] for key, held in value.items()]
            return sorted(pairs, key=_text)
        case frozenset() | set():
            return _sorted(value)
        case tuple() | list():
            return [_canonical(item) for item in value]
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no value of a policy")
    said = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in _SAYS_NOTHING}
    name = type(value).__name__
    if name in ("AnyOf", "NoneOf", "Requirement"):  # of which the order says nothing
        return {name: _sorted(next(iter(said.values())))}
    return {name: {key: _canonical(held) for key, held in said.items()}}


def _sorted(values: Iterable[object]) -> list[Canonical]:
    distinct = {_text(each): each for each in map(_canonical, values)}
    return [distinct[key] for key in sorted(distinct)]


def _conditions(match: Match) -> list[Match]:
    if not isinstance(match, AllOf):
        return [match]
    return [condition for part in match.parts for condition in _conditions(part)]


def conjunction(*parts: Match | None) -> Match | None:
    """All of the parts that there are, or None where there is none."""
    given = tuple(condition for part in parts if part is not None for condition in _conditions(part))
    return None if not given else given[0] if len(given) == 1 else AllOf(given)


# --- the parts ------------------------------------------------------------------------------------------------------


def _held_by(role: Role, when: Match | None = None) -> list[Canonical]:
    ways: list[Canonical] = []
    if role.matches_people:
        ways.append({"assignment": _canonical(conjunction(role.match, when))})
    if role.everyone:
        ways.append("everyone")
    return [*ways, *_sorted(role.members)]


def _given(policy: Policy) -> Canonical:
    ways: dict[Permission, set[bytes]] = {}
    shown: dict[bytes, Canonical] = {}
    for role in policy.roles.values():
        for grant, _ in role.all_grants:
            for way in _held_by(role, grant.when):
                shown[key := _text(way)] = way
                ways.setdefault(grant.permission, set()).add(key)
    for exception in policy.exceptions:
        for grant in exception.grants:
            limits: Canonical = [exception.person, _canonical(exception.since), _canonical(exception.until)]
            shown[key := _text(limits)] = limits
            ways.setdefault(grant.permission, set()).add(key)
    return {str(one): [shown[key] for key in sorted(keys)] for one, keys in ways.items()}


def _attributes(policy: Policy) -> Canonical:
    return {name: [one.kind.value, _canonical(one.ranks)] for name, one in policy.attributes.items()}


def _classes(policy: Policy) -> Canonical:
    return {
        str(one): [policy.effective_class(one), _canonical(policy.effective_compartments(one)), _ends(policy, one)]
        for one in policy.permissions()
    }


def _ends(policy: Policy, permission: Permission) -> Canonical:
    return _canonical(policy.resources[permission.resource].until)


def _entitlements(policy: Policy) -> Canonical:
    return {
        str(ref): [
            _canonical(one.locator),
            _sorted(map(str, one.permissions)),
            one.classification,
            _canonical(one.compartments),
            one.mode.value,
            one.inherit,
        ]
        for ref, one in policy.entitlements.items()
    }


def _clearances(policy: Policy) -> Canonical:
    return [[level.name, _sorted(level.requires), _canonical(level.only)] for level in policy.levels]


def _compartments(policy: Policy) -> Canonical:
    used = {name for resource in policy.resources.values() for name in resource.compartments}
    return {
        name: [_sorted(one.requires), _canonical(one.only)] for name, one in policy.compartments.items() if name in used
    }


def _separations(policy: Policy) -> Canonical:
    return _sorted_parts(
        [_held_and_given(policy, one.roles), _canonical(one.between), one.withhold] for one in policy.separations
    )


def _held_and_given(policy: Policy, names: Iterable[str]) -> Canonical:
    """Roles of a rule by what they are rather than by their names: who holds them, and what they give."""
    return _sorted_parts(
        [
            _sorted_parts(
                _held_by(role) for role in policy.roles.values() if name == role.name or name in _ancestry(policy, role)
            ),
            _sorted_parts(
                [str(grant.permission), _canonical(grant.when)] for grant, _ in policy.roles[name].all_grants
            ),
        ]
        for name in names
    )


def _ancestry(policy: Policy, role: Role) -> set[str]:
    found: set[str] = set()
    waiting = list(role.inherits)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += policy.roles[name].inherits
    return found


def _sorted_parts(parts: Iterable[Canonical]) -> list[Canonical]:
    return sorted(parts, key=_text)


PARTS: Mapping[str, Callable[[Policy], Canonical]] = {
    "attributes": _attributes,
    "evidence": lambda policy: _canonical(policy.evidence),
    "clearances": _clearances,
    "compartments": _compartments,
    "classifications": _classes,
    "entitlements": _entitlements,
    "grants": _given,
    "lockouts": lambda policy: _sorted(policy.lockouts),
    "separation": _separations,
    "sponsors": lambda policy: _sorted(policy.sponsors),
    "lifecycle": lambda policy: _canonical(policy.lifecycle),
    "service accounts": lambda policy: _canonical(policy.service_accounts),
    "guards": lambda policy: _canonical(policy.guards),
    "invariants": lambda policy: _sorted(policy.invariants),
    "exception limits": lambda policy: _canonical(policy.exception_limits),
    "retired": lambda policy: _canonical(policy.retired),
}
"""Section as people call it → what it means. The tests of a policy decide nothing and are not among them."""

DECIDING = frozenset(PARTS) - {"guards", "invariants", "exception limits", "retired"}
"""The parts that decide who has access; the others decide what is held back, or checked."""
