"""Warnings: a policy works, and somebody should look."""

from __future__ import annotations

from datetime import date

import pytest

from reconciler.errors import Problem
from reconciler.policy import check_policy
from tests.policy.company import COMPANY, RESOURCES, WORDS, problems


def warned(text: str, code: str) -> list[Problem]:
    """The warnings with this code about a text beside the company's words and resources."""
    found = problems(text)
    assert not [problem for problem in found if problem.severity == "error"], found
    return [problem for problem in found if problem.code == code]


@pytest.mark.parametrize(
    ("today", "lines"),
    [(date(2026, 12, 31), []), (date(2027, 1, 1), [17]), (date(2027, 7, 1), [10, 12, 17]), (None, [])],
)
def test_what_has_ended_is_reported_the_day_after(today: date | None, lines: list[int]) -> None:
    found = [problem for problem in check_policy(COMPANY, today=today)[1] if problem.code == "ended"]

    assert sorted(problem.place.line for problem in found) == lines
    assert all(problem.severity == "warning" for problem in found)


def test_e2_of_two_adjacent_ended_exceptions_both_are_reported() -> None:
    one = "  - {person: 'E1', grants: {read: [handbook]}, until: 2026-01-01, reason: x}\n"
    files = {"w": WORDS.encode(), "r": RESOURCES.encode(), "e": f"exceptions:\n{one}{one}{one}".encode()}

    found = [problem for problem in check_policy(files, today=date(2026, 1, 2))[1] if problem.code == "ended"]

    assert [problem.place.line for problem in found] == [2, 3, 4]


@pytest.mark.parametrize(
    "match",
    [
        "{grade: {min: P7, max: P4}}",
        "{post: it, all: [{post: engineer}]}",
        "{post: it, none: [{post: it}]}",
        "{all: [{grade: {min: P6}}, {grade: [P3, P4]}]}",
        "{grade: {not: [P3, P4, P5, P6, M1, P7, M2, P8]}}",
        "{department: rd, all: [{department: sales}]}",
        "{department: rd/ai, none: [{department: rd}]}",
        "{sponsor: a, all: [{sponsor: b}]}",
        "{any: [{post: it, all: [{post: engineer}]}, {grade: {min: P7, max: P4}}]}",
        "{department: rd, any: [{grade: {min: P8, max: P3}}]}",
    ],
)
def test_a_match_that_contradicts_itself_matches_nobody(match: str) -> None:
    assert warned(f"roles: {{x: {{match: {match}, grants: {{read: [handbook]}}}}}}", "matches-nobody")


@pytest.mark.parametrize(
    "match",
    [
        "{grade: {min: M1, max: P6}}",
        "{grade: {min: P7, max: P4, absent: true}}",
        "{department: rd, all: [{department: rd/ai}]}",
        "{department: [rd, sales], none: [{department: sales}]}",
        "{projects: a, all: [{projects: b}]}",
        "{projects: {not: a}, all: [{projects: b}]}",
        "{post: it, any: [{post: engineer}, {post: it}]}",
        "{sponsor: {not: a}}",
    ],
)
def test_a_match_that_somebody_can_meet_is_left_alone(match: str) -> None:
    assert not warned(f"roles: {{x: {{match: {match}, grants: {{read: [handbook]}}}}}}", "matches-nobody")


def test_a_resource_that_no_one_is_given_is_reported() -> None:
    granted = "{grants: {read: [handbook, basic-docs]}}"
    text = (
        f"roles:\n  unheld: {granted}\n  impossible: {{match: {{grade: {{min: P7, max: P3}}}}, inherits: [unheld]}}\n"
    )

    assert len(warned(text, "unreachable-resource")) == 3
    held = warned(text + "  x: {everyone: true, inherits: [unheld]}\n", "unreachable-resource")
    assert [problem.message for problem in held] == ["resource `核心算法`: nobody can reach it"]


def test_a_role_that_nobody_holds_or_inherits_is_reported() -> None:
    assert [problem.place.line for problem in warned("roles:\n  a: {}\n  b: {inherits: [a]}", "unused-role")] == [3]


def test_an_entitlement_of_two_classes_is_reported() -> None:
    text = "resources:\n  lax: {classification: public, access: {read: {corp-ldap: {group: docs-readers}}}}"

    (problem,) = warned(text, "mixed-classes")

    assert "`corp-ldap:group=docs-readers`" in problem.message
    assert "`lax:read` (public), `basic-docs:read` (internal)" in problem.message
    assert "`internal`" in problem.remedy


def test_c2_two_spellings_of_one_group_are_reported() -> None:
    text = "resources:\n  lax: {classification: public, access: {read: {corp-ldap: {group: Docs-Readers}}}}"

    assert len(warned(text, "similar-entitlements")) == 1


def test_a_service_account_that_is_given_more_than_its_ceiling_is_reported() -> None:
    text = (
        "service_accounts:\n"
        "  svc: {owner: {post: it}, ceiling: public, until: 2027-01-01, grants: {read: [handbook, basic-docs]}}"
    )

    (problem,) = warned(text, "above-ceiling")

    assert (problem.place.line, problem.place.column) == (2, 90)
    assert "`basic-docs:read` is `internal`, above its ceiling `public`" in problem.message


def test_evidence_that_nothing_requires_is_reported() -> None:
    assert [problem.place.line for problem in warned("evidence:\n  x: {kind: check}", "unused-evidence")] == [2]
