"""Why, and why not, in words: everything that gives, strongest first, and everything that denies, with its remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from reconciler.access import (
    Denial,
    DenialKind,
    EvidenceState,
    Explanation,
    LifecycleState,
    ReasonKind,
    UnknownPermission,
    UnknownPerson,
    clearance_of,
    explain,
    explain_many,
)
from reconciler.errors import ReconcilerError
from reconciler.facts.model import EvidenceRecord, Person, Span
from reconciler.policy.model import Equals, EvidenceCategory, Lifecycle, Period, Policy, StateRule
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

AT = local(2026, 11, 4, 9)
VAULT = permission("vault:read")
ENGINEER = compare("post", Equals(frozenset({"engineer"})))

BASE = role("base", "vault:read")
POLICY = a_policy(
    levels=[
        level("public", 0),
        level("internal", 1, "nda"),
        level("confidential", 2, "secrecy-training", ("check", "certificate")),
        level("core", 3, "nda", only=ENGINEER),
    ],
    resources={"wiki": (0, {"read": ["w"]}), "vault": (3, {"read": ["v"], "write": ["x"]})},
    roles=[
        role("named", "vault:read", members=[member("E1", date(2026, 12, 31))]),
        role("staff", "wiki:read", "vault:read", everyone=True),
        BASE,
        role("engineer", "wiki:read", match=ENGINEER, inherits=[BASE]),
    ],
    evidence=[
        kind("nda", version=3, category=EvidenceCategory.AGREEMENT),
        kind("secrecy-training", valid_for=Period(years=1)),
        kind("check"),
        kind("certificate"),
    ],
    exceptions=[exception("E1", "vault:read", until=date(2026, 11, 30))],
    lockouts=[lockout("E7", "SEC-140", since=date(2026, 11, 2), resources=["vault"])],
    service_accounts=[service_account("svc-backup", "wiki:read", "vault:read", ceiling=1, until=date(2027, 6, 30))],
    lifecycle=Lifecycle(
        preboarding=(StateRule(None, 0, place(), Period(days=7)),), notice=(StateRule(None, 1, place()),)
    ),
)
ENGINEERING = post("main", days(date(2025, 1, 1), date(2026, 11, 20), entry=41), post="engineer")
CLEARED = (
    record("E1", "nda", date(2025, 1, 1), version=3, entry=50),
    record("E1", "secrecy-training", date(2026, 1, 1), entry=51),
    record("E1", "check", date(2025, 1, 1), entry=52),
)


def asked(
    person: Person | None = None, *evidence: EvidenceRecord, policy: Policy = POLICY, at: datetime = AT
) -> Explanation:
    person = a_person("E1", ENGINEERING) if person is None else person
    records = [replace(each, person=person.id) for each in evidence or CLEARED]
    return explain(policy, people(person, evidence=records), person.id, VAULT, at)


def without(kind_name: str, *instead: EvidenceRecord) -> Denial:
    """The one denial of somebody cleared but for this kind."""
    explanation = asked(None, *(each for each in CLEARED if each.kind != kind_name), *instead)
    assert not explanation.allowed
    (denial,) = explanation.denials
    return denial


# --- reasons --------------------------------------------------------------------------------------------------------


def test_all_reasons_are_told_strongest_first() -> None:
    explanation = asked()

    assert explanation.allowed
    assert [reason.kind for reason in explanation.reasons] == [
        ReasonKind.ROLE,
        ReasonKind.EVERYONE,
        ReasonKind.MEMBER,
        ReasonKind.EXCEPTION,
    ]
    by_match, _, named, excepted = explanation.reasons
    assert by_match.roles == ("engineer", "base")
    assert by_match.place == BASE.grants[0].place
    assert by_match.holds_place == POLICY.roles["engineer"].place
    assert (by_match.assignment, by_match.entry, by_match.until) == ("main", 41, local(2026, 11, 21))
    assert by_match.text == "assignment main matches role engineer, which inherits base"
    assert named.until == local(2026, 11, 21), "membership ends with the assignment"
    assert named.holds_place == POLICY.roles["named"].members[0].place
    assert excepted.until == local(2026, 12, 1)
    assert "SEC-113" in excepted.text
    assert (explanation.classification, explanation.clearance) == ("core", "core")
    assert explanation.states == (LifecycleState.ACTIVE,)


def test_every_assignment_that_matches_is_a_reason() -> None:
    second = post("second", days(date(2026, 1, 1), None, entry=42), post="engineer")

    reasons = asked(a_person("E1", ENGINEERING, second)).reasons

    assert [(r.assignment, r.entry) for r in reasons if r.kind is ReasonKind.ROLE] == [("main", 41), ("second", 42)]


def test_clearance_without_a_reason_is_no_access_and_not_denied() -> None:
    policy = a_policy(levels=[level("public", 0)], resources={"vault": (0, {"read": ["v"]})})

    explanation = asked(policy=policy)

    assert not explanation.allowed
    assert not explanation.reasons
    assert not explanation.denials


# --- denials --------------------------------------------------------------------------------------------------------


def test_an_expiry_says_when_and_for_which_level_and_what_would_mend_it() -> None:
    trained = record("E1", "secrecy-training", date(2025, 11, 3), entry=61, recorded_at=local(2025, 11, 5))

    denial = without("secrecy-training", trained)

    assert denial.text == "secrecy-training expired on 2026-11-03 (level confidential)"
    assert denial.remedy == "record a passed secrecy-training"
    assert denial.kind is DenialKind.EVIDENCE
    assert denial.state is EvidenceState.EXPIRED
    assert (denial.what, denial.level, denial.entry) == ("secrecy-training", "confidential", 61)
    assert (denial.since, denial.known_since) == (local(2026, 11, 3), local(2025, 11, 5))
    assert denial.place == POLICY.levels[2].requires[0].place


def test_a_revocation_leads_to_the_entry_that_revoked() -> None:
    revoked = record("E1", "check", date(2025, 1, 1), revoked=Span(local(2026, 11, 4, 8, 30), None, 99))

    denial = without("check", revoked)

    assert denial.state is EvidenceState.REVOKED
    assert (denial.entry, denial.since) == (99, local(2026, 11, 4, 8, 30))
    assert denial.text.startswith("check was revoked on 2026-11-04 08:30")


def test_a_choice_of_kinds_is_one_denial() -> None:
    denial = without("check")

    assert denial.what == "check|certificate"
    assert denial.text == "check is missing, and certificate is missing (level confidential)"
    assert denial.remedy == "record a passed check or a passed certificate"


def test_an_old_signature_says_which_version_is_wanted() -> None:
    denial = without("nda", record("E1", "nda", date(2025, 1, 1), version=2))

    assert denial.text == "nda was superseded by version 3 (level internal)"
    assert denial.remedy == "record a signed nda, version 3"


@pytest.mark.parametrize(
    ("instead", "text"),
    [
        (record("E1", "nda", date(2026, 12, 1), version=3), "nda is not valid before 2026-12-01 (level internal)"),
        (record("E1", "nda", date(2026, 10, 1), failed=True), "nda was failed on 2026-10-01 (level internal)"),
    ],
)
def test_other_states_of_evidence_in_words(instead: EvidenceRecord, text: str) -> None:
    assert without("nda", instead).text == text


def test_what_several_levels_ask_for_is_told_once_for_the_lowest() -> None:
    """`nda` is asked for by internal and by core."""
    assert without("nda").level == "internal"


def test_a_reserved_level_says_which_assignment_does_not_qualify() -> None:
    blank = post("second", days(date(2026, 1, 1), None, entry=42))

    (denial,) = asked(a_person("E1", ENGINEERING, blank)).denials

    assert (denial.state, denial.level, denial.entry) == (EvidenceState.RESERVED, "core", 42)
    assert "assignment second cannot be told" in denial.text
    assert denial.place == ENGINEER.place


def test_evidence_from_before_a_rehire_is_said_to_be() -> None:
    back = a_person("E1", ENGINEERING, rehired=True, employed_since=local(2026, 6, 1))

    states = {denial.state for denial in asked(back).denials}

    assert states == {EvidenceState.BEFORE_REHIRE}
    assert "nda is from before the rehire on 2026-06-01 (level internal)" in [d.text for d in asked(back).denials]


@pytest.mark.parametrize(
    ("person", "what", "entry", "since", "text"),
    [
        (
            a_person("E1", ENGINEERING, exited=(Span(local(2026, 11, 3, 18), None, 70),)),
            "exited",
            70,
            local(2026, 11, 3, 18),
            "exited since 2026-11-03 18:00, which gives nothing",
        ),
        (
            a_person(
                "E1", post("main", days(date(2025, 1, 1), date(2026, 11, 3), entry=41, end_entry=71), post="engineer")
            ),
            "exited",
            71,
            local(2026, 11, 4),
            "exited since 2026-11-04, which gives nothing",
        ),
        (
            a_person("E1", ENGINEERING, notice=(days(date(2026, 11, 2), None, entry=72),)),
            "notice",
            72,
            local(2026, 11, 2),
            "notice since 2026-11-02, which admits up to internal",
        ),
        (
            a_person("E1", post("main", days(date(2026, 11, 9), None, entry=73), post="engineer")),
            "preboarding",
            0,
            None,
            "preboarding until 2026-11-09, which admits up to public",
        ),
    ],
)
def test_a_state_denies_with_its_entry_and_its_instant(
    person: Person, what: str, entry: int, since: datetime | None, text: str
) -> None:
    (denial,) = [each for each in asked(person).denials if each.kind is DenialKind.LIFECYCLE]

    assert (denial.what, denial.entry, denial.since, denial.text) == (what, entry, since, text)
    assert denial.remedy


def test_a_lockout_by_event_and_one_by_policy_can_be_told_apart() -> None:
    by_event = a_person("E1", ENGINEERING, lockouts=(days(date(2026, 11, 1), None, entry=80),))
    by_policy = a_person("E7", ENGINEERING)

    (event,) = asked(by_event).denials
    (clause,) = asked(by_policy).denials

    assert (event.kind, event.what, event.entry, event.place) == (DenialKind.LOCKOUT, "locked-out", 80, None)
    assert (clause.kind, clause.what, clause.entry) == (DenialKind.LOCKOUT, "SEC-140", 0)
    assert clause.place == POLICY.lockouts[0].place
    assert clause.since == local(2026, 11, 2)


def test_all_denials_are_told_at_once() -> None:
    unlucky = a_person(
        "E1",
        post("main", days(date(2025, 1, 1), None), post="hr"),
        notice=(days(date(2026, 11, 1), None),),
        lockouts=(days(date(2026, 11, 1), None),),
    )
    only_check = record("E1", "check", date(2025, 1, 1))

    whats = [denial.what for denial in asked(unlucky, only_check).denials]

    assert whats == ["locked-out", "notice", "nda", "secrecy-training", "only"]


# --- service accounts, clearance, unknown names ---------------------------------------------------------------------


def test_a_service_account_is_explained_by_its_ceiling_and_its_end() -> None:
    wiki = explain(POLICY, people(), "svc-backup", permission("wiki:read"), AT)
    vault = explain(POLICY, people(), "svc-backup", VAULT, AT)
    ended = explain(POLICY, people(), "svc-backup", permission("wiki:read"), local(2027, 7, 1))

    assert wiki.allowed
    assert wiki.reasons[0].kind is ReasonKind.SERVICE_ACCOUNT
    assert wiki.reasons[0].until == local(2027, 7, 1)
    assert not vault.allowed
    assert vault.denials[0].text == "the service account's ceiling is internal, and vault:read is core"
    assert not ended.allowed
    assert ended.reasons == ()


def test_clearance_is_the_highest_level_reached_without_a_gap() -> None:
    population = people(
        a_person("E1", ENGINEERING),
        a_person("E2", ENGINEERING, number=2),
        a_person("E3", post(post="hr"), number=3),
        evidence=[*CLEARED, *(replace(each, person="E3") for each in CLEARED)],
    )

    assert [clearance_of(POLICY, population, id_, AT) for id_ in ("E1", "E2", "E3")] == [
        "core",
        "public",
        "confidential",
    ]


def test_who_does_not_reach_even_the_lowest_level_has_no_clearance() -> None:
    policy = a_policy(levels=[level("public", 0, "nda")], resources={}, evidence=[kind("nda")])

    assert clearance_of(policy, people(a_person("E1", post())), "E1", AT) == ""


def test_many_are_answered_in_the_order_asked() -> None:
    population = people(a_person("E1", ENGINEERING), evidence=CLEARED)
    pairs = [("svc-backup", VAULT), ("E1", VAULT), ("E1", permission("wiki:read")), ("E1", VAULT)]

    answers = list(explain_many(POLICY, population, pairs, AT))

    assert [(each.subject, each.permission) for each in answers] == pairs
    assert answers == [explain(POLICY, population, subject, what, AT) for subject, what in pairs]


@pytest.mark.parametrize(
    ("subject", "hint"),
    [
        ("E10421", "did you mean E1042?"),
        ("e1042", "E1042"),
        ("张伟", "E1042 (张伟)"),
        ("wei@example.com", "E1042 (张伟)"),
        ("nobody-at-all", "1 people"),
    ],
)
def test_an_unknown_person_is_answered_with_who_may_have_been_meant(subject: str, hint: str) -> None:
    population = people(replace(a_person("E1042", ENGINEERING), name="张伟", email="wei@example.com"))

    with pytest.raises(UnknownPerson) as caught:
        explain(POLICY, population, subject, VAULT, AT)

    assert hint in caught.value.remedy
    assert subject in caught.value.message


@pytest.mark.parametrize(
    ("asked_for", "hint"),
    [("vautl:read", "did you mean vault?"), ("vault:raed", "did you mean read?"), ("vault:admin", "read, write")],
)
def test_an_unknown_permission_is_answered_with_what_there_is(asked_for: str, hint: str) -> None:
    with pytest.raises(UnknownPermission) as caught:
        explain(POLICY, people(a_person("E1", ENGINEERING)), "E1", permission(asked_for), AT)

    assert hint in caught.value.remedy
    assert isinstance(caught.value, ReconcilerError)
    assert caught.value.code == "unknown-permission"
