"""Two reconcilers on one store: only the one that came last acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event, Thread

import pytest

from reconciler.apply.leases import Lease, RunSuperseded, of_target, take
from reconciler.apply.patience import Patience
from reconciler.errors import ReconcilerError
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.passes import Applied, Look, Wiring
from reconciler.passes.emergency import shut_out
from reconciler.passes.one_person import let_out
from reconciler.targets import Op
from tests.passes.company import Account, Company, Died, Faulty, settled_company
from tests.passes.test_death import applied, leavers_and_newcomers

pytestmark = pytest.mark.usefixtures("either_store")


def taken_over(company: Company) -> None:
    """Another reconciler takes the lease, as one does whose lock was lost by the first."""
    wiring = company.wiring(targets=())
    take(wiring.store, of_target("dir"), "another", wiring.clock())


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


# --- a pass for one person beside a full one --------------------------------------------------------------------------


def kinds_of(company: Company) -> list[str]:
    """The kinds of the ledger's entries, the newest ones."""
    ledger = company.wiring(targets=()).ledger
    return [entry.kind for entry in ledger.entries(after=ledger.head() - 5)]


def until(so: Callable[[], bool]) -> None:
    """Wait for another thread."""
    while not so():
        breathe(0.01)


def breathe(_: float) -> None:
    """Let other threads go on."""
    Event().wait(0.01)


def let_out_now(company: Company, person: str) -> Applied | None:
    """Another process shuts the person out, whatever else is going on."""
    return shut_out(company.wiring(), person, "SEC-1: laptop stolen").applied


def locked(company: Company) -> AbstractContextManager[None]:
    """What a full pass holds for as long as it lives."""
    return company.wiring(targets=()).lease()


def test_a_leaver_does_not_wait_for_a_full_pass(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    with locked(company):
        done = let_out_now(company, "E2")
        with pytest.raises(ReconcilerError, match="another run is in progress"):
            company.apply()
    assert done is not None
    assert not done.failed
    assert "u2" not in company.members("docs") | company.members("algorithms")
    assert "E2" not in company.readers()


class AsIfInBetween:
    """Lets somebody be let out at one instant of a full pass: before or after the n-th thing that is recorded."""

    def __init__(self, company: Company, person: str, instant: int) -> None:
        self._company, self._person, self._left = company, person, instant
        self._record = Wiring.record
        self.came = False

    def record(self, wiring: Wiring, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """In place of `Wiring.record`."""
        if self.came:
            return self._record(wiring, entries)
        self._tick()
        recorded = self._record(wiring, entries)
        self._tick()
        return recorded

    def _tick(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.came:
            self.came = True
            let_out_now(self._company, self._person)


@pytest.mark.parametrize("person", ["E7", "E3"], ids=["newcomer", "who-has-access"])
def test_whenever_it_comes_neither_spoils_what_the_other_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, person: str
) -> None:
    instant, came = 0, True
    while came:
        folder = tmp_path / str(instant)
        folder.mkdir()
        company = leavers_and_newcomers(folder)
        before = applied(company)
        between = AsIfInBetween(company, person, instant)
        with monkeypatch.context() as patch:
            patch.setattr(Wiring, "record", lambda wiring, entries, b=between: b.record(wiring, entries))
            done = company.apply()
        came = between.came

        if came:
            assert not done.failed, instant
            assert company.members("docs") == {f"u{n}" for n in range(3, 9)} - {f"u{person[1:]}"}, instant
        assert company.look().plan.changes == (), instant
        assert max((applied(company) - before).values()) == 1, instant
        company.wiring().ledger.verify()
        instant += 1
    assert instant > 10


def test_what_is_being_given_at_that_instant_is_taken_away_again(tmp_path: Path) -> None:
    """A full pass has recorded its intent and is sending: the other one waits for what becomes of it."""
    company = leavers_and_newcomers(tmp_path)
    steps = Faulty()
    apart: list[Thread] = []

    def sending() -> None:
        if steps.sent[-1].op is Op.GRANT and not apart:
            apart.append(Thread(target=let_out_now, args=(company, "E7")))
            company.patience = Patience(wait=breathe)
            apart[0].start()
            until(lambda: "locked-out" in kinds_of(company))

    steps.during = sending
    company.apply(faults={"dir": steps})
    apart[0].join()

    assert "u7" not in company.members("docs")
    assert company.look().plan.changes == ()
    company.wiring().ledger.verify()


def test_one_that_died_over_a_person_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")
    before = applied(company)
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "give_back", lambda *_: None)  # who is killed gives nothing back
        with pytest.raises(Died):
            let_out(company.wiring(faults={"dir": Faulty(dies_at=1, late=True)}), "E1")

    done = company.apply()
    assert done.recovered == 0, "whether it lives is not to be seen for a minute"
    assert company.look().plan.changes == ()
    company.pass_time(minutes=2)
    assert company.apply().recovered == 1
    assert set((applied(company) - before).values()) == {1}


def test_a_newer_pass_for_the_same_person_takes_over_at_once(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")
    before, others = applied(company), []
    steps = Faulty()
    steps.during = lambda: others.append(let_out(company.wiring(), "E1")) if len(steps.sent) == 1 else None
    with pytest.raises(RunSuperseded):
        let_out(company.wiring(faults={"dir": steps}), "E1")

    assert company.look().plan.changes == ()
    assert set((applied(company) - before).values()) == {1}
