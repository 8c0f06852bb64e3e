"""What `tests:` sections become, and what is wrong with them."""

from __future__ import annotations

from datetime import date

import pytest

from reconciler.policy import load_policy
from reconciler.policy.model import Permission, PolicyTest
from reconciler.policy.supposed import Expectation, SupposedAssignment, SupposedEvidence, SupposedPerson
from tests.policy.company import CONDUCT, RESOURCES, ROLES, WORDS, errors

PER = "evidence:\n  briefing: {kind: training, per: projects}\n  medical: {kind: check, per: grade}\n"
DOCS = 'resources: {"docs/{p}": {classification: public, values: {a: {}}, access: {read: {t: {group: "docs-{p}"}}}}}\n'
FULL = """\
tests:
  - name: 高级工程师 reads the core
    on: 2026-11-24
    person: "E1007"
    assignments:
      - {department: rd/ai, post: engineer, grade: P6, projects: [falcon, 凤凰], since: 2025-01-01, until: 2027-01-01}
      - {post: it, projects: falcon, transferred: true, sponsor: "E0007"}
      - {projects: []}
    evidence:
      - nda
      - {evidence: secrecy-training, valid_from: 2026-06-01, valid_until: 2026-12-31}
      - {evidence: briefing, scope: falcon}
      - {evidence: nda, version: 2, result: failed}
    notice: 2026-11-01
    leave: 2026-11-02
    exited: 2026-11-03
    locked_out: true
    others: [{person: "E0007", assignments: [{employment: employee}]}]
    expect:
      can: ["核心算法:read"]
      cannot: ["basic-docs:write"]
      withheld:
        "basic-docs:read": [nda, wall, "briefing:falcon", "nda|briefing", only, notice, SEC-140, sponsor, end-date]
"""
WALL = "separation: [{name: wall, roles: [engineer, staff]}]\n"


def trials(text: str, **others: str) -> tuple[PolicyTest, ...]:
    files = {"words": WORDS, "resources": RESOURCES, "roles": ROLES, "conduct": CONDUCT, "per": PER, "wall": WALL}
    content = {f"{name}.yaml": one.encode() for name, one in {**files, "a": text, **others}.items()}
    return load_policy(content, revision="").tests


def test_a_test_with_everything() -> None:
    (one,) = trials(FULL)

    assert (one.name, one.on, str(one.place)) == ("高级工程师 reads the core", date(2026, 11, 24), "a.yaml:2:5")
    assert one.person.id == "E1007"
    assert one.person.assignments == (
        SupposedAssignment(
            {"department": "rd/ai", "post": "engineer", "grade": "P6", "projects": "falcon;凤凰"},
            date(2025, 1, 1),
            date(2027, 1, 1),
        ),
        SupposedAssignment({"post": "it", "projects": "falcon", "sponsor": "E0007"}, None, None, transferred=True),
        SupposedAssignment({"projects": ""}, None, None),
    )
    assert one.person.evidence == (
        SupposedEvidence("nda", "", 3, None, None, failed=False),
        SupposedEvidence("secrecy-training", "", 1, date(2026, 6, 1), date(2026, 12, 31), failed=False),
        SupposedEvidence("briefing", "falcon", 1, None, None, failed=False),
        SupposedEvidence("nda", "", 2, None, None, failed=True),
    )
    assert (one.person.notice, one.person.leave) == (date(2026, 11, 1), date(2026, 11, 2))
    assert (one.person.exited, one.person.locked_out) == (date(2026, 11, 3), True)
    assert one.others == (SupposedPerson("E0007", (SupposedAssignment({"employment": "employee"}, None, None),), ()),)
    assert [(str(expect.permission), expect.can, expect.withheld) for expect in one.expects] == [
        ("核心算法:read", True, None),
        ("basic-docs:write", False, None),
        (
            "basic-docs:read",
            False,
            ("nda", "wall", "briefing:falcon", "nda|briefing", "only", "notice", "SEC-140", "sponsor", "end-date"),
        ),
    ]


def test_a_short_test_is_about_somebody_whom_no_policy_names() -> None:
    text = "tests: [{name: x, on: 2026-01-01, expect: {cannot: ['handbook:read']}}]"

    (one,) = trials(text)

    assert (one.person.id, one.person.assignments, one.person.evidence, one.others) == ("somebody", (), (), ())
    assert one.expects == (Expectation(Permission("handbook", "read"), False, None, one.expects[0].place),)
    named = "lockouts: [{person: somebody, ref: X}, {person: somebody-else, ref: Y}]"
    assert trials(text, named=named)[0].person.id == "somebody-else-else"


def a_test(more: str, expect: str = "{can: ['handbook:read']}") -> str:
    return f"tests: [{{name: x, on: 2026-01-01, expect: {expect}{more}}}]"


