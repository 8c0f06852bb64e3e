"""An export is checked by a script that shares no code with us, and no alteration gets past it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.company import ROOT, Company
from tests.cli.fixtures import company, fresh_template, informed_company, informed_template

__all__ = ["company", "fresh_template", "informed_company", "informed_template"]


def check(file: Path) -> tuple[int, str]:
    script = [sys.executable, "-I", str(ROOT / "examples" / "verify_ledger.py"), str(file)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def exported(informed_template: Company, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """The lines of an export with a checkpoint, and what our own verification says."""
    informed = informed_template.copy(tmp_path_factory.mktemp("exported"))
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "policies"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgSign=false"]
        subprocess.run(["git", *identity, *command], cwd=informed.folder.parent, check=True)
    informed.run("ledger", "anchor")
    informed.run("ledger", "export", "ledger.jsonl")
    said = informed.run("ledger", "verify").out.splitlines()[0]
    return (informed.folder / "ledger.jsonl").read_text("utf-8").splitlines(), said.removeprefix(
        "The ledger verifies: "
    )


def altered(lines: list[str], change: Callable[[list[dict[str, object]]], None]) -> str:
    documents = [json.loads(line) for line in lines]
    change(documents)
    return "\n".join(json.dumps(each, ensure_ascii=False) for each in documents) + "\n"


def entry(documents: list[dict[str, object]], number: int) -> dict[str, object]:
    return next(each for each in documents if "entry" in each and each["entry"]["seq"] == number)  # type: ignore[index]


def test_what_was_exported_checks_without_us(exported: tuple[list[str], str], tmp_path: Path) -> None:
    lines, said = exported
    (tmp_path / "l.jsonl").write_text("\n".join(lines) + "\n", "utf-8")

    assert check(tmp_path / "l.jsonl") == (0, said)


CHANGES: dict[str, Callable[[list[dict[str, object]]], None]] = {
    "a payload": lambda told: entry(told, 70).update(payload=str(entry(told, 70)["payload"]) + " "),
    "a payload gone": lambda told: entry(told, 70).update(payload=None),
    "a header": lambda told: entry(told, 70)["entry"].update(actor="nobody"),  # type: ignore[attr-defined]
    "an entry gone": lambda told: told.remove(entry(told, 70)),
    "the end": lambda told: told.__delitem__(slice(-20, None)),
    "a checkpoint": lambda told: told[-2]["checkpoint"].update(made_at="2020"),  # type: ignore[attr-defined]
    "what a checkpoint attests": lambda told: told[-2]["checkpoint"].update(digest="00" * 32),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_alteration_gets_past_it(
    exported: tuple[list[str], str], tmp_path: Path, change: Callable[[list[dict[str, object]]], None]
) -> None:
    (tmp_path / "l.jsonl").write_text(altered(exported[0], change), "utf-8")

    status, words = check(tmp_path / "l.jsonl")
    assert status == 1
    assert words
