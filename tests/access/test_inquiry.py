"""All that one subject has, and all who have one permission: the same as evaluation says, each with its reasons."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reconciler.access import UnknownPermission, UnknownPerson, clearance_of, evaluate
from reconciler.access.inquiry import access_of, holders_of
from tests.access.company import (
    a_person,
    a_policy,
    kind,
    level,
    local,
    people,
    permission,
    post,
    record,
    role,
    service_account,
)
from tests.access.worlds import World, worlds

random_worlds = settings(
    max_examples=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@random_worlds
@given(worlds())
def test_what_somebody_has_is_what_evaluation_gives_them(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    order = list(world.policy.permissions())
    for person in world.population:
        found = access_of(world.policy, world.population, person.id, world.at)
        allowed = [what for what in order if person.number in desired.allowed[what]]
        withheld = [what for what in order if person.number in desired.given[what] - desired.allowed[what]]
        assert [each.permission for each in found.allowed] == allowed
        assert [each.permission for each in found.withheld] == withheld
        assert all(person.number in desired.states[state] for state in found.states)
        assert found.clearance == clearance_of(world.policy, world.population, person.id, world.at)
    for name in world.policy.service_accounts:
        found = access_of(world.policy, world.population, name, world.at)
        assert [each.permission for each in found.allowed] == [p for p in order if name in desired.service_allowed[p]]
        assert {each.permission for each in (*found.allowed, *found.withheld)} == {
            what for what in order if name in desired.service_given[what]
        }


@random_worlds
@given(worlds())
def test_who_has_a_permission_is_whom_evaluation_gives_it(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    numbers = {person.id: person.number for person in world.population}
    for what in world.policy.permissions():
        found = holders_of(world.policy, world.population, desired, what)
        allowed, withheld = ([each.subject for each in some] for some in (found.allowed, found.withheld))
        assert [numbers[id_] for id_ in allowed if id_ in numbers] == list(desired.allowed[what])
        assert [numbers[id_] for id_ in withheld if id_ in numbers] == list(desired.given[what] - desired.allowed[what])
        assert {id_ for id_ in allowed if id_ not in numbers} == desired.service_allowed[what]
        assert {id_ for id_ in (*allowed, *withheld) if id_ not in numbers} == desired.service_given[what]
        assert (found.permission, found.at) == (what, world.at)


AT = local(2026, 11, 4, 9)
POLICY = a_policy(
    levels=[level("public", 0), level("core", 1, "nda")],
    evidence=[kind("nda")],
    resources={"wiki": (0, {"read": ["w"]}), "vault": (1, {"read": ["v"]})},
    roles=[role("staff", "wiki:read", "vault:read", everyone=True)],
    service_accounts=[service_account("svc", "vault:read", "wiki:read", ceiling=0, until=date(2026, 12, 31))],
)
PEOPLE = people(
    a_person("E2", post(), number=2),
    a_person("E1", post(), number=1),
    a_person("svc", post(), number=3),
    evidence=[record("E2", "nda", date(2026, 1, 1))],
)


def test_a_service_account_has_what_its_ceiling_admits() -> None:
    others = people(*(each for each in PEOPLE if each.id != "svc"))

    found = access_of(POLICY, others, "svc", AT)

    assert [str(each.permission) for each in found.allowed] == ["wiki:read"]
    assert [str(each.permission) for each in found.withheld] == ["vault:read"]
    assert (found.clearance, found.states) == ("public", ())


def test_a_person_goes_before_a_service_account_of_the_same_name() -> None:
    assert access_of(POLICY, PEOPLE, "svc", AT).states != ()


def test_people_stand_in_the_order_of_their_numbers_with_why() -> None:
    found = holders_of(POLICY, PEOPLE, evaluate(POLICY, PEOPLE, AT), permission("vault:read"))

    assert [each.subject for each in found.allowed] == ["E2"]
    assert [each.subject for each in found.withheld] == ["E1", "svc", "svc"]
    assert found.withheld[0].denials[0].what == "nda"


def test_unknown_names_are_said_to_be() -> None:
    with pytest.raises(UnknownPerson):
        access_of(POLICY, PEOPLE, "E404", AT)
    with pytest.raises(UnknownPermission):
        holders_of(POLICY, PEOPLE, evaluate(POLICY, PEOPLE, AT), permission("wiki:write"))
