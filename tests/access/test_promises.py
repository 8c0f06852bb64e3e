"""What explanations promise, for random policies, people and moments: that what is needed is enough and none too much,
that an access ends when it was said to, and that nothing changes between two boundaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from reconciler.access import Explainer, evaluate
from reconciler.access.boundaries import Boundaries, boundaries_of
from reconciler.access.model import Explanation, FactKind, LifecycleState, NeededFact
from reconciler.facts.model import EvidenceRecord, Population
from reconciler.policy.model import Permission, Policy, Proof
from tests.access.worlds import World, worlds

random_worlds = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TICK = timedelta(microseconds=1)


def explanations(world: World, at: datetime | None = None) -> list[Explanation]:
    """Everything that can be asked of the people."""
    explainer = Explainer(world.policy, world.population, at or world.at)
    return [
        explainer.explain(person.id, permission)
        for person in world.population
        for permission in world.policy.permissions()
    ]


def with_proofs(world: World, person: str, proofs: Sequence[Proof]) -> Population:
    """The same people, with these proofs recorded, valid from the moment on and of the version asked for."""
    fresh = [
        EvidenceRecord(
            entry=1000 + number,
            person=person,
            kind=proof.kind,
            scope=proof.scope,
            version=world.policy.evidence[proof.kind].version,
            valid_from=world.at,
            valid_until=None,
            failed=False,
            reference="",
            source="",
            recorded_at=world.at,
        )
        for number, proof in enumerate(proofs)
    ]
    evidence = {**world.population.evidence, person: [*world.population.evidence.get(person, ()), *fresh]}
    return replace(world.population, evidence=evidence)


def allows(policy: Policy, population: Population, at: datetime, person: str, permission: Permission) -> bool:
    return Explainer(policy, population, at).explain(person, permission).allowed


def first_of(needed: Sequence[NeededFact]) -> list[Proof]:
    return [fact.proofs[0] for fact in needed]


@random_worlds
@given(worlds())
def test_the_proofs_that_are_needed_are_enough_and_none_is_too_much(world: World) -> None:
    for explanation in explanations(world):
        needed = explanation.needed
        assert bool(needed) != explanation.allowed
        assert all(fact.text for fact in needed)
        if explanation.allowed or not all(fact.kind is FactKind.EVIDENCE and fact.proofs for fact in needed):
            continue
        person, permission = explanation.subject, explanation.permission
        proofs = first_of(needed)
        assert allows(world.policy, with_proofs(world, person, proofs), world.at, person, permission)
        for left_out in range(len(proofs)):
            fewer = proofs[:left_out] + proofs[left_out + 1 :]
            assert not allows(world.policy, with_proofs(world, person, fewer), world.at, person, permission)
        for number, fact in enumerate(needed):
            for other in fact.proofs[1:]:
                instead = [*proofs[:number], other, *proofs[number + 1 :]]
                assert allows(world.policy, with_proofs(world, person, instead), world.at, person, permission)


@random_worlds
@given(worlds())
def test_an_access_lasts_until_its_end_and_no_longer(world: World) -> None:
    boundaries = _boundaries(world)
    for explanation in explanations(world):
        if not explanation.allowed:
            assert explanation.until is None
            assert not explanation.ends
            continue
        person, permission, until = explanation.subject, explanation.permission, explanation.until
        own = boundaries.of_person(world.population.by_id[person]) | boundaries.of_policy()
        before = [each for each in own if each > world.at and (until is None or each < until)]
        assert all(allows(world.policy, world.population, each, person, permission) for each in before)
        if until is not None:
            assert until > world.at
            assert allows(world.policy, world.population, until - TICK, person, permission)
            assert not allows(world.policy, world.population, until, person, permission)
        assert [end.at for end in explanation.ends] == sorted(end.at for end in explanation.ends)
        assert all(end.decides == (end.at == until) for end in explanation.ends)
        assert all(end.at > world.at for end in explanation.ends)


@random_worlds
@given(worlds(), st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_whoever_did_not_turn_between_two_moments_stands_as_before(world: World, step: timedelta) -> None:
    other = world.at + step
    turned = {person.number for person in _boundaries(world).turned(world.population.people, world.at, other)}
    one, two = (evaluate(world.policy, world.population, at) for at in (world.at, other))
    for permission in world.policy.permissions():
        assert one.allowed[permission] - BitMap(turned) == two.allowed[permission] - BitMap(turned)
    for state in LifecycleState:
        assert one.states[state] - BitMap(turned) == two.states[state] - BitMap(turned)
    assert one.suspended - BitMap(turned) == two.suspended - BitMap(turned)


def _boundaries(world: World) -> Boundaries:
    return boundaries_of(world.policy, world.population)


@random_worlds
@given(worlds())
def test_nothing_changes_between_two_boundaries(world: World) -> None:
    boundaries = _boundaries(world)
    for person in world.population:
        own = sorted(boundaries.of_person(person) | boundaries.of_policy())
        for start, end in pairwise(own):
            if end - start > timedelta(days=200):
                continue
            asked = [start, start + (end - start) / 2, end - TICK]
            answers = [evaluate(world.policy, world.population, at) for at in asked]
            for permission in world.policy.permissions():
                assert len({person.number in each.allowed[permission] for each in answers}) == 1
                assert len({person.number in each.given[permission] for each in answers}) == 1
