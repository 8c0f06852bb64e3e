"""Scoped evidence, and need-to-know beside the level."""

from __future__ import annotations

import pytest

from reconciler.policy import check_policy
from reconciler.policy.model import Compare, Policy, Proof, Under
from tests.policy.company import WORDS, errors, problems
from tests.policy.projects import PROJECTS, WITH_PROJECTS, loaded


@pytest.fixture(scope="module")
def policy() -> Policy:
    return loaded()


def proofs(policy: Policy, compartment: str) -> list[tuple[str, ...]]:
    """What a compartment requires, spelled out."""
    return [tuple(map(str, requirement.any_of)) for requirement in policy.compartments[compartment].requires]


# --- what becomes of them ---------------------------------------------------------------------------------------------


def test_the_part_about_projects_has_no_problem_at_all() -> None:
    assert check_policy(WITH_PROJECTS)[1] == ()


def test_evidence_is_per_an_attribute(policy: Policy) -> None:
    assert policy.evidence["briefing"].per == "projects"
    assert policy.evidence["chip-briefing"].per is None


def test_a_plain_compartment_is_as_declared(policy: Policy) -> None:
    chip = policy.compartments["chip-design"]

    assert proofs(policy, "chip-design") == [("chip-briefing",)]
    assert isinstance(chip.only, Compare)
    assert chip.only.test == Under(frozenset({"cn"}))
    assert (chip.name, chip.declared) == ("chip-design", "chip-design")


def test_a_template_stands_once_for_each_value_that_a_resource_uses(policy: Policy) -> None:
    assert list(policy.compartments) == ["chip-design", "project/falcon", "project/phoenix", "project/凤凰"]
    assert proofs(policy, "project/凤凰") == [("briefing:凤凰", "background-check")]
    assert policy.compartments["project/falcon"].declared == "project/{project}"
    assert policy.compartments["project/falcon"].place == policy.compartments["project/凤凰"].place


def test_a_plain_resource_may_lie_in_a_compartment_of_a_template() -> None:
    text = (
        'compartments:\n  "project/{p}": {requires: [nda]}\nresources:\n'
        "  x: {classification: public, compartments: [project/a/b], access: {read: {t: {g: x}}}}\n"
    )

    policy = loaded(text)

    assert policy.resources["x"].compartments == {"project/a/b"}
    assert policy.compartments["project/a/b"].declared == "project/{p}"


def test_a_name_declared_exactly_wins_over_a_template() -> None:
    text = PROJECTS.replace("compartments:\n", "compartments:\n  project/falcon: {requires: [nda]}\n", 1)

    policy = loaded(text)

    assert proofs(policy, "project/falcon") == [("nda",)]
    assert policy.compartments["project/falcon"].declared == "project/falcon"
    assert proofs(policy, "project/phoenix") == [("briefing:phoenix", "background-check")]


def test_a_level_may_require_a_proof_for_one_value() -> None:
    evidence = "evidence:\n  brief: {kind: training, per: post}\n"
    words = WORDS.replace("evidence:\n", evidence).replace("requires: [nda]", "requires: [{brief: 法务}, nda]")

    policy, found = check_policy({"words.yaml": words.encode()})

    assert policy is not None, found
    assert [requirement.any_of for requirement in policy.levels[1].requires] == [
        (Proof("brief", "法务"),),
        (Proof("nda"),),
    ]


# --- mistakes ---------------------------------------------------------------------------------------------------------

PER = "evidence:\n  b: {kind: check, per: projects}\n  g: {kind: check, per: grade}\ncompartments:\n"
LIES_IN = "\nresources:\n  x: {classification: public, compartments: [%s], access: {read: {t: {g: x}}}}"

