"""Two reconcilers on one store: only the one that came last acts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.apply.leases import EVERYTHING, RunSuperseded, take
from reconciler.passes import Look, Wiring
from tests.passes.company import Account, Company, Faulty, settled_company
from tests.passes.test_death import applied, leavers_and_newcomers

pytestmark = pytest.mark.usefixtures("either_store")


def taken_over(company: Company) -> None:
    """Another reconciler takes the lease, as one does whose lock was lost by the first."""
    wiring = company.wiring(targets=())
    take(wiring.store, EVERYTHING, "another", wiring.clock())


def test_a_reconciler_that_slept_while_it_was_reading_does_nothing(tmp_path: Path) -> None:
    company = leavers_and_newcomers(tmp_path)
    before, steps = company.wiring().ledger.head(), Faulty()

    def confirmed(_: Look) -> bool:
        taken_over(company)
        return True

    with pytest.raises(RunSuperseded):
        company.apply(faults={"dir": steps}, confirm=confirmed)

    assert steps.sent == []
    assert company.wiring().ledger.head() == before, "nothing is on record from it"


def asleep_when(company: Company, event: Callable[[int], bool]) -> Faulty:
    """A target during whose steps somebody else takes over."""
    faulty = Faulty()
    faulty.during = lambda: taken_over(company) if event(len(faulty.sent)) else None
    return faulty


def test_one_that_slept_in_the_middle_sends_nothing_more_and_the_next_records_what_became(tmp_path: Path) -> None:
    company = leavers_and_newcomers(tmp_path)
    before = applied(company)
    steps = asleep_when(company, lambda sent: sent == 2)

    with pytest.raises(RunSuperseded):
        company.apply(faults={"dir": steps})
    assert len(steps.sent) == 2

    done = company.apply()
    assert done.recovered == 1
    assert set((applied(company) - before).values()) == {1}
    assert company.look().plan.changes == ()
    company.wiring().ledger.verify()


def test_between_intent_and_sending_the_lease_is_looked_at_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = leavers_and_newcomers(tmp_path)
    steps, record = Faulty(), Wiring.record

    def slept(wiring: Wiring, entries: object) -> object:
        recorded = record(wiring, entries)  # type: ignore[arg-type]
        if recorded[0].kind == "intended":
            taken_over(company)
        return recorded

    with monkeypatch.context() as patch:
        patch.setattr(Wiring, "record", slept)
        with pytest.raises(RunSuperseded):
            company.apply(faults={"dir": steps})
    assert steps.sent == []


def test_a_policy_that_another_run_was_made_under_meanwhile_counts(tmp_path: Path) -> None:
    """What the newer policy would not give is not given, whatever the plan of the older one says."""
    company, accounts = settled_company(tmp_path, 3)
    company.hire("E4", "E5")
    company.directory([*accounts, Account("u4", "E4"), Account("u5", "E5")], {"docs": accounts, "algorithms": []})
    old = company.wiring()
    other = {"made": False}

    def newer() -> None:
        if not other["made"]:
            other["made"] = True
            company.add_policy('lockouts: [{person: "E5", ref: SEC-1, since: 2026-11-01}]\n')
            record_run(company)

    steps = Faulty(during=newer)
    done = company.apply(faults={"dir": steps})

    assert old.policy.digest != company.wiring().policy.digest
    outcomes = {each.change.person: each.outcome.kind.value for each in done.report.done} if done.report else {}
    assert outcomes == {"E4": "applied", "E5": "stale"}
    assert company.members("docs") == {"u1", "u2", "u3", "u4"}


def record_run(company: Company) -> None:
    """A run under the policy of now, on record and with nothing to do."""
    from reconciler.apply.telling import Told, started
    from reconciler.passes.memory import policy_entry

    wiring = company.wiring(targets=())
    told = Told("other", "sha256:0", "", wiring.policy.digest, "another")
    wiring.record([*policy_entry(wiring), started(0, told)])


def test_a_policy_that_is_only_edited_meanwhile_does_not(tmp_path: Path) -> None:
    """What stands on the disk while somebody edits is nobody's decision yet."""
    company, accounts = settled_company(tmp_path, 3)
    company.hire("E4")
    company.directory([*accounts, Account("u4", "E4")], {"docs": accounts, "algorithms": []})
    steps = Faulty(during=lambda: company.add_policy("this is: [no policy"))

    assert not company.apply(faults={"dir": steps}).failed
    assert "u4" in company.members("docs")
