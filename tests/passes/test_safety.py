"""No accident is large: what goes wrong in reading, rules and targets holds changes back and waves none through."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.passes.look import NothingKnown
from reconciler.plan.reading import summary_line
from reconciler.targets import OutcomeKind, Reading
from tests.passes.company import POLICY, Account, Company, Faulty, of, settled_company, staff

NOBODY_MATCHES = POLICY.replace("department: rd}", "department: rnd}")


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a1_an_unreachable_target_revokes_nothing_and_says_so(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path)
    company.tell("exited", "E1", "2026-11-20")

    plan = company.look(faults={"dir": Faulty(unreachable=True)}).plan
    done = company.apply(faults={"dir": Faulty(unreachable=True)})

    assert plan.changes == ()
    assert plan.incomplete
    assert "does not answer" in plan.targets["dir"].error
    assert [finding.kind for finding in plan.findings] == ["target-unavailable"]
    assert done.failed
    assert len(company.members("docs")) == 10


def test_a1_an_unreachable_target_does_not_stop_the_others(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")

    done = company.apply(faults={"dir": Faulty(unreachable=True)})

    assert done.failed
    assert company.readers() == {"E2", "E3", "E4"}


def test_a7_a_failed_read_is_never_shown_as_in_sync(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 4)
    company.directory(accounts, {"algorithms": []})  # the group `docs` is gone

    plan = company.look().plan

    assert plan.changes == ()
    assert plan.incomplete
    assert plan.targets["dir"].unread == ("group=docs",)
    assert "in sync" not in summary_line(plan).plain
    assert "incomplete" in summary_line(plan).plain
    assert company.apply().failed


def test_a7_a_partial_read_says_so_even_where_nothing_changes(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)

    plan = company.look(faults={"dir": Faulty(readings={"group=docs": Reading.PARTIAL})}).plan

    assert plan.incomplete
    assert [finding.kind for finding in plan.findings] == ["partial-read"]


def test_a8_without_any_people_there_is_no_plan(company: Company) -> None:
    with pytest.raises(NothingKnown, match="everybody loses everything"):
        company.look()


def test_b2_a_partial_group_holds_its_revocations_and_nothing_else(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path)
    stranger = Account("stranger", "E99")
    company.hire("E99", "E98", department="sales")
    company.hire("E97")
    new = Account("u97", "E97")
    company.directory([*accounts, stranger, new], {"docs": [*accounts, stranger], "algorithms": [stranger]})

    done = company.apply(faults={"dir": Faulty(readings={"group=docs": Reading.PARTIAL})})

    held = {(change.subject, change.held.guard) for change in done.plan.changes if change.held}
    assert held == {("E99", "incomplete-read")}
    assert "size limit" in next(change.held.text for change in done.plan.changes if change.held)
    assert company.members("algorithms") == set()
    assert "u97" in company.members("docs"), "a grant needs no proof of absence"
    assert "stranger" in company.members("docs")


def test_b2_partial_accounts_hold_the_revocations_of_the_whole_target(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path)
    company.hire("E99", department="sales")
    company.directory([*accounts, Account("u99", "E99")], {"docs": [*accounts, Account("u99")], "algorithms": []})

    done = company.apply(faults={"dir": Faulty(accounts_reading=Reading.PARTIAL)})

    assert [change.held.guard for change in done.plan.changes if change.held] == ["incomplete-read"]
    assert "u99" in company.members("docs")


def test_b2_a_leaver_is_not_kept_by_a_partial_read(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path)
    company.tell("exited", "E1", "2026-11-20")
    faults = Faulty(readings={"group=docs": Reading.PARTIAL}, accounts_reading=Reading.PARTIAL)

    company.apply(faults={"dir": faults})

    assert "u1" not in company.members("docs")


def test_orphans_are_not_disabled_on_a_partial_read(tmp_path: Path) -> None:
    """An account may seem to be nobody's because the attribute it is matched by could not be read."""
    company, accounts = settled_company(tmp_path)
    company.configure(orphans="disable")
    company.directory([*accounts, Account("left-over")], {"docs": accounts, "algorithms": []})

    plan = company.look(faults={"dir": Faulty(accounts_reading=Reading.PARTIAL)}).plan
    assert [change.held and change.held.guard for change in plan.changes] == ["incomplete-read"]

    assert [change.held for change in company.look().plan.changes] == [None]
    company.apply()
    assert company.look().plan.changes == ()


