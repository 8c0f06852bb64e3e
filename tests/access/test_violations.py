"""Which invariants an end state would break."""

from __future__ import annotations

from pyroaring import BitMap

from reconciler.access import evaluate
from reconciler.access.violations import breaches, violations
from reconciler.facts.model import Population
from reconciler.policy.model import Equals, Invariant, InvariantKind, Policy
from tests.access.company import a_person, a_policy, compare, kind, level, local, people, permission, place, post, role

AT = local(2026, 5, 4, 9)
GUESTS = compare("post", Equals(frozenset({"hr"})))
READ, WRITE = permission("docs:read"), permission("docs:write")


def never() -> Invariant:
    return Invariant(InvariantKind.NEVER, (READ, WRITE), "docs:*", GUESTS, 0, place())


def count(which: InvariantKind, number: int) -> Invariant:
    return Invariant(which, (READ, WRITE), "docs:*", None, number, place())


def policy(*invariants: Invariant) -> Policy:
    return a_policy(
        levels=[level("public", 0), level("core", 1, "nda")],
        evidence=[kind("nda")],
        resources={"docs": (0, {"read": ["r"], "write": ["w"]}), "vault": (1, {"read": ["v"]})},
        roles=[
            role("staff", "docs:read", everyone=True),
            role("writer", "docs:write", match=compare("grade", Equals(frozenset({"P7"})))),
        ],
        invariants=invariants,
    )


def crowd() -> Population:
    return people(
        a_person("E1", post(post="engineer", grade="P7"), number=1),
        a_person("E2", post(post="hr"), number=2),
        a_person("E3", post(), number=3),
        a_person("E4", post(post="engineer"), post("second", post="hr", grade="P7"), number=4),
    )


def broken(*invariants: Invariant) -> list[tuple[str, list[int], int]]:
    rules = policy(*invariants)
    found = violations(rules, crowd(), evaluate(rules, crowd(), AT))
    assert all(each.place == each.invariant.place for each in found)
    return [(str(each.permission), list(each.people), each.count) for each in found]


def test_never_fires_on_true_or_unknown_of_any_assignment() -> None:
    assert broken(never()) == [("docs:read", [2, 3, 4], 3), ("docs:write", [4], 1)]


def test_each_permission_is_counted_by_itself() -> None:
    assert broken(count(InvariantKind.AT_LEAST, 3)) == [("docs:write", [1, 4], 2)]
    assert broken(count(InvariantKind.AT_MOST, 3)) == [("docs:read", [1, 2, 3, 4], 4)]
    assert broken(count(InvariantKind.AT_LEAST, 2), count(InvariantKind.AT_MOST, 4)) == []


def test_it_is_the_allowed_that_are_looked_at() -> None:
    vault = permission("vault:read")
    forbidden = Invariant(InvariantKind.NEVER, (vault,), "vault:read", GUESTS, 0, place())
    rules = a_policy(
        levels=[level("public", 0), level("core", 1, "nda")],
        evidence=[kind("nda")],
        resources={"vault": (1, {"read": ["v"]})},
        roles=[role("staff", "vault:read", everyone=True)],
        invariants=(forbidden,),
    )
    desired = evaluate(rules, crowd(), AT)

    assert desired.given[vault]
    assert violations(rules, crowd(), desired) == ()
    assert [list(each.people) for each in breaches(rules, crowd(), desired, {vault: BitMap([1, 2])})] == [[2]]


def test_any_end_state_can_be_asked_about_and_only_what_it_names_is() -> None:
    """A target that carries `docs:write` alone says nothing about `docs:read`."""
    rules = policy(never(), count(InvariantKind.AT_LEAST, 2))
    desired = evaluate(rules, crowd(), AT)
    found = breaches(rules, crowd(), desired, {WRITE: BitMap([2])})

    assert [(each.invariant.kind, str(each.permission), list(each.people)) for each in found] == [
        (InvariantKind.NEVER, "docs:write", [2]),
        (InvariantKind.AT_LEAST, "docs:write", [2]),
    ]
    assert breaches(rules, crowd(), desired, {}) == ()


def test_the_text_says_who_and_how_many() -> None:
    rules = policy(never(), count(InvariantKind.AT_LEAST, 9), count(InvariantKind.AT_MOST, 0))
    told = [each.text for each in violations(rules, crowd(), evaluate(rules, crowd(), AT))]

    assert told == [
        "E2, E3, E4 would have docs:read, which `never` forbids them",
        "E4 would have docs:write, which `never` forbids them",
        "4 people would have docs:read, and it has to be at least 9",
        "2 people would have docs:write, and it has to be at least 9",
        "4 people would have docs:read, and it may be at most 0",
        "2 people would have docs:write, and it may be at most 0",
    ]


def test_many_are_not_all_named() -> None:
    rules = policy(never())
    guests = people(*(a_person(f"E{n}", post(post="hr"), number=n) for n in range(1, 9)))
    (breach,) = violations(rules, guests, evaluate(rules, guests, AT))

    assert breach.text.startswith("E1, E2, E3, E4, E5 and 3 more would have docs:read")


def test_a_never_that_the_evaluation_did_not_know_concerns_everybody() -> None:
    desired = evaluate(policy(), crowd(), AT)
    found = breaches(policy(never()), crowd(), desired, {READ: BitMap([1])})

    assert [list(each.people) for each in found] == [[1]]
