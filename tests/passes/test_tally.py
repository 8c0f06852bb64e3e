"""The delay of a fact: to the outcome after which nothing is left of its work on a target, however that came about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.tables import Kind
from reconciler.facts.ledger import Entry
from reconciler.passes.tally import BUCKETS, Delays, Tally, Told

BEGIN = datetime(2026, 11, 23, 2, tzinfo=UTC)
FACT, PROOF = 7, 8


class Record:
    """A ledger of one fact, recorded at `BEGIN`, and of runs that work on it; each entry a second after the last."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def put(self, kind: Kind, **payload: Any) -> int:
        seq = len(self.entries) + 100
        at = BEGIN + timedelta(seconds=len(self.entries) + 1)
        self.entries.append(Entry(seq, at, kind.value, "run:x", "a", None, payload, "", "", ""))
        return seq

    def began(self, run: str) -> None:
        self.put(Kind.RUN_STARTED, run=run, changes=1)

    def meant(self, run: str, *changes: str, target: str = "dir", op: str = "revoke", **how: Any) -> int:
        cause = {"kind": "person", "ref": f"ledger:{FACT}", "text": ""}
        shared = {"leaver": True, "approved": False, "cause": cause, **how}
        own = [{"id": change, "as": 0, "subject": "E1", "account_key": "k"} for change in changes]
        return self.put(Kind.INTENDED, run=run, op=op, target=target, shared=[shared], changes=own)

    def became(self, run: str, change: str, outcome: str, target: str = "dir", **how: Any) -> int:
        cause = {"kind": "person", "ref": f"ledger:{FACT}", "text": ""}
        said = {"leaver": True, "approved": False, "cause": cause, "op": "revoke", **how}
        return self.put(Kind.EFFECT, run=run, change=change, outcome=outcome, target=target, **said)

    def ended(self, run: str) -> None:
        self.put(Kind.RUN_FINISHED, run=run, outcomes={})

    def counted(self, cuts: Sequence[int] = ()) -> Tally:
        """All of it, in pieces that end there, each by a process of its own."""
        tally, before = Tally(), 0
        for end in [*cuts, len(self.entries)]:
            some = self.entries[before:end]
            tally.take(some[-1].seq if some else tally.entry, {}, some, moments)
            again = Tally.read(tally.text())
            assert again is not None
            tally, before = again, end
        return tally


def moments(facts: Collection[int]) -> Mapping[int, Told]:
    return {fact: Told(BEGIN, passed=fact == PROOF) for fact in facts if fact in (FACT, PROOF)}


def seconds(tally: Tally, lane: str = "leaver", target: str = "dir") -> tuple[int, float]:
    own = tally.delays.get((target, lane), Delays())
    return sum(own.buckets), own.seconds


def test_it_is_counted_when_the_run_ends_and_to_its_last_outcome() -> None:
    record = Record()
    record.began("r")
    record.meant("r", "a", "b")
    record.became("r", "a", "applied")
    record.became("r", "b", "already")
    assert seconds(record.counted()) == (0, 0.0), "a further batch may come"
    record.ended("r")

    assert seconds(record.counted()) == (1, 4.0)


@pytest.mark.parametrize("outcome", ["refused", "unavailable", "ordered"])
def test_what_is_left_keeps_it_open_until_another_run_has_done_it(outcome: str) -> None:
    record = Record()
    record.began("r")
    record.meant("r", "a", "b")
    record.became("r", "a", "applied")
    record.became("r", "b", outcome)
    record.ended("r")
    assert seconds(record.counted()) == (0, 0.0)
    record.began("s")
    record.meant("s", "b")
    record.became("s", "b", "applied")
    record.ended("s")

    assert seconds(record.counted()) == (1, 8.0)


def test_what_a_run_left_when_it_died_is_done_when_it_was_found_done() -> None:
    record = Record()
    record.began("dead")
    record.meant("dead", "a")
    record.ended("other")
    assert seconds(record.counted()) == (0, 0.0)
    record.put(Kind.RUN_FINISHED, run="dead", outcomes={})  # it had no outcome, so that it is left
    record.became("dead", "a", "applied")

    assert seconds(record.counted()) == (1, 5.0)


