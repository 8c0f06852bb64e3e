"""States, which assignments count, and what a state admits."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from reconciler.access import LifecycleState, evaluate
from reconciler.access.lifecycle import employed_since, opening_horizon, stand_at, state_ceiling
from reconciler.facts.model import Person, Span
from reconciler.policy.model import Lifecycle, Period, StateRule
from tests.access.company import (
    SHANGHAI,
    a_person,
    a_policy,
    days,
    exception,
    level,
    local,
    member,
    people,
    permission,
    place,
    post,
    role,
)

AT = local(2026, 5, 4, 9)
WEEK = Lifecycle(preboarding=(StateRule(None, 0, place(), Period(days=7)),))
PREBOARDING, ACTIVE, NOTICE, LEAVE, EXITED = LifecycleState


def states(person: Person, at: datetime = AT, lifecycle: Lifecycle = WEEK) -> tuple[LifecycleState, ...]:
    return stand_at(person, at, opening_horizon(lifecycle, at, SHANGHAI)).states


def counting(person: Person, at: datetime = AT) -> list[str]:
    return [each.name for each in stand_at(person, at, opening_horizon(WEEK, at, SHANGHAI)).assignments]


def test_states_follow_the_spans() -> None:
    since_may = (days(date(2026, 5, 1), None),)

    assert states(a_person("E1", post())) == (ACTIVE,)
    assert states(a_person("E1", post(), notice=since_may)) == (NOTICE,)
    assert states(a_person("E1", post(), notice=since_may, leave=since_may)) == (NOTICE, LEAVE)
    assert states(a_person("E1", post("main", days(date(2026, 6, 1), None)))) == (PREBOARDING,)
    assert states(a_person("E1", post(), exited=since_may, notice=since_may)) == (EXITED,)
    assert states(a_person("E1", post(), notice=(days(date(2026, 4, 1), date(2026, 4, 30)),))) == (ACTIVE,)


def test_somebody_of_whom_no_assignment_is_known_is_preboarding() -> None:
    assert states(a_person("E1")) == (PREBOARDING,)
    assert counting(a_person("E1")) == []


def test_the_last_assignment_ends_and_none_is_to_come() -> None:
    person = a_person("E1", post("main", days(None, date(2026, 5, 3))), post("second", days(None, date(2026, 4, 1))))

    assert states(person, local(2026, 5, 3, 23, 59)) == (ACTIVE,)
    assert states(person, local(2026, 5, 4)) == (EXITED,)


def test_between_two_posts_one_is_preboarding_again() -> None:
    person = a_person("E1", post("main", days(None, date(2026, 5, 3))), post("next", days(date(2026, 5, 6), None)))

    assert states(person) == (PREBOARDING,)
    assert counting(person) == ["next"]


def test_an_exit_at_a_time_of_day_takes_effect_at_that_minute() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["g"]})},
        roles=[role("r", "wiki:read", everyone=True)],
    )
    gone = Span(local(2026, 5, 4, 17, 30), None, 5)
    population = people(a_person("E1", post(), exited=(gone,)))

    def may(at: datetime) -> bool:
        return bool(evaluate(policy, population, at).allowed[permission("wiki:read")])

    assert may(local(2026, 5, 4, 17, 29))
    assert not may(local(2026, 5, 4, 17, 30))


def test_assignments_open_within_the_days_that_preboarding_names() -> None:
    person = a_person("E1", post("main", days(date(2026, 5, 11), None)), post("later", days(date(2026, 6, 1), None)))

    assert counting(person, local(2026, 5, 3, 23, 59)) == []
    assert counting(person, local(2026, 5, 4)) == ["main"]
    assert counting(person, local(2026, 5, 11)) == ["main"]


def test_who_is_active_has_only_what_has_begun() -> None:
    assert counting(a_person("E1", post(), post("second", days(date(2026, 5, 6), None)))) == ["main"]


def test_an_assignment_that_ends_before_it_begins_opens_nothing() -> None:
    start = local(2026, 5, 6)

    assert counting(a_person("E1", post("main", Span(start, start, 1)))) == []


def test_ceilings_of_states_that_are_not_named() -> None:
    unnamed = Lifecycle()

    assert state_ceiling(unnamed, PREBOARDING) == -1
    assert state_ceiling(unnamed, EXITED) == -1
    assert state_ceiling(unnamed, NOTICE) is None
    assert state_ceiling(unnamed, LEAVE) is None
    assert state_ceiling(WEEK, PREBOARDING) == 0


@pytest.mark.parametrize(
    ("lifecycle", "allowed"),
    [
        (Lifecycle(), {"wiki:read", "code:read"}),
        (Lifecycle(notice=(StateRule(None, 0, place()),)), {"wiki:read"}),
        (Lifecycle(preboarding=(StateRule(None, 1, place()),), notice=(StateRule(None, 0, place()),)), {"wiki:read"}),
    ],
)
def test_notice_steps_down_at_once(lifecycle: Lifecycle, allowed: set[str]) -> None:
    policy = a_policy(
        levels=[level("public", 0), level("internal", 1)],
        resources={"wiki": (0, {"read": ["g"]}), "code": (1, {"read": ["h"]})},
        roles=[role("r", "wiki:read", "code:read", everyone=True)],
        lifecycle=lifecycle,
    )
    population = people(a_person("E1", post(), notice=(days(date(2026, 5, 4), None),)))

    desired = evaluate(policy, population, AT)

    assert {str(each) for each, who in desired.allowed.items() if who} == allowed
    assert all(desired.given.values())


def test_where_several_states_hold_the_lowest_ceiling_counts() -> None:
    lifecycle = Lifecycle(
        preboarding=(StateRule(None, 1, place(), Period(days=7)),), notice=(StateRule(None, 0, place()),)
    )
    policy = a_policy(
        levels=[level("public", 0), level("internal", 1)],
        resources={"code": (1, {"read": ["h"]})},
        roles=[role("r", "code:read", everyone=True)],
        lifecycle=lifecycle,
    )
    newcomer = a_person("E1", post("main", days(date(2026, 5, 6), None)))
    resigned = a_person("E2", *newcomer.assignments, number=2, notice=(days(date(2026, 5, 1), None),))

    assert set(evaluate(policy, people(newcomer, resigned), AT).allowed[permission("code:read")]) == {1}


def test_members_need_an_assignment_and_exceptions_do_not() -> None:
    """An exception is given whatever the assignments; the state withholds it."""
    policy = a_policy(
        levels=[level("public", 0), level("internal", 1)],
        resources={"wiki": (0, {"read": ["g"]}), "code": (1, {"read": ["h"]})},
        roles=[role("owners", "wiki:read", members=[member("E1", date(2026, 12, 31))])],
        exceptions=[
            exception("E1", "wiki:read", until=date(2026, 12, 31)),
            exception("E1", "code:read", until=date(2026, 12, 31)),
        ],
        lifecycle=WEEK,
    )
    desired = evaluate(policy, people(a_person("E1")), AT)

    assert {str(each) for each, who in desired.given.items() if who} == {"wiki:read", "code:read"}
    assert {str(each) for each, who in desired.allowed.items() if who} == {"wiki:read"}
    only_member = a_policy(
        levels=[level("public", 0)], resources={"wiki": (0, {"read": ["g"]})}, roles=list(policy.roles.values())
    )
    assert not any(evaluate(only_member, people(a_person("E1")), AT).given.values())
    assert all(evaluate(only_member, people(a_person("E1", post())), AT).allowed.values())


def test_the_rehire_that_matters_is_the_one_before_the_moment() -> None:
    away = days(date(2025, 1, 1), date(2025, 12, 31))
    person = a_person("E1", post(), exited=(away,), rehired=True, employed_since=local(2026, 1, 1))

    assert employed_since(person, local(2024, 6, 1)) is None
    assert employed_since(person, AT) == local(2026, 1, 1)
    assert employed_since(a_person("E1", post(), employed_since=local(2026, 1, 1)), AT) is None
