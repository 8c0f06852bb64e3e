"""Roles that hold once for each value of an attribute."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from reconciler.policy.model import (
    AllOf,
    Compare,
    Contains,
    Equals,
    ForEach,
    Match,
    Policy,
    Present,
    Reach,
    Test,
    Under,
)
from tests.policy.company import errors
from tests.policy.projects import given, loaded


@pytest.fixture(scope="module")
def policy() -> Policy:
    return loaded()


def asked_by(match: object) -> dict[str, Test]:
    """Attribute → the test that a condition asks of it."""
    parts: tuple[Match, ...] = match.parts if isinstance(match, AllOf) else (match,)  # type: ignore[assignment]
    return {part.attribute: part.test for part in parts if isinstance(part, Compare)}


# --- what becomes of them ---------------------------------------------------------------------------------------------


def test_each_listed_value_is_granted_to_whoever_has_it(policy: Policy) -> None:
    member = policy.roles["project-member"]

    for value in ("falcon", "phoenix", "凤凰"):
        ((when, chain),) = given(member, f"project-docs/{value}:read")
        assert asked_by(when) == {"projects": Contains(frozenset({value}))}
        assert chain == ("project-member", "project-reader")
    assert member.for_each[0].variable == "project"
    assert member.matches_people


def test_a_grant_without_a_variable_holds_where_the_variables_have_any_value(policy: Policy) -> None:
    ((one, _),) = given(policy.roles["project-member"], "handbook:read")
    ((two, chain),) = given(policy.roles["project-lead"], "handbook:read")

    assert asked_by(one) == {"projects": Present()}
    assert asked_by(two) == {"projects": Present(), "location": Present()}
    assert chain == ("project-lead", "project-member")


def test_of_two_variables_the_other_has_to_have_a_value(policy: Policy) -> None:
    ((write, _),) = given(policy.roles["project-lead"], "project-docs/falcon:write")
    ((site, _),) = given(policy.roles["project-lead"], "site-plans/cn:read")

    assert asked_by(write) == {"projects": Contains(frozenset({"falcon"})), "location": Present()}
    assert asked_by(site) == {"location": Under(frozenset({"cn"})), "projects": Present()}


def test_a_role_to_be_inherited_may_leave_its_variable_open(policy: Policy) -> None:
    reader = policy.roles["project-reader"]

    assert (reader.grants, reader.all_grants, reader.families) == ((), (), ())


def test_grants_of_its_own_are_those_that_no_chain_brings(policy: Policy) -> None:
    member = policy.roles["project-member"]

    assert [str(grant.permission) for grant in member.grants] == ["handbook:read"]
    assert set(member.grants) == {grant for grant, chain in member.all_grants if chain == ("project-member",)}


def test_a_role_knows_the_families_that_it_grants_by_a_variable(policy: Policy) -> None:
    member, lead = policy.roles["project-member"], policy.roles["project-lead"]

    assert [(family, by.attribute) for family, by in member.families] == [
        ("not-yet/{project}", "projects"),
        ("project-docs/{project}", "projects"),
    ]
    assert {(family, by.attribute, by.reach) for family, by in lead.families} == {
        ("project-docs/{project}", "projects", Reach.OWN),
        ("not-yet/{project}", "projects", Reach.OWN),
        ("site-plans/{site}", "location", Reach.ANCESTORS),
    }
    assert policy.roles["falcon-guest"].families == ()


DOCS = 'resources:\n  "docs/{p}": {classification: internal, values: {%s}, access: {read: {t: {g: "d-{p}"}}}}\n'


@pytest.mark.parametrize(
    ("bound", "value", "test"),
    [
        ("projects", "a/b", Contains(frozenset({"a/b"}))),
        ("location", "a/b", Equals(frozenset({"a/b"}))),
        ("{location: ancestors}", "a/b", Under(frozenset({"a/b"}))),
        ("{location: descendants}", "a/b", Equals(frozenset({"a", "a/b"}))),
        ("post", "it", Equals(frozenset({"it"}))),
        ("grade", "P6", Equals(frozenset({"P6"}))),
        ("sponsor", "E1", Equals(frozenset({"E1"}))),
    ],
)
def test_every_kind_of_attribute_can_be_run_over(bound: str, value: str, test: Test) -> None:
    policy = loaded(
        DOCS % f"{value}: {{}}" + f'roles: {{r: {{for_each: {{p: {bound}}}, grants: {{read: ["docs/{{p}}"]}}}}}}'
    )

    ((when, _),) = given(policy.roles["r"], f"docs/{value}:read")
    assert asked_by(when) == {policy.roles["r"].for_each[0].attribute: test}


PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


@for_all(PATHS, PATHS, st.sampled_from(["ancestors", "descendants"]))
def test_above_and_below_in_a_tree_are_what_they_say(listed: str, had: str, reach: str) -> None:
    """Somebody with `had` holds the role once for each path above (or below) it, itself included."""
    text = (
        DOCS % f"{listed}: {{}}"
        + f'roles: {{r: {{for_each: {{p: {{location: {reach}}}}}, grants: {{read: ["docs/{{p}}"]}}}}}}'
    )
    ((when, _),) = given(loaded(text).roles["r"], f"docs/{listed}:read")
    ((_, test),) = asked_by(when).items()

    above, below = (listed, had) if reach == "ancestors" else (had, listed)
    lies_under = below.split("/")[: len(above.split("/"))] == above.split("/")
    paths = test.paths if isinstance(test, Under) else frozenset()
    holds = any(f"{had}/".startswith(f"{path}/") for path in paths) or (isinstance(test, Equals) and had in test.values)
    assert holds == lies_under


def test_a_role_binds_what_it_inherits_in_its_own_way() -> None:
    text = DOCS % "a: {}" + (
        'roles:\n  base: {for_each: {p: projects}, grants: {read: ["docs/{p}", handbook]}}\n'
        "  site: {inherits: [base], for_each: {p: location}}\n"
    )

    site = loaded(text).roles["site"]

    ((docs, _),), ((handbook, _),) = given(site, "docs/a:read"), given(site, "handbook:read")
    assert asked_by(docs) == {"location": Equals(frozenset({"a"}))}
    assert asked_by(handbook) == {"location": Present()}


def test_without_for_each_a_grant_is_under_no_condition() -> None:
    text = DOCS % "a: {}" + (
        'roles:\n  base: {for_each: {p: projects}, inherits: [plain], grants: {read: ["docs/{p}"]}}\n'
        "  plain: {grants: {read: [handbook]}}\n  held: {everyone: true, inherits: [plain]}\n"
    )

    assert given(loaded(text).roles["held"], "handbook:read") == [(None, ("held", "plain"))]


# --- mistakes ---------------------------------------------------------------------------------------------------------

ONE = DOCS % "a: {}"
MEMBER = "{person: 'E1', until: 2027-01-01}"
MISTAKES = [
    (
        'roles:\n  r: {for_each: {p: projects}, grants: {read: ["docs/{q}"]}}',
        ["4:48 unbound-variable"],
        "the variable of that family is `{p}`",
        "write `docs/{p}`",
    ),
    (
        'roles:\n  r: {for_each: {q: projects}, grants: {read: ["docs/{q}"]}}',
        ["4:48 unbound-variable"],
        "the variable of that family is `{p}`",
        "write `docs/{p}`",
    ),
    (
        'roles:\n  r: {for_each: {p: projcts}, grants: {read: ["docs/{p}"]}}',
        ["4:21 unknown-attribute"],
        "role `r` runs over the attribute `projcts`",
        "`projects`?",
    ),
    (
        'roles:\n  r: {for_each: {p: projects, q: location}, grants: {read: ["docs/{p}"]}}',
        ["4:31 unused-variable"],
        "no grant uses the variable `{q}`",
        "take it out",
    ),
    (
        "roles:\n  r: {for_each: {p: projects}, grants: {read: [docs/a]}}",
        ["4:18 unused-variable"],
        "no grant uses the variable `{p}`",
        "use `match`",
    ),
    (
        'roles:\n  r: {match: {post: it}, grants: {read: ["docs/{p}"]}}',
        ["4:42 unbound-variable"],
        "role `r` gives `docs/{p}`, and binds no `{p}`",
        "for_each: {p: ATTRIBUTE}",
    ),
    (
        'roles:\n  a: {grants: {read: ["docs/{p}"]}}\n  b: {inherits: [a]}\n  r: {everyone: true, inherits: [b]}',
        ["6:34 unbound-variable"],
        "role `r` gives `docs/{p}`, and binds no `{p}`",
        "for_each",
    ),
    (
        'roles:\n  r: {members: [{person: "E1", until: 2027-01-01}], grants: {read: ["docs/{p}"]}}',
        ["4:69 unbound-variable"],
        "binds no `{p}`",
        "name one resource",
    ),
    (
        f"roles:\n  r: {{for_each: {{p: projects}}, members: [{MEMBER}], grants: {{read: ['docs/{{p}}']}}}}",
        ["4:32 unbound-variable"],
        "its members have no value for it",
        "a role of their own",
    ),
    (
        'roles:\n  r: {for_each: {p: projects}, everyone: true, grants: {read: ["docs/{p}"]}}',
        ["4:3 contradiction"],
        "`everyone: true` binds no variable",
        "keep one",
    ),
    (
        'roles:\n  r: {for_each: {p: {post: ancestors}}, grants: {read: ["docs/{p}"]}}',
        ["4:28 comparison"],
        "`ancestors` is for trees, and `post` is none (one_of)",
        "`post` alone",
    ),
    (
        'roles:\n  r: {for_each: {p: {location: ancestor}}, grants: {read: ["docs/{p}"]}}',
        ["4:32 value"],
        "`ancestor` is none of",
        "`ancestors`?",
    ),
    (
        'roles:\n  r: {for_each: {p: post}, grants: {read: ["docs/{p}"]}}',
        ["4:18 unknown-value"],
        "`post`, which has no value `a`; `docs/{p}` lists it",
        "",
    ),
    (
        'roles:\n  r: {for_each: {"{p}": projects}, grants: {read: ["docs/{p}"]}}',
        ["4:18 template"],
        "declared without braces",
        "alone",
    ),
    ("roles:\n  r: {for_each: {}, grants: {read: [handbook]}}", ["4:17 empty"], "empty", "at least one"),
    (
        'roles:\n  r: {for_each: {p: [projects]}, grants: {read: ["docs/{p}"]}}',
        ["4:21 type"],
        "a mapping is expected",
        "",
    ),
    (
        'roles:\n  r: {for_eech: {p: projects}, grants: {read: ["docs/{p}"]}}',
        ["4:7 unknown-key"],
        "`for_eech`",
        "`for_each`?",
    ),
    (
        'roles:\n  r: {for_each: {p: projects}, grants: {read: ["dcos/{p}"]}}',
        ["4:48 unknown-resource"],
        "`dcos/{p}`",
        "`docs/{p}`?",
    ),
    (
        'roles:\n  r: {for_each: {p: projects}, grants: {raed: ["docs/{p}"]}}',
        ["4:41 unknown-action"],
        "`docs/{p}:raed`",
        "`read`?",
    ),
    (
        'roles:\n  r: {for_each: {p: projects}, grants: {read: ["docs/{p}", "docs/{p"]}}',
        ["4:60 template"],
        "a brace without its partner",
        "one variable",
    ),
    (
        "roles:\n  r: {for_each: {p: projects}, inherits: [x], grants: {read: [handbook]}}",
        ["4:43 unknown-role"],
        "inherits the role `x`",
        "`r`",
    ),
    (
        'exceptions:\n  - {person: "E1", grants: {read: ["docs/{p}"]}, until: 2027-01-01, reason: x}',
        ["4:36 unbound-variable"],
        "nothing binds a variable here",
        "`docs/a`",
    ),
]


@pytest.mark.parametrize(("text", "where", "message", "remedy"), MISTAKES)
def test_a_mistake_is_told_where_it_stands(text: str, where: list[str], message: str, remedy: str) -> None:
    found = errors(ONE + text)

    assert [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in found] == where, found
    assert message in found[0].message
    assert remedy in found[0].remedy


def test_two_sets_in_one_role_are_refused() -> None:
    text = (
        "attributes: {teams: {kind: set}}\nresources:\n"
        '  "a/{p}": {classification: internal, values: {}, access: {read: {t: {g: "a-{p}"}}}}\n'
        '  "b/{t}": {classification: internal, values: {}, access: {read: {t: {g: "b-{t}"}}}}\n'
        'roles:\n  r: {for_each: {p: projects, t: teams}, grants: {read: ["a/{p}", "b/{t}"]}}\n'
    )

    (problem,) = errors(text)

    assert (problem.code, str(problem.place)) == ("two-sets", "a.yaml:6:7")
    assert "`projects`, `teams`" in problem.message


def test_the_place_of_a_for_each_is_its_variable(policy: Policy) -> None:
    (bound,) = policy.roles["project-member"].for_each

    assert bound == ForEach("project", "projects", Reach.OWN, bound.place)
    assert str(bound.place) == "policies/projects.yaml:33:16"
