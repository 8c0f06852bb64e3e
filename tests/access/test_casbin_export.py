"""What is written for casbin is decided by casbin's own enforcer as our evaluation decides it, and as the rule says."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import casbin
import pytest
from casbin.persist.adapters.string_adapter import StringAdapter
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.access import evaluate
from reconciler.access.casbin import AmbiguousSubject, CasbinFiles, casbin_export, casbin_name
from reconciler.access.casbin.formula import Both, Condition, Either, Literal, is_true, negated, terms
from reconciler.facts.model import Population
from reconciler.policy.model import AllOf, Contains, Equals, Grant, Negated, Permission, Policy, Under, Within
from reconciler.workspace import Workspace
from tests.access.company import (
    a_person,
    a_policy,
    compare,
    exception,
    kind,
    level,
    local,
    lockout,
    people,
    place,
    post,
    record,
    role,
    service_account,
)
from tests.access.naive_rule import NaiveRule
from tests.access.worlds import World, worlds

slow_draws = [HealthCheck.too_slow, HealthCheck.data_too_large]
AT = local(2026, 5, 1)
MOST_RULES = 250
"""Casbin weighs every rule for every request: worlds with more are left to evaluation alone."""


def enforcer(files: CasbinFiles) -> casbin.Enforcer:
    model = casbin.Enforcer.new_model(text=files.model)
    return casbin.Enforcer(model, StringAdapter(files.policy))


def allowed(made: casbin.Enforcer, subject: str, permission: Permission) -> bool:
    answer = made.enforce(casbin_name(subject), casbin_name(permission.resource), casbin_name(permission.action))
    return bool(answer)


def decisions(policy: Policy, population: Population) -> dict[tuple[str, str], bool]:
    made = enforcer(casbin_export(policy, population, AT))
    return {(p.id, str(each)): allowed(made, p.id, each) for p in population for each in policy.permissions()}


# --- random worlds --------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, suppress_health_check=slow_draws)
@given(worlds())
def test_casbin_decides_as_evaluation_does(world: World) -> None:
    files = casbin_export(world.policy, world.population, world.at)
    assume(files.policy.count("\np, ") <= MOST_RULES)
    made, desired = enforcer(files), evaluate(world.policy, world.population, world.at)

    for permission in world.policy.permissions():
        for person in world.population:
            assert allowed(made, person.id, permission) == (person.number in desired.allowed[permission])
        for name in world.policy.service_accounts:
            assert allowed(made, name, permission) == (name in desired.service_allowed[permission])


@settings(max_examples=50, deadline=None, suppress_health_check=slow_draws)
@given(worlds())
def test_casbin_decides_as_the_rule_says(world: World) -> None:
    files = casbin_export(world.policy, world.population, world.at)
    assume(files.policy.count("\np, ") <= MOST_RULES)
    made, naive = enforcer(files), NaiveRule(world.policy, world.population, world.at, world.written)

    for permission in world.policy.permissions():
        for person in world.population:
            assert allowed(made, person.id, permission) == naive.may(person, permission), (person.id, permission)
        for name in world.policy.service_accounts:
            assert allowed(made, name, permission) == naive.service_may(name, permission)


@settings(max_examples=20, deadline=None, suppress_health_check=slow_draws)
@given(worlds())
def test_whom_nobody_knows_and_what_nobody_declared_is_refused(world: World) -> None:
    """Also where the request names what the export made up for itself."""
    files = casbin_export(world.policy, world.population, world.at)
    assume(files.policy.count("\np, ") <= MOST_RULES)
    made = enforcer(files)
    facts = sorted(set(re.findall(r"@[^,\n]*", files.policy)))[:20]

    for subject in ("stranger", *facts[:10]):
        assert not any(allowed(made, subject, permission) for permission in world.policy.permissions())
        assert not made.enforce(subject, "wiki", "read")
    for resource in ("nothing", *facts[10:]):
        assert not any(made.enforce(person.id, casbin_name(resource), "read") for person in world.population)
        assert not any(made.enforce(person.id, "wiki", "abolish") for person in world.population)


# --- what a stranger's casbin reads ---------------------------------------------------------------------------------

AWKWARD = (
    "E1",
    "工号 7",
    "a,b",
    '"quoted", it says',
    "(x], [y)",
    "@post 1 grade = P6",
    "-",
    "%2C",
    "a|b",
    "宽\u3000窄\nx",
)


def test_awkward_names_survive_the_file_adapter(tmp_path: Path) -> None:
    """As an id, a resource, an action, a value that HR sends and the name of a role: each has what bears its name."""
    everybody = [a_person(id_, post(department=id_), number=number) for number, id_ in enumerate(AWKWARD)]
    grants = {name: Grant(Permission(name, name), place()) for name in AWKWARD}
    policy = a_policy(
        levels=[level("public", 0)],
        resources={name: (0, {name: [name]}) for name in AWKWARD},
        roles=[role(name, grants[name], match=compare("department", Equals(frozenset({name})))) for name in AWKWARD],
    )
    files = casbin_export(policy, people(*everybody), AT)
    (tmp_path / "model.conf").write_text(files.model, "utf-8")
    (tmp_path / "policy.csv").write_text(files.policy, "utf-8")
    made = casbin.Enforcer(str(tmp_path / "model.conf"), str(tmp_path / "policy.csv"))

    for person in everybody:
        for permission in policy.permissions():
            assert allowed(made, person.id, permission) == (permission.resource == person.id), (person.id, permission)


@given(st.text())
def test_a_name_is_one_field_however_it_is_split(text: str) -> None:
    line = f"g, {casbin_name(text)}, x\n"

    assert line.count("\n") == 1
    assert [field.strip() for field in line.split(",")] == ["g", casbin_name(text), "x"]
    assert next(csv.reader([line], skipinitialspace=True)) == ["g", casbin_name(text), "x"]
    assert unquote(casbin_name(text), errors="surrogatepass") == text
    assert not casbin_name(text).startswith("@")


@pytest.mark.parametrize("name", ["E1007", "工号3", "core-algorithms", "docs/falcon", "an inner space", "o'neil"])
def test_an_ordinary_name_is_spelled_as_it_is(name: str) -> None:
    assert casbin_name(name) == name


def test_the_files_say_of_which_moment_they_are() -> None:
    files = casbin_export(small_policy(), people(a_person("E1", post())), AT)

    for text in (files.model, files.policy):
        head = text.splitlines()[:3]
        assert all(line.startswith("# ") for line in head)
        assert "2026-04-30T16:00:00.000000+00:00" in head[0]
        assert "sha256:0" in head[1]
        assert "ledger entry 1" in head[1]
        assert text.endswith("\n")


def test_the_model_needs_no_function_of_ours() -> None:
    model = casbin_export(small_policy(), people(a_person("E1", post())), AT).model
    matcher = next(line for line in model.splitlines() if line.startswith("m = "))

    assert set(re.findall(r"(\w+)\(", matcher)) == {"g", "g2"}
    assert set(re.findall(r"[^\w\s.(),]+", re.sub(r'"-"', "", matcher))) <= {"=", "==", "&&", "||", "!", "!="}


def test_a_service_account_with_a_persons_id_is_refused() -> None:
    policy = small_policy(service_accounts=[service_account("E1", "docs:read", ceiling=0, until=date(2027, 1, 1))])

    with pytest.raises(AmbiguousSubject, match="E1"):
        casbin_export(policy, people(a_person("E1", post())), AT)


# --- what casbin decides --------------------------------------------------------------------------------------------


def small_policy(**rest: Any) -> Policy:
    grade = compare("grade", Within(3, None))
    return a_policy(
        **{
            "levels": [level("public", 0), level("internal", 1, "nda")],
            "resources": {"docs": (0, {"read": ["g"]}), "plans": (1, {"read": ["h"]})},
            "evidence": [kind("nda", applies_to=grade)],
            "roles": [role("senior", "docs:read", match=grade), role("rest", "plans:read", everyone=True)],
            **rest,
        }
    )


def test_unknown_is_neither_true_nor_false() -> None:
    """A blank grade gives no senior's access, and excuses nobody from what seniors sign."""
    asked = decisions(
        small_policy(),
        people(
            a_person("senior", post(grade="M1"), number=1),
            a_person("junior", post(grade="P3"), number=2),
            a_person("blank", post(), number=3),
            a_person("both", post("main", grade="P3"), post("second"), number=4),
            a_person("signed", post(), number=5),
            evidence=[record("signed", "nda", date(2026, 1, 1))],
        ),
    )

    assert {who for (who, what), yes in asked.items() if yes and what == "docs:read"} == {"senior"}
    assert {who for (who, what), yes in asked.items() if yes and what == "plans:read"} == {"junior", "signed"}


