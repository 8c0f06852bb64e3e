"""Whole plans for large companies, facts in SQLite and actual access in memory, beside what else could answer the same
question.

References, measured in the same run: the floor (the bare differences of ready-made bitmaps), plain Python sets of ids,
and casbin's enforcer asked for every pair of person and permission, which it cannot bear at this size and which is
therefore extrapolated from some pairs.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import casbin

from reconciler.access import evaluate
from reconciler.access.model import Desired
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.plan.build import Made, make_plan
from reconciler.plan.causes import Baseline
from reconciler.plan.guards import Approvals
from reconciler.plan.situation import Situation, TargetView
from reconciler.policy.model import EntitlementRef, Policy
from reconciler.targets import BitMap, Capabilities, Observation
from tests.bench import crowd_store
from tests.bench.company import NOW, Company, Forgetful, SecretCompany, directory
from tests.bench.measuring import Extrapolated, Measurement, again

LARGE = Company(people=100_000, departments=200)
HUGE = Company(people=1_000_000, departments=500)
SECRET = SecretCompany(people=100_000, departments=500, projects=1_000)
PAIRS = 300
"""So many pairs are asked of casbin."""


@dataclass(frozen=True)
class World:
    """Everything that a pass works with; the facts are still in the store."""

    policy: Policy
    facts: Facts
    observation: Observation
    settled: Mapping[EntitlementRef, BitMap]
    """Entitlement → whom the last run left in it; empty where none has been."""

    def plan(self) -> Made:
        """Read the facts, evaluate and plan, as one pass does."""
        gc.disable()  # as a pass does
        population = self.facts.population()
        desired = evaluate(self.policy, population, NOW)
        baselines = {
            ref: Baseline(members, frozenset(), self.policy.digest, population.ledger_seq, settled=True)
            for ref, members in self.settled.items()
        }
        remembered = {account.key: account.match["id"] for account in self.observation.accounts.accounts}
        view = TargetView(Capabilities(), ("id",), self.observation, remembered=remembered)
        made = make_plan(
            Situation(
                made_at=NOW,
                workspace="bench",
                policy=self.policy,
                population=population,
                desired=desired,
                targets={"ldap": view},
                memory=Forgetful(),
                baselines=baselines,
                approvals=Approvals({}, {}),
                recent={},
            )
        )
        gc.enable()
        return made


@contextmanager
def stored(company: Company | SecretCompany) -> Iterator[Facts]:
    """The company's facts, in SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        facts = Facts(Store.open("sqlite:///bench.db", folder=Path(folder)), "Asia/Shanghai")
        numbers = range(company.people)
        crowd_store.fill_with(
            facts.store, map(company.person, numbers), (each for n in numbers for each in company.evidence(n))
        )
        yield facts


@contextmanager
def world(
    company: Company | SecretCompany, actual: Callable[[Desired], dict[EntitlementRef, BitMap]]
) -> Iterator[World]:
    """The company, with a directory that is what `actual` makes of desired access."""
    policy = company.policy()
    with stored(company) as facts:
        desired = evaluate(policy, facts.population(), NOW)
        yield World(policy, facts, directory(company.people, actual(desired)), dict(desired.members))


def in_sync(desired: Desired) -> dict[EntitlementRef, BitMap]:
    """Everything is as it should be."""
    return dict(desired.members)


def nothing_yet(desired: Desired) -> dict[EntitlementRef, BitMap]:
    """Nobody has been given anything."""
    return {ref: BitMap() for ref in desired.members}


def one_in_a_hundred(desired: Desired) -> dict[EntitlementRef, BitMap]:
    """Every hundredth person lacks what they should have, and has what their neighbour should have."""
    some = BitMap(range(0, 2**20, 100))
    return {ref: (members - some) | (members & some).shift(1) for ref, members in desired.members.items()}


# --- references -------------------------------------------------------------------------------------------------------


