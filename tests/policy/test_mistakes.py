"""What a policy author reads after a mistake: the place, the code, the words, the way out."""

from __future__ import annotations

import pytest

from reconciler.policy import check_policy
from tests.policy.company import errors

MISTAKES = [
    # the file as YAML
    ("roles:\n\tx: {}", "2:1 tab", "a tab indents this line", "use spaces"),
    ("roles:\n  x: {grants: {read: [handbook}}", "2:31 yaml", "a `[` is not closed", "[one, two]"),
    ("roles:\n  x: {}\n  x: {}", "3:3 duplicate-key", "first at a.yaml:2:3", "keep one"),
    ("roles:\n  x: !!python/name:os.system {}", "2:6 tag", "`!!python/name:os.system`", "take the tag out"),
    ("roles:\n  x: &x {everyone: true}\n  y: {<<: *x}", "3:7 merge-key", "hides what is granted", "write it out"),
    ("roles: {}\n---\nroles: {}", "2:1 documents", "a second document begins here", "a file holds one"),
    ("roles: {<<: {x: {}}}", "1:9 merge-key", "hides what is granted", "write it out"),
    ("roles: *x", "1:8 aliases", "`*x` refers to nothing", "write the value out"),
    ("- roles", "1:1 type", "a policy file is a mapping of sections, and this is a list", "`attributes`"),
    ("exceptions:", "1:12 type", "`exceptions` is a list, and this is nothing", "`exceptions: []`"),
    ("roles: {1007: {}}", "1:9 unquoted", "YAML reads `1007` as a number", 'quotes: "1007"'),
    # sections and keys
    ("role:\n  x: {}", "1:1 unknown-section", "no section `role`", "did you mean `roles`?"),
    ("roles:\n  x: {matches: {}}", "2:7 unknown-key", "role `x`: there is no `matches` here", "`match`"),
    ("roles:\n  x: {members: [{person: 'E1', untill: 2027-01-01}]}", "2:32 unknown-key", "`untill`", "`until`"),
    ("lockouts: [{person: 'E1', ref: X, reason: theft}]", "1:35 unknown-key", "no `reason`", "git is read by many"),
    ("guards: {invariants: []}", "1:10 unknown-key", "no `invariants` here", "`protected`"),
    # single values
    ("lockouts: [{person: 1007, ref: X}]", "1:21 unquoted", "YAML reads `1007` as a number", '"1007"'),
    ("roles:\n  x: {members: [{person: 'E1'}]}", "2:17 missing", "`until` is missing", "`until: 2027-06-30`"),
    ("roles:\n  x: {members: [{person: 'E1', until: 2026-02-30}]}", "2:39 date", "does not exist", "last day"),
    ("roles:\n  x: {members: [{person: 'E1', until: 30.6.2027}]}", "2:39 date", "is not a day", "2027-06-30"),
    ("evidence:\n  x: {kind: check, valid_for: 14}", "2:31 period", "a period has a unit", "`14d`"),
    ("evidence:\n  x: {kind: check, valid_for: 2w}", "2:31 period", "`2w` is not a period", "`6mo`"),
    ("evidence:\n  x: {kind: chek}", "2:13 value", "`chek` is none of", "did you mean `check`?"),
    ("roles:\n  x: {everyone: yes}", "2:17 type", "true or false is expected, not the text `yes`", "`true`"),
    ("roles:\n  x: {grants: {read: handbook}}", "2:22 type", "a list is expected", "[one, two]"),
    ("roles:\n  x: {grants: {read: []}}", "2:22 empty", "this list is empty", "at least one"),
    ("roles:\n  x: {match: }", "2:7 blank", "`match` is blank", "take the line out"),
    ("guards: {exits: {percent: 101}}", "1:27 range", "101 is more than 100", "100 or less"),
    ("evidence:\n  x: {kind: agreement, version: -3}", "2:33 range", "-3 is less than 1", "1 or more"),
    ("lifecycle: {exited: {disable: later}}", "1:31 value", "only `immediately`", "write `immediately`"),
    ("guards: {rules: {revoke: {people: -1}}}", "1:35 range", "-1 is less than 0", "0 or more"),
    ("guards: {exits: {percent: .nan}}", "1:27 type", "a number is expected", ""),
    ("lockouts: [{person: 'E1 ', ref: X}]", "1:21 text", "'E1 ' begins or ends with a space", ""),
    ('lockouts: [{person: "E1\\u200b", ref: X}]', "1:21 text", "cannot be seen", ""),
    # names and references
    ("roles:\n  x: {grants: {read: [handbok]}}", "2:23 unknown-resource", "role `x` names", "`handbook`?"),
    ("roles:\n  x: {grants: {wirte: [basic-docs]}}", "2:16 unknown-action", "`basic-docs:wirte`", "`write`?"),
    ("roles:\n  a: {}\n  x: {inherits: [ab]}", "3:18 unknown-role", "role `x` inherits the role `ab`", "`a`?"),
    ("lifecycle: {notice: {ceiling: intern}}", "1:31 unknown-clearance", "`intern`", "`internal`?"),
    ("lockouts: [{person: 'E1', ref: X, from: [核心]}]", "1:42 unknown-resource", "`核心`", "`核心算法`?"),
    ("guards: {approvals: {Core: 1}}", "1:22 unknown-clearance", "`Core`", "`core`?"),
    ("roles:\n  a: {inherits: [b]}\n  b: {inherits: [a]}", "3:18 inheritance-cycle", "a → b → a", "`inherits`"),
    ("roles:\n  a: {inherits: [a]}", "2:18 inheritance-cycle", "a → a", "`inherits`"),
    ("roles:\n  a: {match: {post: it}, everyone: true}", "2:3 contradiction", "`match` mean nothing", "one of"),
    ("attributes:\n  any: {kind: set}", "2:3 reserved-name", "a meaning of its own", "another name"),
    ("attributes:\n  status: {kind: set}", "2:3 reserved-name", "a meaning of its own", "another name"),
    ("attributes:\n  x: {kind: one_of}", "2:3 missing", "`values` is missing", "list them"),
    ("attributes:\n  x: {kind: set, values: [a]}", "2:18 value", "`set` takes any value", "take it out"),
    ("attributes:\n  x: {kind: ordered, values: [a, [b, a]]}", "2:38 duplicate-value", "`a`", "keep one"),
    ("attributes:\n  x: {kind: ordered, values: [P1, 2]}", "2:35 unquoted", "`2` as a number", '"2"'),
    (
        "exceptions: [{person: 'E1', grants: {read: [handbook]}, until: 2027-01-01, reason: x, approved_by: ['E1']}]",
        "1:101 self-approval",
        "they cannot approve it themselves",
        "somebody else",
    ),
    (
        "exceptions: [{person: 'E1', grants: {read: [handbook]}, since: 2027-02-01, until: 2027-01-01, reason: x}]",
        "1:83 order",
        "before it begins",
        "",
    ),
    (
        "service_accounts:\n  svc: {owner: {pst: it}, ceiling: public, until: 2027-01-01, grants: {read: [handbook]}}",
        "2:17 unknown-attribute",
        "service account `svc` is owned by the attribute `pst`",
        "`post`?",
    ),
]


