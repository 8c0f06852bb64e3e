"""Mistakes in the workspace file and in policies: each is told with its place and a remedy, and nothing is done."""

from __future__ import annotations

import re

import pytest

from tests.cli.company import Company

PLACE = re.compile(r"^(error: )?[\w./-]+\.yaml:\d+:\d+: ", re.MULTILINE)

EXCEPTION = """\
exceptions:
  - person: "E1042"
    grants: {read: [handbook]}
    since: 2026-11-01
    until: 2026-13-01
    reason: r
    ticket: T
    approved_by: ["E1001"]
"""
RESOURCE = """\
resources:
  wiki:
    classification: public
    owner: {department: it}
    access: {read: {corp-ldpa: {group: wiki}}}
"""
POLICIES = {
    "malformed": ("roles:\n  a: {match: [post\n", "bad.yaml:3:1", "not YAML"),
    "unknown-key": ("roles:\n  a:\n    mach: {post: hr}\n    grants: {read: [handbook]}\n", "bad.yaml:3:5", "`match`"),
    "unknown-section": ("rolls: {}\n", "bad.yaml:1:1", "`roles`"),
    "duplicate-name": (
        "roles:\n  hr:\n    match: {post: hr}\n    grants: {read: [handbook]}\n",
        "bad.yaml:2:3",
        "../policies/roles.yaml:",
    ),
    "duplicate-key": ("roles:\n  a:\n    match: {post: hr}\n    match: {post: it}\n", "bad.yaml:4:5", "bad.yaml:3:5"),
    "unknown-value": (
        "roles:\n  a:\n    match: {post: enginer}\n    grants: {read: [handbook]}\n",
        "bad.yaml:3:19",
        "`engineer`",
    ),
    "unknown-resource": (
        "roles:\n  a:\n    match: {post: hr}\n    grants: {read: [handbok]}\n",
        "bad.yaml:4:21",
        "`handbook`",
    ),
    "e5-bad-date": (
        EXCEPTION,
        "bad.yaml:5:12",
        "2026-13-01",
    ),
    "number-for-an-id": (
        "lockouts:\n  - {person: 1042, ref: SEC-1, since: 2026-11-02}\n",
        "bad.yaml:2:14",
        '"1042"',
    ),
    "unknown-target": (
        RESOURCE,
        "bad.yaml:5:",
        "`corp-ldap`",
    ),
}


@pytest.mark.parametrize("mistake", POLICIES)
def test_a_mistake_in_a_policy(company: Company, mistake: str) -> None:
    text, place, hint = POLICIES[mistake]
    company.write("policies/bad.yaml", text)

    told = company.run("check", status=1)

    assert f"policies/{place}" in told.out
    assert hint in told.out
    assert "→" in told.out
    assert told.err == ""


def test_all_mistakes_are_told_at_once_and_in_json_too(company: Company) -> None:
    company.write("policies/bad.yaml", POLICIES["unknown-key"][0] + POLICIES["unknown-section"][0])
    company.write("policies/worse.yaml", POLICIES["malformed"][0])

    answer = company.run("check", "--output", "json", status=1).json

    assert answer["ok"] is False
    found = {(each["code"], each["file"], each["line"]) for each in answer["problems"]}
    assert {
        ("unknown-key", "policies/bad.yaml", 3),
        ("unknown-section", "policies/bad.yaml", 5),
        ("yaml", "policies/worse.yaml", 3),
    } <= found


def test_nothing_is_done_under_a_policy_that_does_not_pass(informed_company: Company) -> None:
    informed_company.write("policies/bad.yaml", POLICIES["unknown-key"][0])
    before = (informed_company.folder / "directory.ldif").read_bytes()

    for command in (["plan"], ["apply", "--yes"], ["people", "import"], ["why", "E1009", "handbook:read"]):
        told = informed_company.run(*command, status=1)
        assert told.out == ""
        assert "policies/bad.yaml:3:5: error:" in told.err

    assert (informed_company.folder / "directory.ldif").read_bytes() == before


LDIF = """\
type: ldif                          # the directory as a file; reconciler-openldap.yaml has it on a server
    path: directory.ldif"""
