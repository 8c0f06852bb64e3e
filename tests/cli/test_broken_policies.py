"""A policy tree that does not pass keeps newcomers out and nobody in: leavers go under the last policy that passed."""

from __future__ import annotations

import json

from tests.cli.company import Company

BROKEN = "roles:\n  everything: {match: {departmnt: rd}, grants: {read: [core-algorithms]}}\n"
LEAVER, NEWCOMER = "uid=cao.yuxuan,", "E1059"


def members(company: Company, group: str = "core-algorithms-readers") -> str:
    """The group's entry as it stands in the directory's file."""
    entries = (company.folder / "directory.ldif").read_text("utf-8").split("\n\n")
    return next(entry for entry in entries if f"dn: cn={group}," in entry)


def test_a_leaver_is_out_although_the_policies_do_not_pass(rolled_out: Company) -> None:
    assert f"member: {LEAVER}" in members(rolled_out)
    rolled_out.write("policies/broken.yaml", BROKEN)
    rolled_out.run("people", "event", "--file", "events/01-hire.json")
    rolled_out.run("people", "event", "--file", "events/04-exit.json")

    done = rolled_out.run("apply", "--yes", status=1)

    assert "broken.yaml:2:" in done.err
    assert f"member: {LEAVER}" not in members(rolled_out)
    effects = json.loads(rolled_out.run("apply", "--yes", "--output", "json", status=1).out)
    assert effects["run"] is None
    assert {change["person"] for change in effects["plan"]["changes"]} == {NEWCOMER}


def test_mended_everything_else_follows(rolled_out: Company) -> None:
    rolled_out.write("policies/broken.yaml", BROKEN)
    rolled_out.run("people", "event", "--file", "events/04-exit.json")
    rolled_out.run("apply", "--yes", status=1)
    (rolled_out.folder / "policies" / "broken.yaml").unlink()

    rolled_out.run("plan", "--detailed-exitcode")
    rolled_out.run("ledger", "verify")


def test_without_a_run_on_record_nothing_is_done(informed_company: Company) -> None:
    informed_company.write("policies/broken.yaml", BROKEN)
    before = members(informed_company)

    done = informed_company.run("apply", "--yes", status=1)

    assert "departmnt" in done.err
    assert members(informed_company) == before
