"""`reconciler impact` as a reviewer runs it: policies out of git, a large company out of SQLite, the answer as JSON.

Beside it, in the same run: the two evaluations that it cannot do without.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from reconciler.access import evaluate
from reconciler.cli.main import group
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.policy import load_policy
from tests.bench import crowd_store
from tests.bench.company import NOW, SecretCompany
from tests.bench.measuring import Measurement

SECRET = SecretCompany(people=100_000, departments=500, projects=1_000)
CHANGES: Mapping[str, tuple[str, str]] = {
    "one grade bound": ("department: d/7, grade: {min: P6}", "department: d/7, grade: {min: P5}"),
    "every grade bound": (", grade: {min: P6}, employment", ", grade: {min: P5}, employment"),
    "how long a proof is valid": ("training, valid_for: 1y, grace: 14d", "training, valid_for: 1mo"),
}
WORKSPACE = """format: reconciler.workspace/1
organization: bench
timezone: Asia/Shanghai
policies: policies
targets:
  ldap:
    type: ldif
    path: none.ldif
    people: {base: "dc=x", match: {uid: id}}
    groups: {base: "dc=x", kind: groupOfNames}
"""
REFERENCE = "reading people, and the two evaluations"


def room(change: str) -> Callable[[], Iterator[Measurement]]:
    """One change of the policy, weighed on everybody."""

    def measured() -> Iterator[Measurement]:
        old, new = CHANGES[change]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            base = SECRET.text()
            assert old in base
            _prepare(folder, base, base.replace(old, new))
            yield (
                f"impact of {change}",
                SECRET.size,
                lambda: _impact(folder),
                REFERENCE,
                lambda: _evaluations(folder, base),
            )

    return measured


PARTS: Mapping[str, Callable[[], Iterator[Measurement]]] = {
    change.replace(" ", "-"): room(change) for change in CHANGES
}


def _prepare(folder: Path, base: str, head: str) -> None:
    facts = Facts(Store.open("sqlite:///state/reconciler.db", folder=folder), "Asia/Shanghai")
    numbers = range(SECRET.people)
    people = map(SECRET.person, numbers)
    crowd_store.fill_with(facts.store, people, (each for n in numbers for each in SECRET.evidence(n)))
    (folder / "reconciler.yaml").write_text(WORKSPACE)
    (folder / ".gitignore").write_text("state/\n")
    (folder / "policies").mkdir()
    _git(folder, "init", "-q", "-b", "main")
    for text in (base, head):
        (folder / "policies" / "policy.yaml").write_text(text)
        _git(folder, "add", "-A")
        _git(folder, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", "bench")


def _git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, env=environment)


def _impact(folder: Path) -> None:
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        group.main(["impact", "HEAD~1..HEAD", "--at", NOW.isoformat(), "--output", "json"], standalone_mode=False)


def _evaluations(folder: Path, base: str) -> None:
    population = Facts(Store.open("sqlite:///state/reconciler.db", folder=folder), "Asia/Shanghai").population()
    policy = load_policy({"policy.yaml": base.encode()}, revision="bench")
    evaluate(policy, population, NOW)
    evaluate(policy, population, NOW)
