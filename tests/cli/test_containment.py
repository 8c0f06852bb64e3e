"""Folders inside folders, from the policy file to the file system: what `check` refuses, what a dead run leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.adapters.file_server import required
from tests.cli.company import Company

OUTER = """\
resources:
  drawings:
    classification: public
    owner: {post: it}
    access:
      read:  {files: {path: drawings, permission: read}}
      write: {files: {path: drawings, permission: write}}
roles:
  draws:
    members: [{person: "E1003", until: 2099-12-31, reason: Draws them}]
    grants: {read: [drawings], write: [drawings]}
"""
INNER = """\
resources:
  gears:
    classification: internal
    owner: {post: it}
    access:
      read: {files: {path: drawings/gears, permission: read}}
roles:
  builds:
    members: [{person: "E1043", until: 2099-12-31, reason: Builds them}]
    grants: {read: [gears]}
"""
WHERE = "policies/gears.yaml:6:14"
GAO, DOU = 20_003, 20_043


@pytest.fixture
def server(informed_company: Company) -> Company:
    """The company with a folder inside a folder, and two people who may open one each."""
    required()
    company = informed_company
    (company.folder / "srv/drawings/gears").mkdir(parents=True)
    (company.folder / "srv/drawings/gears/spur.txt").write_text("secret", encoding="utf-8")
    subprocess.run(["chmod", "-R", "o=", company.folder / "srv"], check=True)
    company.write("accounts.csv", f"login,uid,id\ngao,{GAO},E1003\ndou,{DOU},E1043\n")
    target = "  files:\n    type: posix-acl\n    root: srv\n    accounts: {file: accounts.csv}\n    match: {id: id}\n"
    workspace = company.folder / "reconciler.yaml"
    workspace.write_text(workspace.read_text("utf-8") + target, encoding="utf-8")
    company.write("policies/drawings.yaml", OUTER)
    company.write("policies/gears.yaml", INNER)
    return company


def cut_off(company: Company) -> None:
    company.edit("policies/gears.yaml", "gears, permission: read}", "gears, permission: read, inherit: false}")


def lists(path: Path) -> str:
    return subprocess.run(["getfacl", "-cpn", path], check=True, stdout=subprocess.PIPE).stdout.decode()


def apply(company: Company) -> None:
    """Plan and carry out, with whatever is held approved."""
    for one in company.plan("--target", "files")["changes"]:
        if one["held"]:
            company.run("approve", one["held"]["digest"], "--reason", "as the policy says")
    company.run("apply", "--target", "files", "--yes")


def test_check_refuses_what_would_let_people_in_and_says_how_to_keep_them_out(server: Company) -> None:
    said = server.run("check", status=1).out

    assert f"{WHERE}: error: `files:path=drawings/gears,permission=read` (internal) lies inside" in said
    assert "(public), bound at policies/drawings.yaml:6:15" in said
    assert "(public), bound at policies/drawings.yaml:7:15" in said
    assert "`inherit: false`" in said
    cut_off(server)
    assert "0 errors" in server.run("check").out


def test_a_directory_keeps_nobody_out_and_check_says_so(server: Company) -> None:
    cut_off(server)
    group = "roles: {}\nresources: {x: {classification: internal, access: {read: {GROUP}}}}\n"
    server.write("policies/x.yaml", group.replace("GROUP", "corp-ldap: {group: x, inherit: false}"))

    said = server.run("check", status=1).out

    assert "policies/x.yaml:2:59: error: `corp-ldap:group=x` says `inherit: false`" in said
    assert "[cannot-cut-off]" in said


def test_the_inner_folder_stays_shut_and_what_was_in_there_before_is_taken_out(server: Company) -> None:
    inner = server.folder / "srv/drawings/gears"
    (server.folder / "policies/gears.yaml").unlink()
    apply(server)
    assert f"user:{GAO}:rw-" in lists(inner / "spur.txt")

    server.write("policies/gears.yaml", INNER)
    cut_off(server)
    apply(server)

    assert f"user:{DOU}:r--" in lists(inner / "spur.txt")
    for path in (inner, inner / "spur.txt"):
        assert f"user:{GAO}" not in lists(path)
    assert f"user:{GAO}:rwx" in lists(server.folder / "srv/drawings")
    assert server.plan("--target", "files")["changes"] == []


def test_what_a_dead_run_left_behind_below_a_folder_is_seen_by_the_next_plan_and_taken(server: Company) -> None:
    cut_off(server)
    apply(server)
    file = server.folder / "srv/drawings/gears/spur.txt"
    server.edit("policies/gears.yaml", "    grants: {read: [gears]}", "    grants: {read: [drawings]}")
    top = server.folder / "srv/drawings/gears"
    subprocess.run(["setfacl", "-x", f"user:{DOU}", "-x", f"d:user:{DOU}", top], check=True)  # so far it came
    assert f"user:{DOU}:r--" in lists(file)

    revoked = [each for each in server.plan("--target", "files")["changes"] if each["op"] == "revoke"]
    assert [(each["person"], each["entitlement"]) for each in revoked] == [("E1043", "read drawings/gears")]
    apply(server)

    assert f"user:{DOU}" not in lists(file)
    assert server.plan("--target", "files")["changes"] == []


def test_d7_a_folder_that_no_policy_names_any_more_is_not_opened_from_around(server: Company) -> None:
    cut_off(server)
    apply(server)
    (server.folder / "policies/gears.yaml").unlink()
    more = '    members: [{person: "E1043", until: 2099-12-31, reason: Draws too}, '
    server.edit("policies/drawings.yaml", "    members: [", more)
    apply(server)

    assert f"user:{DOU}:rwx" in lists(server.folder / "srv/drawings")
    for path in ("gears", "gears/spur.txt"):
        assert f"user:{GAO}" not in lists(server.folder / "srv/drawings" / path)
    found = server.plan("--target", "files")["findings"]
    assert [each["subject"] for each in found if each["kind"] == "undeclared-entitlement" and each["target"] == "files"]
