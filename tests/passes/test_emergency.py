"""`revoke`: one person out of everything now, whatever else is held, broken or wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.facts.people import PersonUnknown
from reconciler.facts.recording import record_events
from reconciler.passes import emergency
from reconciler.passes.emergency import RevokeRefused, ShutOut, shut_out
from reconciler.passes.one_person import under_way
from tests.passes.company import Company, Faulty, of, settled_company


def revoke(company: Company, person: str, **faults: Faulty) -> ShutOut:
    return shut_out(company.wiring(faults=faults), person, "SEC-1: laptop stolen")


def test_one_person_is_out_of_everything_and_nobody_else_is_touched(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    assert "pwdaccountlockedtime" not in (tmp_path / "directory.ldif").read_text("utf-8").lower()

    done = revoke(company, "E2")

    assert done.applied is not None
    assert not done.applied.failed
    assert company.members("docs") == {f"u{n}" for n in (1, 3, 4, 5, 6)}
    assert company.members("algorithms") == {f"u{n}" for n in (1, 3, 4, 5, 6)}
    assert company.readers() == {f"E{n}" for n in (1, 3, 4, 5, 6)}
    assert "pwdaccountlockedtime" in (tmp_path / "directory.ldif").read_text("utf-8").lower()


def test_it_lasts_until_it_is_ended_and_then_everything_is_back(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6)
    done = revoke(company, "E2")
    company.pass_time(days=30)
    company.tell("transferred", "E2", "2026-12-01", department="rd/ai")
    assert not of(company.look().plan.changes, "grant")

    company.tell("unlocked", "E2", f"{company.now:%Y-%m-%d}", ref=done.ref)
    company.pass_time(days=1)

    assert of(company.look().plan.changes) >= {("E2", "docs:read"), ("E2", "")}


def test_nothing_that_is_held_stands_in_between(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 6)
    company.directory(accounts, {"docs": [*accounts, *accounts], "algorithms": accounts})  # all to be revoked: held

    done = revoke(company, "E2")

    assert done.applied is not None
    assert "u2" not in company.members("docs")
    assert "u2" not in company.members("algorithms")
    assert len(company.members("algorithms")) == 5


def test_what_cannot_be_reached_is_told_and_stays_due(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")

    done = revoke(company, "E2", dir=Faulty(unreachable=True))

    assert done.applied is not None
    assert done.applied.failed
    assert "E2" not in company.readers()
    assert ("E2", "docs:read") in of(company.look().plan.changes, "revoke")


def test_whoever_sees_the_lockout_sees_that_it_is_being_seen_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company, _ = settled_company(tmp_path, 3)
    wiring = company.wiring()
    seen: list[bool] = []

    def recording(*arguments: Any, **more: Any) -> Any:
        seen.append(under_way(wiring, "E1"))
        return record_events(*arguments, **more)

    monkeypatch.setattr(emergency, "record_events", recording)
    shut_out(wiring, "E1", "SEC-1: laptop stolen")

    assert seen == [True], "a service that acts upon the lockout waits for this pass, and does not take it over"
    assert not under_way(wiring, "E1")


def test_it_needs_somebody_known_and_a_reason(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 3)
    before = company.wiring(targets=()).ledger.head()

    with pytest.raises(PersonUnknown):
        revoke(company, "E77")
    with pytest.raises(RevokeRefused):
        shut_out(company.wiring(), "E1", "  ")

    assert company.wiring(targets=()).ledger.head() == before
