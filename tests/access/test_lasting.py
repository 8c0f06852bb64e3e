"""What an access rests on and when it ends: promises for random companies, and a case of every kind of end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reconciler.access import Explainer, explain
from reconciler.access.evidence import KindAt
from reconciler.access.model import End, EndKind, Explanation, Proven
from reconciler.access.subject import moment_of
from reconciler.facts.model import EvidenceRecord, Person
from reconciler.policy.model import (
    Equals,
    Lifecycle,
    Overlap,
    Period,
    Policy,
    Proof,
    Separation,
    SponsorRule,
    StateRule,
)
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
    transferred,
)
from tests.access.worlds import World, worlds

TICK = timedelta(microseconds=1)
random_worlds = settings(
    max_examples=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _answers(world: World) -> list[Explanation]:
    explainer = Explainer(world.policy, world.population, world.at)
    subjects = [*(who.id for who in world.population), *world.policy.service_accounts]
    return [explainer.explain(subject, what) for subject in subjects for what in world.policy.permissions()]


# --- whatever the policy --------------------------------------------------------------------------------------------


@random_worlds
@given(worlds())
def test_an_access_that_ends_says_by_what_and_then_the_answer_is_no(world: World) -> None:
    for answer in _answers(world):
        if answer.until is None:
            assert not any(end.decides for end in answer.ends)
            continue
        assert answer.allowed
        deciding = [end for end in answer.ends if end.at == answer.until]
        assert deciding
        assert all(end.decides and end.text for end in deciding)
        before = explain(world.policy, world.population, answer.subject, answer.permission, answer.until - TICK)
        after = explain(world.policy, world.population, answer.subject, answer.permission, answer.until)
        assert before.allowed
        assert not after.allowed
        assert before.until == answer.until


@random_worlds
@given(worlds())
def test_what_is_proven_is_a_record_that_counts_or_does_not_apply(world: World) -> None:
    moment = moment_of(world.policy, world.population, world.at)
    for answer in _answers(world):
        if answer.subject not in world.population.by_id:
            continue
        who = moment.person(answer.subject)
        unmet = {(denial.level, denial.compartment, denial.place) for denial in answer.denials}
        for proven in answer.proven:
            assert (proven.level == "") != (proven.compartment == "")
            assert (proven.level, proven.compartment, proven.place) not in unmet
            if proven.exempt:
                scope = world.policy.evidence[proven.proof.kind].applies_to
                assert scope is not None
                assert all(moment.reads(scope, each.attributes) is False for each in who.assignments)
                assert (proven.entry, proven.valid_from, proven.until) == (0, None, None)
            else:
                assert _counts(world, answer.subject, proven, world.at)
                assert proven.until is None or proven.until > world.at


def _counts(world: World, person: str, proven: Proven, at: datetime) -> bool:
    """Whether a record of that entry counts, with the failures that speak of the same."""
    moment = moment_of(world.policy, world.population, at)
    kind_at = moment.kinds[proven.proof.kind]
    own = [each for each in moment.person(person).evidence.get(proven.proof.kind, ()) if _speaks_of(each, proven.proof)]
    failed = [each for each in own if each.failed]
    named = [each for each in own if (each.entry, each.valid_from) == (proven.entry, proven.valid_from)]
    return any(_alone(kind_at, each, failed, moment.person(person).rehired) for each in named)


def _alone(kind_at: KindAt, each: EvidenceRecord, failed: list[EvidenceRecord], rehired: datetime | None) -> bool:
    return not each.failed and kind_at.counts([each, *failed], rehired)


def _speaks_of(each: EvidenceRecord, proof: Proof) -> bool:
    return not proof.scope or each.scope.strip() == proof.scope


# --- one of each ----------------------------------------------------------------------------------------------------

AT = local(2026, 11, 4, 9)
DOCS = permission("docs:read")
ENGINEER = compare("post", Equals(frozenset({"engineer"})))
ARCHITECT = compare("post", Equals(frozenset({"architect"})))
P7 = compare("grade", Equals(frozenset({"P7"})))


def policy(ends: date | None = None) -> Policy:
    return a_policy(
        levels=[level("public", 0), level("core", 1, "training")],
        evidence=[
            kind("training", valid_for=Period(years=1), grace=Period(days=7)),
            replace(kind("nda", version=2, superseded_on=date(2026, 11, 25))),
        ],
        resources={"docs": (0, {"read": ["d"]}), "vault": (1, {"read": ["v"]}), "other": (0, {"read": ["o"]})},
        roles=[
            role("engineer", "docs:read", "vault:read", match=ENGINEER),
            role("guest", "docs:read", match=ARCHITECT),
            role("owner", "docs:read", members=[member("E2", date(2026, 11, 10))]),
            role("signer", "other:read", match=P7),
        ],
        exceptions=[exception("E3", "docs:read", until=date(2026, 11, 11))],
        lockouts=[lockout("E4", "SEC-1", since=date(2026, 11, 12))],
        service_accounts=[service_account("svc", "docs:read", ceiling=0, until=date(2026, 11, 13))],
        lifecycle=Lifecycle(
            leave=(StateRule(None, None, place(), after=Period(days=30), suspend=True),),
            transfer=Overlap(Period(days=14), 0, place()),
        ),
        ends={} if ends is None else {"docs": ends},
        separations=(Separation("apart", ("engineer", "signer"), (), True, place()),),
        sponsors=(SponsorRule(ARCHITECT, "sponsor", None, Period(days=3), place()),),
    )


def lasts(person: Person, *others: Person, rules: Policy | None = None) -> tuple[End, ...]:
    """The ends of the person's access to the documents; the one that decides is the end of it."""
    answer = explain(rules or policy(), people(person, *others), person.id, DOCS, AT)
    assert answer.allowed, answer.denials
    assert {end.at for end in answer.ends if end.decides} == ({answer.until} if answer.until else set())
    return answer.ends


