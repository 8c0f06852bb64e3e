"""Whoever needs somebody to answer for them, and has nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from reconciler.access import evaluate
from reconciler.access.sponsorship import people_needed, people_sponsored
from reconciler.facts.model import Assignment, Person, Span
from reconciler.policy.model import Equals, Match, Period, Policy, SponsorRule
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    days,
    level,
    local,
    people,
    permission,
    place,
    post,
    role,
)

AT = local(2026, 5, 4, 9)
GUEST = compare("post", Equals(frozenset({"hr"})))
HOST = compare("post", Equals(frozenset({"engineer"})))


def policy(must: Match | None = HOST, lapse: int = 14) -> Policy:
    return a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["g"]})},
        roles=[role("staff", "wiki:read", everyone=True)],
        sponsors=(SponsorRule(GUEST, "sponsor", must, Period(days=lapse), place()),),
    )


def may(guest: Person, *others: Person, rules: Policy | None = None) -> bool:
    desired = evaluate(rules or policy(), people(guest, *others), AT)
    assert guest.number in desired.given[permission("wiki:read")]
    return guest.number in desired.allowed[permission("wiki:read")]


def guest(sponsor: str = "E9", **attributes: str) -> Person:
    return a_person("E1", post(**{"post": "hr", "sponsor": sponsor, **attributes}))


def host(*posts: Assignment, **rest: object) -> Person:
    return a_person("E9", *(posts or (post(post="engineer"),)), number=9, **rest)


def test_a_sponsor_who_is_there_answers() -> None:
    assert may(guest(), host())
    assert may(guest(" E9 "), host())


def test_nobody_named_nobody_known_and_nobody_who_may_is_nobody() -> None:
    assert not may(guest(""), host())
    assert not may(guest("E404"), host())
    assert not may(guest(), host(post(post="architect")))
    assert not may(guest(), host(post()))
    assert not may(guest(), host(post("to-come", days(date(2026, 6, 1), None), post="engineer")))


def test_without_a_condition_any_active_assignment_will_do() -> None:
    assert may(guest(), host(post()), rules=policy(must=None))
    assert not may(guest(), a_person("E9", number=9), rules=policy(must=None))


def test_who_is_no_guest_needs_nobody_and_who_may_be_one_does() -> None:
    """Unknown counts: a blank field never opens a door."""
    assert may(a_person("E1", post(post="engineer")))
    assert not may(a_person("E1", post(post="")))
    assert not may(a_person("E1", post(post="cook")))
    assert may(a_person("E1", post(post="", sponsor="E9")), host())


def test_every_assignment_that_needs_one_has_to_have_one() -> None:
    half = a_person("E1", post(post="hr", sponsor="E9"), post("second", post="hr"))

    assert not may(half, host())


@pytest.mark.parametrize(("ended", "holds"), [(date(2026, 4, 20), True), (date(2026, 4, 19), False)])
def test_it_lapses_so_long_after_the_sponsors_assignment_ended(ended: date, holds: bool) -> None:
    """Fourteen days from the end of the twentieth of April are the fourth of May's whole day."""
    left = host(post("main", days(None, ended), post="engineer"))

    assert may(guest(), left) is holds
    assert not may(guest(), left, rules=policy(lapse=0))


@pytest.mark.parametrize(("day", "holds"), [(20, False), (21, True)])
def test_it_counts_from_the_exit_where_that_came_first(day: int, holds: bool) -> None:
    exited = host(exited=(days(date(2026, 4, day), None),))

    assert may(guest(), exited) is holds


def test_a_sponsor_who_came_back_and_left_again_counts_from_the_last_time() -> None:
    away = (Span(local(2025, 1, 1), local(2026, 4, 1), 5), Span(local(2026, 4, 28), None, 6))

    assert may(guest(), host(exited=away))
    assert not may(guest(), host(exited=(Span(local(2025, 1, 1), None, 5),)))


def test_a_post_given_up_for_another_lapses_too() -> None:
    changed = host(
        post("main", days(None, date(2026, 4, 30)), post="engineer"),
        post("main", days(date(2026, 5, 1), None), post="architect"),
    )

    assert may(guest(), changed)
    assert not may(guest(), changed, rules=policy(lapse=1))


def test_nobody_answers_for_themselves() -> None:
    both = a_person("E1", post(post="hr", sponsor="E1"), post("second", post="engineer"))

    assert not may(both)


# --- work that has to end -------------------------------------------------------------------------------------------


def ending(*posts: Assignment) -> bool:
    rules = policy()
    (rule,) = rules.sponsors
    return may(a_person("E1", *posts), host(), rules=replace(rules, sponsors=(replace(rule, ends=True),)))


UNTIL_MAY, FROM_JUNE = days(None, date(2026, 5, 31)), days(date(2026, 6, 1), None)


def work(span: Span, name: str = "main", of: str = "hr") -> Assignment:
    return post(name, span, post=of, sponsor="E9")


def test_work_without_an_end_gives_nothing_where_one_is_asked_for() -> None:
    assert ending(work(UNTIL_MAY))
    assert not ending(work(days(None, None)))
    assert not ending(work(UNTIL_MAY), work(days(None, None), "second"))


def test_only_work_that_needs_an_end_is_asked_for_one() -> None:
    """Of work of which it is not known whether it needs one, it is asked; a blank field never opens a door."""
    assert ending(work(days(None, None), of="engineer"))
    assert ending(work(UNTIL_MAY), work(days(None, None), "second", "engineer"))
    assert not ending(work(days(None, None), of=""))


def test_a_change_of_attributes_is_not_the_end_of_an_assignment() -> None:
    """It stands in the record as another stretch of the same one, which has to end as well."""
    assert not ending(work(UNTIL_MAY), work(FROM_JUNE))
    assert ending(work(UNTIL_MAY), work(days(date(2026, 6, 1), date(2026, 6, 30))))
    assert ending(work(UNTIL_MAY), work(FROM_JUNE, "second"))
    assert ending(work(UNTIL_MAY), work(days(date(2026, 6, 2), None)))


def test_who_becomes_an_employee_has_ended_what_they_were() -> None:
    assert ending(work(UNTIL_MAY), work(FROM_JUNE, of="engineer"))


def test_who_is_needed_and_whom_it_touches() -> None:
    someone = a_person("E1", post(sponsor="E9"), post("next", days(date(2027, 1, 1), None), sponsor=" E8 "))

    assert people_needed(policy(), [someone]) == {"E1", "E8", "E9"}
    assert people_needed(a_policy(levels=[level("public", 0)], resources={}), [someone]) == {"E1"}
    assert people_sponsored(policy(), [someone, host()], {"E8"}) == {"E1"}
    assert people_sponsored(policy(), [someone, host()], {"E7"}) == set()
