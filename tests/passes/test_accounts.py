"""Accounts in a real directory: suspended with a leave, back after it, and never enabled against somebody's will."""

from __future__ import annotations

from pathlib import Path

from tests.passes.company import POLICY, Account, Company, settled_company, staff

SUSPENDING = POLICY.replace("  notice: {ceiling: public}", "  notice: {ceiling: public}\n  leave: {suspend: true}")


def ops(company: Company) -> list[tuple[str, str]]:
    return [(change.op.value, change.subject) for change in company.apply().plan.changes]


def on_leave(folder: Path) -> Company:
    company, _ = settled_company(folder, 3)
    company.policy(SUSPENDING)
    company.tell("leave-started", "E1", "2026-11-20")
    assert ops(company) == [("disable-account", "E1"), ("revoke", "E1")]
    company.pass_time(days=1)
    return company


def test_a_leave_suspends_and_its_end_brings_everything_back(tmp_path: Path) -> None:
    company = on_leave(tmp_path)
    assert company.members("docs") == {"u2", "u3"}
    assert ops(company) == []

    company.tell("leave-ended", "E1", "2026-11-24")

    assert ops(company) == [("enable-account", "E1"), ("grant", "E1")]
    assert company.members("docs") == {"u1", "u2", "u3"}
    assert ops(company) == []


def test_a_rehire_gets_the_account_back(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 3)
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    company.pass_time(days=2)
    company.tell("rehired", "E1", "2026-11-24", department="rd")
    assert ("enable-account", "E1") in ops(company)


def test_what_the_help_desk_disabled_stays_disabled(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 3)
    text = (tmp_path / "directory.ldif").read_text("utf-8")
    locked = text.replace("uid: u1\n", "uid: u1\npwdAccountLockedTime: 000001010000Z\n")
    (tmp_path / "directory.ldif").write_text(locked, "utf-8")

    done = company.apply()

    assert done.plan.changes == ()
    assert [(finding.kind, finding.target) for finding in done.plan.findings] == [("disabled-account", "dir")]


def test_a_leave_that_ends_while_the_run_goes_on_disables_nobody(company: Company) -> None:
    company.policy(SUSPENDING)
    company.hire("E1", "E2")
    company.directory(staff(2), {"docs": [], "algorithms": []})
    company.apply()
    company.tell("leave-started", "E1", "2026-11-20")

    def told(_: object) -> bool:
        company.tell("leave-ended", "E1", "2026-11-23")
        return True

    done = company.apply(confirm=told)

    assert done.report is not None
    assert {each.outcome.kind.value for each in done.report.done} == {"stale"}
    assert company.members("docs") == {"u1", "u2"}
    assert Account("u1").dn in (company.folder / "directory.ldif").read_text("utf-8")