HR = post(post="hr")
WORKS = post(post="engineer")
MATCHES = "assignment main matches role"


@pytest.mark.parametrize(
    ("person", "at", "kind_of_end", "what", "text"),
    [
        (
            a_person("E1", post("main", days(None, date(2026, 11, 9), entry=4, end_entry=5), post="engineer")),
            local(2026, 11, 10),
            EndKind.ASSIGNMENT,
            "main",
            "assignment main ends",
        ),
        (a_person("E2", HR), local(2026, 11, 11), EndKind.MEMBERSHIP, "owner", "membership of role owner ends"),
        (a_person("E3", HR), local(2026, 11, 12), EndKind.EXCEPTION, "exception", "the exception ends"),
        (a_person("E4", WORKS), local(2026, 11, 12), EndKind.LOCKOUT, "SEC-1", "a lockout begins"),
        (
            a_person("E1", transferred("old", days(None, date(2026, 10, 31)), post="engineer"), HR),
            local(2026, 11, 15),
            EndKind.OVERLAP,
            "old",
            "the overlap of assignment old ends",
        ),
        (
            a_person("E1", WORKS, exited=(days(date(2026, 11, 8), None),)),
            local(2026, 11, 8),
            EndKind.LIFECYCLE,
            "exited",
            "leaves",
        ),
        (
            a_person("E1", WORKS, leave=(days(date(2026, 11, 1), None),)),
            local(2026, 12, 1),
            EndKind.LIFECYCLE,
            "leave",
            "leave has lasted 30d",
        ),
        (
            a_person("E1", WORKS, post("next", days(date(2026, 11, 20), None), post="hr", grade="P7")),
            local(2026, 11, 20),
            EndKind.SEPARATION,
            "apart",
            (
                f"separation apart: holds engineer ({MATCHES} engineer) "
                f"and signer ({MATCHES.replace('main', 'next')} signer)"
            ),
        ),
    ],
    ids=["assignment", "membership", "exception", "lockout", "overlap", "exit", "leave", "separation"],
)
def test_what_ends_an_access(person: Person, at: datetime, kind_of_end: EndKind, what: str, text: str) -> None:
    (end,) = [each for each in lasts(person) if each.decides]

    assert (end.at, end.kind, end.what, end.text) == (at, kind_of_end, what, text)


def test_a_sponsor_who_leaves_ends_it_when_the_lapse_is_over() -> None:
    guest = a_person("E1", post(post="architect", sponsor="E9"))
    moves = [days(None, date(2026, 11, 9)), days(date(2026, 11, 10), date(2026, 11, 19), entry=8, end_entry=9)]
    sponsor = a_person("E9", *(post("main", span, post="hr") for span in moves), number=9)

    (end,) = lasts(guest, sponsor)

    assert (end.at, end.kind, end.what, end.entry) == (local(2026, 11, 23), EndKind.SPONSOR, "E9", 9)
    assert end.text == "E9 answers for assignment main no more"


def test_a_resource_ends_and_not_the_assignment() -> None:
    (end,) = lasts(a_person("E1", WORKS), rules=policy(date(2026, 11, 20)))

    assert (end.at, end.kind, end.text) == (local(2026, 11, 21), EndKind.RESOURCE, "docs ends")


