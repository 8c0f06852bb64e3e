"""What a policy change does to people: counted like two evaluations, told by the clause that is responsible."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access import evaluate
from reconciler.audit.impact import Impact, impact_of
from reconciler.audit.impact_markdown import LONGEST, code, impact_markdown
from reconciler.audit.impact_reading import impact_json, verdict
from reconciler.audit.revisions import Revision
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.policy.model import Policy
from tests.audit.test_meaning import ROLES, WORDS, policy

AT = datetime(2026, 11, 5, 12, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 10, tzinfo=UTC)
REVISIONS = Revision("main", "a" * 40), Revision("topic", "b" * 40)


def person(number: int, id_: str, *proofs: str, **attributes: str) -> tuple[Person, list[EvidenceRecord]]:
    post = Assignment("main", attributes, Span(LONG_AGO, None, number + 1))
    records = [
        EvidenceRecord(100 + i, id_, kind, "", 2, LONG_AGO, None, False, "", "hr", LONG_AGO)
        for i, kind in enumerate(proofs)
    ]
    return Person(number, id_, id_, "", (post,)), records


def population(*people: tuple[Person, list[EvidenceRecord]]) -> Population:
    return Population([one for one, _ in people], {one.id: records for one, records in people}, 50, "Asia/Shanghai")


EMPLOYEE = {"employment": "employee", "department": "rd/ai"}
BOTH = ("nda", "training")
PEOPLE = population(
    person(0, "E1", *BOTH, **EMPLOYEE, post="engineer", grade="P3"),
    person(1, "E2", *BOTH, **EMPLOYEE, post="engineer", grade="P4"),
    person(2, "E3", *BOTH, **EMPLOYEE, post="architect", grade="P5"),
    person(3, "E4", "nda", **EMPLOYEE, post="architect", grade="P6"),
    person(4, "E5", **EMPLOYEE, post="engineer", grade="P6"),
    person(5, "E7", *BOTH, employment="employee", department="sales"),
    person(6, "E9", *BOTH, employment="employee", department="audit"),
    person(7, "C1", *BOTH, employment="contractor", department="rd", post="engineer", grade="P6"),
)


def changed(old: str, new: str) -> Policy:
    assert old in WORDS + ROLES
    return policy(WORDS.replace(old, new), ROLES.replace(old, new))


BASE = policy(WORDS, ROLES)


def impact(head: Policy, base: Policy = BASE) -> Impact:
    return impact_of(base, head, PEOPLE, AT)


def told(result: Impact) -> list[tuple[str, str, tuple[str, ...], str]]:
    return [
        ("+" if one.gains else "-", str(one.permission), one.people, " & ".join(clause.text for clause in one.clauses))
        for one in result.shifts
    ]


def test_a_lower_grade_bound_names_who_gains_and_the_bound_at_its_line() -> None:
    result = impact(changed("min: P5", "min: P4"))
    assert told(result) == [
        ("+", "codec:read", ("E2",), "the match of role `senior` has changed: `grade`"),
        ("+", "codec:write", ("E2",), "the match of role `senior` has changed: `grade`"),
    ]
    place = result.shifts[0].clauses[0].place
    assert place is not None
    assert (place.file, place.line) == ("p/1.yaml", 6)
    assert verdict(result).startswith("1 person gains access (2 permissions)")


def test_the_highest_class_comes_first_and_gains_before_losses() -> None:
    head = policy(
        WORDS,
        ROLES.replace("min: P5", "min: P6").replace("post: engineer}", "post: architect}"),
    )
    classes = [(one.rank, one.gains) for one in impact(head).shifts]
    assert classes == sorted(classes, key=lambda each: (-each[0], not each[1]))
    assert {one.classification for one in impact(head).shifts} == {"core", "internal"}


ENGINEER = "  engineer: {match: {department: rd, post: engineer}, grants: {read: [docs]}}\n"
DOCS, CODEC = "docs: {classification: ", "codec: {classification: "


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (ENGINEER, "", "role `engineer` is gone"),
        (
            ENGINEER,
            ENGINEER.replace("}\n", ", members: [{person: E9, until: 2027-01-01}]}\n"),
            "role `engineer`: member E9 is new",
        ),
        ("members: [{person: E7, until: 2027-01-31, reason: owner}]\n    ", "", "role `senior`: member E7 is gone"),
        ("{person: E9, grants", "{person: E1, grants", "the exception for E9 is gone"),
        ("requires: [training], only", "requires: [], only", "`core` no longer requires training as it did"),
        (f"{CODEC}core", f"{CODEC}internal", "`codec:read` is now `internal`, and was `core`"),
        (f"{DOCS}internal", f"{DOCS}core", "`docs:read` is now `core`, and was `internal`"),
    ],
)
def test_the_clause_responsible_is_named(old: str, new: str, expected: str) -> None:
    assert expected in " | ".join(text for *_, text in told(impact(changed(old, new))))


BOUNDS = {
    "separation `apart` is": ("", "separation: [{name: apart, roles: [engineer, senior]}]\n"),
    "lockout `SEC-1` is": ("", "lockouts: [{person: E3, ref: SEC-1}]\n"),
    "the sponsor rule is": ("  sponsor: {kind: person}\n", "sponsors: [{of: {employment: contractor}, by: sponsor}]\n"),
}


def test_a_sponsor_rule_that_asks_for_an_end_as_well_has_changed() -> None:
    words = WORDS.replace("attributes:\n", "attributes:\n  sponsor: {kind: person}\n")
    rule = "sponsors: [{of: {employment: employee}, by: sponsor}]\n"
    some = policy(words, ROLES + rule)
    more = policy(words, ROLES + rule.replace("}]", ", ends: required}]"))

    assert not impact(some, more).same_meaning
    assert impact(some, some).same_meaning


@pytest.mark.parametrize(("text", "bound"), BOUNDS.items())
def test_a_bound_that_comes_or_goes_is_responsible_for_what_it_withholds(text: str, bound: tuple[str, str]) -> None:
    attribute, clause = bound
    words = WORDS.replace("attributes:\n", f"attributes:\n{attribute}")
    bounded = policy(words, ROLES + clause)
    lost, gained = impact(bounded), impact(BASE, bounded)
    assert {each[-1] for each in told(lost)} == {f"{text} new"}
    assert {each[-1] for each in told(gained)} == {f"{text} gone"}
    assert all(clause.gone for shift in gained.shifts for clause in shift.clauses)
    assert not any(clause.gone for shift in lost.shifts for clause in shift.clauses)


def test_where_what_counts_as_proof_has_changed_its_clause_is_named_and_not_the_level() -> None:
    result = impact(changed("valid_for: 1y", "valid_for: 1mo"))
    assert {each[-1] for each in told(result)} == {"evidence `training` counts otherwise now (`core` requires it)"}
    places = {str(clause.place) for shift in result.shifts for clause in shift.clauses}
    assert places == {"p/0.yaml:9:3"}


def test_no_effective_change_is_said_of_a_refactoring_and_only_of_one() -> None:
    renamed = impact(policy(WORDS, ROLES.replace("senior:", "expert:")))
    assert not renamed.changes_access
    assert renamed.same_meaning
    assert verdict(renamed).startswith("No effective change")
    nobody_yet = impact(changed("[engineer, architect]", "[engineer, architect, pilot]"))
    assert not nobody_yet.changes_access
    assert not nobody_yet.same_meaning
    assert verdict(nobody_yet).startswith("Nobody gains or loses access at this moment")


def test_an_entitlement_that_moves_is_a_change_though_no_permission_is() -> None:
    result = impact(changed("group: docs}", "group: papers}"))
    assert not result.shifts
    assert result.changes_access
    moved = {one.name: (one.before, one.after) for one in result.entitlements if one.changed}
    assert moved == {"ldap:group=docs": (6, None), "ldap:group=papers": (None, 6)}


CHANGES = [
    ("min: P5", "min: P4"),
    ("min: P5", "max: P4"),
    ("post: engineer}", "post: architect}"),
    ("everyone: true, grants: {read: [handbook]}", "everyone: true, grants: {read: [handbook, docs]}"),
    ("requires: [training], only", "requires: [], only"),
    ("only: {employment: employee}", "only: {employment: contractor}"),
    ("docs: {classification: internal", "docs: {classification: core"),
    ("codec: {classification: core", "codec: {classification: public"),
    ("until: 2026-11-10", "until: 2026-11-04"),
    ("person: E7", "person: E1"),
    ("grants: {read: [docs, codec], write: [codec]}", "grants: {read: [docs]}"),
    ("requires: [nda]", "requires: []"),
]


@given(
    st.lists(st.sampled_from(CHANGES), max_size=4, unique=True),
    st.lists(st.sampled_from(CHANGES), max_size=2, unique=True),
)
@settings(deadline=None)
def test_the_counts_are_the_difference_of_two_evaluations(
    to_head: list[tuple[str, str]], to_base: list[tuple[str, str]]
) -> None:
    def made(changes: list[tuple[str, str]]) -> Policy:
        words, roles = WORDS, ROLES
        for old, new in changes:
            words, roles = words.replace(old, new), roles.replace(old, new)
        return policy(words, roles)

    base, head = made(to_base), made(to_head)
    result = impact_of(base, head, PEOPLE, AT)
    before, after = evaluate(base, PEOPLE, AT), evaluate(head, PEOPLE, AT)
    gained: Counter[tuple[str, str, bool]] = Counter()
    for shift in result.shifts:
        assert shift.clauses
        gained.update((one, str(shift.permission), shift.gains) for one in shift.people)
    expected = {
        (one.id, str(permission), gains)
        for permission in head.permissions()
        for one in PEOPLE
        for gains, here, there in ((True, after, before), (False, before, after))
        if one.number in here.allowed[permission] and one.number not in there.allowed[permission]
    }
    assert gained == Counter(expected)
    for tally in result.permissions:
        named = next(each for each in head.permissions() if str(each) == tally.name)
        assert (tally.before, tally.after) == (len(before.allowed[named]), len(after.allowed[named]))
        assert (tally.after or 0) - (tally.before or 0) == tally.gained - tally.lost
    if result.same_meaning:
        assert not result.changes_access


def test_json_holds_everything_and_markdown_the_same_numbers() -> None:
    result = impact(changed("min: P5", "min: P4"))
    data = impact_json(result, *REVISIONS, [])
    assert data["format"] == "reconciler.impact/1"
    text = impact_markdown(result, *REVISIONS)
    assert "`codec:read`" in text
    assert "| `codec:read` | `core` | 3 | 4 | 1 | 0 |" in text
    assert "`E2`" in text
    assert "`E2`" not in impact_markdown(result, *REVISIONS, names=False)


@given(st.text(max_size=30))
def test_no_name_leaves_its_code_span(text: str) -> None:
    span = code(text)
    fence = span[: len(span) - len(span.lstrip("`"))]
    inner = span[len(fence) : -len(fence)]
    assert fence
    assert span.endswith(fence)
    assert fence not in inner.strip(" ") or not inner.strip(" ")
    assert "\n" not in span


def test_a_comment_is_never_longer_than_hosts_take() -> None:
    crowd = population(*(person(n, f"E{n:07}", *BOTH, **EMPLOYEE, post="engineer", grade="P4") for n in range(10_000)))
    result = impact_of(BASE, changed("min: P5", "min: P4"), crowd, AT)
    assert len(impact_markdown(result, *REVISIONS, limit=10_000)) <= LONGEST + 100


def test_where_too_many_shift_the_highest_class_is_looked_into_and_the_rest_is_told_what_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = changed("version: 2, superseded_on: 2026-03-01", "version: 9")
    whole = told(impact(head))
    monkeypatch.setattr("reconciler.audit.impact.MOST_EXPLAINED", 1)
    result = impact(head)
    assert sum(len(people) for *_, people, _ in told(result)) == sum(len(people) for *_, people, _ in whole)
    explained = [one for one in result.shifts if one.clauses[0].place is not None]
    assert [(one.classification, len(one.people)) for one in explained] == [("core", 1)]
    rest = [one.clauses[0].text for one in result.shifts if one not in explained]
    assert rest
    assert all(text.endswith("(changed: evidence)") for text in rest)
