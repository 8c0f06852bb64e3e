"""What happens between a plan and its last batch: time, lockouts, and answers that never come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.apply.journal import Journal
from reconciler.targets import Reading
from tests.passes.company import POLICY, Account, Died, Faulty, of, settled_company
from tests.passes.test_death import applied


def test_a_proof_that_runs_out_while_the_run_goes_on_opens_nothing_more(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    company.take("docs", accounts[1])
    company.hire("E7", "E8", proofs=())
    for person, last in (("E7", "2026-11-25"), ("E8", "2027-11-25")):
        company.tell("evidence-recorded", person, kind="nda", valid_from="2026-01-01", valid_until=last)
    company.directory([*accounts, Account("u7", "E7"), Account("u8", "E8")], {"docs": accounts, "algorithms": []})
    assert of(company.look().plan.due) == {("E7", "docs:read"), ("E8", "docs:read")}

    def overnight() -> None:
        company.pass_time(days=1)

    steps = Faulty(during=overnight)
    company.tell("locked-out", "E1", "2026-11-24", ref="SEC-1")  # whose account is the first step of all
    done = company.apply(faults={"dir": steps})

    assert done.report is not None
    assert {each.change.person for each in done.report.stale} == {"E7"}
    assert company.members("docs") == {"u2", "u3", "u4", "u5", "u6", "u8"}


def test_a_lockout_recorded_meanwhile_keeps_an_account_closed(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.policy(POLICY.replace("lifecycle:\n", "lifecycle:\n  leave: {after: 0d, suspend: true}\n"))
    company.tell("leave-started", "E2", "2026-11-20")
    company.apply()
    company.pass_time(days=2)
    company.tell("leave-ended", "E2", "2026-11-26")
    company.tell("exited", "E1", "2026-11-20")
    locked: list[int] = []

    def lock() -> None:
        if not locked:
            locked.append(company.tell("locked-out", "E2", "2026-11-26", ref="SEC-2"))

    done = company.apply(faults={"dir": Faulty(during=lock)})

    assert done.report is not None
    assert {"enable-account", "grant"} <= {
        each.change.op.value for each in done.report.stale if each.change.person == "E2"
    }
    assert "u2" not in company.members("docs")


def test_a_lockout_is_still_carried_out_when_there_is_news_of_the_person(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("locked-out", "E1", "2026-11-24", ref="SEC-1")
    company.tell("locked-out", "E2", "2026-11-24", ref="SEC-1")
    told: list[int] = []

    def tell() -> None:
        if not told:
            told.append(company.tell("attributes-changed", "E2", "2026-11-24", department="rd"))

    done = company.apply(faults={"dir": Faulty(during=tell)})

    assert done.report is not None
    assert done.report.stale == []
    disabled = {each.change.person for each in done.report.done if each.change.op.value == "disable-account"}
    assert disabled == {"E1", "E2"}


def test_what_got_no_answer_and_could_not_be_read_back_comes_onto_the_record_later(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("locked-out", "E1", "2026-11-24", ref="SEC-1")
    before = applied(company)
    steps = Faulty(mute={"u1"})

    def silence() -> None:
        steps.unreachable = True

    steps.during = silence
    first = company.apply(faults={"dir": steps})
    assert first.report is not None
    assert first.report.failed
    done_unseen = applied(company) - before

    company.apply()

    assert not done_unseen
    assert set((applied(company) - before).values()) == {1}
    assert {op for op, _, _ in applied(company) - before} == {"disable-account", "revoke"}
    assert company.look().plan.changes == ()


def test_of_two_runs_that_died_over_the_same_change_one_has_done_it(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("locked-out", "E1", "2026-11-24", ref="SEC-1")
    before = applied(company)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=0)})
    blind = Faulty(accounts_reading=Reading.PARTIAL, dies_at=0, late=True)
    hidden = blind.observe
    reads: list[object] = []

    def first_read_shows_nobody(locators: object, accounts: object = None) -> object:
        seen = hidden(locators, accounts)  # type: ignore[arg-type]
        reads.append(seen)
        return replace(seen, accounts=replace(seen.accounts, accounts=())) if len(reads) == 1 else seen

    blind.observe = first_read_shows_nobody  # type: ignore[assignment,method-assign]
    with pytest.raises(Died):
        company.apply(faults={"dir": blind})

    company.apply()

    assert set((applied(company) - before).values()) == {1}
    assert company.look().plan.changes == ()


def test_what_may_have_been_changed_counts_for_the_guards(tmp_path: Path) -> None:
    """Ten small runs that get no answer are one large change as well."""
    company, accounts = settled_company(tmp_path, 12)
    for account in accounts[:2]:
        company.take("docs", account)
    steps = Faulty(mute={"u1", "u2"})

    def silence() -> None:
        steps.unreachable = len(steps.sent) >= 2 * company.patience.attempts

    steps.during = silence
    company.apply(faults={"dir": steps})
    store = company.wiring(targets=()).store
    with store.reading() as connection:
        recent = Journal().recent(connection, company.now - timedelta(days=1))

    assert recent == {"dir/grant/internal/rules": {"E1", "E2"}}