def test_membership_is_over_with_the_assignment_and_says_so() -> None:
    """Whoever is named needs an assignment, whichever it is: the one that ends last."""
    first, last = (post(name, days(None, date(2026, 11, day)), post="hr") for name, day in (("a", 5), ("b", 7)))

    (end,) = lasts(a_person("E2", first, last))

    assert (end.at, end.kind, end.what) == (local(2026, 11, 8), EndKind.ASSIGNMENT, "b")


def test_a_service_account_and_its_resource_end_each_by_itself() -> None:
    answer = explain(policy(date(2026, 11, 10)), people(), "svc", DOCS, AT)

    assert [(end.at, end.kind, end.what, end.decides) for end in answer.ends] == [
        (local(2026, 11, 11), EndKind.RESOURCE, "docs", True),
        (local(2026, 11, 14), EndKind.SERVICE_ACCOUNT, "svc", False),
    ]
    assert answer.until == local(2026, 11, 11)


def test_of_two_reasons_the_longer_one_decides() -> None:
    both = a_person("E3", post("main", days(None, date(2026, 11, 9)), post="engineer"), HR)

    assert [(end.kind, end.decides) for end in lasts(both)] == [(EndKind.ASSIGNMENT, False), (EndKind.EXCEPTION, True)]


def test_an_exception_does_not_outlast_the_last_assignment() -> None:
    leaves = a_person("E3", post("main", days(None, date(2026, 11, 6)), post="hr"))

    decides, later = lasts(leaves)

    assert (decides.at, decides.kind, decides.what) == (local(2026, 11, 7), EndKind.LIFECYCLE, "exited")
    assert (later.kind, later.decides) == (EndKind.EXCEPTION, False)


def test_what_begins_later_and_carries_on_is_what_ends_it() -> None:
    moves = a_person(
        "E1",
        post("main", days(None, date(2026, 11, 9)), post="engineer"),
        post("next", days(date(2026, 11, 10), date(2026, 11, 29)), post="engineer"),
    )

    ends = lasts(moves)

    assert [(end.what, end.decides) for end in ends] == [("main", False), ("next", True)]


# --- proofs ---------------------------------------------------------------------------------------------------------


def cleared(*evidence: EvidenceRecord, requires: str = "training") -> Explanation:
    rules = policy()
    levels = [rules.levels[0], level("core", 1, requires)]
    population = people(a_person("E1", WORKS), evidence=evidence)
    return explain(replace(rules, levels=tuple(levels)), population, "E1", permission("vault:read"), AT)


def test_a_proof_carries_until_its_grace_is_over() -> None:
    answer = cleared(record("E1", "training", date(2025, 11, 10), entry=51))

    assert answer.until == local(2026, 11, 17)
    (proven,) = answer.proven
    assert (proven.proof, proven.level, proven.entry, proven.until) == (Proof("training"), "core", 51, answer.until)
    assert proven.valid_from == local(2025, 11, 10)
    (end,) = answer.ends
    assert (end.kind, end.what, end.text, end.entry) == (EndKind.EVIDENCE, "training", "training runs out", 51)


def test_of_several_records_the_one_that_lasts_longest_carries() -> None:
    records = [record("E1", "training", date(2025, month, 20), entry=month) for month in (11, 12)]

    (proven,) = cleared(*records).proven

    assert (proven.entry, proven.until) == (12, local(2026, 12, 27))


def test_a_record_that_begins_in_time_carries_on() -> None:
    records = [record("E1", "training", date(2025, 11, 10), entry=1), record("E1", "training", date(2026, 11, 17))]

    answer = cleared(*records)

    assert [proven.entry for proven in answer.proven] == [1]
    assert answer.until == local(2027, 11, 24)


def test_a_signature_is_superseded_on_its_day() -> None:
    answer = cleared(record("E1", "nda", date(2025, 1, 1), version=1), requires="nda")

    assert answer.until == local(2026, 11, 25)
    assert [end.text for end in answer.ends] == ["nda is superseded by version 2"]


def test_what_does_not_apply_is_met_and_says_why() -> None:
    rules = policy()
    exempt = {**rules.evidence, "training": kind("training", applies_to=ARCHITECT)}
    population = people(a_person("E1", WORKS))

    answer = explain(replace(rules, evidence=exempt), population, "E1", permission("vault:read"), AT)

    assert answer.allowed
    (proven,) = answer.proven
    assert (proven.exempt, proven.entry, proven.until) == ("training does not apply to assignment main", 0, None)
