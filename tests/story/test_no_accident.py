"""The nights that make an IT department afraid: what is held waits for a word and ends with 3, the rest is done, and
whoever left is out in the same run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.company import Company
from tests.passes.company import HEAD, MODEL, Account

COUNT = 120
CORE = [n for n in range(COUNT) if n % 12 == 0]
"""Every twelfth works on the core."""
LEAVER = CORE[1]
WORKSPACE = """\
format: reconciler.workspace/1
organization: 星河科技
timezone: Asia/Shanghai
policies: policies
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  dir:
    type: ldif
    path: directory.ldif
    people: {base: "ou=people,dc=example,dc=com", match: {employeeNumber: id}}
    groups: {base: "ou=groups,dc=example,dc=com", kind: groupOfNames, placeholder: "cn=nobody,dc=example,dc=com"}
    foreign: revoke
  vault: {type: casbin, model: vault.conf, policy: vault.csv}
"""
POLICY = """\
attributes:
  department: {kind: tree}
evidence:
  nda: {kind: agreement, version: 1}
clearances:
  - public: {}
  - core: {requires: [nda]}
resources:
  wiki: {classification: public, access: {read: {dir: {group: wiki}}}}
  algorithms: {classification: core, access: {read: {dir: {group: algorithms}, vault: {role: core-reader}}}}
roles:
  staff: {match: {department: [rd, sales]}, grants: {read: [wiki]}}
  researcher: {match: {department: rd/core}, grants: {read: [algorithms]}}
"""


def number(n: int) -> str:
    return f"E{n:04}"


def uid(n: int) -> str:
    return f"u{n}"


def row(n: int, department: str = "", status: str = "active") -> str:
    return f"{number(n)},人员 {n},{department or ('rd/core' if n in CORE else 'rd')},2020-01-06,{status}"


def people_file(*rows: str) -> str:
    return "\n".join(["id,name,department,starts_on,status", *rows]) + "\n"


def directory(*, accounts: bool = True, **groups: list[int]) -> str:
    everybody = [Account(uid(n), number(n)) for n in range(COUNT + 1)] if accounts else []
    parts = [HEAD, *(account.entry() for account in everybody)]
    for name, members in groups.items():
        dns = [Account(uid(n)).dn for n in members] or ["cn=nobody,dc=example,dc=com"]
        lines = "".join(f"member: {dn}\n" for dn in dns)
        parts.append(f"dn: cn={name},ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: {name}\n{lines}")
    return "\n".join(parts)


def evidence_file(numbers: range) -> str:
    return "\n".join(["person,evidence,valid_from", *(f"{number(n)},nda,2020-01-06" for n in numbers)]) + "\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Everybody reads the wiki, the core the algorithms, and all of it is in place. Copied, never used itself."""
    company = Company(tmp_path_factory.mktemp("night") / "company")
    company.write("reconciler.yaml", WORKSPACE)
    company.write("policies/policy.yaml", POLICY)
    company.write("vault.conf", MODEL)
    company.write("vault.csv", "p, core-reader, algorithms, read\n")
    company.write("people.csv", people_file(*map(row, range(COUNT))))
    company.write("evidence.csv", evidence_file(range(COUNT + 1)))
    company.write("directory.ldif", directory(wiki=[], algorithms=[]))
    company.run("people", "import")
    company.run("evidence", "import", "evidence.csv", status=4)  # the newcomer is not known yet
    company.roll_out()
    return company


@pytest.fixture
def night(template: Company, tmp_path: Path) -> Company:
    """The same evening, each test's own; somebody of the core has left, and a newcomer begins."""
    company = template.copy(tmp_path)
    company.run("people", "event", "exited", number(LEAVER), "--at", "2026-01-05T10:00")
    company.run("people", "event", "hired", number(COUNT), "--at", "2026-01-05", "--set", "department=rd")
    return company


def members(company: Company, group: str) -> set[str]:
    entries = (company.folder / "directory.ldif").read_text("utf-8").split("\n\n")
    entry = next(entry for entry in entries if entry.startswith(f"dn: cn={group},"))
    found = (line.removeprefix("member: ").split(",")[0] for line in entry.splitlines() if line.startswith("member: "))
    return {name.removeprefix("uid=") for name in found} - {"cn=nobody"}


