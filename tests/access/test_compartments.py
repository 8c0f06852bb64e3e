"""Need-to-know beside the level, and proofs of which one is needed for each value."""

from __future__ import annotations

from datetime import date

import pytest

from reconciler.access import evaluate
from reconciler.policy.model import Policy, Under
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    compartment,
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

AT = local(2026, 5, 4, 9)
SINCE = date(2026, 1, 1)


def policy() -> Policy:
    return a_policy(
        levels=[level("public", 0), level("internal", 1, "nda")],
        evidence=[kind("nda"), kind("chip"), kind("briefing", per="projects")],
        compartments=[
            compartment("chip-design", "chip", only=compare("department", Under(frozenset({"rd"})))),
            compartment("project/falcon", "briefing:falcon"),
        ],
        resources={
            "chips": (0, {"read": ["chips"]}),
            "falcon": (1, {"read": ["falcon"]}),
            "both": (0, {"read": ["both"]}),
            "wiki": (0, {"read": ["wiki", "both"], "write": ["wiki-w"]}),
        },
        carrying={"chips": ["chip-design"], "falcon": ["project/falcon"], "both": ["chip-design", "project/falcon"]},
        roles=[role("staff", "chips:read", "falcon:read", "both:read", "wiki:read", "wiki:write", everyone=True)],
        service_accounts=[service_account("svc", "chips:read", ceiling=0, until=date(2026, 12, 31))],
    )


def reads(*evidence: tuple[str, str], department: str = "rd") -> set[str]:
    """What E1 may, with passed records of these kinds and scopes."""
    records = [record("E1", name, SINCE, scope=scope) for name, scope in evidence]
    desired = evaluate(policy(), people(a_person("E1", post(department=department)), evidence=records), AT)
    return {str(what).removesuffix(":read") for what, who in desired.allowed.items() if who} - {"wiki:write"}


def test_a_compartment_needs_its_own_beside_the_level() -> None:
    assert reads() == set()
    assert reads(("chip", "")) == {"chips"}
    assert reads(("briefing", "falcon")) == set()
    assert reads(("briefing", "falcon"), ("nda", "")) == {"falcon"}


def test_several_compartments_are_all_needed() -> None:
    assert reads(("chip", ""), ("briefing", "falcon")) == {"chips", "both", "wiki"}


def test_a_compartment_may_be_reserved() -> None:
    assert reads(("chip", ""), department="sales") == set()
    assert reads(("chip", ""), department="") == set()


def test_a_shared_entitlement_takes_the_compartments_of_all_that_it_carries() -> None:
    """`wiki:read` shares a group with `both`: whoever is let in by one sees the other."""
    unbriefed = evaluate(policy(), people(a_person("E1", post(department="rd"))), AT)

    assert not unbriefed.allowed[permission("wiki:read")]
    assert unbriefed.allowed[permission("wiki:write")]


@pytest.mark.parametrize(
    ("scope", "counts"), [("falcon", True), (" falcon ", True), ("phoenix", False), ("", False), ("Falcon", False)]
)
def test_a_proof_for_one_value_counts_for_that_value(scope: str, counts: bool) -> None:
    assert (reads(("nda", ""), ("briefing", scope)) == {"falcon"}) is counts


def test_the_scope_of_other_kinds_says_nothing() -> None:
    assert reads(("chip", "module 3")) == {"chips"}


def test_a_failure_cancels_within_its_own_value() -> None:
    passed = [record("E1", "briefing", SINCE, scope="falcon"), record("E1", "nda", SINCE)]
    person = a_person("E1", post())

    def may_read(scope: str) -> bool:
        failed = record("E1", "briefing", date(2026, 2, 1), scope=scope, failed=True)
        population = people(person, evidence=[*passed, failed])
        return bool(evaluate(policy(), population, AT).allowed[permission("falcon:read")])

    assert may_read("phoenix")
    assert not may_read("falcon")


def test_service_accounts_are_bound_by_their_ceiling_alone() -> None:
    assert evaluate(policy(), people(), AT).service_allowed[permission("chips:read")] == {"svc"}
