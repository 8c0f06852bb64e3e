"""A run may die at any instant: nothing is lost, nothing happens twice, and the record says what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from reconciler.apply.outcomes import outcomes
from reconciler.apply.tables import OPEN, approvals, baselines, intents, runs
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.passes import Look, Wiring
from reconciler.passes.one_person import let_out
from tests.passes.company import POLICY, Account, Company, Died, Faulty, settled_company

JOURNAL = (
    *("account_links", "approvals", "runs", "batches", "open_batches", "intents", "batch_outcomes", "effects"),
    *("baselines", "policies"),
)


def leavers_and_newcomers(folder: Path) -> Company:
    """Two leave and two come: nine steps on the directory."""
    company, accounts = settled_company(folder, 6)
    company.tell_all([("exited", "E1", "2026-11-20", {}), ("exited", "E2", "2026-11-20", {})])
    company.hire("E7", "E8")
    everybody = [*accounts, Account("u7", "E7"), Account("u8", "E8")]
    company.directory(everybody, {"docs": accounts, "algorithms": []})
    return company


def journal(company: Company) -> dict[str, list[tuple[Any, ...]]]:
    with company.wiring(targets=()).store.reading() as connection:
        return {
            name: sorted(tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}"))  # noqa: S608
            for name in JOURNAL
        }


def rebuild(company: Company) -> None:
    wiring = company.wiring(targets=())
    with wiring.store.writing() as connection:
        wiring.ledger.rebuild(connection)


def applied(company: Company) -> Counter[tuple[str, str, str]]:
    """How often the record says that each effect happened."""
    with company.wiring(targets=()).store.reading() as connection:
        rows = connection.execute(outcomes(["op", "subject", "entitlement_key"], lambda c: (c.outcome == "applied",)))
        return Counter((row.op, row.subject, row.entitlement_key) for row in rows)


@pytest.mark.parametrize("late", [False, True], ids=["before-it-was-done", "after-it-was-done"])
@pytest.mark.parametrize("step", [0, 1, 3, 5])
def test_a_run_that_dies_is_taken_up(tmp_path: Path, step: int, late: bool) -> None:
    company = leavers_and_newcomers(tmp_path)
    before = applied(company)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=step, late=late)})

    steps = Faulty()
    done = company.apply(faults={"dir": steps})

    assert done.recovered == 1
    assert len(steps.sent) == 6 - step - late, "what had been done is not done again"
    assert company.members("docs") == {"u3", "u4", "u5", "u6", "u7", "u8"}
    assert set((applied(company) - before).values()) == {1}
    assert len(applied(company) - before) == 6
    assert company.look().plan.changes == ()
    assert company.wiring().ledger.verify().entries == company.wiring().ledger.head()
    rows = journal(company)
    rebuild(company)
    assert journal(company) == rows


class Recorder:
    """Counts what is recorded, and dies before or after one of them."""

    def __init__(self, company: Company, at: int, *, late: bool) -> None:
        self.company = company
        self.left = at
        self.late = late

    def record(self, wiring: Wiring, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        self.left -= 1
        if self.left < 0 and not self.late:
            raise Died
        with wiring.store.writing() as connection:
            recorded = wiring.ledger.append(connection, entries, wiring.clock())
        if self.left < 0:
            raise Died
        return recorded


@pytest.mark.parametrize(("at", "late"), [*((at, False) for at in (0, 1, 2, 3, 6, 9, 11)), (2, True)])
def test_a_run_that_dies_while_it_writes_the_record_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, late: bool
) -> None:
    company = leavers_and_newcomers(tmp_path)
    before = applied(company)
    recorder = Recorder(company, at, late=late)
    with monkeypatch.context() as patch:
        patch.setattr(Wiring, "record", lambda wiring, new: recorder.record(wiring, new))  # noqa: PLW0108  # bound late
        with pytest.raises(Died):
            company.apply(faults={"dir": Faulty()})

    company.apply()

    assert company.members("docs") == {"u3", "u4", "u5", "u6", "u7", "u8"}
    assert set((applied(company) - before).values()) == {1}
    assert company.look().plan.changes == ()
    company.wiring().ledger.verify()


def test_what_cannot_be_read_after_a_death_stays_open(tmp_path: Path) -> None:
    company = leavers_and_newcomers(tmp_path)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=0, late=True)})

    assert company.apply(faults={"dir": Faulty(unreachable=True)}).recovered == 0
    assert company.apply().recovered == 1


def test_a_dead_run_on_an_entitlement_that_left_the_policy_is_recovered(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")
    with pytest.raises(Died):
        company.apply(faults={"vault": Faulty(dies_at=0, late=True)})
    company.policy(POLICY.replace(", vault: {role: core-reader}", ""))

    assert company.apply().recovered == 1


def test_a_dead_run_does_not_keep_the_lease(tmp_path: Path) -> None:
    company = leavers_and_newcomers(tmp_path)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=0)})
    company.apply()


def test_recovery_does_not_spend_an_approval_on_what_did_not_happen(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(POLICY.replace("department: rd}", "department: rnd}"))
    company.approve(company.look().plan.digest)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=4)})

    assert not company.apply().plan.held
    assert company.members("docs") == set()


def test_rebuilding_the_ledger_gives_the_same_rows(tmp_path: Path) -> None:
    """After a life with approvals, drift, lies, silence and a death."""
    company, accounts = settled_company(tmp_path, 9, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")
    company.apply(faults={"dir": Faulty(lies={"u1"})})
    company.put("docs", accounts[0])
    company.apply(faults={"dir": Faulty(mute={"u1"})})
    company.policy(POLICY.replace("department: rd/ai}", "department: rnd}"))
    company.approve(company.look().plan.digest)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=2, late=True)})
    company.apply()
    rows = journal(company)
    assert [name for name, own in rows.items() if not own] == ["open_batches"], "there is something of everything"

    rebuild(company)

    assert journal(company) == rows
    assert company.look().plan.changes == ()


def test_the_record_names_intents_and_outcomes_of_every_change(tmp_path: Path) -> None:
    company = leavers_and_newcomers(tmp_path)
    company.apply()
    with company.wiring(targets=()).store.reading() as connection:
        opened = connection.execute(select(intents).where(OPEN)).all()
        finished = connection.execute(select(runs.c.finished_entry)).scalars().all()
        assert connection.execute(select(baselines)).all()
        assert connection.execute(select(approvals.c.used_entry)).scalars().all()
    assert opened == []
    assert all(finished)


def test_what_another_run_did_before_a_dead_one_intended_it_was_done_once(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    for person in ("E1", "E2"):
        company.tell("locked-out", person, "2026-11-24", ref="SEC-1")
    before = applied(company)
    steps = Faulty(dies_at=1)

    def somebody_lets_e2_out() -> None:
        if len(steps.sent) == 1:
            let_out(company.wiring(), "E2")

    steps.during = somebody_lets_e2_out
    with pytest.raises(Died):
        company.apply(faults={"dir": steps})

    assert company.apply().recovered == 1
    assert set((applied(company) - before).values()) == {1}


def test_what_another_run_did_before_a_dead_one_began_was_done_once(tmp_path: Path) -> None:
    """Between its reading and its first entry: a person shown the plan takes their time over it."""
    company, _ = settled_company(tmp_path, 6)
    company.tell("locked-out", "E2", "2026-11-24", ref="SEC-1")
    before = applied(company)

    def somebody_lets_e2_out(_: Look) -> bool:
        return let_out(company.wiring(), "E2") is not None

    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=0, late=True)}, confirm=somebody_lets_e2_out)

    assert company.apply().recovered == 1
    assert set((applied(company) - before).values()) == {1}


def test_what_another_run_did_before_this_one_began_is_not_claimed_after_silence(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("locked-out", "E2", "2026-11-24", ref="SEC-1")
    before = applied(company)

    def somebody_lets_e2_out(_: Look) -> bool:
        return let_out(company.wiring(), "E2") is not None

    done = company.apply(faults={"dir": Faulty(mute={"u2"})}, confirm=somebody_lets_e2_out)

    assert done.report is not None
    assert set((applied(company) - before).values()) == {1}
