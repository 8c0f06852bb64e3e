"""Seeds in which every promise has to hold; and what the simulation itself promises: that it can fail, and repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.targets import Op
from tests.simulation.__main__ import CHUNK, main, play_all
from tests.simulation.mutants import MUTANTS
from tests.simulation.promises import Judge
from tests.simulation.story import Told, play, prepare
from tests.simulation.system import Written

CHUNKS = 2
"""So many chunks of seeds belong to the suite; `make simulate` takes as many as one likes."""

CAUGHT_BY = {
    "no-recovery": 50,
    "no-recheck": 1,
    "no-clock-in-the-recheck": 8,
    "no-fencing": 3,
    "no-window": 4,
    "incomplete-reads-prove-something": 15,
    "no-limits": 4,
    "nobody-is-protected": 12,
    "no-leavers-lane": 8,
}
"""Mutant → a seed that caught it when this was written: where to begin to look."""
WITHIN = 200
"""So many seeds are tried before a mutant counts as not caught."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_promise_holds(chunk: int) -> None:
    counts: Counter[str] = Counter()
    for told in play_all(range(1 + chunk * CHUNK, 1 + (chunk + 1) * CHUNK)):
        assert told.broken == "", f"python -m tests.simulation --seed {told.seed} --verbose"
        counts += told.counts
    for name in ("crashes", "passes", "events from HR", "changes by hand", "clock steps", "two at once"):
        assert counts[name] > 0, f"no {name} in a chunk: the simulation is too kind"
    assert sum(count for name, count in counts.items() if name.startswith("fault: ")) >= CHUNK // 2


TAKEN = Written(0, datetime(2026, 11, 29, tzinfo=UTC), "p1", Op.REVOKE, "E3", "e3", "core")
DENIED = {("r1", "vault", "revoke", "E3")}


@pytest.mark.parametrize(
    ("later", "denied", "nobodys"),
    [
        ([replace(TAKEN, number=1, who="hands", op=Op.GRANT)], DENIED, True),
        ([replace(TAKEN, number=1, who="hands", op=Op.GRANT)], set(), False),
        ([replace(TAKEN, number=1, who="p1", op=Op.GRANT)], DENIED, False),
        ([replace(TAKEN, number=1, who="hands", key="E4")], DENIED, False),
        ([], DENIED, False),
    ],
    ids=["by hand", "never denied", "by a run", "somebody else", "not at all"],
)
def test_only_what_was_undone_by_hand_before_anybody_looked_is_nobodys_to_record(
    later: list[Written], denied: set[tuple[str, ...]], nobodys: bool
) -> None:
    """A run took E3's access, got no answer and died; somebody gave it back, and so reading showed it was not taken."""
    judge: Any = object.__new__(Judge)
    judge.world = SimpleNamespace(processes={"p1": SimpleNamespace(run="r1")})
    vault: Any = SimpleNamespace(name="vault", log=[TAKEN, *later])

    assert judge._undone_before_anybody_looked(vault, TAKEN, denied) is nobodys


@pytest.mark.parametrize("mutant", sorted(CAUGHT_BY))
def test_a_product_without_one_of_its_safeties_is_caught(mutant: str) -> None:
    assert any(is_caught(mutant, seed) for seed in (CAUGHT_BY[mutant], *range(1, WITHIN)))


def is_caught(mutant: str, seed: int) -> bool:
    prepare(seed)  # what is kept for other seeds is made by the whole product
    with MUTANTS[mutant]():
        return bool(play(seed).broken)


def test_a_seed_repeats_exactly() -> None:
    first, other, again = play(9), play(10), play(9)
    assert first.lines == again.lines
    assert first.digest == again.digest != other.digest


def test_a_seed_repeats_exactly_in_another_process_with_other_hashes() -> None:
    def played(hashes: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        command = [sys.executable, "-m", "tests.simulation", "--seed", "9"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert played("1") == played("2")
    assert play(9).digest in played("3")


def test_a_broken_promise_says_which_and_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(77, "d", Counter(), [f"step {n}" for n in range(99)], "promise 2: E1 is out, and still in")
    monkeypatch.setattr("tests.simulation.__main__.play", lambda _: told)

    assert main(["--seed", "77"]) == 1

    said = capsys.readouterr().err
    assert said.startswith("seed 77: promise 2: E1 is out, and still in\n")
    assert "step 98" in said
    assert "step 58\n" not in said
    assert "again: python -m tests.simulation --seed 77 --verbose" in said
