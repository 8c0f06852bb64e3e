"""Somebody else holds the store: a clear error, nothing half done, and the next run goes on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.facts.store import Store, StoreBusy
from tests.passes.company import Company, Faulty
from tests.passes.test_death import applied, leavers_and_newcomers

pytestmark = pytest.mark.usefixtures("either_store")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer usually waits for ten seconds."""
    monkeypatch.setitem(Store.open.__func__.__kwdefaults__, "busy_seconds", 0.05)  # type: ignore[attr-defined]


def locked(company: Company) -> ExitStack:
    """Another process, in the middle of writing."""
    other = ExitStack()
    other.enter_context(company.wiring(targets=()).store.writing())
    return other


def test_a_store_that_is_locked_from_the_start_lets_nothing_be_sent(tmp_path: Path) -> None:
    company = leavers_and_newcomers(tmp_path)
    steps = Faulty()
    with locked(company), pytest.raises(StoreBusy, match="in use by another process"):
        company.apply(faults={"dir": steps})
    assert steps.sent == []

    assert not company.apply().failed
    assert company.look().plan.changes == ()


@pytest.mark.parametrize("step", [1, 3, 6])
def test_one_that_is_locked_in_the_middle_stops_the_run_and_the_next_one_goes_on(tmp_path: Path, step: int) -> None:
    company = leavers_and_newcomers(tmp_path)
    before = applied(company)
    others: list[ExitStack] = []
    steps = Faulty()
    steps.during = lambda: others.append(locked(company)) if len(steps.sent) == step else None

    with pytest.raises(StoreBusy) as caught:
        company.apply(faults={"dir": steps})
    others[0].close()

    assert caught.value.exit_status == 1
    assert "run the same command again" in caught.value.remedy
    assert len(steps.sent) == step, "nothing is sent that is not on record before"
    done = company.apply()
    assert done.recovered == 1
    assert set((applied(company) - before).values()) == {1}
    assert company.look().plan.changes == ()
    company.wiring().ledger.verify()
