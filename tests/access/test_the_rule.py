"""Evaluation, explanation and a slow reading of the rule's prose agree, for random policies, people and moments."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, given, settings

from reconciler.access import LifecycleState, clearance_of, evaluate, explain_many, withheld
from reconciler.access.evidence import KindAt, by_kind
from reconciler.access.lifecycle import employed_since
from reconciler.access.subject import moment_of
from tests.access.naive_rule import NaiveRule
from tests.access.worlds import World, worlds

slow_draws = [HealthCheck.too_slow, HealthCheck.data_too_large]
many_worlds = settings(max_examples=200, deadline=None, suppress_health_check=slow_draws)
random_worlds = settings(many_worlds, max_examples=50)
MOMENT = timedelta(microseconds=1)


@many_worlds
@given(worlds())
def test_evaluation_is_the_rule(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    naive = NaiveRule(world.policy, world.population, world.at)

    for permission in world.policy.permissions():
        given_to = {p.number for p in world.population if naive.gives(p, permission)}
        allowed_to = {p.number for p in world.population if naive.may(p, permission)}
        assert set(desired.given[permission]) == given_to, permission
        assert set(desired.allowed[permission]) == allowed_to, permission
        services = world.policy.service_accounts
        assert desired.service_given[permission] == {n for n in services if naive.service_gives(n, permission)}
        assert desired.service_allowed[permission] == {n for n in services if naive.service_may(n, permission)}


@random_worlds
@given(worlds())
def test_an_explanation_says_what_evaluation_does(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    numbers = {person.id: person.number for person in world.population}
    subjects = [*numbers, *world.policy.service_accounts]
    pairs = [(subject, permission) for subject in subjects for permission in world.policy.permissions()]

    for explanation in explain_many(world.policy, world.population, pairs, world.at):
        permission, subject = explanation.permission, explanation.subject
        if subject in numbers:
            assert bool(explanation.reasons) == (numbers[subject] in desired.given[permission])
            assert explanation.allowed == (numbers[subject] in desired.allowed[permission])
        else:
            assert bool(explanation.reasons) == (subject in desired.service_given[permission])
            assert explanation.allowed == (subject in desired.service_allowed[permission])
        for denial in explanation.denials:
            assert denial.text
            assert denial.remedy
            assert denial.since is None or denial.since <= world.at
        for reason in explanation.reasons:
            assert reason.until is None or reason.until > world.at


@random_worlds
@given(worlds())
def test_nothing_is_allowed_that_clearance_does_not_reach(world: World) -> None:
    """Promise 1, asked of the entitlements themselves: whoever is to be in one is cleared for all that it carries."""
    desired = evaluate(world.policy, world.population, world.at)
    naive = NaiveRule(world.policy, world.population, world.at)

    for ref, members in desired.members.items():
        highest = max(
            world.policy.resources[carried.resource].classification
            for carried in world.policy.entitlements[ref].permissions
        )
        for person in world.population:
            assert person.number not in members or naive.clearance(person) >= highest


@random_worlds
@given(worlds())
def test_what_is_allowed_is_given_and_members_are_whoever_is_allowed(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)

    for permission, allowed in desired.allowed.items():
        assert allowed <= desired.given[permission]
    for ref, members in desired.members.items():
        carried = world.policy.entitlements[ref].permissions
        assert set(members) == {number for permission in carried for number in desired.allowed[permission]}
    exited = desired.states[LifecycleState.EXITED]
    assert not any(exited & allowed for allowed in desired.allowed.values())


@random_worlds
@given(worlds())
def test_everybody_is_in_a_state_and_active_and_exited_hold_alone(world: World) -> None:
    states = evaluate(world.policy, world.population, world.at).states

    for person in world.population:
        held = {state for state in LifecycleState if person.number in states[state]}
        assert held
        assert len(held) == 1 or not held & {LifecycleState.ACTIVE, LifecycleState.EXITED}


@random_worlds
@given(worlds())
def test_the_quick_and_the_telling_reading_of_evidence_agree(world: World) -> None:
    moment = moment_of(world.policy, world.population, world.at)

    for person in world.population:
        rehired = employed_since(person, world.at)
        for name, group in by_kind(world.population.evidence[person.id]).items():
            standing = moment.kinds[name].standing(group, rehired)
            assert moment.kinds[name].counts(group, rehired) == standing.counts
            if standing.until is None or not standing.counts or any(each.revoked for each in group):
                continue
            begun = [each for each in group if each.failed or each.valid_from <= world.at]
            kind = world.policy.evidence[name]
            assert KindAt(kind, standing.until - MOMENT, moment.zone).counts(begun, rehired)
            assert not KindAt(kind, standing.until, moment.zone).counts(begun, rehired)


@random_worlds
@given(worlds())
def test_clearance_is_that_of_the_rule(world: World) -> None:
    naive = NaiveRule(world.policy, world.population, world.at)

    for person in world.population:
        rank = naive.clearance(person)
        name = world.policy.levels[rank].name if rank >= 0 else ""
        assert clearance_of(world.policy, world.population, person.id, world.at) == name


@random_worlds
@given(worlds())
def test_withheld_is_what_is_given_and_not_allowed(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    pairs = withheld(world.population, desired)

    explanations = list(explain_many(world.policy, world.population, pairs, world.at))
    assert all(each.reasons and each.denials for each in explanations)
    people = sum(len(desired.given[p] - desired.allowed[p]) for p in desired.given)
    services = sum(len(desired.service_given[p] - desired.service_allowed[p]) for p in desired.given)
    assert len(set(pairs)) == len(pairs) == people + services


@random_worlds
@given(worlds())
def test_undeclared_values_are_told_and_unknown(world: World) -> None:
    naive = NaiveRule(world.policy, world.population, world.at)
    expected = {
        (person.id, name, text.strip())
        for person in world.population
        for assignment in naive.assignments(person)
        for name, text in assignment.attributes.items()
        if text.strip() and not world.policy.attributes[name].declares(text.strip())
    }

    told = evaluate(world.policy, world.population, world.at).undeclared

    assert {(each.person, each.attribute, each.value) for each in told} == expected
    assert len(told) == len(expected)
