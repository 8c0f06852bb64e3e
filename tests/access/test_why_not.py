"""Why not, for what people have beside their own proofs: compartments, sponsors, what they hold together, overlaps,
leaves; and why, for what they hold by a value of theirs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from reconciler.access import explain
from reconciler.access.model import Denial, DenialKind, EvidenceState, Explanation, FactKind, ReasonKind
from reconciler.facts.model import EvidenceRecord, Person
from reconciler.policy.model import (
    Contains,
    Equals,
    Lifecycle,
    Overlap,
    Period,
    Policy,
    Proof,
    Separation,
    SponsorRule,
    StateRule,
    Under,
)
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    compartment,
    days,
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
    transferred,
)

AT = local(2026, 11, 4, 9)
ENGINEER = compare("post", Equals(frozenset({"engineer"})))
CN = compare("department", Under(frozenset({"cn"})))
BY_PROJECT = for_each("project", "projects")
FALCON = grant("prj/falcon:read", compare("projects", Contains(frozenset({"falcon"}))))


def policy(**rest: object) -> Policy:
    made = a_policy(
        levels=[level("public", 0), level("core", 1)],
        evidence=[kind("chip-briefing"), kind("briefing", per="projects")],
        resources={
            "designs": (0, {"read": ["d"]}),
            "prj/falcon": (0, {"read": ["f"]}),
            "releases": (0, {"sign": ["r"]}),
            "wiki": (1, {"read": ["w"]}),
        },
        compartments=[
            compartment("chip", "chip-briefing", only=CN),
            compartment("project/falcon", "briefing:falcon"),
        ],
        carrying={"designs": ["chip"], "prj/falcon": ["project/falcon"]},
        families=[family("prj/{project}", "project", "falcon")],
        roles=[
            (tools := role("tools", "releases:sign")),
            role("engineer", "designs:read", "wiki:read", match=ENGINEER, inherits=[tools]),
            role("pilot", FALCON, each=[BY_PROJECT]),
            role("staff", "wiki:read", everyone=True),
        ],
        **rest,  # type: ignore[arg-type]
    )
    family_of = {name: each for name, each in made.resources.items() if name.startswith("prj/")}
    assert family_of
    return made


def asked(
    person: Person, what: str, *others: Person, rules: Policy | None = None, evidence: tuple[EvidenceRecord, ...] = ()
) -> Explanation:
    return explain(rules or policy(), people(person, *others, evidence=evidence), person.id, permission(what), AT)


def denied(answer: Explanation) -> Denial:
    assert answer.reasons
    assert not answer.allowed
    (denial,) = answer.denials
    return denial


# --- compartments ---------------------------------------------------------------------------------------------------


def test_a_compartment_denies_beside_the_level_and_names_itself() -> None:
    denial = denied(asked(a_person("E1", post(post="engineer", department="cn/sh")), "designs:read"))

    assert (denial.kind, denial.what, denial.level, denial.compartment) == (
        DenialKind.EVIDENCE, "chip-briefing", "", "chip",
    )  # fmt: skip
    assert denial.text == "chip-briefing is missing (compartment chip)"
    assert denial.state is EvidenceState.MISSING
    assert denial.proofs == (Proof("chip-briefing"),)


def test_a_reserved_compartment_says_so() -> None:
    briefed = record("E1", "chip-briefing", date(2026, 1, 1))

    answer = asked(a_person("E1", post(post="engineer", department="us")), "designs:read", evidence=(briefed,))

    denial = denied(answer)
    assert (denial.what, denial.compartment, denial.state) == ("only", "chip", EvidenceState.RESERVED)
    assert denial.text == "compartment chip is reserved by its `only`, and assignment main is none of those"
    assert [(fact.kind, fact.text) for fact in answer.needed] == [
        (FactKind.ASSIGNMENT, "department: cn or below, has us")
    ]


def test_a_proof_for_another_value_is_none_for_this_one() -> None:
    pilot = a_person("E1", post(projects="falcon; phoenix"))
    phoenix = record("E1", "briefing", date(2026, 1, 1), scope="phoenix")
    failed = record("E1", "briefing", date(2026, 2, 1), scope=" falcon ", failed=True, entry=12)

    missing = denied(asked(pilot, "prj/falcon:read", evidence=(phoenix,)))
    not_passed = denied(asked(pilot, "prj/falcon:read", evidence=(phoenix, failed)))

    assert (missing.what, missing.text) == (
        "briefing:falcon", "briefing for falcon is missing (compartment project/falcon)",
    )  # fmt: skip
    assert missing.remedy == "record a passed briefing for falcon"
    assert (not_passed.state, not_passed.entry) == (EvidenceState.FAILED, 12)


def test_what_nobody_has_recorded_reads_the_same_for_everybody() -> None:
    """One object, however many people it is told of."""
    first, second = (a_person(f"E{n}", post(post="engineer", department="cn"), number=n) for n in (1, 2))
    population, rules = people(first, second), policy()
    from reconciler.access import Explainer

    explainer = Explainer(rules, population, AT)

    one, other = (denied(explainer.explain(id_, permission("designs:read"))) for id_ in ("E1", "E2"))

    assert one is other


# --- for_each -------------------------------------------------------------------------------------------------------


def test_a_reason_by_a_value_names_the_value() -> None:
    briefed = record("E1", "briefing", date(2026, 1, 1), scope="falcon")

    answer = asked(a_person("E1", post(projects="falcon; 凤凰")), "prj/falcon:read", evidence=(briefed,))

    (reason,) = answer.reasons
    assert (reason.kind, reason.roles, reason.assignment) == (ReasonKind.ROLE, ("pilot",), "main")
    assert answer.allowed
    assert not asked(a_person("E1", post(projects="凤凰")), "prj/falcon:read").reasons


# --- sponsors -------------------------------------------------------------------------------------------------------

SPONSORED = policy(sponsors=(SponsorRule(ENGINEER, "sponsor", CN, Period(days=14), place()),))


@pytest.mark.parametrize(
    ("sponsor", "host", "text"),
    [
        ("", None, "its sponsor names nobody"),
        ("E404", None, "nobody is known by the id 'E404'"),
        ("E1", None, "E1 is none who may be one, or is not there"),
        ("E9", post(department="us"), "E9 is none who may be one, or is not there"),
        (
            "E9",
            post("main", days(None, date(2026, 10, 1), entry=6, end_entry=7), department="cn"),
            "E9 is none any more since 2026-10-02, and 14d have passed",
        ),
    ],
)
def test_who_has_no_sponsor_is_told_who_is_lacking(sponsor: str, host: object, text: str) -> None:
    guest = a_person("E1", post(post="engineer", department="cn", sponsor=sponsor))
    others = () if host is None else (a_person("E9", host, number=9),)  # type: ignore[arg-type]

    answer = asked(guest, "wiki:read", *others, rules=SPONSORED)

    denial = denied(answer)
    assert (denial.kind, denial.what) == (DenialKind.LIFECYCLE, "sponsor")
    assert denial.text == f"assignment main needs a sponsor, and {text}"
    assert denial.place == SPONSORED.sponsors[0].place
    assert [fact.kind for fact in answer.needed] == [FactKind.SPONSOR]
    if "any more" in text:
        assert (denial.since, denial.entry) == (local(2026, 10, 16), 7)


def test_a_sponsor_who_is_there_denies_nothing() -> None:
    guest = a_person("E1", post(post="engineer", department="cn", sponsor="E9"))

    assert asked(guest, "wiki:read", a_person("E9", post(department="cn"), number=9), rules=SPONSORED).allowed


def test_work_that_needs_an_end_and_has_none_says_so_and_what_it_takes() -> None:
    rules = policy(sponsors=(SponsorRule(ENGINEER, "sponsor", CN, Period(), place(), ends=True),))
    host = a_person("E9", post(department="cn"), number=9)
    endless = post("main", days(date(2026, 1, 1), None, entry=6), post="engineer", department="cn", sponsor="E9")

    answer = asked(a_person("E1", endless), "wiki:read", host, rules=rules)

    denial = denied(answer)
    assert (denial.kind, denial.what, denial.entry) == (DenialKind.LIFECYCLE, "end-date", 6)
    assert denial.text == "assignment main needs an end date, and none is on record"
    assert (denial.place, denial.since) == (rules.sponsors[0].place, local(2026, 1, 1))
    (fact,) = answer.needed
    assert (fact.kind, fact.attribute, fact.text) == (
        FactKind.ASSIGNMENT,
        "ends_on",
        "record ends_on for assignment main",
    )
    recorded = replace(endless, span=replace(endless.span, end=local(2027, 1, 1)))
    assert asked(a_person("E1", recorded), "wiki:read", host, rules=rules).allowed


# --- what nobody may have together ----------------------------------------------------------------------------------


def test_roles_that_exclude_each_other_say_how_each_is_held() -> None:
    apart = Separation("design-vs-release", ("tools", "pilot"), (), True, place())
    both = a_person("E1", post(post="engineer", projects="falcon"))

    answer = asked(both, "releases:sign", rules=policy(separations=(apart,)))

    found = denied(answer)
    assert (found.kind, found.what, found.place) == (DenialKind.SEPARATION, "design-vs-release", apart.place)
    assert found.text == (
        "separation design-vs-release: holds tools (assignment main matches role engineer, through engineer) "
        "and pilot (assignment main matches role pilot)"
    )
    assert [fact.kind for fact in answer.needed] == [FactKind.SEPARATION]
    assert asked(both, "wiki:read", rules=policy(separations=(apart,))).allowed, "what engineer gives by itself"


def test_lists_that_exclude_each_other_say_what_is_given() -> None:
    wall = Separation(
        "wall", (), tuple(frozenset({permission(each)}) for each in ("releases:sign", "wiki:read")), True, place()
    )

    found = denied(asked(a_person("E1", post(post="engineer")), "wiki:read", rules=policy(separations=(wall,))))

    assert found.text == "separation wall: is given releases:sign and wiki:read"
    assert asked(a_person("E1", post(post="hr")), "wiki:read", rules=policy(separations=(wall,))).allowed


def test_a_conflict_that_is_only_reported_denies_nothing() -> None:
    apart = Separation("design-vs-release", ("tools", "pilot"), (), False, place())

    both = a_person("E1", post(post="engineer", projects="falcon"))

    assert asked(both, "releases:sign", rules=policy(separations=(apart,))).allowed


# --- overlap and lifecycle ------------------------------------------------------------------------------------------

MOVED = a_person("E1", transferred("old", days(None, date(2026, 10, 31), entry=3), post="engineer"), post(post="hr"))


def test_what_a_transfer_leaves_is_a_reason_of_its_own_up_to_the_ceiling() -> None:
    rules = policy(lifecycle=Lifecycle(transfer=Overlap(Period(days=7), 0, place())))

    stays = asked(MOVED, "releases:sign", rules=rules)
    above = asked(MOVED, "wiki:read", rules=rules)

    (reason,) = stays.reasons
    assert (reason.kind, reason.roles, reason.entry) == (ReasonKind.OVERLAP, ("engineer", "tools"), 3)
    assert reason.until == stays.until == local(2026, 11, 8)
    assert reason.text == (
        "assignment old, ended by the transfer of 2026-11-01, still overlaps; "
        "it matches role engineer, which inherits tools"
    )
    assert [each.kind for each in above.reasons] == [ReasonKind.EVERYONE]


@pytest.mark.parametrize(("began", "allowed"), [(date(2026, 10, 6), True), (date(2026, 10, 5), False)])
def test_a_leave_denies_once_it_has_lasted(began: date, *, allowed: bool) -> None:
    rules = policy(lifecycle=Lifecycle(leave=(StateRule(None, None, place(), after=Period(days=30), suspend=True),)))
    away = a_person("E1", post(), leave=(days(began, None, entry=9),))

    answer = asked(away, "wiki:read", rules=rules)

    assert answer.allowed is allowed
    if not allowed:
        assert denied(answer).text == "leave since 2026-10-05, which suspends all access"
        assert denied(answer).entry == 9


def test_of_several_assignments_the_one_that_a_rule_was_found_for_is_named() -> None:
    rules = policy(lifecycle=Lifecycle(notice=(StateRule(CN, 0, place()), StateRule(None, 1, place()))))
    leaving = a_person(
        "E1", post("us", department="us"), post("sh", department="cn/sh"), notice=(days(date(2026, 11, 1), None),)
    )

    denial = denied(asked(leaving, "wiki:read", rules=rules))

    assert denial.text == "notice since 2026-11-01, which admits up to public for assignment sh"
    assert denial.place == rules.lifecycle.notice[0].place
