"""The plan says what a second, separate reading of the same files says, permission for permission."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.cli.company import Company
from tests.story import independent

SHANGHAI = ZoneInfo("Asia/Shanghai")


def second_reading(company: Company, plan: Any) -> independent.Company:
    """The files as they are, on the day of the plan."""
    made = datetime.fromisoformat(plan["made_at"]).astimezone(SHANGHAI)
    return independent.Company(company.folder, made.date())


def directory(company: Company) -> independent.Entries:
    """The directory's file, read by itself."""
    return list(independent.ldif_entries((company.folder / "directory.ldif").read_text("utf-8")))


def actual(company: Company, reading: independent.Company) -> set[independent.Given]:
    """Who has what, by the files of the targets."""
    return reading.has(directory(company), (company.folder / "vault.csv").read_text("utf-8"))


def steps(plan: Any, op: str) -> set[independent.Given]:
    """What the plan's changes of one kind give or take."""
    return {
        (change["target"], permission, change["person"] or change["service_account"])
        for change in plan["changes"]
        if change["op"] == op
        for permission in change["permissions"]
    }


def test_plan_equals_the_second_reading(informed_company: Company) -> None:
    plan = informed_company.plan()
    reading = second_reading(informed_company, plan)
    now = actual(informed_company, reading)

    assert len(reading.people) == 58
    assert len(reading.desired) > 200
    assert (now - steps(plan, "revoke")) | steps(plan, "grant") == reading.should(directory(informed_company))
    assert not steps(plan, "grant") & now
    assert steps(plan, "revoke") <= now
    withheld = {(each["person"], each["permission"]) for each in plan["withheld"]}
    assert withheld == reading.withheld
    kinds = [finding["kind"] for finding in plan["findings"]]
    assert kinds.count("separation") == len(reading.conflicts)
    assert kinds.count("invariant") == len(reading.broken)
    assert {"E1009", "E1011", "E1024", "E1053"} <= {person for person, _ in withheld}


@pytest.mark.parametrize("days", [3, 8, 15, 38, 220])
def test_other_days_equal_the_second_reading(informed_company: Company, days: int) -> None:
    """Exceptions begin and end, proofs run out, newcomers start, contracts end: by time alone."""
    day = datetime.now(SHANGHAI).date() + timedelta(days)
    plan = informed_company.plan("--at", day.isoformat())
    reading = independent.Company(informed_company.folder, day)
    now = actual(informed_company, reading)

    assert (now - steps(plan, "revoke")) | steps(plan, "grant") == reading.should(directory(informed_company))
    assert {(each["person"], each["permission"]) for each in plan["withheld"]} == reading.withheld


def test_why_agrees_with_the_second_reading(informed_company: Company) -> None:
    reading = second_reading(informed_company, informed_company.plan())
    asked = [("E1009", "core-algorithms:read"), ("E1008", "core-algorithms:write"), ("E1053", "core-algorithms:read")]
    for person, permission in asked:
        answer = informed_company.run("why", person, permission, "--output", "json").json
        assert answer["allowed"] is ((person, permission) in reading.desired)
        assert bool(answer["reasons"]) is ((person, permission) in reading.considered)


def test_apply_leads_to_the_second_reading(rolled_out: Company) -> None:
    plan = rolled_out.plan("--detailed-exitcode")
    reading = second_reading(rolled_out, plan)

    assert actual(rolled_out, reading) == reading.should(directory(rolled_out))
    assert plan["changes"] == []


def test_the_machine_s_own_timezone_and_folder_change_nothing(informed_company: Company, tmp_path: Path) -> None:
    here = informed_company.plan()
    elsewhere = informed_company.copy(tmp_path / "elsewhere").having(TZ="America/Los_Angeles").plan()

    assert elsewhere["digest"] == here["digest"]
    assert elsewhere["changes"] == here["changes"]