WORKSPACE = {
    "timezone": ("Asia/Shanghai", "Asia/Shanghia", "Asia/Shanghia", "IANA"),
    "unknown-key": ("store:", "storre:", "storre", "`store`"),
    "unknown-target-type": ("type: casbin", "type: casbni", "casbni", "casbin, http, ldap, ldif"),
    "unknown-source-type": ("type: csv", "type: xls", "xls", "installed: csv"),
    "unknown-setting": ("path: directory.ldif", "path: directory.ldif\n    pth: x", "pth", "`path`"),
    "no-such-folder": ("policies: [../policies, policies]", "policies: [../polices]", "polices", "`policies`"),
    "tree-not-closed": ("policies: [../policies, policies]", "policies: [../policies", "YAML", "["),
    "wrong-format": ("format: reconciler.workspace/1", "format: reconciler.workspace/9", "format", "workspace/1"),
    "literal-secret": (
        LDIF,
        'type: ldap\n    url: ldap://127.0.0.1:1\n    tls: none\n    bind: {dn: "cn=a", password: hunter2}',
        "clear text",
        "${env:NAME}",
    ),
}


@pytest.mark.parametrize("mistake", WORKSPACE)
def test_a_mistake_in_the_workspace_file(company: Company, mistake: str) -> None:
    old, new, said, hint = WORKSPACE[mistake]
    company.edit("reconciler.yaml", old, new)

    command = ["people", "import"] if mistake == "unknown-source-type" else ["plan"]
    told = company.run(*command, status=1)

    assert told.out == ""
    assert PLACE.search(told.err)
    assert said in told.err
    assert hint in told.err
    assert "→" in told.err
    assert "hunter2" not in told.err


def test_a_missing_workspace_file_is_told_in_both_forms(company: Company) -> None:
    told = company.run("plan", "--workspace", "nowhere.yaml", status=1)
    assert "nowhere.yaml" in told.err
    assert "reconciler init" in told.err

    told = company.run("plan", "--workspace", "nowhere.yaml", "--output=json", status=1)
    assert told.out == ""
    assert '"code": "workspace"' in told.err


def test_a_missing_variable_is_named_with_the_place_that_refers_to_it(company: Company) -> None:
    told = company.run("plan", "--workspace", "reconciler-openldap.yaml", status=1)
    assert "LDAP_URL" in told.err
    assert PLACE.search(told.err)
    assert "→ set it" in told.err

    checked = company.run("check", "--workspace", "reconciler-openldap.yaml")
    assert "warning" in checked.out


def test_a_group_that_is_missing_from_the_file_excludes_only_itself(informed_company: Company) -> None:
    path = informed_company.folder / "directory.ldif"
    entries = path.read_text("utf-8").split("\n\n")
    path.write_text("\n\n".join(each for each in entries if "cn=contracts-writers," not in each), "utf-8")
    plan = informed_company.plan()
    informed_company.run("approve", plan["digest"], "--reason", "roll-out")

    told = informed_company.run("apply", "--yes", status=4)

    assert "contracts-writers" in told.out
    assert [each["kind"] for each in plan["findings"] if "contracts-writers" in each["subject"]] == [
        "unread-entitlement"
    ]
    after = informed_company.plan(status=0)
    assert after["changes"] == []


def test_c3_two_people_that_one_account_matches_are_left_alone(informed_company: Company) -> None:
    """Two people with one address, where accounts are matched by address: nobody guesses."""
    text = (informed_company.folder / "reconciler.yaml").read_text("utf-8")
    informed_company.write("reconciler.yaml", text.replace("match: {employeeNumber: id}", "match: {mail: email}"))
    informed_company.edit("people.csv", "xie.an@example.com", "zou.kai@example.com")
    informed_company.run("people", "import")

    plan = informed_company.plan()

    told = [each for each in plan["findings"] if "E1037" in each["text"] and "E1039" in each["text"]]
    assert told
    moved = {(each["person"], each["op"]) for each in plan["changes"] if each["target"] == "corp-ldap"}
    assert not {person for person, _ in moved} & {"E1037", "E1039"}
    assert ("E1036", "grant") in moved


def test_a_broken_ldif_is_told_with_its_line_and_left_as_it_is(informed_company: Company) -> None:
    path = informed_company.folder / "directory.ldif"
    path.write_text(path.read_text("utf-8").replace("cn: all-hands", "cn all-hands", 1), "utf-8")
    before = path.read_bytes()
    line = path.read_text("utf-8").splitlines().index("cn all-hands") + 1

    told = informed_company.run("apply", "--yes", "--target", "corp-ldap", status=1)

    assert f"directory.ldif:{line}" in told.said
    assert path.read_bytes() == before
