"""Families: one resource for each listed value of a variable, and nothing for any other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.errors import Place
from reconciler.policy.collisions import TemplateIndex
from reconciler.policy.model import (
    BindingTemplate,
    EntitlementRef,
    Mode,
    Owner,
    Permission,
    Policy,
    ResourceFamily,
)
from reconciler.policy.spelling import Template, template_flaw, value_flaw
from tests.policy.company import errors
from tests.policy.projects import PROJECTS, loaded

HERE = Place("a.yaml", 1, 1)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return loaded()


# --- what becomes of a family -----------------------------------------------------------------------------------------


def test_each_listed_value_is_a_resource(policy: Policy) -> None:
    family = policy.families["project-docs/{project}"]
    falcon = policy.resources["project-docs/falcon"]

    assert family.variable == "project"
    assert family.values == {value: f"project-docs/{value}" for value in ("falcon", "phoenix", "凤凰")}
    assert (falcon.family, falcon.value, falcon.until) == ("project-docs/{project}", "falcon", None)
    assert str(falcon.place) == "policies/projects.yaml:13:7"
    assert [str(binding.entitlement) for binding in falcon.actions["read"]] == [
        "corp-ldap:group=prj-falcon-readers",
        "files:path=projects/falcon,permission=r-x",
    ]
    assert "project-docs/{project}" not in policy.resources


def test_an_entry_may_be_stricter(policy: Policy) -> None:
    falcon, phoenix = policy.resources["project-docs/falcon"], policy.resources["project-docs/phoenix"]

    assert (falcon.classification, phoenix.classification) == (2, 3)
    assert falcon.compartments == {"project/falcon"}
    assert phoenix.compartments == {"project/phoenix", "chip-design"}
    assert phoenix.until == date(2027, 3, 31)
    assert (falcon.owner, phoenix.owner) == (Owner("department", "rd"), Owner("person", "E0001"))


def test_entitlements_carry_class_compartments_and_mode(policy: Policy) -> None:
    read = policy.entitlements[EntitlementRef("corp-ldap", "group=prj-phoenix-readers")]
    write = policy.entitlements[EntitlementRef("corp-ldap", "group=prj-phoenix-writers")]
    site = policy.entitlements[EntitlementRef("corp-ldap", "group=site-cn/shanghai/2")]

    assert (read.classification, read.compartments) == (3, frozenset({"project/phoenix", "chip-design"}))
    assert (read.mode, write.mode, site.mode) == (Mode.ENFORCE, Mode.ADDITIVE, Mode.OBSERVE)
    assert write.locator == {"group": "prj-phoenix-writers"}, "`mode` is no part of the locator"
    assert policy.effective_compartments(Permission("project-docs/phoenix", "read")) == read.compartments


def test_a_binding_may_say_another_mode_than_its_resource() -> None:
    text = PROJECTS.replace('{group: "site-{site}"}', '{group: "site-{site}", mode: enforce}')

    policy = loaded(text)

    assert policy.entitlements[EntitlementRef("corp-ldap", "group=site-cn")].mode is Mode.ENFORCE


def test_a_shared_entitlement_has_all_compartments() -> None:
    plain = (
        "compartments: {other: {requires: [nda]}}\nresources:\n"
        "  one: {classification: internal, compartments: [other], access: {read: {t: {g: x}}}}\n"
        "  two: {classification: core, access: {read: {t: {g: x}}}}\n"
    )

    policy = loaded(plain)

    shared = policy.entitlements[EntitlementRef("t", "g=x")]
    assert (shared.classification, shared.compartments, len(shared.permissions)) == (3, frozenset({"other"}), 2)


def test_a_family_without_a_value_yet_is_a_family(policy: Policy) -> None:
    assert policy.families["not-yet/{project}"].values == {}
    assert policy.families["not-yet/{project}"].bindings[0].locator == {"group": "new-{project}"}


def test_a_resource_of_a_family_is_granted_by_its_name(policy: Policy) -> None:
    assert [str(grant.permission) for grant in policy.roles["falcon-guest"].grants] == ["project-docs/falcon:read"]
    assert policy.roles["falcon-guest"].grants[0].when is None


# --- mistakes ---------------------------------------------------------------------------------------------------------

DOCS = (
    'resources:\n  "docs/{p}": {classification: internal, values: {a: {}, b: {}}, access: {read: {t: {g: "d-{p}"}}}}\n'
)
FAMILY = 'resources:\n  "d/{p}": {classification: internal, values: {%s}, access: {read: {t: {g: "x-{p}"}}}}'

TWO_MODES = """resources:
  d: {classification: internal, mode: observe, access: {read: {t: {g: x}}}}
  e: {classification: internal, access: {read: {t: {g: x}}}}
