"""Who acts: a login name or a token's owner; what they may do is the workspace's own casbin policy."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.company import Company

OPERATORS = """\
# who may do what
p, it, plan, *
p, it, apply, *
p, it, record, *
p, security, approve, *
p, security, read, *
p, release, approve, internal
p, owner, *, *
g, {me}, it
g, {me}, owner
g, hr-system, hr
p, hr, record, *
g, 安全部, security
"""
FOUR_EYES = "format: reconciler.workspace/1\nfour_eyes: true\n"


def me() -> str:
    return getpass.getuser()


def made(company: Company, owner: str, *acts: str, until: str = "2060-01-01") -> str:
    options = [word for act in acts for word in ("--act", act)]
    out = company.run("token", "create", "--owner", owner, "--until", until, *options).out
    return out.strip()


def test_a_token_is_shown_once_and_kept_nowhere(informed_company: Company) -> None:
    company = informed_company
    text = made(company, "hr-system", "record")

    assert text.startswith("rec_")
    for file in (company.folder / "state").iterdir():
        assert text.encode() not in file.read_bytes()
    listed = company.run("token", "list").out
    assert "hr-system: record; until 2060-01-01" in listed
    assert text not in listed


def test_a_token_acts_as_its_owner_and_only_for_its_acts(informed_company: Company) -> None:
    company = informed_company
    digest = company.plan()["digest"]
    token = made(company, "安全部", "approve", "read")

    company.run("approve", digest, "--reason", "looked at", "--token", token)
    company.having(RECONCILER_TOKEN=token).run("plan", status=1)
    refused = company.run("apply", "--yes", "--token", token, status=1).err

    assert "is not good for `apply`" in refused
    assert token not in refused
    company.run("ledger", "verify")
    assert '"安全部"' in company.run("token", "list", "--output", "json").out


@pytest.mark.parametrize(
    ("text", "words"),
    [("nonsense", "no token of ours"), ("rec_0123456789_" + "A" * 43, "not known here")],
)
def test_what_is_no_token_is_refused_without_repeating_it(informed_company: Company, text: str, words: str) -> None:
    said = informed_company.run("plan", "--token", text, status=1).said

    assert words in said
    assert text not in said


def test_a_token_that_was_taken_back_or_has_ended_opens_nothing(informed_company: Company) -> None:
    company = informed_company
    token = made(company, "ci", "plan")
    name = token.split("_")[1]
    company.run("plan", "--token", token)

    company.run("token", "revoke", name, "--reason", "no longer used")

    assert "was taken back" in company.run("plan", "--token", token, status=1).err
    assert "taken back" in company.run("token", "list").out
    company.run("token", "revoke", name, "--reason", "again", status=1)
    company.run("token", "create", "--owner", "x", "--act", "plan", "--until", "2020-01-01", status=1)


def test_the_workspaces_own_policy_says_who_may_do_what(informed_company: Company) -> None:
    company = informed_company
    company.write("operators.csv", OPERATORS.format(me=me()))
    company.edit(
        "reconciler.yaml",
        "format: reconciler.workspace/1\n",
        "format: reconciler.workspace/1\noperators: operators.csv\n",
    )
    security, hr = made(company, "安全部", "approve", "plan"), made(company, "hr-system", "record", "plan")
    digest = company.plan()["digest"]

    assert "hr-system may not `plan`" in company.run("plan", "--token", hr, status=1).err
    assert "安全部 may not `plan`" in company.run("plan", "--token", security, status=1).err
    company.run("approve", digest, "--reason", "looked at", "--token", security)

    company.write("operators.csv", "p, somebody-else, *, *\n")
    assert f"{me()} may not `apply`" in company.run("apply", "--yes", status=1).err
    company.write("operators.csv", "p, it, fly, *\nnonsense\n")
    said = company.run("plan", status=1).said
    assert "operators.csv:1:1" in said
    assert "operators.csv:2:1" in said


def test_four_eyes_keep_the_author_of_a_plan_or_of_its_policy_from_approving_it(informed_company: Company) -> None:
    company = informed_company
    company.edit(
        "reconciler.yaml", "format: reconciler.workspace/1\n", "format: reconciler.workspace/1\nfour_eyes: true\n"
    )
    token = made(company, "boss", "approve")
    digest = company.plan()["digest"]

    assert "four eyes" in company.run("approve", digest, "--reason", "mine", status=1).err
    # A token that the author made in another's name is no other person.
    assert "four eyes" in company.run("approve", digest, "--reason", "mine", "--token", token, status=1).err


@pytest.mark.parametrize("author", ["myself", "somebody-else"])
def test_who_committed_the_policy_change_is_its_author(rolled_out: Company, author: str) -> None:
    company, top = rolled_out, rolled_out.folder.parent
    company.edit("reconciler.yaml", "format: reconciler.workspace/1\n", FOUR_EYES)
    address = f"{me()}@example.com" if author == "myself" else "other@example.com"
    commit(top, "first@example.com")
    company.write("../policies/more.yaml", "roles:\n  more: {match: {post: hr}, grants: {read: [sales-materials]}}\n")
    commit(top, address)
    planner = made(company, "planner", "plan")
    digest = company.plan("--token", planner)["digest"]

    said = company.run("approve", digest, "--reason", "looks right", status=1 if author == "myself" else 0).said

    assert ("four eyes" in said) == (author == "myself")


def commit(folder: Path, address: str) -> None:
    git = ["git", "-c", "user.name=x", "-c", f"user.email={address}", "-C", str(folder)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "policy"]):
        subprocess.run([*git, *words], check=True, env=environment)
