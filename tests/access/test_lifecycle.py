"""States, which assignments count, and what a state admits."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from reconciler.access import LifecycleState, evaluate
from reconciler.access.lifecycle import employed_since, horizon_of, stand_at, state_bound
from reconciler.facts.model import Assignment, Person, Span
from reconciler.policy.model import NOTHING, Equals, Lifecycle, Period, Policy, StateRule, Under
from tests.access.company import (
    SHANGHAI,
    a_person,
    a_policy,
    compare,
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


def living(lifecycle: Lifecycle) -> Policy:
    return a_policy(levels=[level("public", 0), level("internal", 1)], resources={}, lifecycle=lifecycle)


def states(person: Person, at: datetime = AT, lifecycle: Lifecycle = WEEK) -> tuple[LifecycleState, ...]:
    return stand_at(person, at, horizon_of(living(lifecycle), at, SHANGHAI)).states


def counting(person: Person, at: datetime = AT) -> list[str]:
    return [each.name for each in stand_at(person, at, horizon_of(living(WEEK), at, SHANGHAI)).assignments]


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
    def ceiling(state: LifecycleState, lifecycle: Lifecycle) -> int | None:
        return state_bound(living(lifecycle), a_person("E1"), state, (), AT, SHANGHAI).ceiling

    assert ceiling(PREBOARDING, Lifecycle()) == NOTHING
    assert ceiling(EXITED, Lifecycle()) == NOTHING
    assert ceiling(NOTICE, Lifecycle()) is None
    assert ceiling(LEAVE, Lifecycle()) is None
    assert ceiling(ACTIVE, Lifecycle()) is None
    assert ceiling(PREBOARDING, WEEK) == 0


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


# --- lists of rules -------------------------------------------------------------------------------------------------

GERMAN = compare("department", Under(frozenset({"de"})))
ENGINEER = compare("post", Equals(frozenset({"engineer"})))
SINCE_MAY = (days(date(2026, 5, 1), None),)


def bounded(lifecycle: Lifecycle) -> Policy:
    return a_policy(
        levels=[level("public", 0), level("internal", 1), level("core", 2)],
        resources={name: (rank, {"read": [name]}) for rank, name in enumerate(("wiki", "docs", "code"))},
        roles=[role("r", "wiki:read", "docs:read", "code:read", everyone=True)],
        exceptions=[exception("E1", f"{name}:read", until=date(2027, 1, 1)) for name in ("wiki", "docs", "code")],
        lifecycle=lifecycle,
    )


def reach(lifecycle: Lifecycle, person: Person, at: datetime = AT) -> int:
    """The highest class that the person may read, -1 for none: the same for everybody and for one."""
    policy = bounded(lifecycle)
    allowed = evaluate(policy, people(person), at).allowed
    found = max((rank for rank, who in enumerate(allowed.values()) if who), default=NOTHING)
    stand = stand_at(person, at, horizon_of(policy, at, SHANGHAI))
    bounds = [state_bound(policy, person, state, stand.assignments, at, SHANGHAI) for state in stand.states]
    assert found == min((bound.ceiling for bound in bounds if bound.ceiling is not None), default=2)
    return found


class TestLists:
    german_first = Lifecycle(notice=(StateRule(GERMAN, 1, place()), StateRule(None, 0, place())))

    def resigned(self, *posts: Assignment) -> Person:
        return a_person("E1", *posts, notice=SINCE_MAY)

    def test_the_first_rule_that_fits_the_assignment_holds(self) -> None:
        assert reach(self.german_first, self.resigned(post(department="de/berlin"))) == 1
        assert reach(self.german_first, self.resigned(post(department="us"))) == 0

    def test_unknown_fits(self) -> None:
        assert reach(self.german_first, self.resigned(post())) == 1

    def test_across_assignments_the_lowest_holds(self) -> None:
        both = self.resigned(post(department="de"), post("second", department="us"))

        assert reach(self.german_first, both) == 0

    def test_what_no_rule_fits_is_not_bounded_on_notice(self) -> None:
        only_german = Lifecycle(notice=(StateRule(GERMAN, 1, place()),))

        assert reach(only_german, self.resigned(post(department="us"))) == 2
        assert reach(only_german, self.resigned(post(department="us"), post("second", department="de"))) == 1

    def test_without_an_assignment_the_lowest_of_the_list_holds(self) -> None:
        lifecycle = Lifecycle(
            preboarding=(StateRule(ENGINEER, 2, place()), StateRule(GERMAN, 1, place())),
            notice=self.german_first.notice,
        )

        assert reach(lifecycle, a_person("E1")) == 1
        assert reach(lifecycle, a_person("E1", notice=SINCE_MAY)) == 0


class TestPreboarding:
    """Engineers two weeks before they begin, everybody in Germany on the day; nobody else before."""

    lifecycle = Lifecycle(
        preboarding=(
            StateRule(ENGINEER, 1, place(), opens=Period(days=14)),
            StateRule(GERMAN, 2, place(), opens=Period(days=1)),
        )
    )

    def opening(self, day: int, **attributes: str) -> list[str]:
        person = a_person("E1", post("main", days(date(2026, 5, day), None), **attributes))
        return [
            each.name for each in stand_at(person, AT, horizon_of(bounded(self.lifecycle), AT, SHANGHAI)).assignments
        ]

    def test_each_assignment_opens_as_the_first_rule_that_fits_it_says(self) -> None:
        assert self.opening(18, post="engineer") == ["main"]
        assert self.opening(19, post="engineer") == []
        assert self.opening(18, post="engineer", department="de") == ["main"]
        assert self.opening(5, post="hr", department="de") == ["main"]
        assert self.opening(6, post="hr", department="de") == []

    def test_what_no_rule_fits_does_not_open(self) -> None:
        assert self.opening(5, post="hr", department="us") == []

    def test_the_ceiling_is_that_of_the_assignments_that_opened(self) -> None:
        engineer = post("main", days(date(2026, 5, 10), None), post="engineer", department="us")
        german = post("second", days(date(2026, 5, 5), None), post="hr", department="de")

        assert reach(self.lifecycle, a_person("E1", engineer)) == 1
        assert reach(self.lifecycle, a_person("E1", german)) == 2
        assert reach(self.lifecycle, a_person("E1", engineer, german)) == 1


class TestLeave:
    suspending = Lifecycle(leave=(StateRule(None, None, place(), after=Period(days=30), suspend=True),))

    def away(self, *posts: Assignment, since: date | None = date(2026, 4, 4)) -> Person:
        return a_person("E1", *(posts or (post(),)), leave=(days(since, None),))

    def suspended(self, lifecycle: Lifecycle, person: Person, at: datetime = AT) -> bool:
        desired = evaluate(bounded(lifecycle), people(person), at)
        assert not (desired.suspended and any(desired.allowed.values()))
        return bool(desired.suspended)

    def test_a_rule_begins_so_long_after_the_leave(self) -> None:
        assert reach(self.suspending, self.away(), local(2026, 5, 3, 23, 59)) == 2
        assert reach(self.suspending, self.away(), local(2026, 5, 4)) == NOTHING
        assert not self.suspended(self.suspending, self.away(), local(2026, 5, 3, 23, 59))
        assert self.suspended(self.suspending, self.away(), local(2026, 5, 4))

    def test_a_leave_of_which_nobody_knows_the_beginning_has_lasted_long_enough(self) -> None:
        assert self.suspended(self.suspending, self.away(since=None))

    def test_they_are_back_when_the_leave_ends(self) -> None:
        back = a_person("E1", post(), leave=(days(date(2026, 1, 1), date(2026, 5, 3)),))

        assert reach(self.suspending, back) == 2
        assert not self.suspended(self.suspending, back)

    def test_while_a_rule_has_not_begun_the_next_is_not_tried(self) -> None:
        lifecycle = Lifecycle(leave=(StateRule(GERMAN, 1, place(), after=Period(days=60)), StateRule(None, 0, place())))

        assert reach(lifecycle, self.away(post(department="de"))) == 2
        assert reach(lifecycle, self.away(post(department="us"))) == 0

    def test_a_ceiling_suspends_nobody(self) -> None:
        lifecycle = Lifecycle(leave=(StateRule(None, 0, place()),))

        assert reach(lifecycle, self.away()) == 0
        assert not self.suspended(lifecycle, self.away())

    def test_suspended_for_one_assignment_is_suspended(self) -> None:
        lifecycle = Lifecycle(
            leave=(StateRule(GERMAN, None, place(), suspend=True), StateRule(None, 2, place())),
        )

        assert self.suspended(lifecycle, self.away(post(department="us"), post("second", department="de")))
        assert not self.suspended(lifecycle, self.away(post(department="us")))

    def test_who_is_exited_is_not_suspended(self) -> None:
        gone = a_person("E1", post(), leave=(days(date(2026, 1, 1), None),), exited=SINCE_MAY)

        assert not self.suspended(self.suspending, gone)
