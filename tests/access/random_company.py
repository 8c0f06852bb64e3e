"""Companies made up at random, small enough to read and with every part of the language in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import (
    AllOf,
    AnyOf,
    Contains,
    EntitlementRef,
    Equals,
    Lifecycle,
    Match,
    Negated,
    NoneOf,
    Overlap,
    Period,
    Policy,
    Present,
    Reach,
    Role,
    Separation,
    SponsorRule,
    StateRule,
    Test,
    Under,
    Within,
)
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    compartment,
    days,
    exception,
    family,
    for_each,
    grant,
    kind,
    level,
    local,
    lockout,
    member,
    people,
    permission,
    place,
    record,
    role,
)

AT = local(2026, 5, 4, 9)
TODAY = date(2026, 5, 4)
FAMILY = "project-docs/{project}"
SITES = "site/{site}"
IDS = tuple(f"E{n}" for n in range(1, 8))

PERMISSIONS = (
    "wiki:read",
    "docs:read",
    "docs:write",
    "core:read",
    "project-docs/falcon:read",
    "project-docs/phoenix:read",
    "site/cn:read",
    "site/cn/sh:read",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Company:
    """A policy, its people, and a random generator to go on with."""

    policy: Policy
    population: Population
    random: Random

    @property
    def refs(self) -> tuple[EntitlementRef, ...]:
        return tuple(self.policy.entitlements)


def companies() -> st.SearchStrategy[Company]:
    """Any number makes one; the same number always the same."""
    return st.integers(0, 2**32 - 1).map(company)


def company(seed: int) -> Company:
    random = Random(seed)
    return Company(_policy(random), _population(random), random)


# --- policies -------------------------------------------------------------------------------------------------------


def _policy(random: Random) -> Policy:
    roles = _roles(random)
    return a_policy(
        levels=[
            level("public", 0),
            level("internal", 1, "nda", only=_maybe(random, 0.2, _match)),
            level("core", 2, ("training", "check"), "nda"),
        ],
        evidence=[
            kind("nda", version=2, superseded_on=random.choice([None, _day(random)])),
            kind("training", valid_for=Period(years=1), grace=Period(days=14), applies_to=_maybe(random, 0.4, _match)),
            kind("check", survives_rehire=True, valid_for=Period(months=6), applies_to=_maybe(random, 0.4, _match)),
            kind("briefing", per="projects"),
        ],
        compartments=[
            compartment("chip", "training", only=_maybe(random, 0.3, _match)),
            compartment("project/falcon", ("briefing:falcon", "check")),
        ],
        resources={
            "wiki": (0, {"read": ["wiki", "shared"] if random.random() < 0.3 else ["wiki"]}),
            "docs": (1, {"read": ["docs"], "write": ["docs-w"]}),
            "core": (2, {"read": ["core", "shared"]}),
            "project-docs/falcon": (1, {"read": ["falcon"]}),
            "project-docs/phoenix": (random.randrange(3), {"read": ["phoenix"]}),
            "site/cn": (0, {"read": ["cn"]}),
            "site/cn/sh": (0, {"read": ["sh"]}),
        },
        carrying={"project-docs/falcon": ["project/falcon"], "core": random.choice([[], ["chip"]])},
        ends={name: _day(random) for name in ("docs", "project-docs/phoenix") if random.random() < 0.2},
        roles=roles,
        families=[family(FAMILY, "project", "falcon", "phoenix"), family(SITES, "site", "cn", "cn/sh")],
        exceptions=[
            exception(random.choice(IDS), random.choice(PERMISSIONS), until=_day(random), index=i)
            for i in range(random.randrange(3))
        ],
        lockouts=[
            lockout(random.choice(IDS), "SEC-1", resources=random.choice([None, ["wiki", "core"]]))
            for _ in range(random.randrange(2))
        ],
        lifecycle=_lifecycle(random),
        separations=tuple(_separation(random, roles, i) for i in range(random.randrange(3))),
        sponsors=tuple(
            SponsorRule(
                _match(random), "sponsor", _maybe(random, 0.6, _match), Period(days=14), place(), random.random() < 0.4
            )
            for _ in range(random.randrange(2))
        ),
    )


def _roles(random: Random) -> list[Role]:
    base = role("base", *_some(random), match=_match(random))
    senior = role("senior", *_some(random), match=_match(random), inherits=[base])
    project, site = for_each("project", "projects"), for_each("site", "department", Reach.ANCESTORS)
    by_project = [grant(f"project-docs/{p}:read", compare("projects", Contains(frozenset({p})))) for p in PROJECTS]
    by_site = [grant(f"site/{each}:read", compare("department", Under(frozenset({each})))) for each in ("cn", "cn/sh")]
    some_project = grant("docs:read", compare("projects", Present()))
    return [
        base,
        senior,
        role(
            "project-member",
            *by_project,
            *([some_project] if random.random() < 0.5 else []),
            match=_maybe(random, 0.5, _match),
            each=[project],
            families=[(FAMILY, project)],
        ),
        role("on-site", *by_site, each=[site], families=[(SITES, site)]),
        role("owners", *_some(random), members=[member(random.choice(IDS), _day(random)) for _ in range(2)]),
        role("staff", "wiki:read", everyone=True),
    ]


def _lifecycle(random: Random) -> Lifecycle:
    def rule(random: Random) -> StateRule:
        return StateRule(
            _maybe(random, 0.6, _match),
            random.choice([-1, 0, 1, 2]),
            place(),
            opens=Period(days=random.choice([0, 7, 30])),
            after=Period(days=random.choice([0, 14])),
        )

    def leave(random: Random) -> StateRule:
        ceiling = random.choice([None, 0, 1])
        after = Period(days=random.choice([0, 14, 30]))
        return StateRule(_maybe(random, 0.6, _match), ceiling, place(), after=after, suspend=ceiling is None)

    return Lifecycle(
        preboarding=_several(random, rule),
        notice=_several(random, rule),
        leave=_several(random, leave),
        transfer=random.choice([None, Overlap(Period(days=14), random.randrange(3), place())]),
    )


def _separation(random: Random, roles: list[Role], index: int) -> Separation:
    withhold = random.random() < 0.7
    if random.random() < 0.5:
        names = tuple(each.name for each in random.sample(roles, 2))
        return Separation(f"roles-{index}", names, (), withhold, place())
    lists = tuple(frozenset(map(permission, random.sample(PERMISSIONS, 2))) for _ in range(2))
    return Separation(f"lists-{index}", (), lists, withhold, place())


def _some(random: Random) -> list[str]:
    return random.sample(PERMISSIONS[:4], random.randrange(1, 4))


# --- matches --------------------------------------------------------------------------------------------------------

DEPARTMENTS = ("rd", "rd/ai", "cn", "cn/sh/a", "cn/bj", "", "us")
POSTS = ("engineer", "architect", "hr", "", "cook")
GRADES = ("P3", "P5", "P6", "M1", "", "Q1")
PROJECTS = ("falcon", "phoenix")


def _match(random: Random) -> Match:
    shape = random.random()
    if shape < 0.6:
        return compare(*_comparison(random), absent=random.choice([None, None, None, True, False]))
    several = AllOf if shape < 0.75 else AnyOf if shape < 0.9 else NoneOf
    return several((compare(*_comparison(random)), compare(*_comparison(random))))


def _comparison(random: Random) -> tuple[str, Test]:
    somewhere = frozenset({random.choice(("rd", "cn", "cn/sh"))})
    tests: dict[str, Equals | Under | Within | Contains] = {
        "department": Under(somewhere) if random.random() < 0.5 else Equals(somewhere),
        "post": Equals(frozenset(random.sample(POSTS[:3], 2))),
        "grade": Within(random.choice([None, 1, 3]), random.choice([None, 3])),
        "projects": Contains(frozenset(random.sample(PROJECTS, random.randrange(1, 3))), random.random() < 0.3),
    }
    attribute = random.choice(list(tests))
    test = random.choice([tests[attribute], Present()])
    return attribute, Negated(test) if random.random() < 0.2 else test


# --- people ---------------------------------------------------------------------------------------------------------


def _population(random: Random) -> Population:
    everybody = [_person(random, id_, number) for number, id_ in enumerate(IDS, start=1)]
    evidence = [_record(random, id_) for id_ in IDS for _ in range(random.randrange(3, 10))]
    return people(*everybody, evidence=evidence)


def _person(random: Random, id_: str, number: int) -> Person:
    posts = [_assignment(random, str(i)) for i in range(random.choice([0, 1, 1, 1, 2, 2, 3]))]
    if random.random() < 0.3:
        posts.append(replace(_assignment(random, "before"), span=days(None, _day(random)), transferred=True))
    back = random.random() < 0.1
    return a_person(
        id_,
        *posts,
        number=number,
        notice=_spans(random, 0.15),
        leave=_spans(random, 0.15),
        exited=_spans(random, 0.08),
        lockouts=_spans(random, 0.1),
        rehired=back,
        employed_since=local(2026, 3, 1) if back else None,
    )


def _assignment(random: Random, name: str) -> Assignment:
    values = {
        "department": random.choice(DEPARTMENTS),
        "post": random.choice(POSTS),
        "grade": random.choice(GRADES),
        "projects": ";".join(random.sample(("falcon", "phoenix", "lost"), random.randrange(3))),
        "sponsor": random.choice((*IDS, "", "E404")),
    }
    return Assignment(name, {k: v for k, v in values.items() if v}, _span(random))


def _span(random: Random) -> Span:
    since = random.choice([None, None, date(2026, 1, 1), _day(random)])
    return days(since, random.choice([None, None, None, None, _day(random)]))


def _spans(random: Random, chance: float) -> tuple[Span, ...]:
    return (_span(random),) if random.random() < chance else ()


def _record(random: Random, id_: str) -> EvidenceRecord:
    begins = random.choice([local(2026, 1, 1), local(2025, 5, 4) + timedelta(days=random.randrange(-30, 30)), AT])
    return record(
        id_,
        random.choice(("nda", "training", "check", "briefing", "unknown")),
        begins,
        version=random.choice((1, 2, 2)),
        valid_until=_maybe(random, 0.2, _moment),
        failed=random.random() < 0.08,
        revoked=_maybe(random, 0.1, _span),
        scope=random.choice(("", "falcon", " falcon ", "phoenix")),
    )


# --- chance ---------------------------------------------------------------------------------------------------------


def _day(random: Random) -> date:
    return TODAY + timedelta(days=random.choice([-40, -20, -14, -7, -1, 0, 1, 6, 20, 40]))


def _moment(random: Random) -> datetime:
    return AT + timedelta(days=random.randrange(-30, 30))


def _maybe(random: Random, chance: float, make: Callable[[Random], T]) -> T | None:
    return make(random) if random.random() < chance else None


def _several(random: Random, make: Callable[[Random], T]) -> tuple[T, ...]:
    return tuple(make(random) for _ in range(random.randrange(4)))
