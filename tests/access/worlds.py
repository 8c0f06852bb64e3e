"""Random worlds: policies, people, evidence and a moment, small enough that every clause meets every other.

Policies are built as values here, and `Written` says beside them what they would look like in a file: families of
resources and roles that bind a variable are expanded by this module, and read as written by the slow rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from reconciler.access.days import day_start
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import (
    ClearanceLevel,
    Compartment,
    EvidenceKind,
    Lifecycle,
    Overlap,
    Period,
    Policy,
    Proof,
    Requirement,
    Resource,
    Separation,
    SponsorRule,
    StateRule,
)
from tests.access import company
from tests.access.drawn_matches import DEPARTMENTS, GRADES, IDS, matches, maybe, one_in, some
from tests.access.drawn_roles import FAMILIES, LISTED, PERMISSIONS, as_written, compiled, family_of, roles
from tests.access.naive_rule import Written, named, variable_of

KINDS = ("nda", "training", "check", "保密培训")
PROOFS = (*map(Proof, KINDS), Proof("briefing", "falcon"), Proof("briefing", "凤凰"))
LEVELS = ("public", "internal", "core")
FIRST_DAYS = {
    "UTC": date(2026, 1, 20),
    "Asia/Shanghai": date(2026, 1, 20),
    "Europe/Berlin": date(2026, 1, 20),
    "America/Havana": date(2026, 1, 20),
    "America/Sao_Paulo": date(2018, 9, 20),
    "Pacific/Apia": date(2011, 11, 1),
}
"""From these days on, within 75: ends of months, clock changes (in Havana and São Paulo at midnight, which is then no
time of that day), and in Apia a day that does not exist.
"""

RESOURCES: dict[str, tuple[int, dict[str, list[str]]]] = {
    "wiki": (0, {"read": ["g-wiki"]}),
    "docs": (1, {"read": ["g-docs", "g-shared"], "write": ["g-docs-w"]}),
    "code": (1, {"read": ["g-code"]}),
    "vault": (2, {"read": ["g-vault", "g-shared"]}),
}
"""`g-shared` carries `docs:read` too, which is therefore tested as `core` and with the compartments of both."""

COMPARTMENTS = ("chip", "project/falcon", "project/凤凰")


@dataclass(frozen=True)
class World:
    policy: Policy
    population: Population
    at: datetime
    written: Written


def days_from(first: date) -> st.SearchStrategy[date]:
    return st.integers(0, 75).map(lambda n: first + timedelta(days=n))


periods = st.sampled_from(
    [Period(days=1), Period(days=14), Period(months=1), Period(years=1), Period(days=3, months=1)]
)
places = st.builds(company.place)


@st.composite
def instants(draw: st.DrawFn, zone: ZoneInfo) -> datetime:
    """Mostly the borders of local days, where off-by-one lives; sometimes an hour of the day, or a microsecond off."""
    day = day_start(draw(days_from(FIRST_DAYS[zone.key])), zone)
    minutes = draw(st.sampled_from([0, 0, 0, 90, 1050]))
    nudge = draw(st.sampled_from([0, 0, 0, -1, 1]))
    return (day + timedelta(minutes=minutes, microseconds=nudge)).astimezone(UTC)


# --- evidence and clearance -----------------------------------------------------------------------------------------


@st.composite
def kinds(draw: st.DrawFn, name: str, days: st.SearchStrategy[date]) -> EvidenceKind:
    made = company.kind(
        name,
        version=draw(st.integers(1, 3)),
        superseded_on=draw(maybe(days)),
        valid_for=draw(maybe(periods)),
        grace=draw(maybe(periods)),
        applies_to=draw(maybe(matches)),
        survives_rehire=draw(st.booleans()),
    )
    return replace(made, per="projects" if name == "briefing" else None)


requirements = st.builds(
    Requirement, st.lists(st.sampled_from(PROOFS), min_size=1, max_size=2, unique=True).map(tuple), places
)


@st.composite
def levels(draw: st.DrawFn) -> list[ClearanceLevel]:
    return [
        ClearanceLevel(
            name, rank, draw(some(requirements, min(rank, 1))), draw(one_in(3, maybe(matches), None)), draw(places)
        )
        for rank, name in enumerate(LEVELS)
    ]


@st.composite
def compartments(draw: st.DrawFn) -> dict[str, Compartment]:
    """A plain one, and one whose name holds the project."""
    own = Compartment("chip", "chip", draw(some(requirements)), draw(one_in(3, maybe(matches), None)), draw(places))
    needs, only, place = draw(some(requirements, 1)), draw(one_in(3, maybe(matches), None)), draw(places)
    made = {"chip": own}
    for project in FAMILIES["prj/{project}"]:
        briefed = (*needs, Requirement((Proof("briefing", project),), place))
        name = f"project/{project}"
        made[name] = Compartment(name, "project/{project}", briefed, only, place)
    return made


# --- resources ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What a resource has beside its plain declaration."""

    stricter: int = 0
    compartments: frozenset[str] = frozenset()
    until: date | None = None