def test_what_reading_back_does_not_show_is_left() -> None:
    record = Record()
    record.began("r")
    record.meant("r", "a")
    effect = record.became("r", "a", "applied")
    record.put(Kind.CONTRADICTED, effect=effect, change="a", target="dir", op="revoke")
    record.ended("r")

    tally = record.counted()
    assert seconds(tally) == (0, 0.0)
    assert tally.contradicted == {("dir", "revoke"): 1}


def test_what_nobody_wants_any_more_has_no_delay_and_neither_has_a_hand_or_a_policy() -> None:
    record = Record()
    record.began("r")
    record.meant("r", "a")
    record.became("r", "a", "stale")
    for kind, ref in (("drift", ""), ("policy", "p.yaml:1:1"), ("time", f"ledger:{FACT}")):
        cause = {"kind": kind, "ref": ref, "text": ""}
        record.meant("r", kind, cause=cause)
        record.became("r", kind, "applied", cause=cause)
    record.ended("r")

    tally = record.counted()
    assert not tally.delays
    assert tally.changes["dir", "revoke", "applied", "leaver"] == 3


@pytest.mark.parametrize(("op", "delays"), [("revoke", 0), ("disable-account", 0), ("grant", 1)])
def test_a_passed_proof_has_the_delay_of_what_it_gives_and_its_end_is_times_doing(op: str, delays: int) -> None:
    record = Record()
    record.began("r")
    cause = {"kind": "evidence", "ref": f"ledger:{PROOF}", "text": ""}
    record.meant("r", "a", cause=cause, op=op)
    record.became("r", "a", "applied", cause=cause, op=op)
    record.ended("r")

    tally = record.counted()
    assert seconds(tally)[0] == delays
    assert tally.changes["dir", op, "applied", "leaver"] == 1


def test_targets_are_counted_apart_and_so_is_what_waited_for_somebody() -> None:
    record = Record()
    record.began("r")
    record.meant("r", "a")
    record.meant("r", "b", target="vault", leaver=False, approved=True)
    record.became("r", "a", "applied")
    record.became("r", "b", "applied", target="vault", leaver=False, approved=True)
    record.ended("r")

    tally = record.counted()
    assert seconds(tally) == (1, 4.0)
    assert seconds(tally, "approved", "vault") == (1, 5.0)


@given(st.data())
def test_any_record_counted_in_any_pieces_comes_to_the_same(data: st.DataObject) -> None:
    record, runs = Record(), ["r", "s"]
    for _ in range(data.draw(st.integers(0, 12))):
        run, change = data.draw(st.sampled_from(runs)), data.draw(st.sampled_from("abc"))
        match data.draw(st.integers(0, 4)):
            case 0:
                record.began(run)
            case 1:
                record.meant(run, change)
            case 2:
                outcome = data.draw(st.sampled_from(["applied", "already", "refused", "stale", "unavailable"]))
                record.became(run, change, outcome)
            case 3:
                seq = data.draw(st.sampled_from([*(e.seq for e in record.entries if e.kind == "intended"), 1]))
                said = {"run": run, "op": "revoke", "target": "dir", "outcome": "applied", "intended": seq}
                record.put(Kind.EFFECTS, **said, but=data.draw(st.lists(st.sampled_from("abc"), unique=True)))
            case _:
                record.ended(run)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(record.entries)), max_size=4)))

    assert record.counted(cuts).text() == record.counted().text()


@given(st.lists(st.floats(0, 1e6)))
def test_every_delay_lies_in_the_bucket_that_its_bound_says(delays: list[float]) -> None:
    own = Delays()
    for delay in delays:
        own.add(delay)

    for n, bound in enumerate(BUCKETS):
        assert sum(own.buckets[: n + 1]) == sum(delay <= bound for delay in delays)
    assert sum(own.buckets) == len(delays)


def test_what_has_been_left_for_a_month_is_forgotten() -> None:
    record = Record()
    record.began("r")
    record.meant("r", "a")
    record.became("r", "a", "refused")
    record.ended("r")
    late = Entry(999, BEGIN + timedelta(days=31), "run-finished", "run:z", "a", None, {"run": "z"}, "", "", "")
    record.entries.append(late)

    assert '"waits": []' in record.counted().text()