def test_all_keys_are_about_the_same_assignment() -> None:
    both_keys = AllOf(
        (compare("post", Equals(frozenset({"engineer"}))), compare("projects", Contains(frozenset({"凤凰"}))))
    )
    policy = small_policy(roles=[role("member", "docs:read", match=both_keys)])
    split = a_person("split", post("main", post="engineer"), post("second", projects="凤凰"), number=1)
    whole = a_person("whole", post("main", post="hr"), post("second", post="engineer", projects="a；凤凰"), number=2)

    asked = decisions(policy, people(split, whole))

    assert asked["whole", "docs:read"]
    assert not asked["split", "docs:read"]


def test_a_lockout_beats_an_exception() -> None:
    policy = small_policy(
        exceptions=[exception(id_, "docs:read", until=date(2026, 5, 1)) for id_ in ("E1", "E2")],
        lockouts=[lockout("E2", "SEC-1", resources=["docs"])],
    )

    asked = decisions(policy, people(a_person("E1", post(), number=1), a_person("E2", post(), number=2)))

    assert asked["E1", "docs:read"]
    assert not asked["E2", "docs:read"]


def test_long_lists_do_not_multiply() -> None:
    """A comparison with many values is one fact: two of them in one match make one rule."""
    values = frozenset(f"v{number}" for number in range(200))
    twice = AllOf((compare("department", Under(values)), compare("sponsor", Negated(Equals(values)))))
    files = casbin_export(small_policy(roles=[role("r", "docs:read", match=twice)]), people(a_person("E1", post())), AT)

    assert len([line for line in files.policy.splitlines() if line.startswith("p, ") and line.endswith("allow")]) == 1


