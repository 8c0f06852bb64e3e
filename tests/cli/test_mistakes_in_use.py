"""Commands that were typed wrongly, questions about what is not there, plans that are not what was shown."""

from __future__ import annotations

import json

import pytest

from reconciler.facts.store import Store
from reconciler.workspace import lease
from tests.cli.company import Company

USAGE = {
    "unknown-command": (["paln"], "plan"),
    "unknown-option": (["plan", "--tagret", "x"], "--target"),
    "unknown-form": (["plan", "--output", "xml"], "'json'"),
    "no-command": ([], "plan"),
    "no-sub-command": (["ledger"], "verify"),
    "missing-argument": (["why", "E1009"], "RESOURCE:ACTION"),
    "permission-without-colon": (["why", "E1009", "core-algorithms"], "handbook:read"),
    "day-that-is-none": (["plan", "--at", "someday"], "2026-12-01"),
    "approval-without-reason": (["approve", "sha256:" + "0" * 64], "--reason"),
    "unknown-event": (["people", "event", "hird", "E1", "--at", "2026-01-01"], "hired"),
    "plan-file-that-is-not-there": (["apply", "nowhere.json"], "nowhere.json"),
}


@pytest.mark.parametrize("mistake", USAGE)
def test_wrong_usage_ends_with_64(company: Company, mistake: str) -> None:
    arguments, hint = USAGE[mistake]

    told = company.run(*arguments, status=64)

    assert told.out == ""
    assert hint in told.err


UNKNOWN = {
    "person": (["why", "E9999", "handbook:read"], "E9999"),
    "resource": (["why", "E1009", "nothing:read"], "nothing"),
    "action": (["why", "E1009", "handbook:fly"], "read, write"),
    "person-of-a-plan": (["plan", "--person", "E9999"], "E9999"),
    "target-of-a-plan": (["plan", "--target", "nowhere"], "corp-ldap, vault"),
    "digest": (["approve", "sha256:" + "0" * 64, "--reason", "r"], "reconciler plan"),
    "short-digest": (["approve", "abc", "--reason", "r"], "12 digits"),
    "blank-reason": (["approve", "sha256:" + "0" * 64, "--reason", " "], "reason"),
    "file-that-is-no-plan": (["apply", "people.csv", "--yes"], "not a plan"),
}


@pytest.mark.parametrize("asked", UNKNOWN)
def test_what_is_not_there_is_named(informed_company: Company, asked: str) -> None:
    arguments, hint = UNKNOWN[asked]

    told = informed_company.run(*arguments, status=1)

    assert told.out == ""
    assert hint in told.err
    assert "→" in told.err


def test_nothing_can_be_planned_before_anybody_is_known(company: Company) -> None:
    before = (company.folder / "directory.ldif").read_bytes()

    for command in (["plan"], ["apply", "--yes"]):
        assert "people import" in company.run(*command, status=1).err
    assert (company.folder / "directory.ldif").read_bytes() == before


def test_a_plan_edited_by_hand_is_refused(informed_company: Company) -> None:
    plan = informed_company.plan("--out", "plan.json")
    before = (informed_company.folder / "directory.ldif").read_bytes()
    edited = [
        {**plan, "changes": plan["changes"][:5]},
        {**plan, "changes": [{**plan["changes"][0], "id": "0" * 32}, *plan["changes"][1:]]},
        {**plan, "digest": "sha256:" + "1" * 64},
        {**plan, "format": "reconciler.plan/2"},
    ]

    for version in edited:
        informed_company.write("edited.json", json.dumps(version))
        told = informed_company.run("apply", "edited.json", "--yes", status=1)
        assert "edited.json" in told.err
        assert "→" in told.err
    assert (informed_company.folder / "directory.ldif").read_bytes() == before


def test_f3_a_plan_is_carried_out_once_and_only_where_it_was_made(informed_company: Company) -> None:
    plan = informed_company.plan("--out", "plan.json")
    informed_company.run("approve", plan["digest"], "--reason", "roll-out")

    informed_company.run("apply", "plan.json", "--yes")
    after = (informed_company.folder / "directory.ldif").read_bytes()

    assert "already" in informed_company.run("apply", "plan.json", "--yes", status=1).err
    informed_company.edit("reconciler.yaml", "organization: 星河科技", "organization: 别家公司")
    told = informed_company.run("apply", "plan.json", "--yes", status=1)
    assert "星河科技" in told.err
    assert "别家公司" in told.err
    assert (informed_company.folder / "directory.ldif").read_bytes() == after


def test_a_plan_for_another_day_or_of_another_policy_is_for_reading(informed_company: Company) -> None:
    informed_company.plan("--out", "later.json", "--at", "2099-01-01")
    assert "for reading" in informed_company.run("apply", "later.json", "--yes", status=1).err

    informed_company.plan("--out", "old.json")
    informed_company.edit("policies/accounts.yaml", "ceiling: internal", "ceiling: confidential")
    assert "policy has changed" in informed_company.run("apply", "old.json", "--yes", status=1).err


def test_an_approval_covers_what_was_shown_and_each_once(informed_company: Company) -> None:
    """A slice is approved; the rest stays held, and what was approved is gone from the next plan."""
    plan = informed_company.plan()
    chosen = next(each["held"]["digest"] for each in plan["changes"] if each["held"])
    covered = {each["id"] for each in plan["changes"] if each["held"] and each["held"]["digest"] == chosen}

    informed_company.run("approve", chosen, "--reason", "seen")
    run = informed_company.run("apply", "--yes", "--output", "json", status=3).json

    free = {each["id"] for each in plan["changes"] if not each["held"]}
    assert sum(run["outcomes"].values()) == len(covered | free)
    left = informed_company.plan()
    assert {each["id"] for each in left["changes"]} == {each["id"] for each in plan["changes"]} - covered - free


def test_a_second_run_is_refused_and_a_leaver_does_not_wait_for_the_first(rolled_out: Company) -> None:
    rolled_out.run("people", "event", "exited", "E1036", "--at", "2026-01-05")
    rolled_out.run("people", "event", "resignation-submitted", "E1017", "--at", "2026-01-05")

    with lease(Store.open("sqlite:///state/reconciler.db", folder=rolled_out.folder, create=False)):
        told = rolled_out.run("apply", "--yes", status=1)
        assert "another run is in progress" in told.err
        assert "→ wait until it has finished" in told.err
        run = rolled_out.run("apply", "--person", "E1036", "--yes", "--output", "json").json
        assert {(each["op"], each["outcome"]) for each in run["done"]} >= {("revoke", "applied")}
        half = rolled_out.run("apply", "--person", "E1017", "--yes", status=1)
        assert "another run is in progress" in half.err
        assert "revoked" in half.out, "what was done is told although the rest has to wait"

    assert rolled_out.plan("--detailed-exitcode")["changes"] == []
