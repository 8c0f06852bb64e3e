"""Who will lose or gain what when nothing happens but time: for random companies the differences between the days, and
in a few cases from what, and what prevents it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reconciler.access import evaluate
from reconciler.access.days import day_end
from reconciler.access.forecast import Foreseen, forecast, next_change
from reconciler.access.model import Desired, EndKind
from reconciler.facts.model import EvidenceRecord, Person, Span
from reconciler.policy.model import (
    Equals,
    Lifecycle,
    Overlap,
    Period,
    Permission,
    Policy,
    Proof,
    Separation,
    SponsorRule,
    StateRule,
)
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    days,
    exception,
    kind,
    level,
    local,
    lockout,
    member,
    people,
    permission,
    place,
    post,
    record,
    role,
    service_account,
    transferred,
)
from tests.access.worlds import World, worlds

# --- the differences between days -----------------------------------------------------------------------------------

TICK = timedelta(microseconds=1)
Told = tuple[date, str, bool, Permission]
"""The day, the subject, whether it is gained, what."""


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds())
def test_a_forecast_is_what_differs_from_day_to_day(world: World) -> None:
    until = world.at + timedelta(days=20, hours=7)
    zone = ZoneInfo(world.population.timezone)
    found = forecast(world.policy, world.population, world.at, until)
    told: list[Told] = [
        (each.at.astimezone(zone).date(), each.subject, each.gained, what)
        for each in found
        for what in each.permissions
    ]

    assert sorted(told) == sorted(_differences(world, until, zone))
    assert all(world.at < each.at <= until for each in found)
    assert all(each.text and (each.kind is None) == each.gained for each in found)
    assert all(each.prevents or each.gained for each in found)
    first = min((each.at for each in found), default=None)
    assert set(next_change(world.policy, world.population, world.at, until)) == {
        each for each in found if each.at == first
    }


def _differences(world: World, until: datetime, zone: ZoneInfo) -> set[Told]:
    ids = {person.number: person.id for person in world.population}
    now, moment = evaluate(world.policy, world.population, world.at), world.at
    found: set[Told] = set()
    while moment < until:
        day = (moment + TICK).astimezone(zone).date()
        moment = min(day_end(day, zone) - TICK, until)
        then = evaluate(world.policy, world.population, moment)
        for what in now.allowed:
            had, has = _holders(now, what, ids), _holders(then, what, ids)
            found |= {(day, subject, False, what) for subject in had - has}
            found |= {(day, subject, True, what) for subject in has - had}
        now = then
    return found


def _holders(desired: Desired, what: Permission, ids: dict[int, str]) -> set[str]:
    return {ids[number] for number in desired.allowed[what]} | desired.service_allowed[what]


# --- from what ------------------------------------------------------------------------------------------------------

AT = local(2026, 11, 4, 9)
UNTIL = local(2026, 12, 4, 9)
ENGINEER = compare("post", Equals(frozenset({"engineer"})))
ARCHITECT = compare("post", Equals(frozenset({"architect"})))
WIKI = permission("wiki:read")


def policy() -> Policy:
    return a_policy(
        levels=[level("public", 0), level("core", 1, "training")],
        evidence=[kind("training", valid_for=Period(years=1))],
        resources={name: (0, {"read": [name]}) for name in ("wiki", "code", "falcon", "left", "right")}
        | {"vault": (1, {"read": ["vault"]})},
        roles=[
            role("staff", "wiki:read", everyone=True),
            role("engineer", "code:read", "vault:read", match=ENGINEER),
            role("pilot", "falcon:read", members=[member("E1", date(2026, 11, 10))]),
            role("left", "left:read", match=compare("grade", Equals(frozenset({"P3"})))),
            role("right", "right:read", match=compare("grade", Equals(frozenset({"P4"})))),
        ],
        exceptions=[exception("E2", "wiki:read", until=date(2026, 11, 11))],
        lockouts=[lockout("E3", "SEC-1", since=date(2026, 11, 12), resources=["wiki"])],
        service_accounts=[service_account("svc", "wiki:read", ceiling=0, until=date(2026, 11, 13))],
        lifecycle=Lifecycle(notice=(StateRule(None, 0, place()),), transfer=Overlap(Period(days=14), 0, place())),
        ends={"left": date(2026, 11, 20)},
        separations=(Separation("apart", ("left", "right"), (), True, place()),),
        sponsors=(SponsorRule(ARCHITECT, "sponsor", None, Period(days=3), place()),),
    )


def told(person: Person | None, *others: Person, evidence: tuple[EvidenceRecord, ...] = ()) -> list[Foreseen]:
    everybody = [each for each in (person, *others) if each is not None]
    found = forecast(policy(), people(*everybody, evidence=evidence), AT, UNTIL)
    return [each for each in found if each.subject != "svc"] if person is not None else list(found)


OPEN = days(date(2025, 1, 1), None)
TRAINED = record("E4", "training", date(2025, 11, 9), entry=51)


@pytest.mark.parametrize(
    ("person", "at", "kind", "what", "resources"),
    [
        (a_person("E9", post("main", days(None, date(2026, 11, 9)), post="engineer")), local(2026, 11, 10),
         EndKind.ASSIGNMENT, "main", {"code", "wiki"}),
        (a_person("E1", post(post="hr")), local(2026, 11, 11), EndKind.MEMBERSHIP, "pilot", {"falcon"}),
        (a_person("E3", post(post="hr")), local(2026, 11, 12), EndKind.LOCKOUT, "SEC-1", {"wiki"}),
        (a_person("E4", post(post="engineer")), local(2026, 11, 9), EndKind.EVIDENCE, "training", {"vault"}),
        (a_person("E9", post(post="hr"), exited=(days(date(2026, 11, 8), None),)), local(2026, 11, 8),
         EndKind.LIFECYCLE, "exited", {"wiki"}),
        (a_person("E9", transferred("old", days(None, date(2026, 10, 31)), post="engineer"), post(post="hr")),
         local(2026, 11, 15), EndKind.OVERLAP, "old", {"code"}),
        (a_person("E9", post(post="architect", sponsor="E8")), local(2026, 11, 9), EndKind.SPONSOR, "E8", {"wiki"}),
    ],
    ids=["assignment", "membership", "lockout", "evidence", "exit", "overlap", "sponsor"],
)  # fmt: skip
def test_what_is_lost_says_from_what(
    person: Person, at: datetime, kind: EndKind, what: str, resources: set[str]
) -> None:
    sponsor = a_person("E8", post("main", days(None, date(2026, 11, 5)), post="hr"), number=8)
    found = [each for each in told(person, sponsor, evidence=(TRAINED,)) if each.subject == person.id]

    (lost,) = found
    assert (lost.at, lost.kind, lost.what, lost.gained) == (at, kind, what, False)
    assert {each.resource for each in lost.permissions} == resources
    assert lost.prevents


def test_a_training_prevents_what_its_end_takes() -> None:
    (lost,) = told(a_person("E4", post(post="engineer")), evidence=(TRAINED,))

    assert lost.text == "training runs out"
    assert lost.entry == 51
    assert [fact.proofs for fact in lost.prevents] == [(Proof("training"),)]


def test_a_proof_that_follows_without_a_gap_takes_nothing() -> None:
    again = record("E4", "training", date(2026, 11, 1))

    assert told(a_person("E4", post(post="engineer")), evidence=(TRAINED, again)) == []


def test_what_begins_is_gained_with_its_reason() -> None:
    (gained,) = told(
        a_person("E9", post(post="hr"), post("next", days(date(2026, 11, 20), None, entry=7), post="engineer"))
    )

    assert (gained.at, gained.gained, gained.what, gained.entry) == (local(2026, 11, 20), True, "engineer", 7)
    assert gained.permissions == (permission("code:read"),)
    assert gained.prevents == ()


def test_what_was_withheld_and_is_so_no_more_is_gained() -> None:
    back = a_person("E9", post(post="hr"), lockouts=(Span(None, local(2026, 11, 6), 3),))

    (gained,) = told(back)

    assert (gained.at, gained.gained, gained.what) == (local(2026, 11, 6), True, "locked-out")
    assert gained.text == "no longer withheld: locked out by an event"


def test_a_resource_that_ends_is_lost_by_whoever_was_given_it_since() -> None:
    """Nobody had it when the forecast was made."""
    joins = a_person("E9", post(post="hr"), post("next", days(date(2026, 11, 15), None), post="hr", grade="P3"))

    gained, lost = told(joins)

    assert (gained.at, gained.gained) == (local(2026, 11, 15), True)
    assert (lost.at, lost.kind, lost.what) == (local(2026, 11, 21), EndKind.RESOURCE, "left")


def test_a_second_role_that_may_not_be_held_takes_the_first() -> None:
    joins = a_person(
        "E9", post(post="hr", grade="P4"), post("next", days(date(2026, 11, 15), None), post="hr", grade="P3")
    )

    lost, *_ = told(joins)

    assert (lost.at, lost.kind, lost.what) == (local(2026, 11, 15), EndKind.SEPARATION, "apart")
    assert lost.permissions == (permission("right:read"),)


def test_a_service_account_ends() -> None:
    (lost,) = told(None)

    assert (lost.subject, lost.at, lost.kind, lost.permissions) == (
        "svc", local(2026, 11, 14), EndKind.SERVICE_ACCOUNT, (WIKI,),
    )  # fmt: skip


def test_an_exception_ends() -> None:
    """Of somebody whom no role gives it."""
    rules = policy()
    without = replace(rules, roles={name: each for name, each in rules.roles.items() if name != "staff"})

    (lost,) = (
        each for each in forecast(without, people(a_person("E2", post(post="hr"))), AT, UNTIL) if each.subject == "E2"
    )

    assert (lost.at, lost.kind) == (local(2026, 11, 12), EndKind.EXCEPTION)
