"""What is given: once per value, after a transfer, until a resource's last day, and by which clause."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from reconciler.access import evaluate
from reconciler.access.model import Desired
from reconciler.facts.model import Person
from reconciler.policy.model import (
    AllOf,
    Contains,
    Equals,
    Lifecycle,
    Overlap,
    Period,
    Policy,
    Present,
    Reach,
    Under,
)
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    days,
    exception,
    family,
    for_each,
    grant,
    level,
    local,
    member,
    people,
    permission,
    place,
    post,
    role,
    service_account,
    transferred,
)

AT = local(2026, 5, 4, 9)
BY_PROJECT = for_each("project", "projects")
ENGINEERS = compare("post", Equals(frozenset({"engineer"})))


def given_to(desired: Desired, what: str) -> list[int]:
    return list(desired.given[permission(what)])


def projects() -> Policy:
    grants = [
        grant(f"project-docs/{each}:read", compare("projects", Contains(frozenset({each}))))
        for each in ("falcon", "phoenix")
    ]
    handbook = grant("handbook:read", AllOf((compare("projects", Present()),)))
    return a_policy(
        levels=[level("public", 0)],
        resources={
            "project-docs/falcon": (0, {"read": ["falcon"]}),
            "project-docs/phoenix": (0, {"read": ["phoenix"]}),
            "handbook": (0, {"read": ["handbook"]}),
        },
        families=[family("project-docs/{project}", "project", "falcon", "phoenix")],
        roles=[
            role("project-member", *grants, handbook, match=ENGINEERS, each=[BY_PROJECT]),
        ],
    )


class TestOncePerValue:
    def test_a_value_gives_its_own_resource_and_no_other(self) -> None:
        everybody = [
            a_person("E1", post(post="engineer", projects="falcon"), number=1),
            a_person("E2", post(post="engineer", projects="falcon; phoenix"), number=2),
            a_person("E3", post(post="engineer"), number=3),
        ]
        desired = evaluate(projects(), people(*everybody), AT)

        assert given_to(desired, "project-docs/falcon:read") == [1, 2]
        assert given_to(desired, "project-docs/phoenix:read") == [2]
        assert given_to(desired, "handbook:read") == [1, 2]

    def test_the_value_and_the_match_hold_of_the_same_assignment(self) -> None:
        split = a_person("E1", post(post="engineer"), post("second", post="hr", projects="falcon"))

        assert not any(evaluate(projects(), people(split), AT).given.values())

    def test_a_role_with_values_alone_asks_for_nothing_else(self) -> None:
        policy = a_policy(
            levels=[level("public", 0)],
            resources={"site/cn": (0, {"read": ["cn"]}), "site/cn/sh": (0, {"read": ["sh"]})},
            roles=[
                role(
                    "on-site",
                    grant("site/cn:read", compare("department", Under(frozenset({"cn"})))),
                    grant("site/cn/sh:read", compare("department", Under(frozenset({"cn/sh"})))),
                    each=[for_each("site", "department", Reach.ANCESTORS)],
                )
            ],
        )
        everybody = [
            a_person("E1", post(department="cn/sh/lab"), number=1),
            a_person("E2", post(department="cn/bj"), number=2),
            a_person("E3", post(department="cnx"), number=3),
        ]
        desired = evaluate(policy, people(*everybody), AT)

        assert given_to(desired, "site/cn:read") == [1, 2]
        assert given_to(desired, "site/cn/sh:read") == [1]

    def test_who_is_named_is_given_what_depends_on_no_value(self) -> None:
        by_value = grant("project-docs/falcon:read", compare("projects", Contains(frozenset({"falcon"}))))
        named = role("r", "handbook:read", by_value, members=[member("E1", date(2026, 12, 31))], each=[BY_PROJECT])
        policy = a_policy(
            levels=[level("public", 0)],
            resources={"handbook": (0, {"read": ["h"]}), "project-docs/falcon": (0, {"read": ["f"]})},
            roles=[named],
        )
        desired = evaluate(policy, people(a_person("E1", post(projects="phoenix"))), AT)

        assert given_to(desired, "handbook:read") == [1]
        assert given_to(desired, "project-docs/falcon:read") == []


class TestUnlisted:
    def test_a_value_that_no_family_lists_gives_nothing_and_is_told_once(self) -> None:
        policy = projects()
        again = role("again", match=ENGINEERS, each=[BY_PROJECT], families=[("project-docs/{project}", BY_PROJECT)])
        twice = [again, role("once-more", each=[BY_PROJECT], families=again.families)]
        person = a_person("E1", post(post="engineer", projects="lost;falcon"), post("second", projects="lost"))
        policy = a_policy(
            levels=policy.levels,
            resources={"project-docs/falcon": (0, {"read": ["falcon"]})},
            families=list(policy.families.values()),
            roles=twice,
        )
        found = evaluate(policy, people(person, a_person("E2", post(), number=2)), AT).unlisted

        assert [(each.person, each.attribute, each.value, each.family) for each in found] == [
            ("E1", "projects", "lost", "project-docs/{project}")
        ]

    def test_only_those_who_hold_the_role_are_told_of(self) -> None:
        holding = role("r", match=ENGINEERS, each=[BY_PROJECT], families=[("docs/{project}", BY_PROJECT)])
        policy = a_policy(
            levels=[level("public", 0)], resources={}, families=[family("docs/{project}", "project")], roles=[holding]
        )
        others = people(a_person("E1", post(post="hr", projects="lost")), a_person("E2", post(projects="lost")))

        assert evaluate(policy, others, AT).unlisted == ()

    @pytest.mark.parametrize(
        ("reach", "unlisted"),
        [
            (Reach.OWN, ["cn/sh/lab", "us"]),
            (Reach.ANCESTORS, ["us"]),
            (Reach.DESCENDANTS, ["cn/sh/lab", "us"]),
        ],
    )
    def test_of_a_tree_it_counts_where_no_listed_value_applies(self, reach: Reach, unlisted: list[str]) -> None:
        site = for_each("site", "department", reach)
        policy = a_policy(
            levels=[level("public", 0)],
            resources={},
            families=[family("site/{site}", "site", "cn", "cn/sh")],
            roles=[role("on-site", each=[site], families=[("site/{site}", site)])],
        )
        places = ("cn", "cn/sh/lab", "us", "")
        everybody = [a_person(f"E{n}", post(department=where), number=n) for n, where in enumerate(places)]

        assert [each.value for each in evaluate(policy, people(*everybody), AT).unlisted] == unlisted


class TestLastDays:
    def test_past_its_last_day_a_resource_is_given_to_nobody(self) -> None:
        policy = a_policy(
            levels=[level("public", 0)],
            resources={"old": (0, {"read": ["old"]})},
            ends={"old": date(2026, 5, 4)},
            roles=[role("staff", "old:read", everyone=True)],
            exceptions=[exception("E1", "old:read", until=date(2027, 1, 1))],
            service_accounts=[service_account("svc", "old:read", ceiling=0, until=date(2027, 1, 1))],
        )

        def state(at: datetime) -> tuple[int, int, int]:
            desired = evaluate(policy, people(a_person("E1", post())), at)
            old = permission("old:read")
            return len(desired.given[old]), len(desired.given_by[old]), len(desired.service_given[old])

        assert state(local(2026, 5, 4, 23, 59)) == (1, 2, 1)
        assert state(local(2026, 5, 5)) == (0, 0, 0)

    def test_what_ended_before_time_began_stays_managed_and_is_given_to_nobody(self) -> None:
        policy = a_policy(
            levels=[level("public", 0)],
            resources={"former": (0, {"read": ["former"]})},
            ends={"former": date.min},
            roles=[role("staff", "former:read", everyone=True)],
        )
        desired = evaluate(policy, people(a_person("E1", post())), AT)

        assert [len(members) for members in desired.members.values()] == [0]


class TestAfterATransfer:
    """E1 was an engineer in research until the end of April and went to sales on the first of May."""

    ended = days(None, date(2026, 4, 30))
    moved = a_person(
        "E1",
        transferred("main", ended, department="rd", post="engineer", projects="falcon"),
        post("main", days(date(2026, 5, 1), None), department="sales"),
    )

    def policy(self, ceiling: int = 1, lasts: int = 7) -> Policy:
        return a_policy(
            levels=[level("public", 0), level("internal", 1), level("core", 2)],
            resources={
                "docs": (1, {"read": ["docs"]}),
                "core": (2, {"read": ["core"]}),
                "falcon": (1, {"read": ["f"]}),
                "hall": (0, {"read": ["hall"]}),
            },
            roles=[
                role("engineer", "docs:read", "core:read", match=ENGINEERS),
                role("host", "hall:read", match=compare("post", Equals(frozenset({"hr"})))),
                role(
                    "project",
                    grant("falcon:read", compare("projects", Contains(frozenset({"falcon"})))),
                    each=[BY_PROJECT],
                ),
            ],
            lifecycle=Lifecycle(transfer=Overlap(Period(days=lasts), ceiling, place())),
        )

    def reads(self, at: datetime, *, person: Person | None = None, policy: Policy | None = None) -> set[str]:
        desired = evaluate(policy or self.policy(), people(person or self.moved), at)
        assert desired.given == desired.allowed
        return {str(what) for what, who in desired.given.items() if who}

    def test_the_old_post_gives_up_to_the_ceiling_for_so_long(self) -> None:
        assert self.reads(local(2026, 4, 30, 23, 59)) == {"docs:read", "core:read", "falcon:read"}
        assert self.reads(local(2026, 5, 1)) == {"docs:read", "falcon:read"}
        assert self.reads(local(2026, 5, 7, 23, 59)) == {"docs:read", "falcon:read"}
        assert self.reads(local(2026, 5, 8)) == set()

    def test_without_a_transfer_or_without_the_rule_nothing_overlaps(self) -> None:
        ended = a_person("E1", post("main", self.ended, post="engineer"), self.moved.assignments[1])
        no_rule = a_policy(
            levels=[level("public", 0)],
            resources={"docs": (0, {"read": ["docs"]})},
            roles=[role("engineer", "docs:read", match=ENGINEERS)],
        )

        assert self.reads(AT, person=ended) == set()
        assert self.reads(AT, policy=no_rule) == set()

    def test_nothing_overlaps_for_somebody_without_an_active_assignment(self) -> None:
        gone = a_person("E1", self.moved.assignments[0])
        waiting = a_person("E1", self.moved.assignments[0], post("next", days(date(2026, 5, 6), None)))

        assert self.reads(AT, person=gone) == set()
        assert self.reads(AT, person=waiting) == set()

    def test_what_the_new_post_gives_is_not_limited_by_the_overlap(self) -> None:
        promoted = a_person(
            "E1", self.moved.assignments[0], post("main", days(date(2026, 5, 1), None), post="engineer")
        )

        assert self.reads(AT, person=promoted) == {"docs:read", "core:read", "falcon:read"}

    def test_the_old_post_counts_for_nothing_else(self) -> None:
        """Not for `only`, which asks about every assignment that counts."""
        policy = a_policy(
            levels=[level("public", 0), level("internal", 1, only=compare("department", Under(frozenset({"sales"}))))],
            resources={"docs": (1, {"read": ["docs"]})},
            roles=[role("engineer", "docs:read", match=ENGINEERS)],
            lifecycle=Lifecycle(transfer=Overlap(Period(days=7), 1, place())),
        )

        assert self.reads(AT, policy=policy) == {"docs:read"}


def test_each_clause_tells_to_whom_it_gives() -> None:
    base = role("base", "docs:read", match=ENGINEERS)
    senior = role("senior", match=compare("department", Under(frozenset({"rd"}))), inherits=[base])
    idle = role("idle", "docs:read", match=compare("post", Equals(frozenset({"hr"}))))
    policy = a_policy(
        levels=[level("public", 0)],
        resources={"docs": (0, {"read": ["docs"]})},
        roles=[senior, idle, base],
        exceptions=[exception("E2", "docs:read", until=date(2026, 12, 31))],
    )
    everybody = [a_person("E1", post(department="rd", post="engineer"), number=1), a_person("E2", post(), number=2)]
    clauses = evaluate(policy, people(*everybody), AT).given_by[permission("docs:read")]

    assert [(each.roles, list(each.people)) for each in clauses] == [
        (("senior", "base"), [1]),
        (("base",), [1]),
        ((), [2]),
    ]
    assert [each.exception for each in clauses] == [None, None, policy.exceptions[0]]


def test_grants_of_one_condition_share_one_bitmap() -> None:
    """Ten thousand grants of a role must not cost ten thousand copies."""
    policy = a_policy(
        levels=[level("public", 0)],
        resources={f"r{i}": (0, {"read": [f"g{i}"]}) for i in range(3)},
        roles=[role("all", *(f"r{i}:read" for i in range(3)), match=ENGINEERS)],
    )
    desired = evaluate(policy, people(a_person("E1", post(post="engineer"))), AT)

    assert len({id(each.people) for clauses in desired.given_by.values() for each in clauses}) == 1
    assert len({id(people) for people in desired.given.values()}) == 1
