"""What people ask: why and why not, what would change it, everything of one, everybody of one, what lies ahead."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import casbin
import pytest

from tests.cli.company import Company

CORE = "core-algorithms:read"
CONTRACTOR, MANAGER = "E1051", "E1004"
TODAY = datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()


def withheld(company: Company, permission: str = CORE) -> list[str]:
    found = company.run("who", permission, "--output", "json").json["withheld"]
    return [one["subject"] for one in found]


def record(company: Company, person: str, needed: list[dict[str, Any]]) -> None:
    """Import the first proof of each of the needed facts, valid from today, in the version in force."""
    kinds = {"nda": 3, "ip-assignment": 1, "non-compete": 2}
    path = company.folder / f"proofs-{len(list(company.folder.glob('proofs-*')))}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["person", "evidence", "scope", "version", "valid_from"])
        for fact in needed:
            proof = fact["any_of"][0]
            version = kinds.get(proof["evidence"], 1)
            rows.writerow([person, proof["evidence"], proof["scope"] or "", version, TODAY])
    company.run("evidence", "import", str(path))


# --- why and can ----------------------------------------------------------------------------------------------------


def test_recording_just_what_why_names_makes_can_say_yes(informed_company: Company) -> None:
    company = informed_company
    tried = 0
    for person in withheld(company):
        found = company.run("why", person, CORE, "--output", "json").json
        assert not found["allowed"]
        assert found["needed"]
        if {fact["kind"] for fact in found["needed"]} != {"evidence"}:
            continue
        tried += 1
        missing = {denial["what"] for denial in found["denials"]}
        assert missing == {"|".join(proof["evidence"] for proof in fact["any_of"]) for fact in found["needed"]}
        *first, last = found["needed"]
        if first:
            record(company, person, first)
            assert company.run("can", person, CORE).out == "no\n"
        record(company, person, [last])
        assert company.run("can", person, CORE).out == "yes\n"
    assert tried >= 3


def test_a_no_that_proofs_cannot_change_says_what_it_takes(informed_company: Company) -> None:
    found = informed_company.run("why", "E1053", CORE, "--output", "json").json
    assert {fact["kind"] for fact in found["needed"]} > {"evidence"}
    nothing = informed_company.run("why", "E1042", CORE, "--output", "json").json
    assert not nothing["reasons"]
    assert nothing["ways"]
    assert all(way["lacking"] for way in nothing["ways"])
    assert any(fact["attribute"] for way in nothing["ways"] for fact in way["lacking"])
    assert "role algorithm-engineer would" in informed_company.run("why", "E1042", CORE).out


def test_a_yes_names_the_chain_the_evidence_with_dates_and_what_ends_it(informed_company: Company) -> None:
    (person, *_) = [one["subject"] for one in informed_company.run("who", CORE, "--output", "json").json["allowed"]]
    found = informed_company.run("why", person, CORE, "--output", "json").json
    assert found["allowed"]
    assert found["needed"] == []
    reason = found["reasons"][0]
    assert reason["roles"]
    assert "roles.yaml:" in reason["place"]
    assert reason["ledger_seq"]
    proofs = {one["evidence"]: one for one in found["evidence"]}
    assert {"nda", "rd-training"} <= proofs.keys()
    assert proofs["rd-training"]["until"]
    assert found["until"] == next(end["at"] for end in found["ends"] if end["decides"])
    assert found["policy"]["digest"].startswith("sha256:")
    assert "this ends the access" in informed_company.run("why", person, CORE).out


def test_can_answers_in_a_word_and_for_scripts_by_its_status(informed_company: Company) -> None:
    (person, *_) = withheld(informed_company)
    assert informed_company.run("can", person, CORE).out == "no\n"
    informed_company.run("can", person, CORE, "--detailed-exitcode", status=2)
    assert informed_company.run("can", person, "handbook:read", "--detailed-exitcode").out == "yes\n"
    assert informed_company.run("can", person, "handbook:read", "--at", "2001-01-01").out == "no\n"


@pytest.mark.parametrize("command", ["why", "can"])
def test_questions_about_what_is_not_there_suggest_what_is(informed_company: Company, command: str) -> None:
    assert "did you mean" in informed_company.run(command, "E1042", "core-algoritms:read", status=1).err
    assert "nobody is known" in informed_company.run(command, "水木清", CORE, status=1).err
    assert "RESOURCE:ACTION" in informed_company.run(command, "E1042", "core-algorithms", status=64).err
    assert "neither a day" in informed_company.run(command, "E1042", CORE, "--at", "tomorrow", status=64).err


# --- access and who -------------------------------------------------------------------------------------------------


def test_access_and_who_are_two_views_of_one_thing(informed_company: Company) -> None:
    holders = informed_company.run("who", CORE, "--output", "json").json
    for one in [*holders["allowed"][:3], *holders["withheld"][:3]]:
        found = informed_company.run("access", one["subject"], "--output", "json").json
        allowed = {each["permission"] for each in found["allowed"]}
        denied = {each["permission"] for each in found["withheld"]}
        assert (CORE in allowed, CORE in denied) == (one in holders["allowed"], one in holders["withheld"])
    plan = informed_company.plan()
    assert {one["person"] for one in plan["withheld"] if one["permission"] == CORE} == {
        one["subject"] for one in holders["withheld"]
    }


def test_access_of_a_service_account_and_of_nobody(informed_company: Company) -> None:
    assert "svc-backup" in informed_company.run("access", "svc-backup").out
    assert "nobody is known" in informed_company.run("access", "nobody", status=1).err


def test_who_shows_those_it_is_withheld_from_when_asked(informed_company: Company) -> None:
    short = informed_company.run("who", CORE).out
    whole = informed_company.run("who", CORE, "--withheld").out
    assert "--withheld" in short
    assert all(person in whole for person in withheld(informed_company))


# --- ahead ----------------------------------------------------------------------------------------------------------


def test_forecast_tells_what_time_takes_and_what_prevents_it(informed_company: Company) -> None:
    found = informed_company.run("forecast", "--days", "200", "--output", "json").json["foreseen"]
    losses = [one for one in found if one["direction"] == "loss" and one["kind"] == "evidence"]
    assert losses
    for one in losses[:2]:
        (permission, *_) = one["permissions"]
        assert one["prevents"]
        assert informed_company.run("can", one["subject"], permission, "--at", one["at"]).out == "no\n"
    assert found == sorted(found, key=lambda one: one["at"])
    (person, *_) = [one["subject"] for one in found]
    only = informed_company.run("forecast", "--days", "200", "--person", person, "--output", "json").json["foreseen"]
    assert {one["subject"] for one in only} == {person}


def test_simulating_a_step_says_what_it_does_when_it_is_done(informed_company: Company) -> None:
    company, entries = informed_company, informed_company.entries()
    step = ("E1010", "--set", "department=sales", "--set", "post=account-manager")
    told = company.run("simulate", "transfer", *step, "--output", "json").json
    assert company.entries() == entries
    before = {one["permission"] for one in company.run("access", "E1010", "--output", "json").json["allowed"]}
    company.run("people", "event", "transferred", "E1010", "--at", TODAY, *step[1:])
    after = {one["permission"] for one in company.run("access", "E1010", "--output", "json").json["allowed"]}
    assert {one["permission"] for one in told["gains"].get("E1010", [])} == after - before
    assert set(told["losses"].get("E1010", [])) == before - after
    assert before - after


def test_simulating_a_hire_shows_what_a_newcomer_still_lacks(informed_company: Company) -> None:
    post = ("--set", "department=rd/ai", "--set", "post=engineer", "--set", "grade=P6", "--set", "employment=employee")
    told = informed_company.run("simulate", "hire", "E2001", *post, "--evidence", "nda", "--output", "json").json
    assert "basic-docs:read" in told["allowed"]
    missing = {fact["text"] for one in told["withheld"] for fact in one["needed"]}
    assert any("rd-training" in text for text in missing)
    assert not any("nda" in text for text in missing)
    assert "would" not in informed_company.run("access", "E2001", status=1).out


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("exit", "E9999"), 1, "nobody is known"),
        (("transfer", "E1010"), 64, "--set KEY=VALUE"),
        (("transfer", "E1010", "--set", "departmnt=x"), 1, "did you mean `department`"),
        (("hire", "E1010", "--set", "department=rd"), 1, "known already"),
        (("hire", "E2001", "--evidence", "nd"), 64, "no such evidence"),
    ],
)
def test_what_cannot_be_supposed_is_refused_as_it_would_be(
    informed_company: Company, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    assert expected in informed_company.run("simulate", *arguments, status=status).err


# --- export ---------------------------------------------------------------------------------------------------------


def test_casbin_decides_alike_from_the_exported_files(informed_company: Company, tmp_path: Path) -> None:
    informed_company.run("export", "casbin", str(tmp_path / "出口"))
    enforcer = casbin.Enforcer(str(tmp_path / "出口" / "model.conf"), str(tmp_path / "出口" / "policy.csv"))
    everybody = {change["person"] for change in informed_company.plan()["changes"] if change["person"]}
    for permission in (CORE, "handbook:read"):
        resource, action = permission.split(":")
        holders = {
            one["subject"] for one in informed_company.run("who", permission, "--output", "json").json["allowed"]
        }
        assert {one for one in everybody if enforcer.enforce(one, resource, action)} == holders & everybody
    assert (tmp_path / "出口" / "policy.csv").stat().st_mode & 0o077 == 0


def test_questions_about_one_person_know_who_answers_for_them(informed_company: Company) -> None:
    """They read that person alone from the record, and whoever is named as the sponsor."""
    company = informed_company
    rule = "{of: {employment: contractor}, by: manager, must: {employment: employee}}"
    company.write("../policies/bounds.yaml", f"sponsors: [{rule}]\n")
    assert company.run("can", CONTRACTOR, "handbook:read").out == "yes\n"
    assert company.run("simulate", "exit", MANAGER, "--output", "json").json["losses"][CONTRACTOR]
    company.run("people", "event", "exited", MANAGER, "--at", "2026-01-31T18:00", "--confirmed")
    found = company.run("why", CONTRACTOR, "handbook:read", "--output", "json").json
    assert {denial["what"] for denial in found["denials"]} == {"sponsor"}
    assert not company.run("access", CONTRACTOR, "--output", "json").json["allowed"]
    everybody = company.run("who", "handbook:read", "--output", "json").json
    assert CONTRACTOR in {one["subject"] for one in everybody["withheld"]}


def test_simulating_an_exit_tells_whose_sponsor_it_was(informed_company: Company) -> None:
    """The starter policies let what a contractor has lapse two weeks after the sponsor has gone."""
    told = informed_company.run("simulate", "exit", MANAGER, "--days", "30", "--output", "json").json
    (lapse,) = [one for one in told["later"] if one["subject"] == CONTRACTOR]
    assert (lapse["kind"], lapse["direction"]) == ("sponsor", "loss")
    assert {one["subject"] for one in told["later"]} <= {CONTRACTOR, MANAGER}
