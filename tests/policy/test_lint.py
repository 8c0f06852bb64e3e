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


# --- what is reserved, and who can come near it -----------------------------------------------------------------------

ONLY = """\
attributes:
  post: {kind: one_of, values: [it, hr]}
  employment: {kind: one_of, values: [employee, contractor]}
  location: {kind: tree}
clearances:
  - public: {}
  - inner: {only: {employment: employee}}
compartments:
  cn-only: {only: {location: cn}}
  de-only: {only: {location: de}}
resources:
  open: {classification: public, access: {read: {t: {g: open}}}}
  shut: {classification: inner, access: {read: {t: {g: shut}}}}
roles:
  all: {match: {post: [it, hr]}, grants: {read: [open, shut]}}
"""


def reserved(text: str, code: str, base: str = ONLY) -> list[str]:
    """Where warnings with this code stand, of a text beside a small policy with classes that are reserved."""
    _, found = check_policy({"base.yaml": base.encode(), "a.yaml": text.encode()})
    assert not [problem for problem in found if problem.severity == "error"], found
    return [str(problem.place) for problem in found if problem.code == code]


def test_levels_whose_only_exclude_each_other_are_reported_once() -> None:
    low = "  - inner: {only: {employment: employee}}\n"
    high = "  - outer: {only: {employment: contractor}}\n  - top: {}\n"

    assert reserved("", "unsatisfiable-class", ONLY.replace(low, low + high)) == ["base.yaml:8:5"]
    assert not reserved("", "unsatisfiable-class")


def test_a_compartment_that_excludes_the_class_or_another_compartment_is_reported() -> None:
    other = "resources:\n  x: {classification: public, compartments: [cn-only, de-only], access: {read: {t: {g: x}}}}"
    fine = "resources:\n  x: {classification: inner, compartments: [cn-only], access: {read: {t: {g: x}}}}"
    lone = (
        "compartments: {hired: {only: {employment: contractor}}}\n"
        "resources:\n  x: {classification: inner, compartments: [hired], access: {read: {t: {g: x}}}}"
    )

    assert reserved(other, "unsatisfiable-class") == ["a.yaml:2:81"]
    assert reserved(lone, "unsatisfiable-class") == ["a.yaml:3:69"]
    assert not reserved(fine, "unsatisfiable-class")


def test_what_shares_an_entitlement_is_judged_at_all_that_it_needs() -> None:
    text = (
        "resources:\n"
        "  x: {classification: public, compartments: [cn-only], access: {read: {t: {g: x}}}}\n"
        "  y: {classification: public, compartments: [de-only], access: {read: {t: {g: x}}}}\n"
    )

    assert reserved(text, "unsatisfiable-class") == ["a.yaml:2:72"]


def test_a_compartment_whose_only_contradicts_itself_is_reported() -> None:
    text = "compartments: {no: {only: {location: cn, all: [{location: de}]}}}"

    assert reserved(text, "matches-nobody") == ["a.yaml:1:16"]


def test_a_grant_to_people_for_whom_its_class_is_not_reserved_is_reported() -> None:
    role = "roles:\n  hired: {match: {employment: contractor}, grants: {read: [open, shut]}}\n"

    assert reserved(role, "unreachable-grant") == ["a.yaml:2:66"]


@pytest.mark.parametrize(
    "text",
    [
        "roles: {x: {match: {employment: employee}, grants: {read: [shut]}}}",
        "roles: {x: {match: {post: it}, grants: {read: [shut]}}}",
        "roles: {x: {match: {employment: {not: contractor}}, grants: {read: [shut]}}}",
        # a role that names people, or everybody, does not ask for the match alone
        (
            "roles: {x: {match: {employment: contractor}, members: [{person: a, until: 2030-01-01}], "
            "grants: {read: [shut]}}}"
        ),
        "roles: {x: {everyone: true, grants: {read: [shut]}}}",
        # what a post gave may stay for a while after a transfer, when another is asked for `only`
        (
            "lifecycle: {transfer: {overlap: 7d, ceiling: inner}}\n"
            "roles: {x: {match: {employment: contractor}, grants: {read: [shut]}}}"
        ),
    ],
)
def test_a_grant_that_somebody_can_come_by_is_left_alone(text: str) -> None:
    assert not reserved(text, "unreachable-grant")


def test_an_inherited_grant_out_of_reach_is_told_of_the_role_that_inherits() -> None:
    text = "roles:\n  x: {match: {employment: contractor}, inherits: [all]}\n"

    assert reserved(text, "unreachable-grant") == ["a.yaml:2:3"]