@pytest.mark.parametrize(("text", "where", "message", "remedy"), MISTAKES)
def test_a_mistake_is_told_where_it_stands(text: str, where: str, message: str, remedy: str) -> None:
    found = errors(text)

    assert [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in found] == [where], found
    assert found[0].place.file == "a.yaml"
    assert message in found[0].message
    assert remedy in found[0].remedy


def test_a_problem_reads_well() -> None:
    (problem,) = errors("roles:\n  rd:\n    grants: {read: [handbok]}")

    assert str(problem) == (
        "a.yaml:3:21: error: role `rd` names the resource `handbok`, which is not declared [unknown-resource]\n"
        "  → did you mean `handbook`?"
    )


TEN_MISTAKES = {
    "guards.yaml": "guards:\n  exits: {percent: 200}\n",
    "people.yaml": (
        "exceptions:\n  - {person: 1042, grants: {read: [docs]}, until: 2026-02-30, reason: Audit}\n"
        "lockouts:\n  - {person: 'E1', ref: X, form: [docs]}\n"
    ),
    "roles.yaml": (
        "roles:\n"
        "  engineer: {match: {department: rd, pst: engineer}, grants: {read: [doc]}}\n"
        "  architect: {inherits: [enginer], match: {post: architekt}, grants: {reed: [docs]}}\n"
    ),
    "words.yaml": (
        "attributes:\n  department: {kind: tree}\n  post: {kind: one_of, values: [engineer, architect]}\n"
        "clearances:\n  - public: {requires: [nda]}\n"
        "resources:\n  docs: {classification: public, access: {read: {ldap: {group: docs}}}}\n"
    ),
}


