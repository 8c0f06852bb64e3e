"""A company of 100,000 people and 200 roles is evaluated as a matter of course; what comes out is what was put in."""

from __future__ import annotations

from datetime import date

from reconciler.access import evaluate
from reconciler.policy.model import AllOf, Contains, Equals, Period, Separation, SponsorRule, Under
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    compartment,
    family,
    for_each,
    grant,
    kind,
    level,
    local,
    people,
    permission,
    place,
    post,
    record,
    role,
)

PEOPLE = 100_000
ROLES = 200


def test_a_hundred_thousand_people_and_two_hundred_roles() -> None:
    """Person n is in department n mod 200, an engineer where n is even; every third one's training has lapsed."""
    engineer = compare("post", Equals(frozenset({"engineer"})))
    policy = a_policy(
        levels=[level("public", 0), level("internal", 1, "training")],
        resources={f"docs{i}": (1, {"read": [f"g{i}"]}) for i in range(ROLES)},
        roles=[
            role(f"r{i}", f"docs{i}:read", match=AllOf((compare("department", Under(frozenset({f"d{i}"}))), engineer)))
            for i in range(ROLES)
        ],
        evidence=[kind("training", valid_for=Period(years=1))],
    )
    everybody = [
        a_person(f"E{n}", post(department=f"d{n % ROLES}/team", post=("engineer", "hr")[n % 2]), number=n)
        for n in range(PEOPLE)
    ]
    trained = [record(f"E{n}", "training", date(2026, 1, 1) if n % 3 else date(2025, 1, 1)) for n in range(PEOPLE)]

    desired = evaluate(policy, people(*everybody, evidence=trained), local(2026, 5, 4))

    for i in range(ROLES):
        given = set(range(i, PEOPLE, ROLES)) if i % 2 == 0 else set()
        assert set(desired.given[permission(f"docs{i}:read")]) == given
        assert set(desired.allowed[permission(f"docs{i}:read")]) == {n for n in given if n % 3}


def test_a_thousand_projects_their_briefings_and_sponsors() -> None:
    """Person n is in project n mod 1000, briefed where n is even; every tenth one is a guest of the one before."""
    values, size = 1_000, 20_000
    guests, hosts = compare("post", Equals(frozenset({"hr"}))), compare("post", Equals(frozenset({"engineer"})))
    project = for_each("project", "projects")
    policy = a_policy(
        levels=[level("public", 0)],
        evidence=[kind("briefing", per="projects")],
        compartments=[compartment(f"project/p{i}", f"briefing:p{i}") for i in range(values)],
        resources={f"docs/p{i}": (0, {"read": [f"g{i}"]}) for i in range(values)},
        carrying={f"docs/p{i}": [f"project/p{i}"] for i in range(values)},
        families=[family("docs/{project}", "project", *(f"p{i}" for i in range(values)))],
        roles=[
            role(
                "member",
                *(grant(f"docs/p{i}:read", compare("projects", Contains(frozenset({f"p{i}"})))) for i in range(values)),
                each=[project],
                families=[("docs/{project}", project)],
            )
        ],
        sponsors=(SponsorRule(guests, "sponsor", hosts, Period(), place()),),
        separations=(
            Separation(
                "wall",
                (),
                (frozenset({permission("docs/p1:read")}), frozenset({permission("docs/p2:read")})),
                True,
                place(),
            ),
        ),
    )
    everybody = [
        a_person(
            f"E{n}",
            post(projects=f"p{n % values}", post="hr" if n % 10 == 0 else "engineer", sponsor=f"E{n - 1}"),
            number=n,
        )
        for n in range(size)
    ]
    briefed = [record(f"E{n}", "briefing", date(2026, 1, 1), scope=f"p{n % values}") for n in range(0, size, 2)]

    desired = evaluate(policy, people(*everybody, evidence=briefed), local(2026, 5, 4))

    for i in range(values):
        team = range(i, size, values)
        assert list(desired.given[permission(f"docs/p{i}:read")]) == list(team)
        assert list(desired.allowed[permission(f"docs/p{i}:read")]) == [n for n in team if n % 2 == 0 and n != 0]
    assert desired.unlisted == ()
    assert desired.conflicts == ()