def test_of_a_family_only_a_grant_that_is_out_of_reach_for_every_value_is_reported() -> None:
    family = (
        "attributes: {projects: {kind: set}}\n"
        "resources:\n  docs/{p}:\n    classification: CLASS\n    values: {a: {}, b: {classification: inner}}\n"
        '    access: {read: {t: {g: "docs-{p}"}}}\n'
        "roles:\n  x: {match: {employment: contractor}, for_each: {p: projects}, grants: {read: ['docs/{p}']}}\n"
    )

    assert not reserved(family.replace("CLASS", "public"), "unreachable-grant")
    assert reserved(family.replace("CLASS", "inner"), "unreachable-grant") == ["a.yaml:8:81"]


def test_a_compartment_without_a_resource_is_reported() -> None:
    text = "resources: {x: {classification: public, compartments: [cn-only], access: {read: {t: {g: x}}}}}"

    assert reserved(text, "unused-compartment") == ["base.yaml:10:3"]


# --- exceptions, evidence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lockout", "warns"),
    [
        ("{person: 'E1', ref: X}", True),
        ("{person: 'E1', ref: X, since: 2027-01-01}", True),
        ("{person: 'E1', ref: X, since: 2027-01-02}", False),
        ("{person: 'E1', ref: X, from: [handbook, basic-docs]}", True),
        ("{person: 'E1', ref: X, from: [handbook]}", False),
        ("{person: 'E2', ref: X}", False),
    ],
)
def test_an_exception_for_somebody_who_stays_locked_out_is_reported(lockout: str, warns: bool) -> None:
    text = (
        "exceptions: [{person: 'E1', grants: {read: [handbook, basic-docs]}, since: 2027-01-01, until: 2027-01-31,"
        f" reason: x}}]\nlockouts: [{lockout}]"
    )

    assert [str(one.place) for one in warned(text, "locked-out-exception")] == ["a.yaml:1:14"] * warns


def test_an_exception_that_begins_in_the_future_is_fine() -> None:
    text = "exceptions: [{person: 'E1', grants: {read: [handbook]}, since: 2027-01-01, until: 2027-01-31, reason: x}]"
    files = {"w": WORDS.encode(), "r": RESOURCES.encode(), "a": text.encode()}

    _, found = check_policy(files, today=date(2026, 1, 1))

    assert not [problem for problem in found if problem.place.file == "a"]


def test_a_first_version_supersedes_nothing() -> None:
    text = "evidence:\n  x: {kind: agreement, superseded_on: 2026-01-01}"

    assert [one.place.line for one in warned(text, "nothing-superseded")] == [2]


# --- separation and invariants ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ("{name: x, roles: [a, b]}", False),
        ("{name: x, roles: [a, idle]}", True),
        ("{name: x, roles: [a, base]}", False),  # somebody holds it by inheriting it
        ("{name: x, between: [['handbook:*'], ['basic-docs:read']]}", False),
        ("{name: x, between: [['handbook:*'], ['basic-docs:write']]}", True),
    ],
)
def test_a_separation_with_only_one_side_is_reported(text: str, warns: bool) -> None:
    roles = (
        "roles:\n"
        "  a: {match: {post: it}, grants: {read: [handbook]}}\n"
        "  b: {match: {post: engineer}, inherits: [base]}\n"
        "  base: {grants: {read: [basic-docs]}}\n"
        "  idle: {grants: {read: [handbook]}}\n"
    )

    assert len(warned(f"{roles}separation: [{text}]", "never-conflicts")) == warns


def test_posts_that_exclude_each_other_do_not_make_a_separation_idle() -> None:
    """A person can hold two assignments, one for each role."""
    text = "roles: {a: {match: {post: it}}, b: {match: {post: engineer}}}\nseparation: [{name: x, roles: [a, b]}]"

    assert not warned(text, "never-conflicts")


@pytest.mark.parametrize(
    ("count", "role", "warns"),
    [
        (2, "{members: [{person: a, until: 2030-01-01}, {person: b, until: 2030-01-01}], GRANT}", False),
        (3, "{members: [{person: a, until: 2030-01-01}, {person: b, until: 2030-01-01}], GRANT}", True),
        (3, "{members: [{person: a, until: 2030-01-01}], match: {post: it}, GRANT}", False),
        (9, "{everyone: true, GRANT}", False),
        (1, "{match: {post: it}}", True),
    ],
)
def test_an_invariant_that_nothing_can_meet_is_reported(count: int, role: str, warns: bool) -> None:
    role = role.replace("GRANT", "grants: {read: [handbook]}")
    text = f"roles: {{x: {role}}}\ninvariants: [{{at_least: {count}, permission: 'handbook:*'}}]"

    assert len(warned(text, "unmeetable-invariant")) == warns


def test_an_invariant_that_can_never_be_broken_is_fine() -> None:
    text = (
        "roles: {x: {match: {post: it}, grants: {read: [handbook]}}}\n"
        "invariants: [{never: {match: {post: engineer}, permission: '核心算法:read'}}, "
        "{at_most: 5, permission: '核心算法:read'}]"
    )

    assert not [one for one in problems(text) if one.place.file == "a.yaml"]
