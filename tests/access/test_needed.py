"""What would have to be otherwise for a no to be a yes: the fewest facts, and none that cannot be had."""

from __future__ import annotations

from datetime import date

from hypothesis import HealthCheck, Phase, given, settings

from reconciler.access import Explainer, evaluate, explain
from reconciler.access.model import EvidenceState, FactKind
from reconciler.facts.model import EvidenceRecord, Person
from reconciler.policy.model import Equals, Lifecycle, Policy, Proof, StateRule
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    compartment,
    days,
    kind,
    level,
    local,
    lockout,
    people,
    permission,
    place,
    post,
    record,
    role,
)
from tests.access.test_promises import first_of, with_proofs
from tests.access.worlds import World, worlds


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds())
def test_evaluation_agrees_that_the_proofs_needed_are_enough_and_that_each_can_be_had(world: World) -> None:
    explainer = Explainer(world.policy, world.population, world.at)
    for person in world.population:
        for what in world.policy.permissions():
            needed = explainer.explain(person.id, what).needed
            for proof in (proof for fact in needed for proof in fact.proofs):
                assert not _has_failed_now(world, person, proof)
            if needed and all(fact.proofs for fact in needed):
                then = evaluate(world.policy, with_proofs(world, person.id, first_of(needed)), world.at)
                assert person.number in then.allowed[what]


def _has_failed_now(world: World, person: Person, proof: Proof) -> bool:
    """A failure of the same instant cancels whatever one could record now."""
    scoped = world.policy.evidence[proof.kind].per is not None
    return any(
        each.kind == proof.kind
        and each.failed
        and each.valid_from == world.at
        and (not scoped or each.scope.strip() == proof.scope)
        and not (each.revoked is not None and each.revoked.covers(world.at))
        for each in world.population.evidence.get(person.id, ())
    )


AT = local(2026, 11, 4, 9)
VAULT = permission("vault:read")
ENGINEER = compare("post", Equals(frozenset({"engineer"})))


def policy(*requires: str | tuple[str, ...], chip: tuple[str | tuple[str, ...], ...] = ()) -> Policy:
    return a_policy(
        levels=[level("public", 0), level("core", 1, *requires, only=ENGINEER)],
        resources={"vault": (1, {"read": ["v"]})},
        roles=[role("staff", "vault:read", everyone=True)],
        evidence=[kind(name) for name in ("nda", "training", "check", "certificate")],
        compartments=[compartment("chip", *chip)],
        carrying={"vault": ["chip"]},
        lockouts=[lockout("E7", "SEC-140")],
        lifecycle=Lifecycle(notice=(StateRule(None, 0, place()),)),
    )


def needed(rules: Policy, person: Person | None = None, *evidence: EvidenceRecord) -> list[str]:
    who = person or a_person("E1", post(post="engineer"))
    return [fact.text for fact in explain(rules, people(who, evidence=evidence), who.id, VAULT, AT).needed]


def test_one_proof_that_meets_several_requirements_is_asked_for_once() -> None:
    rules = policy("nda", ("training", "check"), chip=(("check", "certificate"),))

    assert needed(rules) == ["record a passed nda", "record a passed check"]


def test_where_each_of_two_is_enough_both_are_offered() -> None:
    fact = explain(
        policy(("check", "certificate")), people(a_person("E1", post(post="engineer"))), "E1", VAULT, AT
    ).needed

    assert [each.text for each in fact] == ["record a passed check or a passed certificate"]
    assert fact[0].proofs == (Proof("check"), Proof("certificate"))


def test_what_was_failed_this_moment_cannot_be_passed_at_it() -> None:
    failed = record("E1", "check", AT, failed=True)

    assert needed(policy(("check", "certificate")), None, failed) == ["record a passed certificate"]
    (fact,) = explain(
        policy("check"), people(a_person("E1", post(post="engineer")), evidence=[failed]), "E1", VAULT, AT
    ).needed
    assert (fact.text, fact.proofs) == ("record a passed check, from after the failure", ())


def test_a_reserved_level_asks_for_the_assignment() -> None:
    answer = explain(policy(), people(a_person("E1", post(post="hr"))), "E1", VAULT, AT)

    assert [denial.state for denial in answer.denials] == [EvidenceState.RESERVED]
    assert [(fact.kind, fact.text) for fact in answer.needed] == [
        (FactKind.ASSIGNMENT, "post: engineer, has hr"),
    ]


def test_what_is_no_proof_comes_first_with_its_own_kind() -> None:
    unlucky = a_person("E7", post(post="engineer"), notice=(days(date(2026, 11, 1), None),))

    facts = explain(policy("nda"), people(unlucky), "E7", VAULT, AT).needed

    assert [(fact.kind, fact.text) for fact in facts] == [
        (FactKind.LOCKOUT, "take the lockout out of the policy"),
        (FactKind.LIFECYCLE, "record resignation-withdrawn, if it was"),
        (FactKind.EVIDENCE, "record a passed nda"),
    ]


def test_somebody_who_is_not_given_it_needs_what_would_be_asked_then() -> None:
    """The level is reserved for engineers: as an engineer only the proof is lacking."""
    rules = a_policy(
        levels=[level("public", 0), level("core", 1, "nda", only=ENGINEER)],
        resources={"vault": (1, {"read": ["v"]})},
        roles=[role("engineer", "vault:read", match=ENGINEER)],
        evidence=[kind("nda", applies_to=ENGINEER)],
    )

    assert needed(rules, a_person("E1", post(post="hr"))) == ["post: engineer, has hr", "record a passed nda"]