def test_ten_mistakes_in_four_files_are_all_reported_in_one_go() -> None:
    policy, found = check_policy({name: text.encode() for name, text in TEN_MISTAKES.items()})

    assert policy is None
    assert [f"{problem.place} {problem.code}" for problem in found] == [
        "guards.yaml:2:20 range",
        "people.yaml:2:14 unquoted",
        "people.yaml:2:51 date",
        "people.yaml:4:28 unknown-key",
        "roles.yaml:2:38 unknown-attribute",
        "roles.yaml:2:70 unknown-resource",
        "roles.yaml:3:26 unknown-role",
        "roles.yaml:3:50 unknown-value",
        "roles.yaml:3:71 unknown-action",
        "words.yaml:5:25 unknown-evidence",
    ]


USERS = "roles:\n  x: {match: {post: it}, inherits: [base], grants: {read: [docs]}}\n"


@pytest.mark.parametrize(
    "broken",
    [
        "roles: [",
        "roles: {base: !!set {}}\nresources: {docs: !!set {}}",
        "roles: {base: {grants: 3}}\nresources: {docs: {clasification: public}}",
        "roles: []\nresources: 7",
        "rolls: {base: {}}\nresorces: {}",
        "roles: {base: {}}\nresources: {docs: {classification: public, access: {}}}",
        "roles: {base: {}}\nresources: {docs: {classification: public, access: {read: {t: {group: d, mode: watch}}}}}",
    ],
)
def test_who_uses_a_broken_name_is_not_wrong(broken: str) -> None:
    found = errors(USERS, broken=broken)

    assert found
    assert {problem.place.file for problem in found} == {"broken.yaml"}


def test_a_name_declared_in_two_files_names_both_places() -> None:
    (problem,) = errors("roles:\n  x: {}", zweite="roles:\n\n  x: {}")

    assert problem.code == "duplicate-name"
    assert str(problem.place) == "zweite.yaml:3:3"
    assert "first at a.yaml:2:3" in problem.message


@pytest.mark.parametrize("section", ["guards: {exits: {people: 3}}", "lifecycle: {notice: {ceiling: public}}"])
def test_a_single_clause_may_be_spread_but_no_part_of_it_said_twice(section: str) -> None:
    assert [problem.code for problem in errors(section, b=section)] == ["duplicate-name"]
    assert not errors("guards: {exits: {people: 3}}", b="guards: {feed: {shrink_percent: 1}}")


def test_levels_stand_in_one_list() -> None:
    (problem,) = errors("", zz="clearances: [{top: {}}]")

    assert (problem.code, str(problem.place)) == ("duplicate-name", "zz.yaml:1:1")
    assert "words.yaml:16:5" in problem.message


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        ({}, ["empty-policy"]),
        ({"a.yaml": b""}, ["missing-section", "missing-section"]),
        ({"a.yaml": b"# nothing yet\nroles: {x: {match: {a: b}}}"}, ["missing-section", "missing-section"]),
        ({"a.yaml": b"attributes: {a: {kind: set}}"}, ["missing-section"]),
    ],
)
def test_a_tree_that_says_nothing_is_an_error_with_a_remedy(files: dict[str, bytes], codes: list[str]) -> None:
    policy, found = check_policy(files)

    assert policy is None
    assert [problem.code for problem in found] == codes
    assert all(problem.remedy for problem in found)


def test_a_role_may_not_inherit_from_too_far_away() -> None:
    chain = "".join(f"  r{n}: {{inherits: [r{n + 1}]}}\n" for n in range(2_000))

    assert [problem.code for problem in errors(f"roles:\n{chain}  r2000: {{}}\n")] == ["inheritance-depth"]
