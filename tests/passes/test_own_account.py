"""Nobody saws off the branch that they sit on: what the reconciler acts with is never taken from it."""

from __future__ import annotations

from pathlib import Path

from tests.passes.company import Account, Company, Faulty, of, settled_company


def test_d5_our_own_account_is_neither_stripped_nor_disabled_even_as_a_leaver(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path)
    company.tell("exited", "E1", "2026-11-20")
    company.tell("exited", "E2", "2026-11-20")
    ours = accounts[0].key

    plan = company.look(faults={"dir": Faulty(own=frozenset({ours}))}).plan

    assert {person for person, _ in of(plan.changes)} == {"E2"}
    told = [finding for finding in plan.findings if finding.kind == "own-account"]
    assert told
    assert all(finding.subject == accounts[0].dn for finding in told)


def test_d5_no_approval_strips_our_own_account(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path)
    company.tell("exited", "E1", "2026-11-20")
    ours = Faulty(own=frozenset({accounts[0].key}))
    company.approve(company.look().plan.digest)

    company.apply(faults={"dir": ours})

    assert "u1" in company.members("docs")


def test_d5_a_foreign_member_that_is_ourselves_stays_where_foreign_members_are_revoked(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path)
    company.configure(foreign="revoke")
    company.directory(accounts, {"docs": [*accounts, "cn=robot,dc=example,dc=com", "cn=other,dc=example,dc=com"]})
    ours = Faulty(own=frozenset({"cn=robot,dc=example,dc=com"}))

    plan = company.look(faults={"dir": ours}).plan

    assert {change.account for change in plan.changes} == {"cn=other,dc=example,dc=com"}


def test_what_is_ours_may_still_be_granted(company: Company) -> None:
    company.hire("E1", "E2", "E3")
    company.directory([Account("u1", "E1"), Account("u2", "E2"), Account("u3", "E3")], {"docs": [], "algorithms": []})
    ours = Faulty(own=frozenset({Account("u1").key}))

    plan = company.look(faults={"dir": ours}).plan

    assert of(plan.changes, "grant") == {(f"E{n}", "docs:read") for n in (1, 2, 3)}
