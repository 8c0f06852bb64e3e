"""A company of 100,000 people and 200 roles is evaluated as a matter of course; what comes out is what was put in."""

from __future__ import annotations

from datetime import date

from reconciler.access import evaluate
from reconciler.policy.model import AllOf, Equals, Period, Under
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    kind,
    level,
    local,
    people,
    permission,
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