def readers(company: Company) -> set[str]:
    lines = (company.folder / "vault.csv").read_text("utf-8").splitlines()
    return {line.split(",")[1].strip() for line in lines if line.startswith("g,")}


EMPTIED = POLICY.replace("department: rd/core}", "department: rd/kernel}")
TOO_MUCH = POLICY.replace("department: rd/core}", "department: rd}")
LOOSENED = (
    "guards:\n"
    "  rules:  {revoke: {percent: 100, people: 100000}, grant: {percent: 100, people: 100000}}\n"
    "  people: {revoke: {percent: 100, people: 100000}, grant: {percent: 100, people: 100000}}\n"
)
POLICIES = {
    "a role that is emptied": EMPTIED,
    "a core permission for everyone": TOO_MUCH,
    "emptied, in a merge that loosens the guards": EMPTIED + LOOSENED,
    "too much, in a merge that loosens the guards": TOO_MUCH + LOOSENED,
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_bad_merge_is_held_and_the_rest_is_done(night: Company, policy: str) -> None:
    night.write("policies/policy.yaml", policy)

    done = night.run("apply", "--yes", status=3)

    stayed = {uid(n) for n in CORE if n != LEAVER}
    assert members(night, "algorithms") == stayed
    assert readers(night) == {number(n) for n in CORE if n != LEAVER}
    assert members(night, "wiki") == {uid(n) for n in range(COUNT + 1) if n != LEAVER}, "the newcomer is in"
    assert "reconciler approve" in done.out
    night.run("ledger", "verify")


def no_accounts(company: Company) -> None:
    """The search for accounts answers with nothing, and says that this is all."""
    every = list(range(COUNT))
    company.write("directory.ldif", directory(accounts=False, wiki=every, algorithms=CORE))


def no_members(company: Company) -> None:
    """The groups are there, and seem empty."""
    company.write("directory.ldif", directory(wiki=[], algorithms=[]))


@pytest.mark.parametrize("answer", [no_accounts, no_members])
def test_a1_an_empty_answer_of_the_directory_takes_nothing(night: Company, answer: Callable[[Company], None]) -> None:
    answer(night)
    before = members(night, "wiki"), members(night, "algorithms")

    told = night.run("apply", "--yes", "--output", "json", status=3).json

    after = members(night, "wiki"), members(night, "algorithms")
    assert [one <= two for one, two in zip(before, after, strict=True)] == [True, True], "nobody is taken out"
    assert readers(night) == {number(n) for n in CORE if n != LEAVER}
    assert told["held"] > 0


def test_ten_thousand_wrong_transfers_one_by_one_are_one_large_change(night: Company) -> None:
    """HR's system sends, event by event, everybody to sales, and back to nowhere, again and again."""
    events = [
        {
            "id": f"wrong-{turn}-{n}",
            "type": "transferred",
            "person": number(n),
            "effective_at": "2026-01-06",
            "data": {"department": "nowhere"},
        }
        for turn in range(10_000 // COUNT)
        for n in range(COUNT)
        if n != LEAVER
    ]
    night.write("wrong.jsonl", "\n".join(map(json.dumps, events)) + "\n")
    night.run("people", "event", "--file", "wrong.jsonl")

    night.run("apply", "--yes", status=3)

    assert members(night, "wiki") == {uid(n) for n in range(COUNT + 1) if n != LEAVER}
    assert members(night, "algorithms") == {uid(n) for n in CORE if n != LEAVER}


def test_a5_wrong_transfers_with_a_pass_for_each_are_one_large_change(night: Company) -> None:
    """A service would run one pass for each event: over a day they count together."""
    night.run("apply", "--yes")
    statuses = []
    for n in CORE[2:]:
        night.run("people", "event", "transferred", number(n), "--at", "2026-01-06", "--set", "department=nowhere")
        command = night.command("apply", "--yes", "--person", number(n), "--output", "json")
        statuses.append(_status(night, command))

    lost = {uid(n) for n in CORE if n != LEAVER} - members(night, "algorithms")
    assert 0 < len(lost) <= 2, f"beyond two of nine the slice is held: {statuses}"
    assert statuses[:2] == [0, 0]
    assert set(statuses[2:]) == {3}


def _status(company: Company, command: list[str]) -> int:
    import subprocess

    done = subprocess.run(
        command, cwd=company.folder, env=company.environment(), capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in done.stderr
    return done.returncode
