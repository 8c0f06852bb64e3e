"""What a run says it did is what somebody saw, and nothing more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.apply.journal import OpenIntent
from reconciler.apply.run import RunContext, RunReport, Sight, carry_out, recovered
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.plan.model import Cause, CauseKind, Change, in_order
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Op,
    Outcome,
    OutcomeKind,
    Reading,
    Step,
    Target,
    TargetError,
    TargetUnavailable,
    TargetWriter,
    entitlement_key,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)


class Shelf(Target):
    """A target in memory, which does what its `script` says about an account and the right thing otherwise."""

    def __init__(self, script: Mapping[str, Outcome | Exception] | None = None, size: int = 2, log: Any = None) -> None:
        self.script = script or {}
        self.size = size
        self.members: set[str] = set()
        self.log: list[str] = log if log is not None else []

    def describe(self) -> Capabilities:
        return Capabilities(batch_size=self.size)

    def check_locator(self, locator: Locator) -> str | None:
        return None

    def match_attributes(self) -> Sequence[str]:
        return ("id",)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        people = [ObservedAccount(key, key, key) for key in sorted(self.members)]
        reads = {
            key: EntitlementRead(key, key, Reading.COMPLETE, BitMap(range(len(people))))
            for key in map(entitlement_key, locators)
        }
        return Observation(NOW, AccountsRead(Reading.COMPLETE, people), reads)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        yield ShelfWriter(self)


class ShelfWriter(TargetWriter):
    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def apply(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        self.shelf.log.append(f"send {','.join(step.account for step in steps)}")
        return [self._one(step) for step in steps]

    def _one(self, step: Step) -> Outcome:
        scripted = self.shelf.script.get(step.account)
        if isinstance(scripted, Exception):
            raise scripted
        if scripted is not None:
            return scripted
        (self.shelf.members.add if step.op is Op.GRANT else self.shelf.members.discard)(step.account)
        return Outcome(OutcomeKind.APPLIED)


class Notebook:
    """A recorder that keeps what it is told."""

    actor = "ops"

    def __init__(self, log: list[str]) -> None:
        self.entries: list[NewEntry] = []
        self.log = log

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        start = len(self.entries)
        self.entries += entries
        self.log += [entry.kind for entry in entries]
        return [
            Entry(start + n, NOW, e.kind, e.subject, e.actor, None, e.payload, "", "", "")
            for n, e in enumerate(entries, start=1)
        ]

    def of(self, kind: Kind) -> list[Mapping[str, Any]]:
        return [entry.payload for entry in self.entries if entry.kind == kind.value]


def change(account: str, op: Op = Op.GRANT, target: str = "a") -> Change:
    locator = {"group": "docs"} if op in (Op.GRANT, Op.REVOKE) else {}
    cause = Cause(CauseKind.POLICY, "", "because")
    return Change(op, target, account, account, account, None, "docs", locator, ("docs:read",), "core", 2, cause, "x")


def run(
    targets: Mapping[str, Target], changes: Sequence[Change], unwanted: Collection[str] = ()
) -> tuple[RunReport, Notebook, list[str]]:
    log: list[str] = next((t.log for t in targets.values() if isinstance(t, Shelf)), [])
    notebook = Notebook(log)
    context = RunContext(
        "r1",
        "sha256:p",
        "now",
        "sha256:x",
        targets,
        notebook,
        lambda batch: frozenset(each.id for each in batch if each.account in unwanted),
        lambda _: None,
    )
    return carry_out(in_order(changes), context), notebook, log


def kinds(report: RunReport) -> dict[str, str]:
    return {each.change.account: each.outcome.kind.value for each in report.done}


def test_intent_is_on_record_before_anything_is_sent_and_outcome_after() -> None:
    _, _, log = run({"a": Shelf()}, [change("u1"), change("u2"), change("u3")])
    assert log == [
        "run-started",
        *["intended", "send u1,u2", "effect", "effect"],
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
    intended = [each["account"] for said in notebook.of(Kind.INTENDED) for each in said["changes"]]
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