@st.composite
def entries(draw: st.DrawFn, days: st.SearchStrategy[date]) -> dict[str, Entry]:
    extra = one_in(3, st.just(frozenset({"chip"})), frozenset[str]())
    made = {name: Entry(0, draw(extra)) for name in RESOURCES}
    for name in LISTED:
        briefed = frozenset({f"project/{name[4:]}"}) if name.startswith("prj/") else frozenset[str]()
        made[name] = Entry(draw(one_in(4, st.just(1), 0)), briefed | draw(extra), draw(one_in(4, maybe(days), None)))
    return made


def with_entries(policy: Policy, made: Mapping[str, Entry]) -> Policy:
    """The resources with their compartments and ends, and the entitlements with all of what they carry."""
    resources = {name: _with_entry(resource, made[name]) for name, resource in policy.resources.items()}
    entitlements = {
        ref: replace(
            each, compartments=frozenset().union(*(resources[p.resource].compartments for p in each.permissions))
        )
        for ref, each in policy.entitlements.items()
    }
    return replace(policy, resources=resources, entitlements=entitlements)


def _with_entry(resource: Resource, entry: Entry) -> Resource:
    family = family_of(resource.name)
    value = resource.name.partition("/")[2] if family else ""
    return replace(resource, compartments=entry.compartments, until=entry.until, family=family, value=value)


def declared(made: Mapping[str, Entry]) -> dict[str, tuple[int, dict[str, list[str]]]]:
    families = {"prj/{project}": 1, "unit/{unit}": 0}
    listed = {name: (families[family_of(name)] + made[name].stricter, {"read": [f"g-{name}"]}) for name in LISTED}
    return {**RESOURCES, **listed}


# --- conduct --------------------------------------------------------------------------------------------------------

lists = st.frozensets(st.sampled_from(PERMISSIONS).map(named), min_size=1, max_size=3)
sponsors = st.builds(
    SponsorRule, matches, st.just("sponsor"), maybe(matches), st.just(Period()) | periods, places, st.booleans()
)
overlaps = st.builds(Overlap, periods, st.integers(0, 2), places)


@st.composite
def separations(draw: st.DrawFn, names: Sequence[str], number: int) -> Separation:
    withhold, place = draw(st.booleans()), draw(places)
    if len(names) > 1 and draw(st.booleans()):
        picked = draw(st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True))
        return Separation(f"apart {number}", tuple(picked), (), withhold, place)
    return Separation(f"wall {number}", (), tuple(draw(st.lists(lists, min_size=2, max_size=3))), withhold, place)


@st.composite
def state_rules(draw: st.DrawFn, state: str) -> StateRule:
    return StateRule(
        match=draw(maybe(matches)),
        ceiling=draw(st.integers(0, 2)),
        place=draw(places),
        opens=draw(periods) if state == "preboarding" else Period(),
        after=draw(st.just(Period()) | periods) if state == "leave" else Period(),
        suspend=state == "leave" and draw(st.booleans()),
    )


@st.composite
def lifecycles(draw: st.DrawFn) -> Lifecycle:
    return Lifecycle(
        preboarding=draw(some(state_rules("preboarding"))),
        notice=draw(some(state_rules("notice"))),
        leave=draw(some(state_rules("leave"))),
        transfer=draw(maybe(overlaps)),
    )