def with_plain_sets(company: Company) -> int:
    """The bare question without causes, guards and links: who is missing where, by Python's sets of ids."""
    members: dict[str, set[str]] = {}
    for n in range(company.people):
        department, person = n % company.departments, f"E{n:07}"
        for step in range(company.per_person):
            members.setdefault(f"g{department * company.per_person + step}", set()).add(person)
    actual = {group: set(ids) for group, ids in members.items()}
    return sum(len(ids - actual[group]) + len(actual[group] - ids) for group, ids in members.items())


def with_bitmaps(made: World) -> int:
    """The floor: the differences of bitmaps that somebody has already filled."""
    pairs = [(made.settled[ref], BitMap(members)) for ref, members in made.settled.items()]
    return sum(len(desired - actual) + len(actual - desired) for desired, actual in pairs)


CASBIN_MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.obj == p.obj && r.act == p.act && g(r.sub, p.sub)
"""


def with_casbin(company: Company) -> Extrapolated:
    """All rules, the roles of those who are asked about, and the pairs asked one by one."""
    model = casbin.Model()
    model.load_model_from_text(CASBIN_MODEL)
    enforcer = casbin.Enforcer(model)
    groups = company.departments * company.per_person
    enforcer.add_policies([[f"role{n // company.per_person}", f"r{n}", "read"] for n in range(groups)])
    asked = [(n, (n * 7) % groups) for n in range(PAIRS)]
    enforcer.add_grouping_policies([[f"E{n:07}", f"role{n % company.departments}"] for n, _ in asked])
    started = time.perf_counter()
    for n, group in asked:
        enforcer.enforce(f"E{n:07}", f"r{group}", "read")
    took, every = time.perf_counter() - started, company.people * groups
    text = f"{PAIRS} pairs asked in {took:.3f} s, extrapolated to all {every} pairs (with the roles of {PAIRS} people)"
    return Extrapolated(took / PAIRS * every, text)


SETS = "plain Python sets of ids, the difference alone"
FLOOR = "the differences of ready-made bitmaps"
CASBIN = "casbin's enforcer"


# --- measurements -----------------------------------------------------------------------------------------------------


def _in_sync(company: Company) -> Iterator[Measurement]:
    name, size = "plan, in sync", company.size
    with world(company, in_sync) as made:
        yield name, size, made.plan, FLOOR, lambda: with_bitmaps(made)
        yield name, size, again, SETS, lambda: with_plain_sets(company)
        yield name, size, again, CASBIN, lambda: with_casbin(company)


def _everything(company: Company) -> Iterator[Measurement]:
    with world(company, nothing_yet) as made:
        yield "plan, everything to grant", company.size, made.plan, "", None


def _first(company: Company) -> Iterator[Measurement]:
    with world(company, nothing_yet) as made:
        first = replace(made, settled={})
        yield "plan, first contact, everything to grant", company.size, first.plan, "", None


def _some(company: Company) -> Iterator[Measurement]:
    with world(company, one_in_a_hundred) as made:
        yield "plan, one person in a hundred is wrong everywhere", company.size, made.plan, "", None


def _secret() -> Iterator[Measurement]:
    policy, name = SECRET.policy(), "evaluate, with evidence, families and matches"
    with stored(SECRET) as facts:
        population = facts.population()
        yield name, SECRET.size, lambda: evaluate(policy, population, NOW), "", None


def _withheld() -> Iterator[Measurement]:
    with world(SECRET, in_sync) as made:
        given = f", {len(made.plan().plan.withheld)} withheld and explained"
        yield "plan with evidence, in sync", SECRET.size + given, made.plan, "", None


PARTS: Mapping[str, Callable[[], Iterator[Measurement]]] = {
    "in-sync": lambda: _in_sync(LARGE),
    "first": lambda: _first(LARGE),
    "everything": lambda: _everything(LARGE),
    "some": lambda: _some(LARGE),
    "evaluate": _secret,
    "withheld": _withheld,
    "huge-in-sync": lambda: _in_sync(HUGE),
    "huge-some": lambda: _some(HUGE),
}
"""What is measured, each in a process of its own."""
