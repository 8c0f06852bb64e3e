"""Targets are worked on side by side, and each fails alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest

from reconciler.apply.context import in_threads, one_after_the_other
from reconciler.apply.journal import Journal
from reconciler.apply.leases import RunSuperseded
from reconciler.apply.patience import Patience
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.targets import Op, Step, TargetError, TargetUnavailable
from tests.apply.shelves import NOW, Notebook, Shelf, change, run

LONG = 30.0
"""Seconds after which something never happens."""


def until(happened: Event) -> Callable[[Sequence[Step]], None]:
    """A target that answers only once something has happened elsewhere."""

    def wait(_: Sequence[Step]) -> None:
        assert happened.wait(LONG), "one target waits for the other"

    return wait


def test_a_leaver_is_out_of_one_target_while_another_does_not_answer() -> None:
    healthy = Shelf(size=1)
    healthy.members = {"u1", "u2"}
    out = Event()
    healthy.before = lambda _: out.set() if healthy.members == {"u2"} else None
    dead = Shelf(before=until(out))
    changes = [
        change("u1", Op.REVOKE, "dead", leaver=True),
        *(change(account, Op.REVOKE, "healthy", leaver=True) for account in ("u1", "u2")),
    ]

    report, _, _ = run({"dead": dead, "healthy": healthy}, changes, side_by_side=in_threads)

    assert healthy.members == set()
    assert not report.failed


def test_on_each_target_the_order_is_kept() -> None:
    targets = {name: Shelf(size=1) for name in "abc"}
    changes = [change(f"u{n}", op, name) for op in (Op.GRANT, Op.REVOKE) for name in targets for n in range(3)]
    for shelf in targets.values():
        shelf.members = {"u0", "u1", "u2"}

    report, _, _ = run(targets, changes, side_by_side=in_threads)

    for shelf in targets.values():
        assert shelf.log.count("send u0") == 2
        assert [line for line in shelf.log if line.startswith("send")][:3] == ["send u0", "send u1", "send u2"]
        assert shelf.members == {"u0", "u1", "u2"}, "revoked first, granted then"
    assert [each.change.op for each in report.done] == [Op.REVOKE] * 9 + [Op.GRANT] * 9


def test_the_report_is_in_the_order_of_the_plan_whoever_was_first() -> None:
    done = Event()
    targets = {"a": Shelf(before=until(done)), "b": Shelf(before=lambda _: done.set())}
    report, _, _ = run(targets, [change("u1"), change("u2", target="b")], side_by_side=in_threads)
    assert [each.change.target for each in report.done] == ["a", "b"]


class BrokenRecord(TargetError):
    """Stands for a disk that is full."""


def test_what_breaks_the_record_stops_every_target_before_it_sends_more() -> None:
    """The others finish what they have begun, and put it on record."""
    recorded, broken = Event(), Event()
    first = Shelf(before=until(recorded), size=1)

    def begun(_: Sequence[Step]) -> None:
        recorded.set()
        until(broken)(())

    second = Shelf(before=begun, size=1)
    changes = [change("u1"), *(change(f"u{n}", target="b") for n in range(5))]
    notebook = Notebook([])
    original = notebook.record

    def record(entries: Sequence[NewEntry]) -> object:
        if any(entry.kind == Kind.EFFECT and entry.payload["target"] == "a" for entry in entries):
            broken.set()
            raise BrokenRecord("the disk is full")
        return original(entries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Notebook, "record", lambda _, entries: record(entries))
        with pytest.raises(BrokenRecord):
            run({"a": first, "b": second}, changes, side_by_side=in_threads)

    assert second.members < {f"u{n}" for n in range(5)}
    sent = {each["id"] for said in notebook.of(Kind.INTENDED) if said["target"] == "b" for each in said["changes"]}
    told = {said["change"] for said in notebook.of(Kind.EFFECT)}
    assert sent == told, "what was begun is on record"


def test_a_defect_of_one_adapter_does_not_stop_the_others() -> None:
    targets = {"a": Shelf({"u1": ZeroDivisionError()}), "b": Shelf(size=1)}
    changes = [change("u1"), *(change(f"u{n}", target="b") for n in range(5))]
    with pytest.raises(ZeroDivisionError):
        run(targets, changes, side_by_side=in_threads)
    assert targets["b"].members == {f"u{n}" for n in range(5)}


def test_a_newer_run_stops_this_one_before_it_sends() -> None:
    shelf = Shelf(size=1)

    def still_ours() -> None:
        if len(shelf.members) == 2:
            raise RunSuperseded("another run has taken over")

    with pytest.raises(RunSuperseded):
        run({"a": shelf}, [change(f"u{n}") for n in range(5)], still_ours=still_ours)

    assert shelf.members == {"u0", "u1"}


def test_whoever_waits_for_a_target_is_woken_where_the_run_is_to_end() -> None:
    """The wait would be half an hour: the test ends because the run does."""
    waiting = Event()
    slow = Shelf({"u1": TargetUnavailable("later", retry_after=1800)})
    slow.before = lambda _: waiting.set()

    def stop(_: Sequence[Step]) -> None:
        until(waiting)(())
        raise RunSuperseded("another run has taken over")

    changes = [change("u1"), change("u1", target="b")]
    with pytest.raises(RunSuperseded):
        run({"a": slow, "b": Shelf(before=stop)}, changes, patience=Patience(in_all=3600), side_by_side=in_threads)


@pytest.mark.parametrize("way", [in_threads, one_after_the_other])
def test_results_come_in_the_order_of_the_works(way: Callable[..., list[int]]) -> None:
    assert way([lambda n=n: n for n in range(40)]) == list(range(40))
    assert way([]) == []


def test_every_work_is_begun_whatever_one_of_them_raises() -> None:
    begun = [Event() for _ in range(5)]

    def work(number: int) -> int:
        begun[number].set()
        return 1 // number

    with pytest.raises(ZeroDivisionError):
        in_threads([lambda n=n: work(n) for n in range(5)])  # type: ignore[misc]
    assert all(event.is_set() for event in begun)


def test_ten_targets_write_one_ledger_without_losing_or_mixing_anything(tmp_path: Path) -> None:
    """The real store, which has one writer at a time."""
    facts = Facts(Store.open("sqlite:///s.db", folder=tmp_path), "UTC", [Journal()])

    class Writer:
        def record(self, entries: Sequence[NewEntry]) -> object:
            with facts.store.writing() as connection:
                return facts.ledger.append(connection, entries, NOW)

    targets = {f"t{n}": Shelf(size=1) for n in range(10)}
    changes = [change(f"u{n}", target=name) for name in targets for n in range(10)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Notebook, "record", lambda _, entries: Writer().record(entries))
        report, _, _ = run(targets, changes, side_by_side=in_threads)

    assert not report.failed
    assert facts.ledger.verify().entries == 2 + 2 * len(changes)
    for name in targets:
        entries = facts.ledger.entries(kinds=["intended", "effect"])
        told = [entry for entry in entries if entry.payload["target"] == name]
        assert [entry.kind for entry in told] == ["intended", "effect"] * 10
        assert [entry.subject for entry in told if entry.kind == "effect"] == [f"u{n}" for n in range(10)]
    with facts.store.reading() as connection:
        assert Journal().open_intents(connection) == []
