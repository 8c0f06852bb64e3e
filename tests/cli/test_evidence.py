"""`evidence add|revoke|list|import`, and ending a lockout, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.company import Company

CORE = "core-algorithms:read"
PERSON = "E1009"  # whose training for R&D has run out, and nothing else


def test_a_proof_by_hand_opens_what_it_is_asked_for(informed_company: Company, tmp_path: Path) -> None:
    company = informed_company
    (tmp_path / "certificate.pdf").write_bytes(b"%PDF signed")
    assert company.run("can", PERSON, CORE).out == "no\n"
    order = ("evidence", "add", PERSON, "rd-training", "--from", "2026-11-20", "--course", "RD-101", "--score", "92")
    with_document = (*order, "--document", str(tmp_path / "certificate.pdf"), "--reference", "LMS-7")

    told = company.run(*with_document, "--output", "json").json

    assert company.run("can", PERSON, CORE).out == "yes\n"
    assert "known already" in company.run(*with_document).out
    listed = company.run("evidence", "list", PERSON, "--output", "json").json
    assert [each["reference"] for each in listed if each["ledger_seq"] == told["ledger_seq"]] == ["LMS-7"]
    assert "LMS-7" in company.run("evidence", "list", PERSON).out
    exported = company.run("ledger", "export", "--from", str(told["ledger_seq"])).out.splitlines()
    payload = next(json.loads(line)["payload"] for line in exported if '"entry"' in line)
    data = json.loads(payload)["data"]
    assert data["document"].startswith("sha256:")
    assert (data["course"], data["score"]) == ("RD-101", "92")
    assert "%PDF" not in payload


def test_a_proof_that_is_taken_back_closes_it_again(informed_company: Company) -> None:
    company = informed_company
    company.run("evidence", "add", PERSON, "rd-training", "--from", "2026-11-20", "--reference", "LMS-7")

    told = company.run("evidence", "revoke", PERSON, "LMS-7", "--reason", "LEGAL-1", "--output", "json").json

    assert told["kind"] == "rd-training"
    assert company.run("can", PERSON, CORE).out == "no\n"
    assert "REVOKED" in company.run("evidence", "list", PERSON).out
    assert "has several proofs `rd-training`" not in company.run("evidence", "list", PERSON).out


@pytest.mark.parametrize(
    ("until", "told"),
    [
        ("2027-03-31", "until 2027-03-31 "),
        ("2027-03-31 10:00", "until 2027-03-31 10:00 "),
        ("2027-03-31T10:00:00+00:00", "until 2027-03-31 18:00 "),
    ],
)
def test_it_is_said_with_which_day_a_proof_ends_or_at_which_hour(
    informed_company: Company, until: str, told: str
) -> None:
    informed_company.run("evidence", "add", PERSON, "rd-training", "--from", "2026-11-20", "--until", until)

    (line,) = [each for each in informed_company.run("evidence", "list", PERSON).out.splitlines() if " until " in each]
    assert told in line


def test_an_event_says_of_evidence_that_no_policy_asks_for_it(informed_company: Company) -> None:
    said = ("--set", "kind=ndaa", "--set", "valid_from=2026-11-20")

    told = informed_company.run("people", "event", "evidence-recorded", PERSON, "--at", "2026-11-20", *said)

    assert "did you mean `nda`?" in told.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("add", "E9999", "nda", "--from", "2026-11-20"), "nobody is known"),
        (("add", PERSON, "ndaa", "--from", "2026-11-20"), "did you mean `nda`?"),
        (("add", PERSON, "nda", "--from", "20.11.2026"), "year first"),
        (("add", PERSON, "nda", "--from", "2026-11-20", "--version", "x"), "whole number"),
        (("add", PERSON, "nda", "--from", "2026-11-20", "--document", "nowhere.pdf"), "cannot be read"),
        (("add", PERSON, "nda", "--from", "2026-11-20", "--document", "sha256:12"), "64 hexadecimal digits"),
        (("revoke", PERSON, "nothing", "--reason", "x"), "has no proof `nothing`"),
        (("revoke", "E9999", "nda", "--reason", "x"), "nobody is known"),
    ],
)
def test_mistakes_are_told(informed_company: Company, arguments: tuple[str, ...], expected: str) -> None:
    before = informed_company.entries()

    assert expected in informed_company.run("evidence", *arguments, status=1).err
    assert informed_company.entries() == before


def test_proofs_as_json_lines(informed_company: Company) -> None:
    company = informed_company
    lines = [
        {"person": PERSON, "evidence": "rd-training", "valid_from": "2026-11-20", "course": "RD-101", "score": 92},
        {"person": "E9999", "evidence": "nda", "valid_from": "2026-11-20"},
        {"person": PERSON, "evidence": "nda", "valid_from": "2026-11-20", "version": 3},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    company.write("proofs.jsonl", text + '\nno JSON\n["a list"]\n{"person": "E10')

    told = company.run("evidence", "import", "proofs.jsonl", "--output", "json", status=4).json

    assert told["recorded"] == 2
    assert sorted(problem["line"] for problem in told["quarantined"]) == [2, 4, 5, 6]
    assert company.run("can", PERSON, CORE).out == "yes\n"


# --- ending a lockout -------------------------------------------------------------------------------------------------


def test_a_lockout_ends_when_somebody_confirms_it(rolled_out: Company) -> None:
    company = rolled_out
    company.run("revoke", "E1036", "--reason", "SEC-1")
    ending = ("people", "event", "unlocked", "E1036", "--at", "now")

    assert "nobody has confirmed" in company.run(*ending, status=1).out
    assert (
        "lockout begins after that moment"
        in company.run("people", "event", "unlocked", "E1036", "--at", "2026-01-05", "--confirmed").out
    )
    assert company.run("can", "E1036", "handbook:read").out == "no\n"
    company.run(*ending, "--confirmed")
    assert company.run("can", "E1036", "handbook:read").out == "yes\n"


def test_ending_a_lockout_takes_who_may_approve_and_with_four_eyes_somebody_else(rolled_out: Company) -> None:
    company = rolled_out
    company.run("revoke", "E1036", "--reason", "SEC-1")
    company.edit("reconciler.yaml", "sources:\n", "four_eyes: true\nsources:\n")
    ending = ("people", "event", "unlocked", "E1036", "--at", "now", "--confirmed")

    assert "four eyes" in company.run(*ending, status=1).err
    first = next(line for line in company.run("ledger", "export").out.splitlines() if '"entry"' in line)
    actor = json.loads(first)["entry"]["actor"]
    company.edit("reconciler.yaml", "four_eyes: true\n", "operators: operators.csv\n")
    company.write("operators.csv", f"p, {actor}, record, *\n")
    assert "may not `approve`" in company.run(*ending, status=1).err
    company.write("operators.csv", f"p, {actor}, record, *\np, {actor}, approve, *\np, {actor}, read, *\n")
    company.run(*ending)


def test_whoever_may_not_record_records_nothing(informed_company: Company) -> None:
    company = informed_company
    company.edit("reconciler.yaml", "sources:\n", "operators: operators.csv\nsources:\n")
    company.write("operators.csv", "p, somebody-else, record, *\n")

    for command in (
        ("people", "import"),
        ("people", "event", "exited", "E1012", "--at", "2026-01-05"),
        ("evidence", "import", "evidence.csv"),
        ("evidence", "add", PERSON, "nda", "--from", "2026-11-20"),
        ("evidence", "revoke", PERSON, "nda", "--reason", "x"),
    ):
        assert "may not `record`" in company.run(*command, status=1).err
