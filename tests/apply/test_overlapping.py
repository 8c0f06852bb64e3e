"""Of large batches the next one is put on record while one is sent: of each alone, everything keeps its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply import one_target
from reconciler.apply import run as run_module
from reconciler.apply.context import in_threads
from reconciler.apply.patience import Patience
from reconciler.apply.tables import Kind
from reconciler.errors import ReconcilerError
from reconciler.facts.ledger import NewEntry
from reconciler.targets import Op, Outcome, OutcomeKind, Step, TargetUnavailable
from tests.apply.shelves import BRIEF, Notebook, Shelf, change, kinds, run

LONG = 30.0
"""Seconds after which something never happens."""

ACCOUNTS = [f"u{n}" for n in range(9)]
CHANGES = [change(account) for account in ACCOUNTS]
IDS = {each.account: each.id for each in CHANGES}

answers = st.sampled_from(
    [
        Outcome(OutcomeKind.REFUSED, "no"),
        Outcome(OutcomeKind.STALE),
        Outcome(OutcomeKind.ALREADY),
        TargetUnavailable("no answer"),
        [TargetUnavailable("no answer")],
        [Outcome(OutcomeKind.UNAVAILABLE, "no answer")],
    ]
)
scripts = st.dictionaries(st.sampled_from(ACCOUNTS), answers, max_size=5)


@pytest.fixture(autouse=True)
def overlapping() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_target, "AHEAD", 1)
        yield


def told(notebook: Notebook) -> list[tuple[str, frozenset[str]]]:
    """What was recorded about changes, in order: the kind, and which."""
    found: list[tuple[str, frozenset[str]]] = []
    intended: dict[int, frozenset[str]] = {}
    for number, entry in enumerate(notebook.entries, start=1):
        said: Mapping[str, Any] = entry.payload
        if entry.kind == Kind.INTENDED:
            intended[number] = frozenset(each["id"] for each in said["changes"])
            found.append((entry.kind, intended[number]))
        elif entry.kind == Kind.EFFECT:
            found.append((entry.kind, frozenset({said["change"]})))
        elif entry.kind == Kind.EFFECTS:
            listed, of = said.get("changes"), intended[said["intended"]]
            found.append((entry.kind, frozenset(listed) if listed else of - frozenset(said["but"])))
        else:
            found.append((entry.kind, frozenset()))
    return found


@given(scripts, st.integers(1, 4), st.sets(st.sampled_from(ACCOUNTS), max_size=2))
def test_it_comes_to_the_same(script: dict[str, Any], size: int, unwanted: set[str]) -> None:
    overlapped, alone = Shelf(script, size=size), Shelf(script, size=size)

    report, notebook, log = run({"a": overlapped}, CHANGES, unwanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_target, "AHEAD", 1000)
        expected, before, _ = run({"a": alone}, CHANGES, unwanted)

    assert overlapped.members == alone.members
    assert kinds(report) == kinds(expected)
    assert report.set_aside.keys() == expected.set_aside.keys()
    last = {change: kind for kind, ids in told(notebook) for change in ids}
    assert last.keys() >= {change for kind, ids in told(before) for change in ids if kind != Kind.INTENDED}
    assert Kind.INTENDED not in last.values(), "whatever was begun has an outcome"
    intent_outcome_order(notebook, log)


def intent_outcome_order(notebook: Notebook, log: Sequence[str]) -> None:
    """Whatever is sent is on record as intended by then, and not yet as done."""
    entries = iter(told(notebook))
    intended: set[str] = set()
    answered: set[str] = set()
    for line in log:
        if not line.startswith("send"):
            kind, ids = next(entries)
            (intended if kind == Kind.INTENDED else answered).update(ids)
            continue
        sent = {IDS[account] for account in line.removeprefix("send ").split(",")}
        assert sent <= intended
        assert not sent & answered


def when_on_record(count: int, patch: pytest.MonkeyPatch) -> Event:
    """Set once so many batches are on record as about to be sent."""
    event, record = Event(), Notebook.record

    def recorded(notebook: Notebook, entries: Sequence[NewEntry]) -> object:
        known = record(notebook, entries)
        if len(notebook.of(Kind.INTENDED)) >= count:
            event.set()
        return known

    patch.setattr(Notebook, "record", recorded)
    return event


def test_the_next_intent_is_on_record_while_one_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    second = when_on_record(2, monkeypatch)

    def answers_late(_: Sequence[Step]) -> None:
        assert second.wait(LONG), "the next batch waits for this one"

    report, notebook, _ = run({"a": Shelf(size=3, before=answers_late)}, CHANGES, side_by_side=in_threads)

    assert set(kinds(report).values()) == {"applied"}
    assert [len(ids) for kind, ids in told(notebook) if kind == Kind.INTENDED] == [3, 3, 3]


def test_what_is_no_longer_wanted_is_not_sent_although_it_was_on_record_as_intended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    third, unwanted = when_on_record(3, monkeypatch), set[str]()

    def news(steps: Sequence[Step]) -> None:
        if steps[0].account == "u3":
            assert third.wait(LONG)
            unwanted.add("u8")

    report, notebook, log = run({"a": Shelf(size=3, before=news)}, CHANGES, unwanted, side_by_side=in_threads)

    assert "send u6,u7" in log
    assert kinds(report)["u8"] == "stale"
    assert any(IDS["u8"] in ids for kind, ids in told(notebook) if kind == Kind.INTENDED)


def test_what_was_begun_when_the_target_is_set_aside_has_an_outcome() -> None:
    shelf = Shelf({account: TargetUnavailable("no answer") for account in ACCOUNTS}, size=3)
    patience = Patience(attempts=1, silent_batches=1, wait=lambda _: None)

    report, notebook, log = run({"a": shelf}, CHANGES, patience=patience)

    assert [line for line in log if line.startswith("send")] == ["send u0,u1,u2"]
    assert report.set_aside.keys() == {"a"}
    assert "6 of 9 changes not tried" in report.findings[0].text
    assert set(kinds(report).values()) == {"unavailable"}
    begun = {change for kind, ids in told(notebook) if kind == Kind.INTENDED for change in ids}
    settled = {change for kind, ids in told(notebook) if kind != Kind.INTENDED for change in ids}
    assert begun == settled == {IDS[f"u{n}"] for n in range(6)}


class BrokenRecord(ReconcilerError):
    """Stands for a disk that is full."""


def test_where_the_run_is_to_end_what_was_begun_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays open on the record, and what was sent has its outcome there."""
    three, stopping, record = when_on_record(3, monkeypatch), Event(), Notebook.record

    def recorded(notebook: Notebook, entries: Sequence[NewEntry]) -> object:
        if any(entry.kind == Kind.EFFECT and entry.payload["target"] == "b" for entry in entries):
            raise BrokenRecord("the disk is full")
        return record(notebook, entries)

    def until(happened: Event) -> Callable[[Sequence[Step]], None]:
        return lambda _: None if happened.wait(LONG) else pytest.fail("one target waits for the other")

    monkeypatch.setattr(Notebook, "record", recorded)
    monkeypatch.setattr(run_module, "Event", lambda: stopping)
    shelf = Shelf(size=3, before=until(stopping))

    with pytest.raises(BrokenRecord):
        run(
            {"a": shelf, "b": Shelf(before=until(three))},
            [*CHANGES, change("u0", target="b")],
            side_by_side=in_threads,
        )

    assert [line for line in shelf.log if line.startswith("send")] == ["send u0,u1,u2"]
    assert Kind.EFFECTS in shelf.log


def test_an_interrupted_run_ends_no_sooner_than_what_it_sends() -> None:
    """Whoever runs next takes the lock, and finds nobody who is sending still."""
    sending, interrupted, sent = Event(), Event(), list[bool]()

    def slowly(_: Sequence[Step]) -> None:
        sending.set()
        sent.append(not interrupted.wait(0.3))

    def interrupting(works: Sequence[Callable[[], Any]]) -> list[Any]:
        if len(works) == 1:
            return [works[0]()]
        for work in works:
            Thread(target=work).start()
        assert sending.wait(LONG)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run({"a": Shelf(size=3, before=slowly)}, CHANGES, side_by_side=interrupting)
    interrupted.set()

    assert sent == [True]


def test_the_order_of_operations_is_kept() -> None:
    shelf = Shelf(size=2)
    shelf.members = set(ACCOUNTS)
    changes = [change(account, op) for op in (Op.GRANT, Op.REVOKE) for account in ACCOUNTS]

    report, _, log = run({"a": shelf}, changes, patience=BRIEF)

    assert [each.change.op for each in report.done] == [Op.REVOKE] * 9 + [Op.GRANT] * 9
    assert log.index("send u8") < max(at for at, line in enumerate(log) if line == "send u0,u1")
