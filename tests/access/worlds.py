"""Random worlds: policies, people, evidence and a moment, small enough that every clause meets every other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from reconciler.access.days import day_start
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import (
    AllOf,
    AnyOf,
    ClearanceLevel,
    Compare,
    Contains,
    Equals,
    EvidenceKind,
    Lifecycle,
    Match,
    Negated,
    NoneOf,
    Period,
    Policy,
    Role,
    StateRule,
    Test,
    Under,
    Within,
)
from tests.access import company

T = TypeVar("T")

IDS = ("E1", "E2", "工号3", "E4", "E5")
KINDS = ("nda", "training", "check", "保密培训")
LEVELS = ("public", "internal", "core")
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York")
FIRST_DAY = date(2026, 1, 20)
"""From here on: the ends of January and February, and the clock changes of March, are within reach."""

PERMISSIONS = ("wiki:read", "docs:read", "docs:write", "code:read", "vault:read")
RESOURCES = {
    "wiki": (0, {"read": ["g-wiki"]}),
    "docs": (1, {"read": ["g-docs", "g-shared"], "write": ["g-docs-w"]}),
    "code": (1, {"read": ["g-code"]}),
    "vault": (2, {"read": ["g-vault", "g-shared"]}),
}
"""`g-shared` carries `docs:read` too, which is therefore tested as `core`."""


@dataclass(frozen=True)
class World:
    policy: Policy
    population: Population
    at: datetime


def some(strategy: st.SearchStrategy[T], most: int = 2) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


dates = st.integers(0, 75).map(lambda n: FIRST_DAY + timedelta(days=n))
periods = st.sampled_from(
    [Period(days=1), Period(days=14), Period(months=1), Period(years=1), Period(days=3, months=1)]
)


@st.composite
def instants(draw: st.DrawFn, zone: ZoneInfo) -> datetime:
    """Mostly the borders of local days, where off-by-one lives; sometimes an hour of the day, or a microsecond off."""
    day = day_start(draw(dates), zone)
    minutes = draw(st.sampled_from([0, 0, 0, 90, 1050]))
    nudge = draw(st.sampled_from([0, 0, 0, -1, 1]))
    return (day + timedelta(minutes=minutes, microseconds=nudge)).astimezone(UTC)


# --- policies -------------------------------------------------------------------------------------------------------

DEPARTMENTS = ("rd", "rd/ai", "rd/ai/vision", "rdx", "研发/视觉")
GRADES = ("P3", "P5", "P6", "M1", "P7")
TESTS: dict[str, st.SearchStrategy[Test]] = {
    "department": st.builds(Under, st.frozensets(st.sampled_from(("rd", "rd/ai", "研发")), min_size=1)),
    "post": st.builds(Equals, st.frozensets(st.sampled_from(("engineer", "hr")), min_size=1)),
    "grade": st.builds(Within, maybe(st.integers(0, 4)), maybe(st.integers(0, 4)))
    | st.builds(Equals, st.frozensets(st.sampled_from(GRADES), min_size=1)),
    "projects": st.builds(
        Contains, st.frozensets(st.sampled_from(("falcon", "phoenix", "凤凰")), min_size=1), st.booleans()
    ),
    "sponsor": st.builds(Equals, st.frozensets(st.sampled_from(IDS), min_size=1)),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    attribute = draw(st.sampled_from(sorted(TESTS)))
    test = draw(TESTS[attribute])
    if draw(st.booleans()):
        assert not isinstance(test, Negated)
        test = Negated(test)
    return company.compare(attribute, test, draw(st.sampled_from([None, None, None, True, False])))


def _combined(inner: st.SearchStrategy[Match]) -> st.SearchStrategy[Match]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(AllOf, parts) | st.builds(AnyOf, parts) | st.builds(NoneOf, parts)


matches: st.SearchStrategy[Match] = st.recursive(comparisons(), _combined, max_leaves=4)


@st.composite
def kinds(draw: st.DrawFn, name: str) -> EvidenceKind:
    return company.kind(
        name,
        version=draw(st.integers(1, 3)),
        superseded_on=draw(maybe(dates)),
        valid_for=draw(maybe(periods)),
        grace=draw(maybe(periods)),
        applies_to=draw(maybe(matches)),
        survives_rehire=draw(st.booleans()),
    )


@st.composite
def levels(draw: st.DrawFn) -> list[ClearanceLevel]:
    requirement = st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True).map(tuple)
    return [
        company.level(
            name,
            rank,
            *draw(some(requirement, 1 if rank else 0)),
            only=draw(maybe(matches)) if rank else None,
        )
        for rank, name in enumerate(LEVELS)
    ]


@st.composite
def roles(draw: st.DrawFn) -> list[Role]:
    member = st.builds(company.member, st.sampled_from(IDS), dates, since=maybe(dates))
    made: list[Role] = []
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        gives = draw(some(st.sampled_from(PERMISSIONS), 3))
        parents = draw(st.lists(st.sampled_from(made), max_size=1)) if made else []
        role = company.role(name, *gives, match=draw(maybe(matches)), members=draw(some(member)), inherits=parents)
        everyone = draw(st.integers(0, 4)) == 0
        made.append(replace(role, everyone=everyone, match=None, members=()) if everyone else role)
    return made


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    gives = st.sampled_from(PERMISSIONS)
    exception = st.builds(company.exception, st.sampled_from(IDS), gives, until=dates, since=maybe(dates))
    lockout = st.builds(
        company.lockout,
        st.sampled_from(IDS),
        st.just("SEC-1"),
        maybe(dates),
        maybe(st.lists(st.sampled_from(sorted(RESOURCES)), min_size=1, max_size=2)),
    )
    service = st.builds(
        company.service_account, st.sampled_from(["svc-a", "svc-b"]), gives, ceiling=st.integers(0, 2), until=dates
    )
    rule = st.builds(StateRule, st.none(), st.integers(0, 2), st.just(company.place()), opens=periods)
    rules = st.lists(rule, max_size=1).map(tuple)
    return company.a_policy(
        levels=draw(levels()),
        resources=RESOURCES,
        roles=draw(roles()),
        evidence=[draw(kinds(name)) for name in KINDS],
        exceptions=draw(some(exception)),
        lockouts=draw(some(lockout, 1)),
        service_accounts=draw(some(service)),
        lifecycle=draw(st.builds(Lifecycle, preboarding=rules, notice=rules)),
    )


# --- people ---------------------------------------------------------------------------------------------------------

TEXTS = {
    "department": (*DEPARTMENTS, ""),
    "post": ("engineer", "hr", "wizard", ""),
    "grade": (*GRADES, "P99", " "),
    "projects": ("falcon", "falcon; phoenix", "凤凰；falcon", " ; ", ""),
    "sponsor": (*IDS, ""),
}


@st.composite
def spans(draw: st.DrawFn, zone: ZoneInfo) -> Span:
    start, end = draw(maybe(instants(zone))), draw(maybe(instants(zone)))
    if start is not None and end is not None:
        start, end = min(start, end), max(start, end)
    return Span(start, end, draw(st.integers(1, 99)))


@st.composite
def assignments(draw: st.DrawFn, zone: ZoneInfo) -> Assignment:
    values = {name: draw(st.sampled_from(texts)) for name, texts in TEXTS.items()}
    known = {name: text for name, text in values.items() if text or draw(st.booleans())}
    return Assignment(draw(st.sampled_from(["main", "second"])), known, draw(spans(zone) | st.just(company.ALWAYS)))


@st.composite
def persons(draw: st.DrawFn, zone: ZoneInfo, id_: str, number: int) -> Person:
    rehired = draw(st.integers(0, 3)) == 0
    rare = st.integers(0, 5).flatmap(lambda n: some(spans(zone), 1) if n == 0 else st.just(()))
    return Person(
        number=number,
        id=id_,
        name=id_,
        email="",
        assignments=draw(some(assignments(zone), 3)),
        notice=draw(some(spans(zone), 1)),
        leave=draw(some(spans(zone), 1)),
        exited=draw(rare),
        lockouts=draw(rare),
        employed_since=draw(instants(zone)) if rehired else None,
        rehired=rehired,
    )


@st.composite
def records(draw: st.DrawFn, zone: ZoneInfo, person: str) -> EvidenceRecord:
    return company.record(
        person,
        draw(st.sampled_from(KINDS)),
        draw(instants(zone)),
        version=draw(st.integers(1, 4)),
        valid_until=draw(maybe(instants(zone))),
        failed=draw(st.integers(0, 4)) == 0,
        revoked=draw(maybe(spans(zone)) if draw(st.integers(0, 3)) == 0 else st.none()),
        entry=draw(st.integers(1, 99)),
    )


@st.composite
def populations(draw: st.DrawFn) -> Population:
    timezone = draw(st.sampled_from(ZONES))
    zone = ZoneInfo(timezone)
    ids = IDS[: draw(st.integers(1, len(IDS)))]
    numbers = draw(st.lists(st.integers(0, 200_000), min_size=len(ids), max_size=len(ids), unique=True))
    everybody = tuple(draw(persons(zone, id_, number)) for id_, number in zip(ids, numbers, strict=True))
    evidence = {each.id: draw(some(records(zone, each.id), 4)) for each in everybody}
    return Population(everybody, evidence, 1, timezone)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    population = draw(populations())
    return World(draw(policies()), population, draw(instants(ZoneInfo(population.timezone))))
