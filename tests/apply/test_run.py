"""What a run says it did is what somebody saw, and nothing more."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.apply.journal import OpenIntent
from reconciler.apply.sight import Sight
from reconciler.apply.tables import Kind
from reconciler.apply.telling import recovered
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Observation,
    ObservedAccount,
    Op,
    Outcome,
    OutcomeKind,
    Reading,
    TargetError,
    TargetUnavailable,
)
from tests.apply.shelves import NOW, Shelf, change, kinds, run


def test_intent_is_on_record_before_anything_is_sent_and_outcome_after() -> None:
    _, _, log = run({"a": Shelf()}, [change("u1"), change("u2"), change("u3")])
    assert log == [
        "run-started",
        *["intended", "send u1,u2", "effects"],
        *["intended", "send u3", "effect"],
        "run-finished",
    ]


def test_f5_one_step_that_fails_stops_no_other() -> None:
    shelf = Shelf({"u2": Outcome(OutcomeKind.REFUSED, "no right")})
    report, _, _ = run({"a": shelf}, [change(f"u{n}") for n in range(1, 6)])
    assert kinds(report) == {"u1": "applied", "u2": "refused", "u3": "applied", "u4": "applied", "u5": "applied"}


@pytest.mark.parametrize("error", [TargetUnavailable("gone"), TargetError("wrong password")])
def test_f5_a_target_that_breaks_off_stops_no_other(error: Exception) -> None:
    targets = {"a": Shelf({"u1": error}), "b": Shelf()}
    report, _, _ = run(targets, [change("u1"), change("u1", target="b"), change("u9", target="b")])
    assert [each.outcome.kind.value for each in report.done] == ["unavailable", "applied", "applied"]
    assert targets["b"].members == {"u1", "u9"}


def test_f4_what_the_target_refused_is_on_record_as_refused() -> None:
    report, notebook, _ = run({"a": Shelf({"u1": Outcome(OutcomeKind.REFUSED, "no right")})}, [change("u1")])
    assert [said["outcome"] for said in notebook.of(Kind.EFFECT)] == ["refused"]
    assert [said["detail"] for said in notebook.of(Kind.EFFECT)] == ["no right"]
    assert len(report.failed) == 1


def test_a_confirmation_that_reading_does_not_show_is_contradicted() -> None:
    report, notebook, _ = run({"a": Shelf({"u1": Outcome(OutcomeKind.APPLIED)})}, [change("u1")])
    assert [each.account for each in report.contradicted] == ["u1"]
    assert len(notebook.of(Kind.CONTRADICTED)) == 1


def test_silence_after_success_is_told_by_reading() -> None:
    shelf = Shelf({"u1": Outcome(OutcomeKind.UNAVAILABLE)})
    shelf.members = {"u1"}
    report, notebook, _ = run({"a": shelf}, [change("u1")])
    assert kinds(report) == {"u1": "applied"}
    assert [said["outcome"] for said in notebook.of(Kind.EFFECT)] == ["unavailable", "applied"]
    assert not report.failed


def test_silence_stays_a_failure_where_reading_does_not_show_it() -> None:
    report, _, _ = run({"a": Shelf({"u1": Outcome(OutcomeKind.UNAVAILABLE)})}, [change("u1")])
    assert kinds(report) == {"u1": "unavailable"}
    assert report.contradicted == []


def test_what_nobody_wants_any_more_is_not_sent() -> None:
    shelf = Shelf()
    report, notebook, log = run({"a": shelf}, [change("u1"), change("u2")], unwanted={"u1"})
    assert kinds(report) == {"u1": "stale", "u2": "applied"}
    assert "send u2" in log
    intended = [each["subject"] for said in notebook.of(Kind.INTENDED) for each in said["changes"]]
    assert intended == ["u2"]


# --- what a reading proves --------------------------------------------------------------------------------------------


def seen(
    *, member: bool, known: bool = True, roll: Reading = Reading.COMPLETE, group: Reading = Reading.COMPLETE
) -> Observation:
    accounts = [ObservedAccount("u1", "u1", "u1")] if known else []
    read = EntitlementRead("group=docs", "docs", group, BitMap([0] if member and known else []))
    return Observation(NOW, AccountsRead(roll, accounts), {"group=docs": read})


def described(op: Op) -> dict[str, Any]:
    return {"op": op.value, "account": "u1", "account_key": "u1", "entitlement_key": "group=docs", "subject": "E1"}


@pytest.mark.parametrize(
    ("observation", "granted", "revoked"),
    [
        (seen(member=True), True, False),
        (seen(member=False), False, True),
        (seen(member=True, group=Reading.PARTIAL), True, False),
        (seen(member=False, group=Reading.PARTIAL), None, None),
        (seen(member=False, group=Reading.FAILED), None, None),
        (seen(member=False, known=False), False, True),
        (seen(member=False, known=False, roll=Reading.PARTIAL), None, None),
        (None, None, None),
    ],
)
def test_b2_absence_proves_something_only_in_a_whole_reading(
    observation: Observation | None, granted: bool | None, revoked: bool | None
) -> None:
    sight = Sight(observation)
    assert sight.shows(described(Op.GRANT)) is granted
    assert sight.shows(described(Op.REVOKE)) is revoked


def test_recovery_claims_only_what_was_seen() -> None:
    intents = [OpenIntent("r0", "c1", "a", described(Op.REVOKE)), OpenIntent("r0", "c2", "b", described(Op.GRANT))]
    entries = recovered(intents, {"a": seen(member=False), "b": None})
    assert [(entry.payload["change"], entry.payload["outcome"]) for entry in entries] == [("c1", "applied")]
    entries = recovered(intents, {"a": seen(member=True), "b": seen(member=True)})
    assert [entry.payload["outcome"] for entry in entries] == ["not-applied", "applied"]
    assert recovered(intents, {"a": seen(member=False, roll=Reading.PARTIAL, known=False)}) == []


@pytest.mark.parametrize(("enabled", "disabled"), [(True, False), (False, True)])
def test_whether_an_account_was_disabled_is_read(enabled: bool, disabled: bool) -> None:
    account = ObservedAccount("u1", "u1", "u1", enabled=enabled)
    sight = Sight(Observation(NOW, AccountsRead(Reading.COMPLETE, [account]), {}))
    assert sight.shows({**described(Op.DISABLE_ACCOUNT), "entitlement_key": ""}) is disabled
    assert sight.shows({**described(Op.DELETE_ACCOUNT), "entitlement_key": ""}) is False
    assert sight.shows({**described(Op.END_SESSIONS), "entitlement_key": ""}) is None
