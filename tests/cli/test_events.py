"""What a run tells a log: JSON lines of stable names on standard error, without a secret or a name of anybody."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.company import Company
from tests.cli.test_output import on_a_terminal

LDAP = """
  far:
    type: ldap
    url: ldap://127.0.0.1:9
    tls: none
    bind: {dn: "cn=reconciler,dc=example,dc=com", password: "${env:LDAP_PASSWORD}"}
    people: {base: "ou=people,dc=example,dc=com", match: {employeeNumber: id}}
    groups: {base: "ou=groups,dc=example,dc=com", kind: groupOfNames}
"""
SECRET = "correct-horse-battery"


def events(said: str) -> list[dict[str, Any]]:
    """Every line is an event."""
    return [json.loads(line) for line in said.splitlines()]


def names(said: str) -> list[str]:
    return [event["event"] for event in events(said)]


def test_a_run_tells_what_it_does_in_json_lines_beside_its_result(informed_company: Company) -> None:
    informed_company.run("approve", informed_company.plan()["digest"], "--reason", "roll-out")
    told = informed_company.run("apply", "--yes", "--output", "json")

    found = events(told.err)
    assert [each["event"] for each in found if each["event"] != "batch-sent"] == [
        *["plan-made", "run-started", "run-finished"]
    ]
    (finished,) = (each for each in found if each["event"] == "run-finished")
    assert finished["run"] == told.json["run"]
    assert finished["outcomes"] == told.json["outcomes"]
    batches = [each for each in found if each["event"] == "batch-sent"]
    assert {each["target"] for each in batches} == {"corp-ldap", "vault"}
    assert sum(each["count"] for each in batches) == finished["outcomes"]["applied"]
    assert all(each["at"].endswith("Z") and each["level"] == "info" for each in found)
    assert all(each["seconds"] >= 0 for each in batches)


def test_no_secret_and_nobodys_name_stands_in_it(informed_company: Company) -> None:
    text = (informed_company.folder / "reconciler.yaml").read_text("utf-8")
    informed_company.write("reconciler.yaml", text.replace("targets:\n", f"targets:{LDAP}", 1))
    company = informed_company.having(LDAP_PASSWORD=SECRET)

    company.edit(
        "../policies/resources.yaml", "{group: handbook-readers}}", "{group: handbook-readers}, far: {group: x}}"
    )
    told = company.run("apply", "--yes", "-v", status=4)

    assert ("far", "target-unreadable") in {(each.get("target"), each["event"]) for each in events(told.err)}
    assert SECRET not in told.said
    for name in ("吴俊杰", "王", "Müller", "@example.com"):
        assert name not in told.err


def test_a_question_tells_a_log_nothing(informed_company: Company) -> None:
    for question in (["plan", "-v"], ["why", "E1009", "core-algorithms:read"], ["access", "E1009"], ["doctor"]):
        assert informed_company.run(*question).err == ""


def test_on_a_terminal_people_see_progress_and_no_json(informed_company: Company) -> None:
    quiet = on_a_terminal(informed_company, "apply", "--yes")
    assert "run-started" not in quiet
    assert "⠋" in quiet

    verbose = on_a_terminal(informed_company, "apply", "--yes", "-v")
    assert "plan-made" in verbose
    assert '{"' not in verbose
