"""`ledger verify|anchor|export` on the command line."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.company import Company


def in_git(company: Company) -> Company:
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "policies"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgSign=false"]
        subprocess.run(["git", *identity, *command], cwd=company.folder.parent, check=True)
    return company


def truncate(company: Company, count: int = 1) -> None:
    """Somebody cuts the end off, and tidies up behind themselves."""
    with sqlite3.connect(company.store) as store:
        for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.execute(f"DROP TRIGGER {name}")
        (head,) = store.execute("SELECT max(seq) FROM ledger_entries").fetchone()
        for table in ("ledger_payloads", "ledger_entries"):
            store.execute(f"DELETE FROM {table} WHERE seq > ?", (head - count,))  # noqa: S608
        store.execute("UPDATE projections SET position = ?", (head - count,))
        store.execute("DELETE FROM subject_keys WHERE subject NOT IN (SELECT subject FROM ledger_entries)")


def test_a_record_that_is_cut_off_shows_once_a_checkpoint_is_anchored(informed_company: Company) -> None:
    company = in_git(informed_company)
    assert "nothing would show" in company.run("ledger", "verify").out
    told = company.run("ledger", "anchor", "--output", "json").json
    assert told["where"] == f"the tag reconciler/ledger/{told['seq']:09}"
    assert company.run("ledger", "anchor", "--output", "json").json["already"]
    assert company.run("ledger", "verify", "--output", "json").json["attested"] == told["seq"]

    truncate(company)

    said = company.run("ledger", "verify", status=1).err
    assert "its end was cut off" in said
    assert "reconciler/ledger/" in said
    assert "cut off" in company.run("ledger", "anchor", status=1).err, "what was rewritten is not attested anew"


def test_what_came_after_the_last_checkpoint_is_what_can_be_cut_off_unseen(informed_company: Company) -> None:
    company = in_git(informed_company)
    attested = company.run("ledger", "anchor", "--output", "json").json["seq"]
    company.run("people", "event", "leave-started", "E1012", "--at", "2026-01-05")

    truncate(company)

    assert f"Attested up to entry {attested} by 1 checkpoint" in company.run("ledger", "verify").out


def test_a_checkpoint_in_a_file(informed_company: Company, tmp_path: Path) -> None:
    company, file = informed_company, str(tmp_path / "kept.jsonl")
    assert "no git repository that has a commit" in company.run("ledger", "anchor", status=1).err
    company.run("ledger", "anchor", "--out", file)
    company.run("people", "event", "leave-started", "E1012", "--at", "2026-01-05")
    company.run("ledger", "anchor", "--out", file)
    assert "by 2 checkpoints" in company.run("ledger", "verify", "--checkpoint", file).out

    truncate(company)

    assert "its end was cut off" in company.run("ledger", "verify", "--checkpoint", file, status=1).err
    assert "cannot be read" in company.run("ledger", "verify", "--checkpoint", "nowhere", status=1).err


def test_a_checkpoint_by_another_key_is_told_apart(informed_company: Company, tmp_path: Path) -> None:
    company, file = informed_company, str(tmp_path / "kept.jsonl")
    company.run("ledger", "anchor", "--out", file)
    state = company.folder / "state"
    public = tmp_path / "old.pub"
    public.write_bytes((state / "checkpoint-key.pem.pub").read_bytes())
    (state / "checkpoint-key.pem").unlink()
    company.run("ledger", "anchor", "--out", str(tmp_path / "other.jsonl"))

    assert "a key that nobody here knows" in company.run("ledger", "verify", "--checkpoint", file, status=1).err
    company.run("ledger", "verify", "--checkpoint", file, "--key", str(public))


@pytest.mark.parametrize("arguments", [[], ["--from", "5", "--to", "9", "--without-keys"]])
def test_an_export_is_its_owners_alone(informed_company: Company, arguments: list[str]) -> None:
    company = informed_company
    company.run("ledger", "export", "ledger.jsonl", *arguments)

    file = company.folder / "ledger.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = company.run("ledger", "export", *arguments).out.splitlines()
    assert printed[1:] == file.read_text("utf-8").splitlines()[1:]
    assert ('"key"' in "".join(printed)) == (not arguments)
