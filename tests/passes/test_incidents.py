"""What went wrong in systems like this one and belongs to no single safety: replayed on a whole company."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.passes import look
from reconciler.passes.present import Present
from reconciler.targets import Op
from tests.passes.company import POLICY, Account, Faulty, of, settled_company

ALL_OF_RD = POLICY.replace("{department: rd/ai}", "{department: rd}")


def test_a6_where_nobody_can_tell_whose_accounts_are_whose_nothing_is_taken(tmp_path: Path) -> None:
    """The second reading (accounts) fails while the first one (members) went well: the members look foreign."""
    company, accounts = settled_company(tmp_path, 6)
    company.configure(foreign="revoke", orphans="disable")
    nameless = [replace(account, number="") for account in accounts]  # the attribute that matches cannot be read
    company.directory(nameless, {"docs": nameless, "algorithms": []})

    done = company.apply()

    assert len(company.members("docs")) == 6
    assert not [change for change in done.plan.due if change.op in (Op.REVOKE, Op.DISABLE_ACCOUNT)]


def test_d2_one_more_group_under_management_touches_no_other(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    stranger = Account("stranger")
    company.directory(
        [*accounts, stranger],
        {"docs": accounts, "algorithms": [], "more": [stranger, accounts[0]], "unmanaged": [stranger, *accounts]},
    )
    company.add_policy(
        "resources:\n  more: {classification: internal, access: {read: {dir: {group: more}}}}\n"
        "roles:\n  more: {match: {department: hr}, grants: {read: [more]}}\n"
    )

    done = company.apply()

    assert of(done.plan.changes) == {("E1", "more:read")}, "nothing but what stands in the new group"
    assert [change.held.guard for change in done.plan.changes if change.held] == ["first-contact"]
    assert company.members("docs") == {account.uid for account in accounts}
    assert company.members("more") == {"stranger", "u1"}
    assert company.members("unmanaged") == {"stranger", *(account.uid for account in accounts)}


def test_d6_what_somebody_undoes_every_time_is_a_finding(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 8)
    company.pass_time(days=8)  # the roll-out gave it once
    told = []
    for _ in range(3):
        company.take("docs", accounts[0])
        report = company.apply().report
        assert report is not None
        told.append([(finding.kind, finding.subject) for finding in report.findings])
        company.pass_time(hours=25)

    assert told == [[], [], [("fought-over", "E1")]]
    company.pass_time(days=8)
    company.take("docs", accounts[0])
    report = company.apply().report
    assert report is not None
    assert report.findings == [], "what was long ago is over"


def test_e4_a_plan_and_its_run_see_the_same_expiries(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    company.pass_time(days=200)  # the training has lapsed

    shown, done = company.look().plan, company.apply().plan

    assert shown.changes
    assert (shown.digest, shown.changes) == (done.digest, done.changes)


@pytest.mark.parametrize("settings", [{}, {"foreign": "revoke"}, {"orphans": "disable"}])
def test_f2_no_setting_lets_a_held_slice_through(tmp_path: Path, settings: dict[str, str]) -> None:
    company, _ = settled_company(tmp_path, 12)
    company.configure(**settings)
    company.policy(ALL_OF_RD)

    done = company.apply()

    assert done.waiting
    assert done.report is None
    assert company.members("algorithms") == company.readers() == set()


def test_f11_one_person_more_is_one_step(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 40)
    company.hire("E99")
    newcomer = Account("u99", "E99")
    company.directory([*accounts, newcomer], {"docs": accounts, "algorithms": []})
    watched = Faulty()

    company.apply(faults={"dir": watched})

    assert [(step.op, step.account) for step in watched.sent] == [(Op.GRANT, newcomer.key)]


def test_who_is_locked_out_while_a_run_goes_on_gets_no_account_back(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    company.tell("rehired", "E1", "2026-11-24", department="rd")
    company.tell("evidence-recorded", "E1", "2026-11-24", kind="nda", valid_from="2026-11-24")
    company.pass_time(days=1)
    watched = Faulty()

    def locked_out() -> bool:
        company.tell("locked-out", "E1", "2026-11-24", ref="SEC-1")
        return True

    company.apply(faults={"dir": watched}, confirm=lambda _: locked_out())

    assert watched.sent == []
    assert "u1" not in company.members("docs")


def test_a_newer_policy_does_not_keep_who_is_locked_out_from_being_disabled(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("locked-out", "E1", "2026-11-24", ref="SEC-1")
    company.tell("exited", "E2", "2026-11-20")
    ours = company.wiring()
    seen = look(ours)
    disabling = [change for change in seen.plan.changes if change.op is Op.DISABLE_ACCOUNT and change.person == "E1"]
    assert disabling

    company.add_policy("evidence:\n  another: {kind: training, valid_for: 1y}\n")
    company.apply(person="E2")  # another run, under another policy

    assert Present(ours, seen).no_longer_wanted(disabling) == frozenset()