def test_the_files_grow_with_people_one_by_one() -> None:
    def lines(count: int) -> int:
        crowd = [a_person(f"E{n}", post(grade="P6", department="rd"), number=n) for n in range(count)]
        return len(casbin_export(small_policy(), people(*crowd), AT).policy.splitlines())

    assert lines(30) - lines(20) == lines(20) - lines(10)


facts = st.sampled_from("abcd")
literals: st.SearchStrategy[Condition] = st.builds(Literal, facts, st.just(""), st.booleans())
conditions = st.recursive(
    literals,
    lambda inner: (
        st.builds(Both, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Either, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@given(conditions, st.sets(facts))
def test_a_condition_and_its_terms_say_the_same(condition: Condition, there: set[str]) -> None:
    def holds(fact: str, slot: str) -> bool:
        return fact in there

    said = is_true(condition, holds)
    assert any(all(is_true(literal, holds) for literal in term) for term in terms(condition)) == said
    assert is_true(negated(condition), holds) != said


# --- the starter company --------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("starter")
    for name in ("policies", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("published", "state"))
    for command in (["people", "import", "hr"], ["evidence", "import", "evidence.csv"]):
        subprocess.run([Path(sys.executable).with_name("reconciler"), *command], cwd=folder / "examples", check=True)
    return Workspace.load(folder / "examples" / "reconciler.yaml")


def test_the_starter_company_is_decided_alike(starter: Workspace) -> None:
    policy, population = starter.policy(), starter.facts().population()
    at = local(2026, 11, 24, 12)
    made, desired = enforcer(casbin_export(policy, population, at)), evaluate(policy, population, at)

    for permission in policy.permissions():
        there = {person.number for person in population if allowed(made, person.id, permission)}
        assert there == set(desired.allowed[permission]), permission
    assert any(desired.allowed.values())
