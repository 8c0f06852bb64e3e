"""The example company on a real OpenLDAP server, looked at with OpenLDAP's own programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.cli.company import Company
from tests.servers.slapd import PASSWORD, Slapd, required, started
from tests.story import independent
from tests.story.test_second_reading import second_reading

GROUPS = "ou=groups,dc=example,dc=com"
UNMANAGED = ("vpn-users", "all-hands")
Agreed: TypeAlias = tuple[Company, Slapd, list[str], Any]


@contextmanager
def served(template: Company, folder: Path) -> Iterator[tuple[Company, Slapd]]:
    """A copy of the company with its directory on a server of its own."""
    required()
    company = template.copy(folder)
    with started(folder / "slapd", ldif=company.folder / "directory.ldif") as server:
        company.edit("reconciler-openldap.yaml", "state/reconciler-openldap.db", "state/reconciler.db")
        moved = replace(company, file="reconciler-openldap.yaml")
        yield moved.having(LDAP_URL=server.url, LDAP_PASSWORD=PASSWORD), server


@pytest.fixture
def on_slapd(informed_template: Company, tmp_path: Path) -> Iterator[tuple[Company, Slapd]]:
    """The company before the first plan."""
    with served(informed_template, tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def agreed(informed_template: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agreed]:
    """The company after the first roll-out, what its unmanaged groups were before it, and the run. Every test leaves
    everything in agreement.
    """
    with served(informed_template, tmp_path_factory.mktemp("agreed")) as (company, server):
        before = [group(server, name) for name in UNMANAGED]
        yield company, server, before, company.roll_out()


def everything(server: Slapd) -> independent.Entries:
    return list(server.search("dc=example,dc=com").items())


def group(server: Slapd, name: str) -> str:
    """A group with all that the server keeps about it: who changed it last, and when."""
    return server.run("ldapsearch", "-LLL", "-b", f"cn={name},{GROUPS}", "(objectClass=*)", "*", "+")


def members(server: Slapd, name: str) -> list[str]:
    return server.search(f"cn={name},{GROUPS}")[f"cn={name},{GROUPS}"]["member"]


def whole(server: Slapd) -> str:
    """The whole directory, with what the server keeps about every entry."""
    return server.run("ldapsearch", "-LLL", "-b", "dc=example,dc=com", "(objectClass=*)", "*", "+")


def membership(verb: str, name: str, uid: str) -> str:
    """A change that somebody makes by hand."""
    return (
        f"dn: cn={name},{GROUPS}\nchangetype: modify\n{verb}: member\nmember: uid={uid},ou=people,dc=example,dc=com\n"
    )


def add_member(server: Slapd, name: str, uid: str) -> None:
    server.modify(membership("add", name, uid))


def test_roll_out_leads_to_exactly_the_members_that_the_policy_gives(agreed: Agreed) -> None:
    company, server, before, run = agreed

    reading = second_reading(company, run["plan"])
    vault = (company.folder / "vault.csv").read_text("utf-8")
    directory = everything(server)
    assert reading.has(directory, vault) == reading.should(directory)
    assert "cn=legacy-wiki,ou=services,dc=example,dc=com" in members(server, "docs-basic-readers")
    assert [group(server, name) for name in UNMANAGED] == before
    assert set(run["outcomes"]) == {"applied"}


def test_a_second_plan_is_empty_and_a_second_apply_writes_nothing(agreed: Agreed) -> None:
    company, server, *_ = agreed
    before = whole(server)

    assert company.plan("--detailed-exitcode")["changes"] == []
    assert company.run("apply", "--yes", "--output", "json").json["run"] is None
    assert whole(server) == before


def test_a_member_added_by_hand_is_drift_and_is_revoked(agreed: Agreed) -> None:
    company, server, *_ = agreed
    others = [group(server, name) for name in (*UNMANAGED, "handbook-readers", "product-plans-readers")]
    add_member(server, "contracts-writers", "su.zhe")

    plan = company.plan("--detailed-exitcode", status=2)
    run = company.run("apply", "--yes", "--output", "json").json

    said = [(each["op"], each["person"], each["cause"]["kind"]) for each in plan["changes"]]
    assert said == [("revoke", "E1046", "drift")]
    assert run["outcomes"] == {"applied": 1}
    assert not [each for each in members(server, "contracts-writers") if "su.zhe" in each]
    assert [group(server, name) for name in (*UNMANAGED, "handbook-readers", "product-plans-readers")] == others
    assert company.plan()["changes"] == []


def test_a_member_removed_by_hand_is_drift_and_comes_back(agreed: Agreed) -> None:
    company, server, *_ = agreed
    server.modify(membership("delete", "contracts-writers", "pan.yue"))

    run = company.run("apply", "--yes", "--output", "json").json

    said = [(each["op"], each["person"], each["cause"]["kind"]) for each in run["plan"]["changes"]]
    assert said == [("grant", "E1047", "drift")]
    assert "uid=pan.yue,ou=people,dc=example,dc=com" in members(server, "contracts-writers")


def test_an_unmanaged_group_may_change_and_nobody_minds(agreed: Agreed) -> None:
    company, server, *_ = agreed
    add_member(server, "vpn-users", "su.zhe")
    before = group(server, "vpn-users")

    assert company.run("apply", "--yes", "--output", "json").json["plan"]["changes"] == []
    assert group(server, "vpn-users") == before


def test_a_plan_leaves_the_server_as_it_was(on_slapd: tuple[Company, Slapd]) -> None:
    company, server = on_slapd
    before = whole(server)

    company.plan()

    assert whole(server) == before


def test_a_missing_group_excludes_only_itself(on_slapd: tuple[Company, Slapd]) -> None:
    company, server = on_slapd
    server.run("ldapdelete", f"cn=it-runbooks-readers,{GROUPS}")
    plan = company.plan(status=0)
    company.run("approve", plan["digest"], "--reason", "first roll-out")

    told = company.run("apply", "--yes", status=4)

    assert "it-runbooks-readers" in told.said
    directory = [*everything(server), (f"cn=it-runbooks-readers,{GROUPS}", {"member": [""]})]
    reading = second_reading(company, plan)
    vault = (company.folder / "vault.csv").read_text("utf-8")
    missing = {each for each in reading.should(directory) if each[1] == "it-runbooks:read"}
    assert missing
    assert reading.has(directory, vault) == reading.should(directory) - missing


def test_a1_unreachable_server_changes_nothing_and_says_so(agreed: Agreed) -> None:
    company, server, *_ = agreed
    before = whole(server)
    gone = company.having(LDAP_URL="ldap://127.0.0.1:1")

    for command, status in ((["plan"], 4), (["plan", "--target", "corp-ldap"], 1), (["apply", "--yes"], 4)):
        told = gone.run(*command, status=status)
        assert "127.0.0.1:1" in told.said
        assert "in sync" not in told.said
    assert "127.0.0.1:1" in gone.run("doctor", status=1).out
    assert whole(server) == before
    assert company.plan("--detailed-exitcode")["changes"] == []


def test_wrong_password_changes_nothing_and_is_told_without_it(agreed: Agreed) -> None:
    company, server, *_ = agreed
    before = whole(server)
    wrong = company.having(LDAP_PASSWORD="not-the-password-1234")

    for command in (["plan", "--target", "corp-ldap"], ["apply", "--yes", "--target", "corp-ldap"], ["doctor"]):
        told = wrong.run(*command, status=1)
        assert "corp-ldap" in told.said
        assert "password" in told.said or "credentials" in told.said.lower()
        assert "not-the-password-1234" not in told.said
    assert whole(server) == before
