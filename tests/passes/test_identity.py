"""Whose account an account is: by the directory's stable identifier, found once and remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.passes.one_person import let_out
from tests.passes.company import Account, Company, of, settled_company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return settled_company(tmp_path, 6)[0]


def accounts_of(count: int = 6) -> list[Account]:
    return [Account(f"u{n}", f"E{n}") for n in range(1, count + 1)]


def test_c3_a_renamed_account_stays_the_same_account(company: Company) -> None:
    accounts = accounts_of()
    accounts[0] = Account("wang.new-name", "", stable="u1")  # another DN, and its number is lost
    company.directory(accounts, {"docs": accounts, "algorithms": []})

    assert company.look().plan.changes == ()

    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    assert "wang.new-name" not in company.members("docs")


def test_c3_a_reused_name_is_not_the_same_account(company: Company) -> None:
    accounts = accounts_of()
    accounts[0] = Account("u1", "", stable="somebody else")
    company.directory(accounts, {"docs": accounts[1:], "algorithms": []})

    plan = company.apply().plan

    assert of(plan.changes) == set(), "E1 has no account any more, and who took the name gets nothing"
    assert {"no-account", "orphan-account"} <= {finding.kind for finding in plan.findings}


def test_an_account_whose_number_changes_hands_is_contested(company: Company) -> None:
    company.hire("E7")
    accounts = accounts_of()
    accounts[0] = replace(accounts[0], number="E7")
    company.directory(accounts, {"docs": accounts[1:], "algorithms": []})

    plan = company.apply().plan

    assert plan.changes == ()
    (finding,) = [finding for finding in plan.findings if finding.kind == "ambiguous-account"]
    assert "known as E1's account and now matches E7" in finding.text


def test_a_person_with_two_accounts_is_granted_nothing_more_and_loses_everything(company: Company) -> None:
    accounts = [*accounts_of(), Account("u1-admin", "E1")]
    company.directory(accounts, {"docs": accounts[1:], "algorithms": []})
    assert "u1" not in company.members("docs")
    plan = company.apply().plan
    assert plan.changes == ()
    assert "ambiguous-account" in {finding.kind for finding in plan.findings}

    company.tell("exited", "E1", "2026-11-20")
    company.directory(accounts, {"docs": accounts, "algorithms": []})
    company.apply()
    assert not {"u1", "u1-admin"} & company.members("docs"), "a leaver's every account"


def test_c2_numbers_that_differ_in_case_and_width_are_the_same(company: Company) -> None:
    company.hire("E8")
    accounts = [*accounts_of(), Account("u8", " ｅ8 ".strip())]
    company.directory(accounts, {"docs": accounts[:6], "algorithms": []})
    company.apply()
    assert "u8" in company.members("docs")


def test_links_are_on_record_once(company: Company) -> None:
    wiring = company.wiring()
    with wiring.store.reading() as connection:
        links = wiring.journal.links(connection, "dir")
    assert links == {account.key: account.number for account in accounts_of()}
    head = wiring.ledger.head()
    company.apply()
    assert wiring.ledger.head() == head, "a pass that finds nothing to do writes nothing"


# --- what a leaver had ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("narrow", [False, True], ids=["full-pass", "pass-for-one"])
@pytest.mark.parametrize("number", ["E1", ""], ids=["account-made-again", "account-that-lost-its-number"])
def test_c4_what_appears_of_a_leaver_again_is_taken_away_again(company: Company, number: str, *, narrow: bool) -> None:
    """Removed at the source is not removed: whatever links or matches an account to somebody who left, it is theirs."""
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    company.pass_time(days=40)
    accounts = accounts_of()
    accounts[0] = Account("zhang.back", number, stable="another entry" if number else "u1")
    company.directory(accounts, {"docs": accounts, "algorithms": []})

    done = let_out(company.wiring(), "E1") if narrow else company.apply()

    assert done is not None
    assert not done.plan.held
    assert {(change.op.value, change.leaver) for change in done.plan.changes} == {
        ("disable-account", True),
        ("revoke", True),
    }
    assert company.members("docs") == {"u2", "u3", "u4", "u5", "u6"}
    assert company.look().plan.changes == ()


def test_c4_a_role_that_still_fits_gives_a_leavers_new_account_nothing(company: Company) -> None:
    """The assignment that HR forgot to end, and an account of the same number: nothing is granted, nothing created."""
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    accounts = [*accounts_of()[1:], Account("u1", "E1", stable="made again")]
    company.directory(accounts, {"docs": accounts[:-1], "algorithms": []})

    assert {change.op.value for change in company.apply().plan.changes} == {"disable-account"}
    assert "u1" not in company.members("docs")


# --- those that belong to nobody -------------------------------------------------------------------------------------


SERVICE = (
    "service_accounts:\n"
    '  svc-backup: {owner: {person: "E1"}, ceiling: internal, until: 2026-12-31, grants: {read: [docs]}}\n'
)


def test_a_service_account_has_what_is_declared_until_it_ends(company: Company) -> None:
    company.add_policy(SERVICE)
    accounts = accounts_of()
    backup = Account("svc-backup")
    company.directory([*accounts, backup], {"docs": accounts, "algorithms": [backup]})

    company.approve(company.look().plan.digest)
    company.apply()
    assert "svc-backup" in company.members("docs")
    assert company.members("algorithms") == set()
    assert company.look().plan.changes == ()

    company.take("docs", backup)
    assert [change.cause.kind.value for change in company.apply().plan.changes] == ["drift"]
    company.pass_time(days=60)
    company.apply()
    assert "svc-backup" not in company.members("docs")


def test_a_service_accounts_name_taken_twice_gives_nobody_anything(company: Company) -> None:
    company.add_policy(SERVICE)
    accounts = accounts_of()
    twins = [Account("svc-backup"), Account("svc-backup+ou=x")]
    company.directory([*accounts, *twins], {"docs": accounts, "algorithms": []})
    twice = (company.folder / "directory.ldif").read_text().replace("uid=svc-backup+ou=x,", "uid=svc-backup,ou=x,")
    (company.folder / "directory.ldif").write_text(twice.replace("uid: svc-backup+ou=x", "uid: svc-backup"))

    plan = company.apply().plan

    assert plan.changes == ()
    assert "svc-backup" in {finding.subject for finding in plan.findings if finding.kind == "ambiguous-account"}


def test_foreign_members_are_reported_and_left_alone(company: Company) -> None:
    accounts = accounts_of()
    left_over, elsewhere = Account("left-over"), "uid=x,ou=elsewhere,dc=example,dc=com"
    company.directory([*accounts, left_over], {"docs": [*accounts, left_over, elsewhere], "algorithms": []})

    plan = company.apply().plan

    assert plan.changes == ()
    found = {(finding.kind, finding.subject) for finding in plan.findings}
    assert found == {
        ("foreign-member", elsewhere),
        ("foreign-member", left_over.dn),
        ("orphan-account", left_over.dn),
    }


def test_foreign_members_are_revoked_where_the_target_says_so(company: Company) -> None:
    company.configure(foreign="revoke")
    accounts = accounts_of()
    left_over, elsewhere = Account("left-over"), "uid=x,ou=elsewhere,dc=example,dc=com"
    company.directory([*accounts, left_over], {"docs": [*accounts, left_over, elsewhere], "algorithms": []})

    done = company.apply()

    assert not done.failed
    assert company.members("docs") == {account.uid for account in accounts}
    assert company.look().plan.changes == ()


def test_an_account_that_nobody_declared_is_never_touched_by_a_policy_of_others(company: Company) -> None:
    accounts = accounts_of()
    text = (company.folder / "directory.ldif").read_text()
    unmanaged = f"\ndn: cn=unmanaged,ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: unmanaged\nmember: {accounts[0].dn}\n"  # noqa: E501
    (company.folder / "directory.ldif").write_text(text + unmanaged)
    company.tell("exited", "E1", "2026-11-20")

    company.apply()

    assert company.members("unmanaged") == {"u1"}


# --- accounts --------------------------------------------------------------------------------------------------------


def test_a_leavers_account_is_disabled_first_and_deleted_when_somebody_decides(company: Company) -> None:
    company.tell("exited", "E1", "2026-11-20")
    done = company.apply()
    assert [change.op.value for change in done.plan.changes] == ["disable-account", "revoke"]
    assert company.look().plan.changes == ()

    company.pass_time(days=100)
    plan = company.look().plan
    assert "delete-account" not in {c.op.value for c in plan.changes} or all(
        c.held for c in plan.changes if c.op.value == "delete-account"
    )


def test_a_vault_knows_everybody_without_an_account(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 4, "rd/ai")
    company.hire("E9", department="rd/ai")
    company.apply()
    assert "E9" in company.readers()
