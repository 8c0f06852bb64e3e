"""A whole plan for a large company, its actual access in memory; beside it the same sets as plain Python sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from reconciler.access import evaluate
from reconciler.facts.model import Assignment, Person, Population, Span
from reconciler.plan.build import Made, Situation, TargetView, make_plan
from reconciler.plan.causes import Baseline, FactRef
from reconciler.plan.guards import Approvals
from reconciler.policy import load_policy
from reconciler.policy.model import Policy
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Observation,
    ObservedAccount,
    Reading,
)
from tests.bench.measuring import Measurement

PEOPLE, DEPARTMENTS, ENTITLEMENTS, PER_PERSON = 100_000, 200, 2_000, 10
NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)


class Forgetful:
    """A memory without a past: nothing has changed since the last run."""

    def policy(self, digest: str) -> Policy | None:
        """None."""
        return None

    def population(self, people: Collection[str], ledger_seq: int) -> Population:
        """Nobody."""
        return Population([], {}, ledger_seq)

    def facts_since(self, people: Collection[str], ledger_seq: int) -> Mapping[str, Sequence[FactRef]]:
        """Nothing."""
        return {}


def company_policy() -> Policy:
    """A role for each department, each giving ten resources of its own."""
    lines = ["attributes: {department: {kind: tree}}", "clearances: [{public: {}}]", "resources:"]
    for number in range(ENTITLEMENTS):
        binding = f"{{ldap: {{group: g{number}}}}}"
        lines.append(f"  r{number}: {{classification: public, owner: {{department: d0}}, access: {{read: {binding}}}}}")
    lines.append("roles:")
    for department in range(DEPARTMENTS):
        given = ", ".join(f"r{department * PER_PERSON + step}" for step in range(PER_PERSON))
        lines.append(f"  role{department}: {{match: {{department: d{department}}}, grants: {{read: [{given}]}}}}")
    return load_policy({"policy.yaml": "\n".join(lines).encode()}, revision="bench")


def company_people() -> Population:
    """People spread evenly over the departments."""
    people = [
        Person(
            number,
            f"E{number:06}",
            "",
            "",
            (Assignment("main", {"department": f"d{number % DEPARTMENTS}"}, Span(None, None, number + 1)),),
        )
        for number in range(PEOPLE)
    ]
    return Population(people, {}, PEOPLE)


def observed(policy: Policy, *, filled: bool) -> Observation:
    """A target on which everybody has an account, with the groups as they should be or empty."""
    accounts = [ObservedAccount(f"k{n}", f"uid=e{n}", f"e{n}", {"id": f"E{n:06}"}) for n in range(PEOPLE)]
    entitlements = {}
    for ref in policy.entitlements:
        department = int(ref.key.removeprefix("group=g")) // PER_PERSON
        members = BitMap(range(department, PEOPLE, DEPARTMENTS)) if filled else BitMap()
        entitlements[ref.key] = EntitlementRead(ref.key, ref.key, Reading.COMPLETE, members)
    return Observation(NOW, AccountsRead(Reading.COMPLETE, accounts), entitlements)


def plan(policy: Policy, population: Population, observation: Observation, *, settled: bool) -> Made:
    """Evaluate and plan, as one pass does."""
    desired = evaluate(policy, population, NOW)
    baselines = {
        ref: Baseline(members, frozenset(), policy.digest, PEOPLE, settled=True)
        for ref, members in desired.members.items()
        if settled
    }
    view = TargetView(Capabilities(), ("id",), observation, remembered={f"k{n}": f"E{n:06}" for n in range(PEOPLE)})
    approvals = Approvals({}, {})
    targets = {"ldap": view}
    situation = Situation(
        NOW, "bench", policy, population, desired, targets, Forgetful(), baselines, approvals, recent={}
    )
    return make_plan(situation)


def with_plain_sets(population: Population) -> int:
    """The bare question without causes, guards and links: who is missing where, by Python's sets of ids."""
    members: dict[str, set[str]] = {}
    for person in population:
        department = int(person.assignments[0].attributes["department"][1:])
        for step in range(PER_PERSON):
            members.setdefault(f"g{department * PER_PERSON + step}", set()).add(person.id)
    actual = {group: set(ids) for group, ids in members.items()}
    return sum(len(ids - actual[group]) + len(actual[group] - ids) for group, ids in members.items())


def room() -> Iterator[Measurement]:
    """In sync, and nothing granted yet."""
    policy, population = company_policy(), company_people()
    size = f"{PEOPLE} people, {ENTITLEMENTS} entitlements, {PEOPLE * PER_PERSON} grants"
    full, empty = observed(policy, filled=True), observed(policy, filled=False)
    reference = "plain Python sets of ids, the difference alone"
    yield (
        "plan, in sync",
        size,
        lambda: plan(policy, population, full, settled=True),
        reference,
        lambda: with_plain_sets(population),
    )
    yield "plan, everything to grant", size, lambda: plan(policy, population, empty, settled=False), "", None
