"""From the lines of a store to an observation. No I/O.

A subject that stands in a managed line is an account, whatever else its name is used for: to call it a role, because
somebody holds it, would hide a leaver's access. Only a role that is itself managed here is no account. In lines that
nobody manages, a name that somebody holds is a role, and so may be one that only p lines know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.casbin.model import VaultModel
from adapters.casbin.rules import Rule, given_by
from adapters.casbin.store import Contents
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Reading,
    TargetFinding,
    entitlement_key,
)

MAX_LEVELS = 10
"""How deep casbin's role manager follows roles."""
SHOWN = 5
"""How many names a finding lists before it only counts."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The rules of a store, arranged for questions."""

    subjects: Mapping[tuple[str, tuple[str, ...]], Sequence[str]]
    holders: Mapping[str, Sequence[str]]
    """Role → who holds it directly."""
    roles_of: Mapping[str, Sequence[str]]
    powers: frozenset[str]
    """Subjects of p lines."""
    managed_roles: frozenset[str]


def arranged(rules: Sequence[Rule], locators: Sequence[Locator]) -> Lines:
    """The rules, arranged by what they give and by who holds what."""
    subjects: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    holders: dict[str, list[str]] = defaultdict(list)
    roles_of: dict[str, list[str]] = defaultdict(list)
    for rule in dict.fromkeys(rules):
        subjects[rule.kind, rule.gives].append(rule.subject)
        if rule.kind == "g":
            holders[rule.gives[0]].append(rule.subject)
            roles_of[rule.subject].append(rule.gives[0])
    powers = frozenset(rule.subject for rule in rules if rule.kind == "p")
    roles = frozenset(locator["role"] for locator in locators if "role" in locator)
    return Lines(subjects, holders, roles_of, powers, roles)


def managed_within(start: Collection[str], lines: Lines) -> Sequence[str]:
    """The managed roles among these names and those who hold them, looking through roles that nobody manages."""
    reached = set(start)
    frontier = reached - lines.managed_roles
    for _ in range(MAX_LEVELS):
        frontier = {after for name in frontier for after in lines.holders.get(name, ())} - reached
        reached |= frontier
        frontier -= lines.managed_roles
    return sorted(reached & lines.managed_roles)


def beyond(start: str, edges: Mapping[str, Sequence[str]]) -> set[str]:
    """All names that are reached from this one along the edges, as far as casbin goes."""
    reached: set[str] = set()
    frontier = {start}
    for _ in range(MAX_LEVELS):
        frontier = {after for name in frontier for after in edges.get(name, ())} - reached
        reached |= frontier
    return reached


def observation(
    contents: Contents,
    model: VaultModel,
    locators: Sequence[Locator],
    accounts: Collection[str] | None,
    at: datetime,
) -> Observation:
    """What the store says about these entitlements; with `accounts`, about these subjects alone."""
    lines = arranged(contents.rules, locators)
    everybody = _subjects(lines, locators)
    names = [name for name in everybody if accounts is None or name in accounts]
    positions = {name: position for position, name in enumerate(names)}
    flaw = _flaw(contents)
    reads = {
        entitlement_key(locator): _entitlement(locator, lines, positions, model, flaw, narrow=accounts is not None)
        for locator in locators
    }
    found = tuple(ObservedAccount(key=name, name=name, login=name, match={"id": name}) for name in names)
    return Observation(
        at=at,
        accounts=AccountsRead(_reading(everybody, flaw), found, flaw),
        entitlements=reads,
        findings=[
            *_line_findings(contents),
            *(found for locator in locators for found in _route_findings(locator, lines)),
        ],
    )


def _subjects(lines: Lines, locators: Sequence[Locator]) -> Sequence[str]:
    managed = {given_by(locator) for locator in locators}
    seen = {
        subject
        for given, subjects in lines.subjects.items()
        for subject in subjects
        if given in managed or (given[0] == "g" and subject not in lines.holders)
    }
    return sorted(seen - lines.managed_roles)


def _entitlement(
    locator: Locator, lines: Lines, positions: Mapping[str, int], model: VaultModel, flaw: str, *, narrow: bool
) -> EntitlementRead:
    key, name = entitlement_key(locator), display_name(locator)
    if problem := model.obstacle_to(locator):
        return EntitlementRead(key, name, Reading.FAILED, detail=problem)
    given = given_by(locator)
    subjects = lines.subjects.get(given, ())
    members = BitMap([positions[subject] for subject in subjects if subject in positions])
    nested = given[0] == "g" and not narrow
    foreign = tuple(subject for subject in subjects if nested and subject in lines.managed_roles)
    within = [] if narrow else [entitlement_key({"role": role}) for role in managed_within(subjects, lines)]
    return EntitlementRead(key, name, _reading(subjects, flaw), members, foreign, flaw, within=within)


def display_name(locator: Locator) -> str:
    """What people call the entitlement."""
    return locator["role"] if "role" in locator else f"{locator['object']}:{locator['action']}"


def _reading(found: Collection[object], flaw: str) -> Reading:
    if flaw:
        return Reading.PARTIAL
    return Reading.COMPLETE if found else Reading.CONFIRMED_EMPTY


def _flaw(contents: Contents) -> str:
    harmful = [where for where, line in contents.unreadable if line.harmful]
    return f"{len(harmful)} line(s) cannot be read, the first at {harmful[0]}" if harmful else ""


def _line_findings(contents: Contents) -> Iterator[TargetFinding]:
    for where, line in contents.unreadable:
        kind = "unreadable-line" if line.harmful else "ignored-line"
        yield TargetFinding(kind, where, f"{where}: {line.reason}")


def _route_findings(locator: Locator, lines: Lines) -> Iterator[TargetFinding]:
    """Access that comes another way than by the lines that are managed, and roles that give nothing."""
    name = display_name(locator)
    kind, given = given_by(locator)
    if kind == "g":
        role = given[0]
        if not ({role} | beyond(role, lines.roles_of)) & lines.powers:
            yield TargetFinding("powerless-role", role, f"role {role} gives nothing: no p line names it")
        through = [holder for holder in lines.holders.get(role, ()) if holder in lines.holders]
    else:
        through = [subject for subject in lines.subjects.get((kind, given), ()) if subject in lines.holders]
    for route in (route for route in through if route not in lines.managed_roles):
        people = sorted(beyond(route, lines.holders))
        yield TargetFinding(
            "indirect-access", name, f"whoever holds {route} has {name} by that, beside any policy: {_listed(people)}"
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
