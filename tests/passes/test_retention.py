"""Accounts of leavers, kept for a while, then deleted by decision; what is known of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.passes.execute import Applied
from reconciler.passes.look import Look
from reconciler.passes.one_person import let_out
from reconciler.targets import Op
from tests.passes.company import Account, Company, Died, Faulty, settled_company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = settled_company(tmp_path, 6)[0]
    company.workspace(lambda text: text.replace("{disable: ppolicy}", "{disable: ppolicy, delete: true}"))
    return company


def ops(seen: Look | Applied) -> set[tuple[Op, str | None]]:
    return {(each.op, each.person) for each in seen.plan.changes}


def deletions(company: Company) -> list[Any]:
    return [change for change in company.look().plan.changes if change.op is Op.DELETE_ACCOUNT]


def decided(company: Company) -> None:
    """Somebody looks at the deletion, and it is carried out."""
    company.approve(company.look().plan.digest)
    assert company.apply().failed is False


def tombstone(company: Company) -> Mapping[str, Any]:
    entries = company.wiring().ledger.entries()
    [entry] = [each for each in entries if each.kind == "effect" and each.payload["op"] == "delete-account"]
    return {**entry.payload, "subject": entry.subject, "when": entry.recorded_at}


def test_a_leavers_account_is_kept_for_the_retention_then_deleted_by_decision_and_on_record(company: Company) -> None:
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    company.pass_time(days=89)
    assert deletions(company) == []

    company.pass_time(days=2)
    [change] = deletions(company)
    assert change.held is not None
    assert change.held.text == "a deletion always waits for a decision"
    assert company.apply().report is None
    decided(company)

    text = (company.folder / "directory.ldif").read_text("utf-8")
    account = Account("u1")
    assert f"dn: {account.dn}\n" not in text
    assert f"dn: {Account('u2').dn}\n" in text
    stone = tombstone(company)
    assert {key: stone[key] for key in ("subject", "account", "account_key", "outcome", "had")} == {
        "subject": "E1",
        "account": account.dn,
        "account_key": account.key,
        "outcome": "applied",
        "had": ["group=docs"],
    }
    assert stone["when"] == company.now
    assert company.look().plan.changes == ()


def test_news_that_comes_late_deletes_nobody_who_was_in_a_moment_ago(company: Company) -> None:
    company.tell("exited", "E1", "2026-07-01")
    done = company.apply()
    assert ops(done) == {(Op.DISABLE_ACCOUNT, "E1"), (Op.REVOKE, "E1")}
    assert deletions(company) == []
    company.pass_time(days=91)
    assert len(deletions(company)) == 1


def test_a_pass_for_the_leaver_alone_leaves_deleting_to_the_passes_that_know_since_when(company: Company) -> None:
    company.tell("exited", "E1", "2026-07-01")
    first, second = (let_out(company.wiring(), "E1") for _ in range(2))
    assert first is not None
    assert second is not None
    assert ops(first) == {(Op.DISABLE_ACCOUNT, "E1"), (Op.REVOKE, "E1")}
    assert ops(second) == set()


def test_what_the_account_was_is_on_record_though_the_run_died_over_deleting_it(company: Company) -> None:
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    company.pass_time(days=91)
    company.approve(company.look().plan.digest)
    with pytest.raises(Died):
        company.apply(faults={"dir": Faulty(dies_at=0, late=True)})
    company.apply()

    stone = tombstone(company)

    assert (stone["subject"], stone["outcome"], stone["had"]) == ("E1", "applied", ["group=docs"])


def test_c3_a_name_that_is_used_again_is_nobodys_any_more_where_names_are_all_there_is(company: Company) -> None:
    """An export without entryUUID."""
    bare = "\n".join(
        line for line in (company.folder / "directory.ldif").read_text("utf-8").split("\n") if "entryUUID" not in line
    )
    (company.folder / "directory.ldif").write_text(bare, "utf-8")
    company.apply()
    company.tell("exited", "E1", "2026-11-20")
    company.apply()
    company.pass_time(days=95)
    decided(company)
    company.hire("E9")
    entry = "".join(line for line in Account("u1", "E9").entry().splitlines(True) if "entryUUID" not in line)
    with (company.folder / "directory.ldif").open("a", encoding="utf-8") as directory:
        directory.write(f"\n{entry}")

    done = company.apply()

    assert ops(done) == {(Op.GRANT, "E9")}
    assert "ambiguous-account" not in {each.kind for each in done.plan.findings}
    assert "u1" in company.members("docs")
    company.tell("exited", "E9", "2026-11-21")
    assert ops(company.look()) == {(Op.DISABLE_ACCOUNT, "E9"), (Op.REVOKE, "E9")}