@pytest.mark.parametrize(
    ("text", "code", "pointed"),
    [
        ("tests: [{on: 2026-01-01, expect: {can: ['handbook:read']}}]", "missing", "{on"),
        ("tests: [{name: x, expect: {can: ['handbook:read']}}]", "missing", "{name"),
        ("tests: [{name: x, on: 2026-01-01}]", "missing", "{name"),
        ("tests: [{name: x, on: 2026-02-30, expect: {can: ['handbook:read']}}]", "date", "2026-02-30"),
        (a_test("", "{}"), "empty", "{}"),
        (a_test("", "{can: []}"), "empty", "[]"),
        (a_test("", "{could: ['handbook:read']}"), "unknown-key", "could"),
        (a_test("", "{can: ['handbok:read']}"), "unknown-resource", "'handbok"),
        (a_test("", "{can: ['handbook:reed']}"), "unknown-action", "'handbook:reed"),
        (a_test("", "{can: ['handbook:*']}"), "pattern", "'handbook:*"),
        (a_test("", "{can: [handbook]}"), "pattern", "handbook]"),
        (a_test("", "{can: ['docs/{p}:read']}"), "unbound-variable", "'docs/{p}"),
        (a_test("", "{can: ['docs/b:read']}"), "unknown-resource", "'docs/b"),
        (a_test("", "{can: ['handbook:read'], cannot: ['handbook:read']}"), "contradiction", "'handbook:read']}"),
        (
            a_test("", "{can: ['handbook:read'], withheld: {'handbook:read': [nda]}}"),
            "contradiction",
            "'handbook:read':",
        ),
        (a_test("", "{withheld: {'handbook:read': [ndaa]}}"), "unknown-reason", "ndaa"),
        (a_test("", "{withheld: {'handbook:read': []}}"), "empty", "[]"),
        (a_test(", assignments: [{departmnt: rd}]"), "unknown-attribute", "departmnt"),
        (a_test(", assignments: [{post: pilot}]"), "unknown-value", "pilot"),
        (a_test(", assignments: [{post: [it]}]"), "type", "[it]"),
        (a_test(", assignments: [{grade: 6}]"), "unquoted", "6"),
        (a_test(", assignments: [{projects: [a, 7]}]"), "unquoted", "7"),
        (a_test(", assignments: [{projects: 'a;b'}]"), "value", "'a;b'"),
        (a_test(", assignments: [{post: }]"), "blank", "post"),
        (a_test(", assignments: [{since: 2026-02-30}]"), "date", "2026-02-30"),
        (a_test(", assignments: [{since: 2026-02-02, until: 2026-02-01}]"), "order", "2026-02-01"),
        (a_test(", assignments: {post: it}"), "type", "{post"),
        (a_test(", evidence: [ndaa]"), "unknown-evidence", "ndaa"),
        (a_test(", evidence: [{evidence: nda, scope: falcon}]"), "unexpected-scope", "scope"),
        (a_test(", evidence: [briefing]"), "missing-scope", "briefing"),
        (a_test(", evidence: [{evidence: medical, scope: P9}]"), "unknown-value", "P9"),
        (a_test(", evidence: [{evidence: nda, result: fail}]"), "value", "fail"),
        (
            a_test(", evidence: [{evidence: nda, valid_from: 2026-02-02, valid_until: 2026-01-03}]"),
            "order",
            "2026-01-03",
        ),
        (a_test(", evidence: [{evidense: nda}]"), "unknown-key", "evidense"),
        (a_test(", person: 'E1', others: [{person: 'E1'}]"), "duplicate-name", "'E1'}]"),
        (a_test(", others: [{assignments: []}]"), "missing", "{assignments"),
        ("tests:\n" + 2 * "  - {name: x, on: 2026-01-01, expect: {can: ['handbook:read']}}\n", "duplicate-name", "x"),
    ],
)
def test_mistakes_in_tests(text: str, code: str, pointed: str) -> None:
    (problem,) = errors(text, per=PER, docs=DOCS)

    assert problem.code == code, problem
    assert text.splitlines()[problem.place.line - 1][problem.place.column - 1 :].startswith(pointed), problem
    assert problem.remedy


@pytest.mark.parametrize("name", ["since", "until", "transferred"])
def test_no_attribute_may_be_called_like_a_word_of_assignments(name: str) -> None:
    assert [one.code for one in errors(f"attributes: {{{name}: {{kind: set}}}}")] == ["reserved-name"]


def test_who_names_what_is_broken_in_a_test_is_not_wrong() -> None:
    text = a_test(
        ", evidence: [oath], assignments: [{team: a}]", "{can: ['plans:read'], withheld: {'plans:write': [oath]}}"
    )
    broken = "evidence: {oath: {kind: oat}}\nattributes: {team: {kind: st}}\nresources: {plans: 3}"

    assert {one.place.file for one in errors(text, broken=broken)} == {"broken.yaml"}
