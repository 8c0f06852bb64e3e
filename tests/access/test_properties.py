"""What holds of evaluation whatever the company: no oracle, only what nobody may ever see broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from reconciler.access.days import BEGINNING, add_period, around
from reconciler.access.evaluate import evaluate
from reconciler.access.evidence import KindAt
from reconciler.access.gates import gates_at
from reconciler.access.lifecycle import employed_since, horizon_of, stand_at, state_bound
from reconciler.access.matching import lies_under, matches, paths_above
from reconciler.access.model import Desired, LifecycleState
from reconciler.access.placement import columns_at
from reconciler.access.proven import by_proof
from reconciler.access.sponsorship import people_needed
from reconciler.facts.model import Person, Population
from reconciler.policy.model import NOTHING, Period, Permission, Policy, Requirement
from tests.access.company import SHANGHAI, record
from tests.access.random_company import AT, Company, companies

T = TypeVar("T")

MANY = settings(max_examples=150, deadline=None)


def sets(bitmaps: Mapping[Any, BitMap]) -> dict[str, list[int]]:
    return {str(key): list(people) for key, people in bitmaps.items()}


def all_of(desired: Desired) -> dict[str, object]:
    """Everything that is said, without the order in which it is."""
    return {
        "given": sets(desired.given),
        "allowed": sets(desired.allowed),
        "members": sets(desired.members),
        "states": sets(desired.states),
        "suspended": list(desired.suspended),
        "conflicts": sorted((each.separation.name, list(each.people)) for each in desired.conflicts),
        "unlisted": sorted(map(str, desired.unlisted)),
        "undeclared": sorted(map(str, desired.undeclared)),
        "given_by": {
            str(key): sorted((each.roles, each.grant.place.line, list(each.people)) for each in clauses)
            for key, clauses in desired.given_by.items()
        },
    }


@MANY
@given(companies())
def test_what_is_allowed_is_given_and_what_is_given_has_a_clause(company: Company) -> None:
    desired = evaluate(company.policy, company.population, AT)

    assert set(desired.given) == set(desired.allowed) == set(desired.given_by) == set(company.policy.permissions())
    for permission, people in desired.given.items():
        assert desired.allowed[permission] <= people
        assert BitMap.union(BitMap(), *(each.people for each in desired.given_by[permission])) == people
        assert all(each.people and each.grant.permission == permission for each in desired.given_by[permission])
    for ref, entitlement in company.policy.entitlements.items():
        assert desired.members[ref] == BitMap.union(BitMap(), *(desired.allowed[p] for p in entitlement.permissions))


@MANY
@given(companies())
def test_clauses_stand_in_the_policys_order(company: Company) -> None:
    roles = list(company.policy.roles)
    for clauses in evaluate(company.policy, company.population, AT).given_by.values():
        order = [roles.index(each.roles[0]) if each.roles else len(roles) for each in clauses]
        assert order == sorted(order)


@MANY
@given(companies())
def test_nobody_shut_out_is_in_any_member_set(company: Company) -> None:
    desired = evaluate(company.policy, company.population, AT)
    everywhere = {lock.person for lock in company.policy.lockouts if lock.resources is None}
    shut = {p.number for p in company.population if any(s.covers(AT) for s in p.lockouts) or p.id in everywhere}
    shut |= set(desired.suspended) | set(desired.states[LifecycleState.EXITED])

    assert not any(shut & set(people) for people in desired.members.values())


@MANY
@given(companies())
def test_nothing_is_allowed_beyond_clearance_and_compartments(company: Company) -> None:
    desired = evaluate(company.policy, company.population, AT)
    by_number = {person.number: person for person in company.population}
    for permission, people in desired.allowed.items():
        for number in people:
            person = by_number[number]
            assert all(meets(each, person, company) for each in asked_for(permission, company.policy))


def asked_for(permission: Permission, policy: Policy) -> Iterator[Requirement]:
    carriers = [each for each in policy.entitlements.values() if permission in each.permissions]
    for each in carriers:
        for level in policy.levels[: each.classification + 1]:
            yield from level.requires
        for name in each.compartments:
            yield from policy.compartments[name].requires


def meets(requirement: Requirement, person: Person, company: Company) -> bool:
    policy, records = company.policy, company.population.evidence.get(person.id, ())
    groups = by_proof(records, policy.evidence)
    rehired = employed_since(person, AT)
    for proof in requirement.any_of:
        if KindAt(policy.evidence[proof.kind], AT, SHANGHAI).counts(groups.get(proof, []), rehired):
            return True
    posts = stand_at(person, AT, horizon_of(policy, AT, SHANGHAI)).assignments
    scopes = [policy.evidence[proof.kind].applies_to for proof in requirement.any_of]
    return bool(posts) and all(
        scope is not None and all(matches(scope, post.attributes, policy.attributes) is False for post in posts)
        for scope in scopes
    )


@MANY
@given(companies())
def test_the_order_of_files_people_and_records_says_nothing(company: Company) -> None:
    policy, population, random = company.policy, company.population, company.random
    shuffled = replace(
        policy,
        roles=dict(mixed(company, list(policy.roles.items()))),
        resources=dict(mixed(company, list(policy.resources.items()))),
        entitlements=dict(mixed(company, list(policy.entitlements.items()))),
        exceptions=tuple(mixed(company, policy.exceptions)),
        lockouts=tuple(mixed(company, policy.lockouts)),
        separations=tuple(mixed(company, policy.separations)),
        sponsors=tuple(mixed(company, policy.sponsors)),
        compartments=dict(mixed(company, list(policy.compartments.items()))),
    )
    everybody = [
        replace(each, assignments=tuple(random.sample(each.assignments, len(each.assignments))))
        for each in mixed(company, population.people)
    ]
    evidence = {id_: mixed(company, records) for id_, records in population.evidence.items()}
    mixed_up = Population(everybody, evidence, 1, population.timezone)

    assert all_of(evaluate(shuffled, mixed_up, AT)) == all_of(evaluate(policy, population, AT))


def mixed(company: Company, items: Sequence[T]) -> list[T]:
    return company.random.sample(list(items), len(items))


@MANY
@given(companies())
def test_more_evidence_never_takes_access_away(company: Company) -> None:
    """Not even by separation, which compares what is given and not what is allowed."""
    population = company.population
    id_ = company.random.choice([person.id for person in population])
    kind, scope = company.random.choice([("nda", ""), ("training", ""), ("check", ""), ("briefing", "falcon")])
    more = [*population.evidence.get(id_, ()), record(id_, kind, AT, version=2, scope=scope)]
    richer = Population(population.people, {**population.evidence, id_: more}, 2, population.timezone)

    before, after = evaluate(company.policy, population, AT), evaluate(company.policy, richer, AT)

    assert before.given == after.given
    assert all(people <= after.allowed[permission] for permission, people in before.allowed.items())


@MANY
@given(companies())
def test_one_person_with_who_answers_for_them_comes_out_as_among_all(company: Company) -> None:
    policy, population = company.policy, company.population
    whole = evaluate(policy, population, AT)
    for person in population:
        needed = people_needed(policy, [person])
        few = Population([p for p in population if p.id in needed], population.evidence, 1, population.timezone)
        alone = evaluate(policy, few, AT)
        for permission in policy.permissions():
            assert (person.number in alone.given[permission]) == (person.number in whole.given[permission])
            assert (person.number in alone.allowed[permission]) == (person.number in whole.allowed[permission])
        assert (person.number in alone.suspended) == (person.number in whole.suspended)
        assert [u for u in alone.unlisted if u.person == person.id] == [
            u for u in whole.unlisted if u.person == person.id
        ]


@MANY
@given(companies())
def test_separation_takes_only_from_those_in_conflict(company: Company) -> None:
    desired = evaluate(company.policy, company.population, AT)
    free = evaluate(replace(company.policy, separations=()), company.population, AT)
    reported = tuple(replace(rule, withhold=False) for rule in company.policy.separations)
    only_reported = evaluate(replace(company.policy, separations=reported), company.population, AT)
    in_conflict = BitMap.union(BitMap(), *(each.people for each in desired.conflicts if each.separation.withhold))

    assert free.given == desired.given
    assert only_reported.allowed == free.allowed
    assert [each.people for each in only_reported.conflicts] == [each.people for each in desired.conflicts]
    for permission, people in free.allowed.items():
        assert people - desired.allowed[permission] <= in_conflict


@MANY
@given(companies())
def test_states_admit_everybody_as_they_admit_each(company: Company) -> None:
    """The bitmaps and the reading for one person agree about every state, class and suspension."""
    policy, population = company.policy, company.population
    gates = gates_at(policy, population, columns_at(policy, population, AT))
    for person in population:
        stand = stand_at(person, AT, horizon_of(policy, AT, SHANGHAI))
        found = [state_bound(policy, person, state, stand.assignments, AT, SHANGHAI) for state in stand.states]
        lowest = min((bound.ceiling for bound in found if bound.ceiling is not None), default=len(policy.levels))
        for level in policy.levels:
            assert (person.number in gates.admitted[level.rank]) == (level.rank <= lowest)
        assert person.number not in gates.suspended or lowest == NOTHING


@MANY
@given(companies())
def test_the_quick_reading_of_evidence_is_the_exact_one(company: Company) -> None:
    policy, population = company.policy, company.population
    columns = columns_at(policy, population, AT)
    for person in population:
        groups = by_proof(population.evidence.get(person.id, ()), policy.evidence)
        for proof, holders in columns.evidence.items():
            exact = KindAt(policy.evidence[proof.kind], AT, SHANGHAI)
            counts = exact.counts(groups.get(proof, []), employed_since(person, AT))
            assert (person.number in holders) == counts


moments = st.integers(0, 120 * 365 * 24).map(lambda hours: datetime(1980, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
periods = st.builds(Period, st.integers(0, 9000), st.integers(0, 30), st.integers(0, 800))


@settings(max_examples=500, deadline=None)
@given(
    moments,
    st.lists(periods, min_size=1, max_size=2),
    st.integers(-3000, 3000),
    st.sampled_from([-1, 0, 1]),
)
def test_outside_the_doubt_the_calendar_decides_nothing(
    end: datetime, lengths: list[Period], hours: int, edge: int
) -> None:
    """Starts about the edges of the doubt: before it everything is over, behind it nothing is."""
    sooner, later = around(end, lengths, SHANGHAI)
    about = {-1: sooner, 0: sooner + (later - sooner) / 2, 1: later}[edge]
    try:
        start = about + timedelta(hours=hours)
    except OverflowError:
        return
    over = start
    for length in lengths:
        over = add_period(over, length, SHANGHAI)

    assert over <= end if start < sooner else True
    assert over > end if start > later else True


def test_a_period_longer_than_the_calendar_is_never_over() -> None:
    sooner, later = around(AT, [Period(years=9000)], SHANGHAI)

    assert sooner == BEGINNING
    assert later < AT
    assert date(1900, 1, 1) > later.date()


@given(*[st.text("ab/", max_size=6)] * 2)
def test_a_path_lies_under_just_those_above_it(path: str, other: str) -> None:
    assert (other in set(paths_above(path))) == lies_under(path, other)
