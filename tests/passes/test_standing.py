"""A pass that found all in order spares the next one, and nothing that could matter goes unnoticed by that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.passes import apply_plan
from reconciler.passes.standing import FULL_EVERY, Standing, unchanged
from reconciler.targets import Locator, Observation, Reading
from tests.passes.company import POLICY, Account, Company, Faulty, of, settled_company, staff


def standing_company(folder: Path) -> tuple[Company, Standing]:
    """A company in order, and what the last pass left."""
    company, _ = settled_company(folder, 6)
    assert company.apply(leave_standing=True).report is None
    left = unchanged(company.wiring())
    assert left is not None
    return company, left


def test_where_nothing_has_changed_the_next_pass_is_spared(tmp_path: Path) -> None:
    company, left = standing_company(tmp_path)
    company.pass_time(hours=1)

    assert unchanged(company.wiring()) == left
    assert company.look().plan.changes == ()


CHANGES: dict[str, Callable[[Company], object]] = {
    "a hand in the directory": lambda company: company.take("docs", staff(6)[1]),
    "an order in the directory": lambda company: company.directory(
        staff(6)[::-1], {"docs": staff(6), "algorithms": []}
    ),
    "a hand in the vault": lambda company: (company.folder / "vault.csv").write_text(
        "p, core-reader, algorithms, read"
    ),
    "the vault's model": lambda company: (company.folder / "vault.conf").write_text(
        (company.folder / "vault.conf").read_text("utf-8") + "\n", "utf-8"
    ),
    "a fact": lambda company: company.tell("exited", "E2", "2026-11-24"),
    "a fact for later": lambda company: company.tell("exited", "E2", "2027-11-24"),
    "a policy": lambda company: company.policy(POLICY.replace("notice: {ceiling: public}", "notice: {ceiling: core}")),
    "a target": lambda company: company.configure(orphans="disable"),
    "how accounts are disabled": lambda company: company.workspace(
        lambda text: text.replace("ppolicy", "shadow-expire")
    ),
    "the time zone": lambda company: company.workspace(lambda text: text.replace("Asia/Shanghai", "Asia/Tokyo")),
    "a day": lambda company: company.pass_time(hours=24),
    "a clock set back": lambda company: company.pass_time(hours=-1),
    "a target that is away": lambda company: (company.folder / "directory.ldif").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_looked_at(tmp_path: Path, change: str) -> None:
    company, _ = standing_company(tmp_path)
    CHANGES[change](company)

    assert unchanged(company.wiring()) is None


def test_it_ends_where_time_alone_changes_something(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    company.hire("E7", proofs=())
    company.tell("evidence-recorded", "E7", kind="nda", valid_from="2026-01-01", valid_until="2026-11-26")
    company.directory([*accounts, Account("u7", "E7")], {"docs": [*accounts, Account("u7")], "algorithms": []})
    company.apply()
    company.apply(leave_standing=True)
    left = unchanged(company.wiring())
    assert left is not None

    company.now = left.until - timedelta(microseconds=1)
    assert company.look().plan.changes == ()
    company.now = left.until
    assert unchanged(company.wiring()) is None
    assert of(company.look().plan.changes) == {("E7", "docs:read")}


@pytest.mark.parametrize(
    "spoilt",
    [
        Faulty(accounts_reading=Reading.PARTIAL),
        Faulty(readings={"group=docs": Reading.PARTIAL}),
        Faulty(unreachable=True),
        Faulty(),
    ],
    ids=["accounts in part", "a group in part", "nothing read", "no marks"],
)
def test_what_was_not_seen_whole_or_has_no_mark_leaves_no_standing(tmp_path: Path, spoilt: Faulty) -> None:
    company, _ = settled_company(tmp_path, 6)

    company.apply(faults={"dir": spoilt}, leave_standing=True)

    assert unchanged(company.wiring()) is None


def test_a_pass_that_had_something_to_do_or_to_hold_leaves_no_standing(tmp_path: Path) -> None:
    company, _ = standing_company(tmp_path)
    company.tell("exited", "E2", "2026-11-24")

    company.apply(leave_standing=True)

    assert unchanged(company.wiring()) is None


@dataclass
class Forgetful(Faulty):
    """A target whose mark says that nothing changes, whatever does."""

    def mark(self, since: str = "") -> str:
        return "always the same"


def test_a_change_that_a_mark_did_not_show_is_a_finding(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    company.apply(faults={"dir": Forgetful()}, leave_standing=True)
    company.take("docs", accounts[1])
    assert unchanged(company.wiring(faults={"dir": Forgetful()})) is not None
    company.now += FULL_EVERY
    assert unchanged(company.wiring(faults={"dir": Forgetful()})) is None

    done = apply_plan(company.wiring(faults={"dir": Forgetful()}), leave_standing=True)

    assert done is not None
    assert [(each.kind, each.subject) for each in done.plan.findings if each.kind == "missed-change"] == [
        ("missed-change", "dir")
    ]
    assert "u2" in company.members("docs")


def test_news_that_came_while_the_pass_looked_leaves_no_standing(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    seen: list[bool] = []

    class Telling(Forgetful):
        def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
            if not seen:
                company.tell("exited", "E2", "2027-01-01")
                seen.append(True)
            return super().observe(locators, accounts)

    company.apply(faults={"dir": Telling()}, leave_standing=True)

    assert unchanged(company.wiring(faults={"dir": Telling()})) is None
