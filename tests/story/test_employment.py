"""One person's way through the company: hired, transferred, resigned, gone; on an LDIF file and a casbin vault.

After each step the vault is asked by casbin itself, and the directory by a separate reading of the file, whether they
answer as the plan had said. At the end, `ldapmodify` carries the file of changes out on a real server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import casbin

from tests.cli.company import Company
from tests.servers.slapd import required, started
from tests.story import independent
from tests.story.test_second_reading import directory, steps

VAULT = {"core-algorithms:read", "core-algorithms:write", "chip-designs:read", "chip-designs:write"}


def enforcer(company: Company) -> casbin.Enforcer:
    """The vault as it decides, by casbin's own reading of its files."""
    return casbin.Enforcer(str(company.folder / "vault.conf"), str(company.folder / "vault.csv"))


def allowed(company: Company) -> set[independent.Pair]:
    """Who may do what in the vault, everybody asked about everything."""
    decide = enforcer(company)
    everybody = [f"E{number}" for number in range(1001, 1060)]
    return {(who, what) for who in everybody for what in VAULT if decide.enforce(who, *what.split(":"))}


def carried_out(company: Company) -> Any:
    """Plan and apply; the vault then answers as it did before, moved by what the plan said."""
    before = allowed(company)
    plan = company.plan("--detailed-exitcode", status=2)
    gained = {(who, what) for target, what, who in steps(plan, "grant") if target == "vault"}
    lost = {(who, what) for target, what, who in steps(plan, "revoke") if target == "vault"}

    run = company.run("apply", "--yes", "--output", "json").json

    assert run["plan"]["digest"] == plan["digest"]
    assert set(run["outcomes"]) == {"applied"}
    assert allowed(company) == (before | gained) - lost
    return plan


def happens(company: Company, event: str) -> None:
    company.run("people", "event", "--file", f"events/{event}.json")


def has(plan: Any, op: str, person: str) -> set[str]:
    return {what for _, what, who in steps(plan, op) if who == person}


def test_hired_transferred_resigned_gone(rolled_out: Company, tmp_path: Path) -> None:
    company = rolled_out
    (company.folder / "directory.changes.ldif").unlink()
    before = (company.folder / "directory.ldif").read_bytes()

    happens(company, "01-hire")
    plan = carried_out(company)
    assert has(plan, "grant", "E1059") == {"handbook:read"}
    assert {what for who, what in withheld(plan) if who == "E1059"} >= {"basic-docs:read", "core-algorithms:read"}

    company.run("evidence", "import", "newcomer-evidence.csv")
    plan = carried_out(company)
    assert has(plan, "grant", "E1059") == {
        "basic-docs:read",
        "basic-docs:write",
        "project-docs-falcon:read",
        "project-docs-falcon:write",
    }
    assert {what for who, what in withheld(plan) if who == "E1059"} == {"core-algorithms:read"}

    happens(company, "02-transfer")
    plan = carried_out(company)
    assert has(plan, "grant", "E1012") == {"sales-materials:read"}
    assert "core-algorithms:read" in has(plan, "revoke", "E1012")
    assert not enforcer(company).enforce("E1012", "core-algorithms", "read")

    happens(company, "03-resignation")
    plan = carried_out(company)
    assert has(plan, "revoke", "E1017") == {
        "chip-designs:read",
        "project-docs-phoenix:read",
        "project-docs-phoenix:write",
    }
    assert not enforcer(company).enforce("E1017", "chip-designs", "read")

    happens(company, "04-exit")
    plan = carried_out(company)
    assert all(each["leaver"] and each["person"] == "E1029" for each in plan["changes"])
    assert "E1029" not in (company.folder / "vault.csv").read_text("utf-8")
    assert not [line for line in groups(company) if "cao.yuxuan" in line and "all-hands" not in line]

    assert company.plan("--detailed-exitcode")["changes"] == []
    company.run("ledger", "verify")
    the_changes_load(company, before, tmp_path)


def withheld(plan: Any) -> set[independent.Pair]:
    return {(each["person"], each["permission"]) for each in plan["withheld"]}


def groups(company: Company) -> list[str]:
    """Every membership, as ``group: member``."""
    return [f"{dn}: {member}" for dn, values in directory(company) if "member" in values for member in values["member"]]


def the_changes_load(company: Company, before: bytes, folder: Path) -> None:
    """What `apply` noted leads a real server from the directory as it was to the directory as it is."""
    required()
    export = folder / "before.ldif"
    export.write_bytes(before)
    with started(folder / "slapd", ldif=export) as server:
        server.run("ldapmodify", "-f", str(company.folder / "directory.changes.ldif"))
        found = server.search("ou=groups,dc=example,dc=com", "(objectClass=groupOfNames)", "member")
    loaded = sorted(f"{dn}: {member}" for dn, values in found.items() for member in values["member"])
    assert loaded == sorted(groups(company))
