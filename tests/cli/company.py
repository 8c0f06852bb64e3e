"""A throw-away copy of the example company, its dates moved to today, and the real command line run on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.cli import forked

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(sys.executable).with_name("reconciler")
LONG = 120.0
"""Seconds after which a command hangs; none takes a tenth of that."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command ended with and said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON: all of it, so that anything else printed there shows."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything that a person would see."""
        return self.out + self.err


@dataclass(frozen=True, slots=True)
class Company:
    """A workspace folder and how commands are run in it. `file` is the workspace file."""

    folder: Path
    file: str = "reconciler.yaml"
    extra: Mapping[str, str] = field(default_factory=dict)
    by_script: bool = False
    """Whether the installed script is started for each command: for what a process takes from its own start."""

    def run(self, *arguments: str, status: int = 0, stdin: str = "") -> Result:
        """Run a command to its end, whatever was expected of it; a traceback is never right."""
        if self.by_script:
            done = subprocess.run(
                self.command(*arguments),
                cwd=self.folder,
                env=self.environment(),
                input=stdin.encode(),
                capture_output=True,
                timeout=LONG,
                check=False,
            )
            ended, out, err = done.returncode, done.stdout, done.stderr
        else:
            ended, out, err = forked.run(arguments, self.folder, self.environment(), stdin.encode(), LONG)
        result = Result(ended, out.decode(), err.decode())
        assert "Traceback" not in result.said, result.said
        assert result.status == status, f"{arguments} ended with {result.status}\n{result.said}"
        return result

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command and leave it running; what it says goes nowhere."""
        quiet = subprocess.DEVNULL
        command = self.command(*arguments)
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), stdin=quiet, stdout=quiet, stderr=quiet
        )

    def command(self, *arguments: str) -> list[str]:
        """The console script, as it is installed."""
        return [str(PROGRAM), *arguments]

    def environment(self) -> dict[str, str]:
        """An environment with nothing of the developer's own in it."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "LANG": "C.UTF-8", "RECONCILER_WORKSPACE": self.file, **self.extra}

    def having(self, **variables: str) -> Company:
        """The same company with more in its environment."""
        return replace(self, extra={**self.extra, **variables})

    # --- what commands say ----------------------------------------------------------------------------------------

    def plan(self, *arguments: str, status: int = 0) -> Any:
        """The plan as JSON."""
        return self.run("plan", "--output", "json", *arguments, status=status).json

    def roll_out(self) -> Any:
        """Plan, approve the whole plan, apply; the run as JSON."""
        self.run("approve", self.plan()["digest"], "--reason", "first roll-out")
        return self.run("apply", "--yes", "--output", "json").json

    def entries(self) -> int:
        """How many entries the ledger has; it verifies."""
        verified = self.run("ledger", "verify", "--output", "json").json
        assert verified["ok"]
        return int(verified["entries"])

    # --- files ----------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Path:
        """The SQLite file of the ledger."""
        return self.folder / "state" / "reconciler.db"

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands in a file exactly once."""
        path = self.folder / name
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), "utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def copy(self, folder: Path) -> Company:
        """The same company somewhere else, policies and state included."""
        destination = folder / "company"
        shutil.copytree(self.folder.parent, destination)
        return replace(self, folder=destination / self.folder.name)


def redated(folder: Path) -> Company:
    """A fresh copy of the example as if it had been written today; nothing is imported yet."""
    command = [sys.executable, str(ROOT / "examples" / "redate.py"), str(folder / "company")]
    subprocess.run([*command, str(ROOT / "examples"), str(ROOT / "policies")], check=True)
    return Company(folder / "company" / "examples")


def informed(company: Company) -> Company:
    """The company with its people and evidence on record."""
    company.run("people", "import")
    company.run("evidence", "import", "evidence.csv")
    return company
