"""Evaluation, explanation and a slow reading of the rule's prose agree, for random policies, people and moments."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from reconciler.access import LifecycleState, clearance_of, evaluate, explain_many, withheld
from reconciler.access.evidence import KindAt, by_kind
from reconciler.access.lifecycle import employed_since
from reconciler.access.subject import moment_of
from reconciler.facts.model import Person, Span
from reconciler.policy.model import Lifecycle, Period, Permission, Policy, Requirement, StateRule
from tests.access import company
from tests.access.naive_rule import NaiveRule
from tests.access.worlds import World, worlds
from tests.access.yaml_worlds import YamlWorld, yaml_worlds

slow_draws = [HealthCheck.too_slow, HealthCheck.data_too_large]
many_worlds = settings(max_examples=100, deadline=None, suppress_health_check=slow_draws)
random_worlds = settings(many_worlds, max_examples=40)
MOMENT = timedelta(microseconds=1)


def naive_of(world: World) -> NaiveRule:
    return NaiveRule(world.policy, world.population, world.at, world.written)


@many_worlds
@given(worlds())
def test_evaluation_is_the_rule(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    naive = naive_of(world)

    for permission in world.policy.permissions():
        given_to = {p.number for p in world.population if naive.gives(p, permission)}
        allowed_to = {p.number for p in world.population if naive.may(p, permission)}
        assert set(desired.given[permission]) == given_to, permission
        assert set(desired.allowed[permission]) == allowed_to, permission
        services = world.policy.service_accounts
        assert desired.service_given[permission] == {n for n in services if naive.service_gives(n, permission)}
        assert desired.service_allowed[permission] == {n for n in services if naive.service_may(n, permission)}


@many_worlds
@given(worlds())
def test_conflicts_and_suspensions_are_those_of_the_rule(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    naive = naive_of(world)

    told = [(conflict.separation, set(conflict.people)) for conflict in desired.conflicts if conflict.people]
    for separation in world.policy.separations:
        caught = {p.number for p in world.population if naive.is_caught(p, separation)}
        assert [people for each, people in told if each is separation] == ([caught] if caught else [])
    assert set(desired.suspended) == {p.number for p in world.population if naive.is_suspended(p)}


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_leaves_at_once_the_longer_one_counts_in_whatever_order(turn: int) -> None:
    """Where several hold, the lowest ceiling: a rule that has begun for one of them has begun."""
    suspending = StateRule(None, None, company.place(), after=Period(months=1), suspend=True)
    policy = company.a_policy(
        levels=[company.level("public", 0)],
        resources={"wiki": (0, {"read": ["g-wiki"]})},
        roles=[company.role("staff", "wiki:read", everyone=True)],
        lifecycle=Lifecycle(leave=(suspending,)),
    )
    leaves = (Span(company.utc(2025, 6, 1), None, 1), Span(company.utc(2026, 1, 20), None, 2))
    population = company.people(company.a_person("E1", company.post(), number=7, leave=leaves[::turn]))

    desired = evaluate(policy, population, company.utc(2026, 2, 4))

    assert set(desired.suspended) == {7}
    assert not desired.allowed[company.permission("wiki:read")]


@random_worlds
@given(worlds())
def test_clause_by_clause_gives_what_is_given(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)

    for permission, people in desired.given.items():
        clauses = desired.given_by.get(permission, ())
        assert set(people) == {number for clause in clauses for number in clause.people}
        assert all(clause.grant.permission == permission for clause in clauses)


@random_worlds
@given(worlds())
def test_an_explanation_says_what_evaluation_does(world: World) -> None:
    desired = evaluate(world.policy, world.population, world.at)
    numbers = {person.id: person.number for person in world.population}
    naive = naive_of(world)
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
        if subject in numbers and explanation.reasons:
            person = world.population.by_id[subject]
            assert {denial.kind for denial in explanation.denials} == naive.denials(person, permission)
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
    naive = naive_of(world)

    for ref, members in desired.members.items():
        carried = [world.policy.resources[each.resource] for each in world.policy.entitlements[ref].permissions]
        highest = max(resource.classification for resource in carried)
        needed = {name for resource in carried for name in resource.compartments}
        for person in world.population:
            if person.number in members:
                assert naive.clearance(person) >= highest
                assert all(naive.in_compartment(person, name) for name in needed)


@random_worlds
@given(worlds())
def test_nothing_is_allowed_without_a_record_for_every_requirement(world: World) -> None:
    """Promise 1 once more, straight from the records: what is required of everybody has been passed by whoever may."""
    desired = evaluate(world.policy, world.population, world.at)

    for permission, allowed in desired.allowed.items():
        resource = world.policy.resources[permission.resource]
        clauses = [*world.policy.levels[: resource.classification + 1]]
        required = [requirement for clause in clauses for requirement in clause.requires]
        required += [r for name in resource.compartments for r in world.policy.compartments[name].requires]
        for person in world.population:
            if person.number in allowed:
                assert all(has_a_record_for(world, person, requirement) for requirement in required)


def has_a_record_for(world: World, person: Person, requirement: Requirement) -> bool:
    kinds = {proof.kind: world.policy.evidence[proof.kind] for proof in requirement.any_of}
    if all(kind.applies_to is not None for kind in kinds.values()):
        return True
    return any(
        record.kind == proof.kind
        and (kinds[proof.kind].per is None or record.scope.strip() == proof.scope)
        and record.valid_from <= world.at
        and not record.failed
        and (record.revoked is None or not record.revoked.covers(world.at))
        for proof in requirement.any_of
        for record in world.population.evidence[person.id]
    )


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
    naive = naive_of(world)

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
    naive = naive_of(world)
    expected = {
        (person.id, name, text.strip())
        for person in world.population
        for assignment in [*naive.assignments(person), *naive.overlapping(person)]
        for name, text in assignment.attributes.items()
        if text.strip() and not world.policy.attributes[name].declares(text.strip())
    }

    told = evaluate(world.policy, world.population, world.at).undeclared

    assert {(each.person, each.attribute, each.value) for each in told} == expected
    assert len(told) == len(expected)


# --- from the text of a policy ----------------------------------------------------------------------------------------


@random_worlds
@given(yaml_worlds())
def test_families_variables_and_patterns_are_read_as_written(drawn: tuple[YamlWorld, Policy]) -> None:
    world, as_written = drawn
    desired = evaluate(world.policy, world.population, world.at)
    naive = NaiveRule(as_written, world.population, world.at, world.written)

    for permission in as_written.permissions():
        given_to = {p.number for p in world.population if naive.gives(p, permission)}
        allowed_to = {p.number for p in world.population if naive.may(p, permission)}
        assert set(desired.given[permission]) == given_to, (permission, world.text)
        assert set(desired.allowed[permission]) == allowed_to, (permission, world.text)


@random_worlds
@given(yaml_worlds())
def test_every_listed_value_is_a_resource_as_written(drawn: tuple[YamlWorld, Policy]) -> None:
    world, as_written = drawn

    for compiled, written in zip(world.policy.separations, as_written.separations, strict=True):
        assert compiled.between == written.between
    for name, expected in world.expected.items():
        resource = world.policy.resources[name]
        assert resource.classification == expected.classification
        assert resource.compartments == expected.compartments
        assert resource.until == expected.until
        (binding,) = resource.actions["read"]
        assert binding.locator == {"group": expected.group}
        assert world.policy.entitlements[binding.entitlement].permissions == (Permission(name, "read"),)