MISTAKES = [
    (
        "evidence:\n  b: {kind: check, per: projcts}",
        "2:25 unknown-attribute",
        "per the attribute `projcts`",
        "projects",
    ),
    ("evidence:\n  b: {kind: check, per: 5}", "2:25 unquoted", "a number", '"5"'),
    (PER + "  x: {requires: [b]}", "5:18 missing-scope", "per `projects`, and does not say for which", '{b: "…"}'),
    (PER + '  "x/{p}": {requires: [b]}', "5:24 missing-scope", "does not say for which", '{b: "{p}"}'),
    (PER + "  x: {requires: [{nda: a}]}", "5:19 unexpected-scope", "one proof of this kind is for all", "`nda` alone"),
    (PER + "  x: {requires: [{g: P33}]}", "5:22 unknown-value", "`grade` has no value `P33`", "`P3`"),
    (PER + '  x: {requires: [{b: "{p}"}]}', "5:22 unbound-variable", "`{p}` is bound by nothing", "a value"),
    (PER + '  "x/{p}": {requires: [{b: "{q}"}]}', "5:28 unbound-variable", "the variable here is `{p}`", '"{p}"'),
    (PER + '  "x/{p}": {requires: [{b: "a{p}"}]}', "5:28 unbound-variable", "stands alone", '"{p}"'),
    (PER + '  "x/{p}": {requires: [{b: "{p"}]}', "5:28 template", "a brace without its partner", "`{p}`"),
    (
        PER + "  x: {requires: [{any_of: [nda, {bb: a}]}]}",
        "5:34 unknown-evidence",
        "requires the evidence `bb`",
        "`b`?",
    ),
    (PER + "  x: {requires: [{b: a, nda: c}]}", "5:18 value", "more than one", "keep one"),
    (PER + "  x: {requires: [{b: [a]}]}", "5:22 type", "text is expected, not a list", ""),
    (PER + "  x: {requires: [{anyof: [nda]}]}", "5:19 unknown-key", "`anyof`", "`any_of`?"),
    (PER + "  x: {requires: [5]}", "5:18 unquoted", "a number", '"5"'),
    (PER + "  x: {requires: []}", "5:17 empty", "empty", "at least one"),
    (PER + "  x: {}", "5:3 empty-compartment", "asks for nothing and so keeps nobody out", "`requires`"),
    (PER + '  "x/{p}/{q}": {requires: [nda]}', "5:3 template", "more than one variable", "one variable"),
    (PER + "  xyz: {requires: [nda]}" + LIES_IN % "xy", "7:46 unknown-compartment", "the compartment `xy`", "`xyz`?"),
    (
        PER + '  "a/{p}": {requires: [nda]}\n  "{p}/b": {requires: [nda]}' + LIES_IN % "a/b",
        "8:46 ambiguous-compartment",
        "could be any of `a/{p}`, `{p}/b`",
        "its own name",
    ),
    (
        PER + '  "a/{p}": {requires: [nda]}' + LIES_IN % '"a/{p}"',
        "7:46 unbound-variable",
        "nothing binds it here",
        "`project/falcon`",
    ),
    (
        PER + '  "a/{p}": {requires: [{g: "{p}"}]}' + LIES_IN % "a/P44",
        "7:46 unknown-value",
        "needs `g` for `P44`, and `grade` has no such value",
        "`P4`",
    ),
]


@pytest.mark.parametrize(("text", "where", "message", "remedy"), MISTAKES)
def test_a_mistake_is_told_where_it_stands(text: str, where: str, message: str, remedy: str) -> None:
    found = errors(text)

    assert [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in found] == [where], found
    assert message in found[0].message
    assert remedy in found[0].remedy


def test_a_level_has_no_variable_in_scope() -> None:
    text = WORDS.replace("evidence:\n", "evidence:\n  b: {kind: check, per: projects}\n")
    text = text.replace("requires: [nda]", 'requires: [{b: "{project}"}]')

    _, found = check_policy({"words.yaml": text.encode()})

    assert [(problem.place.line, problem.code) for problem in found if problem.severity == "error"] == [
        (18, "unbound-variable")
    ]


FAMILY = (
    'resources:\n  "d/{p}":\n    classification: internal\n    compartments: ["%s"]\n    values: {%s}\n'
    '    access: {read: {t: {g: "x-{p}"}}}\n'
)


@pytest.mark.parametrize(
    ("named", "values", "found"),
    [
        ("need/{p}", "a: {}, b: {}", []),
        ("need/{p}", "", []),
        ("need/{q}", "a: {}", ["4:20 unbound-variable"]),
        ("neeed/{p}", "a: {}, b: {}, c: {}", ["4:20 unknown-compartment"]),
        ("neeed/{p}", "", ["4:20 unknown-compartment"]),
        ("plain", "a: {}, b: {}", []),
        ("plane", "a: {}, b: {}", ["4:20 unknown-compartment"]),
        ("need/all", "a: {compartments: [need/b]}", []),
        ("plain", 'a: {compartments: ["need/{p}"]}', ["5:33 unbound-variable"]),
        ("plain", "a: {compartments: [need]}", ["5:33 unknown-compartment"]),
    ],
)
def test_the_compartments_of_a_family(named: str, values: str, found: list[str]) -> None:
    declared = 'compartments: {"need/{value}": {requires: [nda]}, plain: {requires: [nda]}}\n'

    told = errors(FAMILY % (named, values), zz=declared)

    assert [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in told] == found, told


@pytest.mark.parametrize(
    "broken", ["b: {kind: check, pre: projects}", "b: {kind: chek, per: projects}", "b: {kind: check, per: projcts}"]
)
def test_what_is_unclear_about_evidence_is_told_there_alone(broken: str) -> None:
    text = 'compartments:\n  x: {requires: [{b: falcon}]}\n  "y/{p}": {requires: [{b: "{p}"}]}\n'

    assert [problem.place.line for problem in errors(f"evidence:\n  {broken}\n{text}" + LIES_IN % "x, y/falcon")] == [2]


def test_who_uses_a_broken_compartment_is_not_wrong() -> None:
    text = 'compartments:\n  x: {requires: 5}\n  "y/{p}": {only: {pst: it}}\n' + LIES_IN % "x, y/falcon"

    assert [problem.place.line for problem in errors(text)] == [2, 3]


def test_a_template_that_no_resource_uses_is_reported_where_there_is_no_error() -> None:
    text = 'compartments:\n  "y/{p}": {requires: [nda]}\n'

    assert [problem.place.line for problem in problems(text) if problem.code == "unused-compartment"] == [2]
    assert not [problem for problem in problems(text + LIES_IN % "y/a") if problem.code == "unused-compartment"]
    assert [problem.code for problem in problems(text + "roles: {r: {inherits: [s]}}")] == ["unknown-role"]
