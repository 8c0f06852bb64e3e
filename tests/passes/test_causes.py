"""Every change leads back to what made it necessary: a policy line, a fact, a proof, a date, an exception, a hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.passes import Applied
from reconciler.plan.model import Cause, CauseKind
from tests.passes.company import POLICY, Account, Company, settled_company


def causes(done: Applied) -> dict[str, Cause]:
    return {f"{change.op.value} {change.subject}": change.cause for change in done.plan.changes}


def kinds(done: Applied) -> dict[str, str]:
    return {what: cause.kind.value for what, cause in causes(done).items()}


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return settled_company(tmp_path, 12)[0]


def test_a_hand_on_the_target_is_drift(company: Company) -> None:
    company.put("algorithms", Account("u1"))
    company.take("docs", Account("u2"))
    assert kinds(company.apply()) == {"revoke E1": "drift", "grant E2": "drift"}
    assert company.members("algorithms") == set()
    assert "u2" in company.members("docs")


def test_drift_is_drift_although_something_else_was_said_meanwhile(company: Company) -> None:
    company.take("docs", Account("u2"))
    company.tell("attributes-changed", "E2", "2026-11-20", email="e2@example.com")
    assert kinds(company.apply()) == {"grant E2": "drift"}


def test_an_event_is_the_persons(company: Company) -> None:
    entry = company.tell("transferred", "E1", "2026-11-20", assignment="main", department="sales")
    cause = causes(company.apply())["revoke E1"]
    assert (cause.kind, cause.ref) == (CauseKind.PERSON, f"ledger:{entry}")
    assert "transferred" in cause.text


def test_a_proof_is_evidence(company: Company) -> None:
    company.hire("E20", proofs=())
    accounts = [Account(f"u{n}", f"E{n}") for n in range(1, 13)]
    company.directory([*accounts, Account("u20", "E20")], {"docs": accounts, "algorithms": []})
    done = company.apply()
    assert done.plan.changes == ()
    assert [(each.subject, each.reasons[0].what) for each in done.plan.withheld] == [("E20", "nda")]

    entry = company.tell("evidence-recorded", "E20", "2026-11-20", kind="nda", valid_from="2026-11-20")
    cause = causes(company.apply())["grant E20"]
    assert (cause.kind, cause.ref) == (CauseKind.EVIDENCE, f"ledger:{entry}")


def test_a_policy_change_names_its_line(company: Company) -> None:
    company.add_policy(
        'roles:\n  named:\n    members: [{person: "E1", until: 2027-01-01, reason: Owner}]\n'
        "    grants: {read: [algorithms]}\n"
    )
    cause = causes(company.apply())["grant E1"]
    assert cause.kind is CauseKind.POLICY
    assert cause.ref.startswith("policies/more.yaml:4:")


def test_a_policy_change_beside_an_unrelated_fact_is_still_the_policys(company: Company) -> None:
    company.tell("attributes-changed", "E1", "2026-11-20", email="e1@example.com")
    company.add_policy("lockouts: [{person: E1, ref: SEC-1, since: 2026-11-01}]\n".replace("E1", '"E1"'))
    assert kinds(company.apply()) == {"revoke E1": "policy"}


def test_an_exception_is_an_exception(company: Company) -> None:
    company.add_policy(
        'exceptions:\n  - {person: "E1", grants: {read: [algorithms]}, until: 2026-12-05, reason: Audit, ticket: S-1,'
        ' approved_by: ["E2"]}\n'
    )
    assert set(kinds(company.apply()).values()) == {"exception"}
    company.pass_time(days=30)
    done = company.apply()
    assert set(kinds(done).values()) == {"exception"}
    assert not any(change.leaver for change in done.plan.changes)


def test_a_day_that_comes_is_time(company: Company) -> None:
    company.tell("transferred", "E1", "2026-12-01", assignment="main", department="rd/ai")
    assert company.apply().plan.changes == ()
    company.pass_time(days=10)
    assert set(kinds(company.apply()).values()) == {"time"}


@pytest.mark.parametrize(("known", "in_the_lane"), [("2026-12-05", True), ("2026-11-28", False)])
def test_an_expiry_known_a_week_ahead_is_in_the_lane(company: Company, known: str, in_the_lane: bool) -> None:
    company.hire("E20", proofs=())
    company.tell("evidence-recorded", "E20", "2026-11-20", kind="nda", valid_from="2026-11-20", valid_until=known)
    accounts = [Account(f"u{n}", f"E{n}") for n in range(1, 13)]
    company.directory([*accounts, Account("u20", "E20")], {"docs": accounts, "algorithms": []})
    assert set(kinds(company.apply())) == {"grant E20"}
    company.pass_time(days=14)

    done = company.apply()

    assert kinds(done) == {"revoke E20": "evidence"}
    assert [change.leaver for change in done.plan.changes] == [in_the_lane]


def test_a_notice_is_the_persons_and_steps_down_now(company: Company) -> None:
    entry = company.tell("resignation-submitted", "E1", "2026-11-24")
    done = company.apply()
    cause = causes(done)["revoke E1"]
    assert (cause.kind, cause.ref) == (CauseKind.PERSON, f"ledger:{entry}")
    assert done.plan.changes[0].leaver


def test_a_baseline_outlives_a_pass_in_which_something_was_held(tmp_path: Path) -> None:
    """What waited a week for its approval is still the policy's doing, and not drift."""
    company, _ = settled_company(tmp_path, 9)
    company.policy(POLICY.replace("department: rd}", "department: rnd}"))
    company.apply()
    company.pass_time(days=7)
    assert set(kinds(company.apply()).values()) == {"policy"}
    company.approve(company.look().plan.digest)
    company.apply()
    company.put("docs", Account("u3"))
    assert kinds(company.apply()) == {"revoke E3": "drift"}


def test_whoever_came_and_left_before_all_agreed_goes_because_they_left(tmp_path: Path) -> None:
    """What has been said of them since the last agreement is how they came, the proofs included, and that they left."""
    company, accounts = settled_company(tmp_path, 12)
    company.add_policy("guards: {protected: [E1]}\n")
    company.take("docs", accounts[0])  # held, so that the entitlement is in agreement no more
    newcomer = Account("u20", "E20")
    company.hire("E20")
    company.directory([*accounts, newcomer], {"docs": accounts[1:], "algorithms": []})
    assert kinds(company.apply())["grant E20"] == "person"
    assert "u20" in company.members("docs")

    entry = company.tell("exited", "E20", "2026-11-20")

    cause = causes(company.apply())["revoke E20"]
    assert (cause.kind, cause.ref) == (CauseKind.PERSON, f"ledger:{entry}")


def test_members_not_seen_in_a_partial_read_do_not_become_drift(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(POLICY.replace("department: rd}", "department: rnd}"))
    group = (tmp_path / "directory.ldif").read_bytes()
    for n in range(1, 8):
        company.take("docs", Account(f"u{n}"))
    (tmp_path / "directory.ldif").write_bytes((tmp_path / "directory.ldif").read_bytes().rstrip(b"\n"))  # cut off
    assert company.apply().plan.incomplete

    (tmp_path / "directory.ldif").write_bytes(group)
    assert set(kinds(company.apply()).values()) == {"policy"}
