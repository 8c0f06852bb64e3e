"""`ledger rebuild|erase|retention` on the example company."""

from __future__ import annotations

import sqlite3

from tests.cli.company import Company

LEAVER = "E1055"


def leaves(company: Company, person: str, day: str = "2026-01-05") -> None:
    company.run("people", "event", "exited", person, "--at", day)
    company.run("apply", "--person", person, "--yes")


def test_rebuilding_changes_no_answer(rolled_out: Company) -> None:
    company = rolled_out
    before = company.run("who", "core-algorithms:read", "--output", "json").json["allowed"]

    told = company.run("ledger", "rebuild", "--output", "json").json

    assert told["entries"] == company.entries()
    assert company.run("who", "core-algorithms:read", "--output", "json").json["allowed"] == before
    assert company.plan("--detailed-exitcode")["changes"] == []


def test_a_record_that_does_not_verify_is_not_rebuilt(rolled_out: Company) -> None:
    company = rolled_out
    with sqlite3.connect(company.store) as connection:
        connection.execute("DROP TRIGGER ledger_payloads_no_update")
        connection.execute("UPDATE ledger_payloads SET payload = payload || ' ' WHERE seq = 70")

    assert "ledger entry 70" in company.run("ledger", "rebuild", status=1).err


def test_erasing_somebody(rolled_out: Company) -> None:
    company = rolled_out
    assert "works here" in company.run("ledger", "erase", "E1057", "--reason", "LEGAL-1", status=1).err
    company.run("people", "event", "exited", "E1009", "--at", "2026-01-05")
    assert "still holds" in company.run("ledger", "erase", "E1009", "--reason", "LEGAL-1", status=1).err
    company.run("apply", "--yes")

    told = company.run("ledger", "erase", "E1009", "--reason", "LEGAL-1", "--output", "json").json

    assert told["person"] == "E1009"
    company.run("ledger", "verify")
    assert "吴俊杰".encode() not in company.store.read_bytes()
    assert company.run("can", "E1009", "handbook:read").out == "no\n"
    said = company.run("people", "import").out
    assert "erased-person: E1009" in said
    assert company.plan("--detailed-exitcode")["changes"] == []
    assert company.run("access", "E1009", "--as-known-at", "entry:100").status == 0


def test_retention_erases_who_has_been_gone_for_long_enough(rolled_out: Company) -> None:
    company = rolled_out
    assert "does not say how long" in company.run("ledger", "retention", status=1).err
    company.edit("reconciler.yaml", "sources:\n", "retention: {after_exit: 10y}\nsources:\n")
    leaves(company, "E1009", "2015-01-05")
    leaves(company, "E1012")

    due = company.run("ledger", "retention", "--output", "json").json
    assert [one["person"] for one in due] == ["E1009"]
    assert "1 erased, 0 not" in company.run("ledger", "retention", "--apply").out
    assert company.run("ledger", "retention").out == "0 due.\n"
    company.edit("reconciler.yaml", "after_exit: 10y", "after_exit: soon")
    assert "`soon` is not a period" in company.run("ledger", "retention", status=1).err