"""

MISTAKES = [
    # names
    ('resources:\n  "d/{p}/{q}": {}', "2:3 template", "holds more than one variable", "one variable"),
    ('resources:\n  "d/{p}/{p}": {}', "2:3 template", "holds its variable more than once", "once"),
    ('resources:\n  "d/{p": {}', "2:3 template", "a brace without its partner", "`{project}`"),
    ('resources:\n  "d/{}": {}', "2:3 template", "braces without a name in them", "`{project}`"),
    ('roles:\n  "r/{p}": {}', "2:3 template", "only resources and compartments have a variable", "without"),
    # values
    (
        'resources:\n  "d/{p}": {classification: internal, access: {read: {t: {g: "x-{p}"}}}}',
        "2:3 missing",
        "`values` is missing",
        "`values: {}`",
    ),
    (
        "resources:\n  d: {classification: internal, values: {a: {}}, access: {read: {t: {g: x}}}}",
        "2:33 value",
        "its name holds no variable",
        "`d/{project}`",
    ),
    (
        "resources:\n  d: {classification: internal, until: 2027-01-01, access: {read: {t: {g: x}}}}",
        "2:33 unknown-key",
        "a resource has no `until`",
        "a value of a family",
    ),
    (
        'resources:\n  "d/{p}": {classification: internal, valus: {a: {}}, access: {read: {t: {g: "x-{p}"}}}}',
        "2:39 unknown-key",
        "`valus`",
        "`values`?",
    ),
    (FAMILY % "a: ", "2:48 blank", "`values.a` is blank", "write `{}`"),
    (FAMILY % "7: {}", "2:48 unquoted", "`7` as a number", '"7"'),
    (FAMILY % '"a:b": {}', "2:48 text", "holds one of", "without"),
    (FAMILY % '"{a}": {}', "2:48 text", "holds one of", "without"),
    (FAMILY % "a: {clasification: core}", "2:52 unknown-key", "`clasification`", "`classification`?"),
    (FAMILY % "a: {classification: public}", "2:68 laxer-value", "lower than its family (`internal`)", "stricter"),
    (FAMILY % "a: {classification: corr}", "2:68 unknown-clearance", "resource `d/a` has the clearance", "`core`?"),
    (FAMILY % "a: {owner: {pst: it}}", "2:60 unknown-attribute", "resource `d/a` is owned by", "`post`?"),
    (FAMILY % "a: {owner: {post: itt}}", "2:66 unknown-value", "resource `d/a`", "`it`?"),
    # bindings
    (
        'resources:\n  "d/{p}": {classification: internal, values: {}, access: {read: {t: {g: x}}}}',
        "2:67 template-without-variable",
        "the same for all values",
        "`{p}`",
    ),
    (
        'resources:\n  "d/{p}": {classification: internal, values: {}, access: {read: {t: {g: "x-{q}"}}}}',
        "2:74 unbound-variable",
        "`{q}` is bound by nothing here; its variable is `{p}`",
        "`{p}`",
    ),
    (
        'resources:\n  d: {classification: internal, access: {read: {t: {g: "x-{q}"}}}}',
        "2:56 unbound-variable",
        "the name of the resource holds no variable",
        "the name itself",
    ),
    (
        'resources:\n  d: {classification: internal, access: {read: {t: {g: "x-{q"}}}}',
        "2:56 template",
        "a brace without its partner",
        "`{project}`",
    ),
    # modes
    (
        "resources:\n  d: {classification: internal, mode: obsrve, access: {read: {t: {g: x}}}}",
        "2:39 value",
        "`obsrve` is none of",
        "`observe`?",
    ),
    (
        "resources:\n  d: {classification: internal, access: {read: {t: {g: x, mode: obsrve}}}}",
        "2:65 value",
        "no mode `obsrve`",
        "`observe`?",
    ),
    (
        "resources:\n  d: {classification: internal, access: {read: {t: {mode: observe}}}}",
        "2:52 empty",
        "names nothing on `t`",
        "`{group: docs-readers}`",
    ),
    (
        TWO_MODES,
        "3:49 mixed-modes",
        "`e:read` binds `t:g=x` in mode `enforce`, and `d:read` in mode `observe` at a.yaml:2:64",
        "same mode",
    ),
    # collisions
    (
        DOCS + "  docs/a: {classification: internal, access: {read: {t: {g: o}}}}",
        "2:51 duplicate-name",
        "`docs/a` is declared a second time; first at a.yaml:3:3",
        "keep one",
    ),
    (
        DOCS + '  "{q}/a": {classification: internal, values: {docs: {}}, access: {read: {t: {g: "o-{q}"}}}}',
        "3:48 duplicate-name",
        "first at a.yaml:2:51",
        "keep one",
    ),
    (
        DOCS + "  o: {classification: internal, access: {read: {t: {g: d-a}}}}",
        "3:49 colliding-entitlement",
        "`o:read` binds `t:g=d-a`, and so does `docs/a:read` at a.yaml:2:82",
        "of its own",
    ),
    (
        DOCS + "  o: {classification: internal, access: {read: {t: {g: d-zzz}}}}",
        "3:49 colliding-entitlement",
        "which `docs/{p}` at a.yaml:2:82 would bind for `zzz`",
        "no value of the family",
    ),
    (
        DOCS + '  "o/{q}": {classification: internal, values: {a: {}, b: {}}, access: {read: {t: {g: "d-{q}"}}}}',
        "3:79 colliding-entitlement",
        "`o/a:read` binds `t:g=d-a`",
        "of its own",
    ),
    # references
    (
        DOCS + "roles: {r: {everyone: true, grants: {read: [docs/c]}}}",
        "3:45 unknown-resource",
        "`docs/{p}` does not list `c`",
        "list `c` under `values`",
    ),
    (
        DOCS + 'lockouts: [{person: "E1", ref: X, from: ["docs/{p}"]}]',
        "3:42 unbound-variable",
        "nothing binds a variable here",
        "`docs/a`",
    ),
]


@pytest.mark.parametrize(("text", "where", "message", "remedy"), MISTAKES)
def test_a_mistake_is_told_where_it_stands(text: str, where: str, message: str, remedy: str) -> None:
    found = errors(text)

    assert [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in found] == [where], found
    assert message in found[0].message
    assert remedy in found[0].remedy


@pytest.mark.parametrize(
    "broken", ["classification: intrnal", "classification: 5", "classification: internal, mode: x"]
)
def test_who_uses_a_broken_family_is_not_wrong(broken: str) -> None:
    text = DOCS.replace("classification: internal", broken)
    users = 'roles:\n  r: {for_each: {p: projects}, grants: {read: ["docs/{p}", docs/a, docs/zz]}}\n'

    assert [problem.place.line for problem in errors(text + users)] == [2]


def test_two_actions_of_one_resource_may_share_an_entitlement() -> None:
    text = DOCS.replace('{read: {t: {g: "d-{p}"}}}', '{read: {t: {g: "d-{p}"}}, write: {t: {g: "d-{p}"}}}')

    assert not errors(text)


# --- templates, as such -----------------------------------------------------------------------------------------------

LETTERS = st.text(st.sampled_from("ab-/,=\\ 凤"), max_size=4)
VALUES = st.text(st.sampled_from("ab-/,=\\凤"), min_size=1, max_size=4).filter(lambda text: not value_flaw(text))


@given(st.lists(LETTERS, min_size=2, max_size=4), VALUES)
def test_a_value_is_found_again_in_what_it_was_filled_into(parts: list[str], value: str) -> None:
    text = "{p}".join(parts)
    template = Template.of(text)

    assert not template_flaw(text)
    assert template == Template(tuple(parts), "p")
    assert template.value_in(template.fill(value)) == value


@given(st.lists(LETTERS, min_size=2, max_size=3), st.text(st.sampled_from("ab-/ :{"), max_size=8))
def test_what_is_found_fills_back_to_the_text(parts: list[str], text: str) -> None:
    template = Template(tuple(parts), "p")
    value = template.value_in(text)

    assert value is None or (template.fill(value) == text and not value_flaw(value))


def family(name: str, locators: Iterable[dict[str, str]]) -> ResourceFamily:
    """A family with these templates for reading."""
    bindings = tuple(BindingTemplate("read", "t", locator, Mode.ENFORCE, HERE) for locator in locators)
    return ResourceFamily(f"{name}/{{p}}", "p", 0, None, (), bindings, {}, HERE)


TEXTS = st.builds("{}{}{}".format, LETTERS, st.sampled_from(["{p}", "", "{p}-{p}"]), LETTERS)
LOCATORS = st.dictionaries(st.sampled_from(["g", "h"]), TEXTS, min_size=1).filter(lambda each: "{p}" in str(each))


@given(st.lists(LOCATORS, min_size=1, max_size=6), st.data())
def test_the_index_finds_what_trying_each_template_finds(locators: list[dict[str, str]], data: st.DataObject) -> None:
    value = data.draw(VALUES)
    wanted = {part: Template.of(text).fill(value) for part, text in data.draw(st.sampled_from(locators)).items()}
    index = TemplateIndex.of([family(str(number), [locator]) for number, locator in enumerate(locators)])

    found = {(made.family.name, made.value) for made in index.producing("t", wanted)}

    assert found == {
        (f"{number}/{{p}}", value)
        for number, locator in enumerate(locators)
        for value in {Template.of(text).value_in(wanted.get(part, "")) for part, text in locator.items()}
        if value and {part: Template.of(text).fill(value) for part, text in locator.items()} == wanted
    }
    assert not list(index.producing("other", wanted))


@given(st.lists(VALUES, unique=True, max_size=4), LETTERS)
def test_every_value_has_an_entitlement_of_its_own(values: list[str], before: str) -> None:
    assume(before.strip() == before)
    listed = ", ".join(f"{value!r}: {{}}" for value in values).replace("\\\\", "\\")
    text = f"resources:\n  'd/{{p}}':\n    classification: internal\n    values: {{{listed}}}\n"

    policy = loaded(text + f"    access: {{read: {{t: {{g: '{before}{{p}}'}}}}}}\n")

    refs = [
        binding.entitlement
        for name in policy.families["d/{p}"].values.values()
        for binding in policy.resources[name].actions["read"]
    ]
    assert len(set(refs)) == len(refs) == len(values)
    assert {policy.entitlements[ref].locator["g"] for ref in refs} == {before + value for value in values}