@st.composite
def policies(draw: st.DrawFn, first: date) -> tuple[Policy, Written]:
    days, gives = days_from(first), st.sampled_from(PERMISSIONS)
    exception = st.builds(company.exception, st.sampled_from(IDS), gives, until=days, since=maybe(days))
    lockout = st.builds(
        company.lockout,
        st.sampled_from(IDS),
        st.just("SEC-1"),
        maybe(days),
        maybe(st.lists(st.sampled_from([*RESOURCES, *LISTED]), min_size=1, max_size=2)),
    )
    service = st.builds(
        company.service_account, st.sampled_from(["svc-a", "svc-b"]), gives, ceiling=st.integers(0, 2), until=days
    )
    made, extra = draw(roles(days)), draw(entries(days))
    policy = company.a_policy(
        levels=draw(levels()),
        resources=declared(extra),
        roles=[compiled(draft) for draft in made],
        evidence=[draw(kinds(name, days)) for name in (*KINDS, "briefing")],
        exceptions=draw(some(exception)),
        lockouts=draw(some(lockout, 1)),
        service_accounts=draw(some(service)),
        lifecycle=draw(lifecycles()),
        families=[company.family(name, variable_of(name), *values) for name, values in FAMILIES.items()],
    )
    policy = replace(
        with_entries(policy, extra),
        compartments=draw(compartments()),
        separations=tuple(draw(separations([draft.name for draft in made], n)) for n in range(draw(st.integers(0, 2)))),
        sponsors=draw(one_in(3, some(sponsors, 1), ())),
    )
    return policy, as_written(made)


# --- people ---------------------------------------------------------------------------------------------------------

TEXTS = {
    "department": (*DEPARTMENTS, ""),
    "post": ("engineer", "hr", "wizard", ""),
    "grade": (*GRADES, "P99", " "),
    "projects": ("falcon", "falcon; phoenix", "凤凰；falcon", " ; ", ""),
    "sponsor": (*IDS, "E9", ""),
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
    span = draw(spans(zone) | st.just(company.ALWAYS))
    return Assignment(
        draw(st.sampled_from(["main", "second"])), known, span, transferred=span.end is not None and draw(st.booleans())
    )


@st.composite
def transfers(draw: st.DrawFn, zone: ZoneInfo, at: datetime) -> tuple[Assignment, Assignment]:
    """A post lately left for another one, as far back as an overlap may last, or an instant further."""
    ago = timedelta(days=draw(st.sampled_from([0, 1, 14, 28, 31])), microseconds=draw(st.sampled_from([-1, 0, 1])))
    moved, old, new = at - ago, draw(assignments(zone)), draw(assignments(zone))
    return (
        replace(old, span=Span(None, moved, 1), transferred=draw(one_in(4, st.just(False), True))),
        replace(new, span=Span(draw(one_in(4, instants(zone), moved)), None, 2)),
    )


@st.composite
def persons(draw: st.DrawFn, zone: ZoneInfo, id_: str, number: int, at: datetime) -> Person:
    rehired = draw(st.integers(0, 3)) == 0
    rare = one_in(6, some(spans(zone), 1), ())
    return Person(
        number=number,
        id=id_,
        name=id_,
        email="",
        assignments=(*draw(one_in(3, transfers(zone, at), ())), *draw(some(assignments(zone), 3))),
        notice=draw(some(spans(zone), 1)),
        leave=draw(one_in(2, some(spans(zone)), ())),
        exited=draw(rare),
        lockouts=draw(rare),
        employed_since=draw(instants(zone)) if rehired else None,
        rehired=rehired,
    )


@st.composite
def records(draw: st.DrawFn, zone: ZoneInfo, person: str) -> EvidenceRecord:
    made = company.record(
        person,
        draw(st.sampled_from([*KINDS, "briefing", "briefing"])),
        draw(instants(zone)),
        version=draw(st.integers(1, 4)),
        valid_until=draw(maybe(instants(zone))),
        failed=draw(st.integers(0, 4)) == 0,
        revoked=draw(one_in(4, maybe(spans(zone)), None)),
        entry=draw(st.integers(1, 99)),
    )
    return replace(made, scope=draw(st.sampled_from(["falcon", " falcon ", "凤凰", ""])))


@st.composite
def populations(draw: st.DrawFn, timezone: str, at: datetime) -> Population:
    zone = ZoneInfo(timezone)
    ids = IDS[: draw(st.integers(1, len(IDS)))]
    numbers = draw(st.lists(st.integers(0, 200_000), min_size=len(ids), max_size=len(ids), unique=True))
    everybody = tuple(draw(persons(zone, id_, number, at)) for id_, number in zip(ids, numbers, strict=True))
    evidence = {each.id: draw(some(records(zone, each.id), 4)) for each in everybody}
    return Population(everybody, evidence, 1, timezone)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    timezone = draw(st.sampled_from(sorted(FIRST_DAYS)))
    at = draw(instants(ZoneInfo(timezone)))
    policy, written = draw(policies(FIRST_DAYS[timezone]))
    return World(policy, draw(populations(timezone, at)), at, written)