# --- rules ------------------------------------------------------------------------------------------------------------


def test_a5_nine_of_nine_are_not_wiped(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(NOBODY_MATCHES)

    done = company.apply()

    assert len(done.plan.held) == 9
    assert done.report is None
    assert done.waiting
    assert len(company.members("docs")) == 9


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a5_a_small_set_is_as_safe_as_a_large_one(tmp_path: Path, count: int) -> None:
    company, _ = settled_company(tmp_path, count)
    company.policy(NOBODY_MATCHES)

    company.apply()

    assert len(company.members("docs")) == count


def test_a5_many_small_passes_are_one_large_change(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 20)
    for n in range(1, 6):
        company.take("docs", Account(f"u{n}"))  # somebody takes one after the other out by hand; it is given back
        company.apply()
        company.pass_time(minutes=30)

    assert len(company.members("docs")) == 20, "five of twenty are within the quarter that a day may bring"
    company.take("docs", Account("u6"))
    assert [change.held and change.held.guard for change in company.apply().plan.changes] == ["too-many"]
    company.pass_time(hours=25)
    assert [change.held for change in company.apply().plan.changes] == [None]


def test_d3_a_rule_that_gives_too_much_is_held(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 12)
    company.policy(POLICY.replace("{department: rd/ai}", "{department: rd}"))

    done = company.apply()

    assert {change.held.guard for change in done.plan.held if change.held} == {"too-many"}
    assert company.members("algorithms") == company.readers() == set()


def test_d7_nobody_is_revoked_silently_when_the_last_declaration_disappears(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4, "rd/ai")
    without = POLICY.replace("{dir: {group: algorithms}, vault: {role: core-reader}}", "{dir: {group: algorithms}}")
    company.policy(without)

    done = company.apply()

    assert done.plan.changes == ()
    assert company.readers() == {"E1", "E2", "E3", "E4"}
    finding = next(finding for finding in done.plan.findings if finding.kind == "undeclared-entitlement")
    assert (finding.target, finding.subject) == ("vault", "role=core-reader")
    assert "4 given from here" in finding.text
    assert "undeclared-entitlement" in {f.kind for f in company.look().plan.findings}, "it is said until it is settled"
    company.policy(POLICY)
    assert company.look().plan.findings == ()


def test_first_contact_holds_the_first_revocations_only(company: Company) -> None:
    accounts = staff(4)
    company.hire("E1", "E2", "E3")
    company.hire("E4", department="sales")
    company.directory(accounts, {"docs": accounts, "algorithms": []})

    plan = company.apply().plan
    assert [(change.subject, change.held.guard) for change in plan.held if change.held] == [("E4", "first-contact")]
    assert company.members("docs") == {"u1", "u2", "u3", "u4"}

    company.approve(plan.held[0].held.digest if plan.held[0].held else "")
    company.apply()
    assert company.members("docs") == {"u1", "u2", "u3"}

    company.put("docs", accounts[3])  # the second time there is no first time
    company.apply()
    assert company.members("docs") == {"u1", "u2", "u3"}


def test_first_contact_lets_leavers_out(company: Company) -> None:
    accounts = staff(4)
    company.hire("E1", "E2", "E3", "E4")
    company.tell("exited", "E4", "2026-11-01")
    company.directory(accounts, {"docs": accounts, "algorithms": []})

    company.apply()

    assert company.members("docs") == {"u1", "u2", "u3"}


def test_a_pass_for_one_person_does_not_settle_what_waits_for_others(company: Company) -> None:
    accounts = staff(4)
    company.hire("E1", "E2", "E3")
    company.hire("E4", department="sales")
    company.directory(accounts, {"docs": accounts, "algorithms": []})

    company.apply(person="E1")

    plan = company.look().plan
    assert [(change.subject, change.held.guard) for change in plan.held if change.held] == [("E4", "first-contact")]


# --- leavers ----------------------------------------------------------------------------------------------------------


def test_leavers_pass_whatever_their_number(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9, "rd/ai")
    company.tell_all([("exited", f"E{n}", "2026-11-20", {}) for n in range(1, 10)])

    done = company.apply()

    assert not done.plan.held
    assert company.members("docs") == company.members("algorithms") == company.readers() == set()
    disabled = {change.person for change in done.plan.changes if change.op == "disable-account"}
    assert disabled == {f"E{n}" for n in range(1, 10)}


@pytest.mark.parametrize("kind", ["exited", "resignation-submitted", "locked-out"])
def test_the_leavers_lane(tmp_path: Path, kind: str) -> None:
    company, _ = settled_company(tmp_path, 6)
    data = {"ref": "SEC-1"} if kind == "locked-out" else {}
    company.tell_all([(kind, f"E{n}", "2026-11-20", data) for n in range(1, 7)])

    done = company.apply()

    assert {change.leaver for change in done.plan.changes} == {True}
    assert company.members("docs") == set()


def test_revoked_evidence_is_in_the_lane(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell_all([("evidence-revoked", f"E{n}", "2026-11-22", {"evidence": f"E{n}-nda"}) for n in range(1, 7)])

    done = company.apply()

    assert {change.leaver for change in done.plan.changes} == {True}
    assert {change.cause.kind.value for change in done.plan.changes} == {"evidence"}
    assert company.members("docs") == set()


def test_only_protected_holds_a_leaver(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.add_policy('guards: {protected: ["E1"]}\n')
    company.tell_all([("exited", "E1", "2026-11-20", {}), ("exited", "E2", "2026-11-20", {})])

    done = company.apply()

    assert {(change.person, change.held.guard) for change in done.plan.held if change.held} == {("E1", "protected")}
    assert company.members("docs") == {"u1", "u3", "u4"}


def test_a_bad_merge_of_lockouts_is_no_lane(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    listed = "\n".join(f'  - {{person: "E{n}", ref: SEC-{n}, since: 2026-11-01}}' for n in range(1, 10))
    company.add_policy(f"lockouts:\n{listed}\n")

    company.apply()

    assert len(company.members("docs")) == 9


def test_leavers_keep_their_lane_although_the_policy_changed_as_well(tmp_path: Path) -> None:
    """Here the policy of before cannot be read any more, so that it might be to blame for everything."""
    company, _ = settled_company(tmp_path, 9)
    company.tell_all([("exited", f"E{n}", "2026-11-20", {}) for n in range(1, 5)])
    company.policy(POLICY.replace("lifecycle:", "# another word\nlifecycle:").replace("rd}", "hr}"))
    wiring = company.wiring()
    with wiring.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM policies")

    company.apply()

    assert company.members("docs") == {"u5", "u6", "u7", "u8", "u9"}


# --- time -------------------------------------------------------------------------------------------------------------


def test_e3_an_expiry_acts_by_itself(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6, "rd/ai")
    assert company.look().plan.changes == ()
    company.pass_time(days=200)  # the training of June has lapsed, and nobody has said anything

    done = company.apply()

    assert {(c.cause.kind.value, c.leaver) for c in done.plan.changes} == {("evidence", True)}
    assert company.members("algorithms") == company.readers() == set()
    assert company.members("docs") == {account.uid for account in accounts}


def test_e3_an_exception_ends_with_its_day_in_the_workspaces_timezone(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.add_policy(
        "exceptions:\n"
        '  - {person: "E1", grants: {read: [algorithms]}, until: 2026-11-28, reason: Audit, ticket: SEC-1,'
        ' approved_by: ["E2"]}\n'
    )
    company.apply()
    assert company.members("algorithms") == {"u1"}

    company.now = company.now.replace(day=28, hour=15, minute=59)  # 23:59 in Shanghai
    assert company.apply().plan.changes == ()
    company.now = company.now.replace(hour=16, minute=0)
    done = company.apply()

    assert {change.cause.kind.value for change in done.plan.changes} == {"exception"}
    assert "2026-11-28" in done.plan.changes[0].cause.text
    assert company.members("algorithms") == company.readers() == set()


# --- apply ------------------------------------------------------------------------------------------------------------


def test_f4_a_refused_revocation_is_a_failed_run(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.tell("exited", "E1", "2026-11-20")

    done = company.apply(faults={"dir": Faulty(refuses={"u1"})})

    assert done.failed
    assert done.report is not None
    assert {each.outcome.kind for each in done.report.failed} == {OutcomeKind.REFUSED}
    assert ("E1", "docs:read") in of(company.look().plan.changes, "revoke"), "it is planned again until it is so"


def test_f4_a_target_that_says_done_and_does_nothing_is_contradicted(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.tell("exited", "E1", "2026-11-20")

    done = company.apply(faults={"dir": Faulty(lies={"u1"})})

    assert done.report is not None
    assert of(done.report.contradicted) == {("E1", "docs:read"), ("E1", "")}, "disabling is read back as well"
    assert done.failed
    again = company.apply()
    assert of(again.plan.changes, "revoke") == {("E1", "docs:read")}
    assert not again.failed
    assert "u1" not in company.members("docs")


def test_a_contradicted_change_has_not_used_its_approval(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(NOBODY_MATCHES)
    company.approve(company.look().plan.digest)

    company.apply(faults={"dir": Faulty(lies={"u1"})})
    assert company.members("docs") == {"u1"}

    assert not company.apply().plan.held
    assert company.members("docs") == set()


def test_what_nobody_answered_is_told_by_reading(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4)
    company.tell_all([("exited", "E1", "2026-11-20", {}), ("exited", "E2", "2026-11-20", {})])

    done = company.apply(faults={"dir": Faulty(mute={"u1"}, deaf={"u2"})})

    assert done.report is not None
    by_person = {(each.change.person, each.outcome.kind.value) for each in done.report.done}
    assert by_person == {("E1", "applied"), ("E2", "unavailable")}
    assert {change.person for change in company.look().plan.changes} == {"E2"}


def test_f5_the_first_error_stops_nothing_else(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    company.tell_all([("exited", f"E{n}", "2026-11-20", {}) for n in range(1, 7)])

    done = company.apply(faults={"dir": Faulty(refuses={"u1"}, deaf={"u2"})})

    assert done.failed
    assert company.members("docs") == company.members("algorithms") == {"u1", "u2"}
    assert company.readers() == set()


def test_f5_a_target_that_breaks_off_stops_no_other(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")

    done = company.apply(faults={"dir": Faulty(breaks_off=True)})

    assert done.failed
    assert company.readers() == {"E2", "E3", "E4"}
    assert len(company.members("docs")) == 4
    assert not company.apply().failed


def test_f7_whoever_comes_after_the_first_look_is_nobodys_orphan(tmp_path: Path) -> None:
    """A hire recorded and an account made while a run goes on: neither is touched by that run."""
    company, _ = settled_company(tmp_path, 4)
    company.configure(orphans="disable", foreign="revoke")
    company.tell("exited", "E1", "2026-11-20")
    newcomer = Account("u50", "E50")

    def arrive() -> None:
        if company.people[-1] != "E50":
            company.hire("E50")
            text = (tmp_path / "directory.ldif").read_text()
            (tmp_path / "directory.ldif").write_text(text.rstrip("\n") + "\n\n" + newcomer.entry())
            company.put("docs", newcomer)

    done = company.apply(faults={"dir": Faulty(during=arrive)})

    assert not done.failed
    assert "u50" in company.members("docs")
    assert company.look().plan.changes == ()


def test_grants_of_a_plan_made_before_somebody_left_are_stale(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    company.hire("E7")
    company.directory([*accounts, Account("u7", "E7")], {"docs": accounts, "algorithms": []})

    def leave(_: object) -> bool:
        company.tell("exited", "E7", "2026-11-20")
        return True

    done = company.apply(confirm=leave)

    assert done.report is not None
    assert {each.outcome.kind.value for each in done.report.stale} == {"stale"}
    assert "no longer wanted" in done.report.stale[0].outcome.detail
    assert "u7" not in company.members("docs")


def test_who_is_rehired_meanwhile_keeps_the_account(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    company.tell("exited", "E6", "2026-11-20")

    def come_back(_: object) -> bool:
        company.tell("rehired", "E6", "2026-11-21", department="rd")
        return True

    done = company.apply(confirm=come_back)

    assert done.report is not None
    stale = {each.change.op.value for each in done.report.stale}
    assert "disable-account" in stale
