"""Short ways to spell policies, people and evidence, for the tests of this room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import count
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.access.days import day_end, day_start
from reconciler.errors import Place
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import (
    AccessException,
    Attribute,
    AttributeKind,
    Binding,
    ClearanceLevel,
    Compare,
    Compartment,
    Entitlement,
    EntitlementRef,
    EvidenceCategory,
    EvidenceKind,
    ForEach,
    Grant,
    Guards,
    Lifecycle,
    Lockout,
    Match,
    Member,
    Owner,
    Period,
    Permission,
    Policy,
    Proof,
    Reach,
    Requirement,
    Resource,
    ResourceFamily,
    Role,
    ServiceAccount,
    Test,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")

_lines = count(1)


def place() -> Place:
    return Place("policy.yaml", next(_lines), 1)


# --- policies -------------------------------------------------------------------------------------------------------

GRADES = {"P3": 0, "P4": 1, "P5": 2, "P6": 3, "M1": 3, "P7": 4, "M2": 4}
ATTRIBUTES = {
    "department": Attribute("department", AttributeKind.TREE, {}, place()),
    "post": Attribute("post", AttributeKind.ONE_OF, dict.fromkeys(("engineer", "architect", "hr"), 0), place()),
    "grade": Attribute("grade", AttributeKind.ORDERED, GRADES, place()),
    "projects": Attribute("projects", AttributeKind.SET, {}, place()),
    "sponsor": Attribute("sponsor", AttributeKind.PERSON, {}, place()),
}


def compare(attribute: str, test: Test, absent: bool | None = None) -> Compare:
    return Compare(attribute, test, absent, place())


def kind(
    name: str,
    *,
    version: int = 1,
    superseded_on: date | None = None,
    valid_for: Period | None = None,
    grace: Period | None = None,
    applies_to: Match | None = None,
    survives_rehire: bool = False,
    category: EvidenceCategory = EvidenceCategory.TRAINING,
    per: str | None = None,
) -> EvidenceKind:
    return EvidenceKind(
        name, category, version, superseded_on, valid_for, grace, applies_to, survives_rehire, place(), per
    )


def proof(text: str) -> Proof:
    """``nda``, or ``briefing:falcon`` for one value."""
    name, _, scope = text.partition(":")
    return Proof(name, scope)


def requirements(*requires: str | tuple[str, ...]) -> tuple[Requirement, ...]:
    return tuple(Requirement(tuple(map(proof, (r,) if isinstance(r, str) else r)), place()) for r in requires)


def level(name: str, rank: int, *requires: str | tuple[str, ...], only: Match | None = None) -> ClearanceLevel:
    return ClearanceLevel(name, rank, requirements(*requires), only, place())


def compartment(name: str, *requires: str | tuple[str, ...], only: Match | None = None) -> Compartment:
    return Compartment(name, name, requirements(*requires), only, place())


def permission(text: str) -> Permission:
    resource, _, action = text.partition(":")
    return Permission(resource, action)


def grants(*texts: str | Grant) -> tuple[Grant, ...]:
    return tuple(Grant(permission(text), place()) if isinstance(text, str) else text for text in texts)


def grant(text: str, when: Match) -> Grant:
    return Grant(permission(text), place(), when)


def for_each(variable: str, attribute: str, reach: Reach = Reach.OWN) -> ForEach:
    return ForEach(variable, attribute, reach, place())


def family(name: str, variable: str, *values: str, rank: int = 0) -> ResourceFamily:
    """Named ``docs/{project}``; its values are resources of `a_policy` by themselves."""
    listed = {value: name.replace(f"{{{variable}}}", value) for value in values}
    return ResourceFamily(name, variable, rank, None, (), (), listed, place())


def role(
    name: str,
    *gives: str | Grant,
    match: Match | None = None,
    everyone: bool = False,
    members: Sequence[Member] = (),
    inherits: Sequence[Role] = (),
    each: Sequence[ForEach] = (),
    families: Sequence[tuple[str, ForEach]] = (),
) -> Role:
    """`each`: its `for_each`; what then depends on a value is given as `grant(…, when)`."""
    own = grants(*gives)
    inherited = tuple((grant, (name, *chain)) for parent in inherits for grant, chain in parent.all_grants)
    every = (*((grant, (name,)) for grant in own), *inherited)
    names = tuple(parent.name for parent in inherits)
    return Role(name, match, everyone, tuple(members), names, own, every, place(), tuple(each), tuple(families))


def member(person: str, until: date, since: date | None = None) -> Member:
    return Member(person, since, until, "no rule fits", place())


def exception(person: str, *gives: str, until: date, since: date | None = None, index: int = 0) -> AccessException:
    return AccessException(index, person, grants(*gives), since, until, "audit", "SEC-113", ("E0007",), place())


def lockout(person: str, ref: str, since: date | None = None, resources: Sequence[str] | None = None) -> Lockout:
    return Lockout(person, ref, since, None if resources is None else frozenset(resources), place())


def service_account(name: str, *gives: str, ceiling: int, until: date) -> ServiceAccount:
    return ServiceAccount(name, Owner("post", "it"), ceiling, until, grants(*gives), place())


def a_policy(
    *,
    levels: Sequence[ClearanceLevel],
    resources: Mapping[str, tuple[int, Mapping[str, Sequence[str]]]],
    roles: Sequence[Role] = (),
    evidence: Sequence[EvidenceKind] = (),
    exceptions: Sequence[AccessException] = (),
    lockouts: Sequence[Lockout] = (),
    service_accounts: Sequence[ServiceAccount] = (),
    lifecycle: Lifecycle | None = None,
    attributes: Mapping[str, Attribute] = ATTRIBUTES,
    compartments: Sequence[Compartment] = (),
    carrying: Mapping[str, Collection[str]] = MappingProxyType({}),
    ends: Mapping[str, date] = MappingProxyType({}),
    families: Sequence[ResourceFamily] = (),
    **rest: Any,
) -> Policy:
    """`resources`: name → (class, action → groups on the one target "ldap"); `carrying`: resource → compartments;
    `ends`: resource → its last day; `rest`: any other field of `Policy`.
    """
    carried: dict[str, list[Permission]] = {}
    classes: dict[str, int] = {}
    closed: dict[str, set[str]] = {}
    declared = {}
    for name, (rank, actions) in resources.items():
        bindings = {}
        for action, groups in actions.items():
            for group in groups:
                carried.setdefault(group, []).append(Permission(name, action))
                classes[group] = max(rank, classes.get(group, 0))
                closed.setdefault(group, set()).update(carrying.get(name, ()))
            bindings[action] = tuple(
                Binding(Permission(name, action), EntitlementRef("ldap", group), {"group": group}, place())
                for group in groups
            )
        within = frozenset(carrying.get(name, ()))
        declared[name] = Resource(name, rank, None, bindings, place(), within, ends.get(name))
    return Policy(
        digest="sha256:0",
        revision="test",
        attributes=attributes,
        evidence={each.name: each for each in evidence},
        levels=tuple(levels),
        resources=declared,
        entitlements={
            EntitlementRef("ldap", group): Entitlement(
                EntitlementRef("ldap", group),
                {"group": group},
                tuple(permissions),
                classes[group],
                place(),
                frozenset(closed[group]),
            )
            for group, permissions in carried.items()
        },
        roles={each.name: each for each in roles},
        exceptions=tuple(exceptions),
        lockouts=tuple(lockouts),
        service_accounts={each.name: each for each in service_accounts},
        lifecycle=lifecycle or Lifecycle(),
        guards=Guards(),
        compartments={each.name: each for each in compartments},
        families={each.name: each for each in families},
        **rest,
    )


# --- people ---------------------------------------------------------------------------------------------------------

ALWAYS = Span(None, None, 1)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI)


def days(since: date | None, until: date | None, zone: ZoneInfo = SHANGHAI, entry: int = 1, end_entry: int = 0) -> Span:
    """Whole days, both included."""
    start = None if since is None else day_start(since, zone)
    return Span(start, None if until is None else day_end(until, zone), entry, end_entry)


def post(name: str = "main", span: Span = ALWAYS, /, **attributes: str) -> Assignment:
    return Assignment(name, attributes, span)


def transferred(name: str, span: Span, /, **attributes: str) -> Assignment:
    """A post that a transfer ended."""
    return Assignment(name, attributes, span, transferred=True)


def a_person(id_: str, *assignments: Assignment, number: int = 1, **rest: Any) -> Person:
    """`rest`: any other field of `Person`."""
    return replace(Person(number, id_, f"name of {id_}", f"{id_.lower()}@example.com", assignments), **rest)


def record(
    person: str,
    kind_name: str,
    valid_from: datetime | date,
    *,
    version: int = 1,
    valid_until: datetime | None = None,
    failed: bool = False,
    revoked: Span | None = None,
    scope: str = "",
    entry: int = 10,
    recorded_at: datetime | None = None,
) -> EvidenceRecord:
    start = valid_from if isinstance(valid_from, datetime) else day_start(valid_from, SHANGHAI)
    return EvidenceRecord(
        entry=entry,
        person=person,
        kind=kind_name,
        scope=scope,
        version=version,
        valid_from=start,
        valid_until=valid_until,
        failed=failed,
        reference="",
        source="test",
        recorded_at=recorded_at or start,
        revoked=revoked,
    )


def people(*everybody: Person, evidence: Sequence[EvidenceRecord] = (), timezone: str = "Asia/Shanghai") -> Population:
    records: dict[str, list[EvidenceRecord]] = {}
    for each in evidence:
        records.setdefault(each.person, []).append(each)
    return Population(everybody, records, 1, timezone)
