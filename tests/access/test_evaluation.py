"""What a reader of a policy should see happen: the fine print of the rule, clause by clause."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from reconciler.access import UndeclaredValue, evaluate, explain
from reconciler.facts.model import Person, Population
from reconciler.policy.model import (
    AllOf,
    EntitlementRef,
    Equals,
    Lifecycle,
    Match,
    Negated,
    NoneOf,
    Policy,
    StateRule,
    Under,
    Within,
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
)

AT = local(2026, 5, 4, 9)
ENGINEER = Equals(frozenset({"engineer"}))
RESEARCH = Under(frozenset({"rd"}))
HIGH = Within(3, None)


def granting(match: Match) -> Policy:
    return a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["g"]})},
        roles=[role("readers", "wiki:read", match=match)],
    )


def readers(policy: Policy, *everybody: Person, at: datetime = AT, what: str = "wiki:read") -> set[str]:
    return who(policy, people(*everybody), at=at, what=what)


def who(policy: Policy, population: Population, *, at: datetime = AT, what: str = "wiki:read") -> set[str]:
    allowed = evaluate(policy, population, at).allowed[permission(what)]
    return {person.id for person in population if person.number in allowed}


# --- roles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "match",
    [
        compare("grade", HIGH),
        compare("grade", Negated(HIGH)),
        NoneOf((compare("grade", HIGH),)),
    ],
)
def test_a_blank_grade_opens_nothing_also_under_not(match: Match) -> None:
    assert readers(granting(match), a_person("E1", post(post="engineer")), a_person("E2", post(grade="P99"))) == set()


def test_absent_opens_where_the_policy_says_so_in_so_many_words() -> None:
    blank = a_person("E1", post())

    assert readers(granting(compare("grade", HIGH, absent=True)), blank) == {"E1"}
    assert readers(granting(compare("grade", HIGH, absent=False)), blank) == set()
    assert readers(granting(compare("grade", Negated(HIGH), absent=False)), blank) == set()


def test_all_keys_hold_for_the_same_assignment() -> None:
    both = AllOf((compare("department", RESEARCH), compare("post", ENGINEER)))
    split = a_person("E1", post(department="rd", post="hr"), post("second", department="sales", post="engineer"))
    joined = a_person("E2", post(department="sales"), post("second", department="rd/ai", post="engineer"), number=2)

    assert readers(granting(both), split, joined) == {"E2"}


def test_an_assignment_gives_from_its_first_to_its_last_day() -> None:
    policy = granting(compare("department", RESEARCH))
    person = a_person("E1", post("main", days(date(2026, 5, 1), date(2026, 5, 31)), department="rd"))

    assert readers(policy, person, at=local(2026, 4, 30, 23, 59)) == set()
    assert readers(policy, person, at=local(2026, 5, 1)) == {"E1"}
    assert readers(policy, person, at=local(2026, 5, 31, 23, 59)) == {"E1"}
    assert readers(policy, person, at=local(2026, 6, 1)) == set()


def test_inherits_brings_grants_and_never_the_match() -> None:
    base = role("base", "wiki:read", match=compare("post", ENGINEER))
    senior = role("senior", "wiki:write", match=compare("grade", HIGH), inherits=[base])
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["r"], "write": ["w"]})},
        roles=[base, senior, role("heirless", inherits=[senior])],
    )
    junior, head = a_person("E1", post(post="engineer")), a_person("E2", post(post="hr", grade="P7"), number=2)

    assert readers(policy, junior, head) == {"E1", "E2"}
    assert readers(policy, junior, head, what="wiki:write") == {"E2"}


def test_no_action_implies_another() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["r"], "write": ["w"]})},
        roles=[role("writers", "wiki:write", everyone=True)],
    )

    assert readers(policy, a_person("E1", post())) == set()


def test_e1_until_includes_its_day_where_the_workspace_is() -> None:
    """One end of day for every route: members, exceptions and service accounts."""
    day = date(2026, 12, 31)
    policies = [
        a_policy(
            levels=[level("public", 0)],
            resources={"wiki": (0, {"read": ["g"]})},
            roles=[role("named", "wiki:read", members=[member("E1", day)])],
        ),
        a_policy(
            levels=[level("public", 0)],
            resources={"wiki": (0, {"read": ["g"]})},
            exceptions=[exception("E1", "wiki:read", until=day)],
        ),
    ]
    service = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["g"]})},
        service_accounts=[service_account("svc", "wiki:read", ceiling=0, until=day)],
    )

    for at, holds in ((local(2026, 12, 31, 23, 59), True), (local(2027, 1, 1), False)):
        assert [bool(readers(policy, a_person("E1", post()), at=at)) for policy in policies] == [holds, holds]
        assert bool(evaluate(service, people(), at).service_allowed[permission("wiki:read")]) is holds


def test_e2_of_adjacent_expired_exceptions_none_survives() -> None:
    ended = [exception("E1", "wiki:read", until=date(2026, 4, day), index=day) for day in (1, 2, 3)]
    policy = a_policy(levels=[level("public", 0)], resources={"wiki": (0, {"read": ["g"]})}, exceptions=ended)

    assert readers(policy, a_person("E1", post())) == set()


def test_e5_an_exception_that_ends_before_it_begins_is_never_live() -> None:
    turned = exception("E1", "wiki:read", since=date(2026, 5, 10), until=date(2026, 5, 1))
    policy = a_policy(levels=[level("public", 0)], resources={"wiki": (0, {"read": ["g"]})}, exceptions=[turned])

    for day in range(1, 31):
        assert readers(policy, a_person("E1", post()), at=local(2026, 5, day)) == set()


def test_somebody_named_who_is_not_known_gets_nothing_and_breaks_nothing() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["g"]})},
        roles=[role("named", "wiki:read", members=[member("E404", date(2026, 12, 31))])],
        exceptions=[exception("E404", "wiki:read", until=date(2026, 12, 31))],
        lockouts=[lockout("E404", "SEC-1")],
    )

    assert readers(policy, a_person("E1", post())) == set()


# --- clearance ------------------------------------------------------------------------------------------------------


def test_a_level_needs_its_own_requirements_and_all_of_those_below() -> None:
    policy = a_policy(
        levels=[level("public", 0), level("internal", 1, "nda"), level("core", 2, ("check", "certificate"))],
        resources={"wiki": (0, {"read": ["a"]}), "docs": (1, {"read": ["b"]}), "code": (2, {"read": ["c"]})},
        roles=[role("staff", "wiki:read", "docs:read", "code:read", everyone=True)],
        evidence=[kind("nda"), kind("check"), kind("certificate")],
    )
    everybody = [a_person(f"E{n}", post(), number=n) for n in range(1, 5)]
    evidence = [
        record("E2", "nda", date(2026, 1, 1)),
        record("E3", "nda", date(2026, 1, 1)),
        record("E3", "certificate", date(2026, 1, 1)),
        record("E4", "check", date(2026, 1, 1)),  # the upper without the lower
    ]
    population = people(*everybody, evidence=evidence)

    assert who(policy, population, what="wiki:read") == {"E1", "E2", "E3", "E4"}
    assert who(policy, population, what="docs:read") == {"E2", "E3"}
    assert who(policy, population, what="code:read") == {"E3"}


def reserved() -> Policy:
    return a_policy(
        levels=[level("public", 0), level("core", 1, only=compare("post", ENGINEER)), level("top", 2)],
        resources={"code": (1, {"read": ["c"]}), "vault": (2, {"read": ["v"]})},
        roles=[role("staff", "code:read", "vault:read", everyone=True)],
        exceptions=[exception("E9", "code:read", until=date(2026, 12, 31))],
    )


def test_only_needs_true_of_every_active_assignment() -> None:
    everybody = [
        a_person("E1", post(post="engineer"), number=1),
        a_person("E2", post(post="engineer"), post("second", post="hr"), number=2),
        a_person("E3", post(post="engineer"), post("second"), number=3),
        a_person("E4", post(post="engineer"), post("old", days(None, date(2026, 5, 3)), post="hr"), number=4),
    ]

    for what in ("code:read", "vault:read"):
        assert readers(reserved(), *everybody, what=what) == {"E1", "E4"}


def test_nobody_without_an_assignment_is_among_those_a_level_is_reserved_for() -> None:
    """All of nothing is true in logic, and must not open a door."""
    policy = reserved()
    open_early = a_policy(
        levels=policy.levels,
        resources={"code": (1, {"read": ["c"]})},
        exceptions=policy.exceptions,
        lifecycle=Lifecycle(preboarding=(StateRule(None, 2, place()),)),
    )

    assert readers(open_early, a_person("E9"), what="code:read") == set()
    assert readers(open_early, a_person("E9", post(post="engineer")), what="code:read") == {"E9"}


def test_nobody_without_an_assignment_is_excused_from_a_requirement() -> None:
    policy = scoped("rd-training")
    open_early = a_policy(
        levels=policy.levels,
        resources={"wiki": (0, {"read": ["g"]})},
        evidence=list(policy.evidence.values()),
        exceptions=[exception("E9", "wiki:read", until=date(2026, 12, 31))],
        lifecycle=Lifecycle(preboarding=(StateRule(None, 0, place()),)),
    )

    assert readers(open_early, a_person("E9")) == set()
    assert not explain(open_early, people(a_person("E9")), "E9", permission("wiki:read"), AT).allowed
    assert readers(open_early, a_person("E9", post(department="sales"))) == {"E9"}


def scoped(*requires: str | tuple[str, ...]) -> Policy:
    return a_policy(
        levels=[level("public", 0, *requires)],
        resources={"wiki": (0, {"read": ["g"]})},
        roles=[role("staff", "wiki:read", everyone=True)],
        evidence=[kind("rd-training", applies_to=compare("department", RESEARCH)), kind("nda")],
    )


@pytest.mark.parametrize(
    ("departments", "skipped"),
    [
        (["sales"], True),
        (["sales", "hr"], True),
        (["rd/ai"], False),
        (["sales", "rd"], False),
        ([""], False),
        (["sales", ""], False),
    ],
)
def test_a_requirement_is_skipped_only_where_it_surely_applies_to_no_assignment(
    departments: list[str], skipped: bool
) -> None:
    person = a_person("E1", *(post(f"a{i}", department=text) for i, text in enumerate(departments)))

    assert readers(scoped("rd-training"), person) == ({"E1"} if skipped else set())


def test_a_choice_is_skipped_only_where_none_of_its_kinds_applies() -> None:
    outside = a_person("E1", post(department="sales"))

    assert readers(scoped(("rd-training", "nda")), outside) == set()
    assert readers(scoped(("rd-training",)), outside) == {"E1"}


def test_a_permission_is_tested_at_the_highest_class_of_the_entitlements_that_carry_it() -> None:
    policy = a_policy(
        levels=[level("public", 0), level("core", 1, "nda")],
        resources={"wiki": (0, {"read": ["shared"]}), "vault": (1, {"read": ["shared"]})},
        roles=[role("staff", "wiki:read", everyone=True)],
        evidence=[kind("nda")],
    )
    cleared, other = a_person("E1", post()), a_person("E2", post(), number=2)
    population = people(cleared, other, evidence=[record("E1", "nda", date(2026, 1, 1))])

    desired = evaluate(policy, population, AT)

    assert set(desired.given[permission("wiki:read")]) == {1, 2}
    assert set(desired.members[EntitlementRef("ldap", "shared")]) == {1}


def test_a_shared_entitlement_has_the_union_of_its_permissions() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["shared"]}), "docs": (0, {"read": ["shared"]})},
        exceptions=[
            exception("E1", "wiki:read", until=date(2026, 12, 31)),
            exception("E2", "docs:read", until=date(2026, 12, 31)),
        ],
    )
    population = people(a_person("E1", post()), a_person("E2", post(), number=2), a_person("E3", post(), number=3))

    assert set(evaluate(policy, population, AT).members[EntitlementRef("ldap", "shared")]) == {1, 2}


def test_members_and_exceptions_are_bound_by_clearance_like_everybody() -> None:
    policy = a_policy(
        levels=[level("public", 0), level("core", 1, "nda")],
        resources={"vault": (1, {"read": ["v"]})},
        roles=[role("named", "vault:read", members=[member("E1", date(2026, 12, 31))])],
        exceptions=[exception("E2", "vault:read", until=date(2026, 12, 31))],
        evidence=[kind("nda")],
    )
    everybody = [a_person("E1", post()), a_person("E2", post(), number=2)]

    assert readers(policy, *everybody, what="vault:read") == set()
    signed = [record(person.id, "nda", date(2026, 1, 1)) for person in everybody]
    assert who(policy, people(*everybody, evidence=signed), what="vault:read") == {"E1", "E2"}


# --- lockouts, service accounts, undeclared values ------------------------------------------------------------------


def test_lockouts_shut_out_of_everything_or_of_what_they_name() -> None:
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"wiki": (0, {"read": ["a"]}), "docs": (0, {"read": ["b"]})},
        roles=[role("staff", "wiki:read", "docs:read", everyone=True)],
        lockouts=[
            lockout("E1", "SEC-1", since=date(2026, 5, 4)),
            lockout("E2", "SEC-2", resources=["docs"]),
        ],
    )
    everybody = [
        a_person("E1", post(), number=1),
        a_person("E2", post(), number=2),
        a_person("E3", post(), number=3, lockouts=(days(date(2026, 5, 4), date(2026, 5, 4)),)),
    ]

    assert readers(policy, *everybody, what="wiki:read") == {"E2"}
    assert readers(policy, *everybody, what="docs:read") == set()
    assert readers(policy, *everybody, what="docs:read", at=local(2026, 5, 3)) == {"E1", "E3"}
    assert readers(policy, *everybody, what="wiki:read", at=local(2026, 5, 5)) == {"E2", "E3"}


def test_a_service_account_gets_what_its_ceiling_admits() -> None:
    policy = a_policy(
        levels=[level("public", 0), level("core", 1, "nda")],
        resources={"wiki": (0, {"read": ["w"]}), "vault": (1, {"read": ["v"]})},
        evidence=[kind("nda")],
        service_accounts=[service_account("svc", "wiki:read", "vault:read", ceiling=0, until=date(2026, 12, 31))],
    )

    desired = evaluate(policy, people(), AT)

    assert desired.service_given[permission("vault:read")] == {"svc"}
    assert desired.service_allowed[permission("vault:read")] == set()
    assert desired.service_members == {EntitlementRef("ldap", "w"): {"svc"}, EntitlementRef("ldap", "v"): set()}


def test_an_undeclared_value_is_told_once_and_the_rest_of_the_row_counts() -> None:
    policy = granting(compare("department", RESEARCH))
    person = a_person("E1", post(department="rd", post="巫师"), post("second", department="rd", post="巫师", grade=" "))

    desired = evaluate(policy, people(person), AT)

    assert desired.undeclared == (UndeclaredValue("E1", "post", "巫师"),)
    assert set(desired.allowed[permission("wiki:read")]) == {1}


def test_numbers_beyond_one_bitmap_container_and_many_assignments_keep_people_apart() -> None:
    policy = granting(compare("post", ENGINEER))
    numbers = [0, 65_535, 65_536, 131_072, 199_999]
    everybody = [
        a_person(
            f"E{number}", *(post(f"a{i}", post="engineer" if i == depth else "hr") for i in range(4)), number=number
        )
        for depth, number in enumerate(numbers)
    ]

    assert readers(policy, *everybody) == {"E0", "E65535", "E65536", "E131072"}


def test_nobody_is_an_answer_too() -> None:
    desired = evaluate(granting(compare("post", ENGINEER)), people(), AT)

    assert not any(desired.members.values())
    assert not any(desired.states.values())
