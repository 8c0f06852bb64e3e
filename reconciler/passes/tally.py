"""What monitoring counts, counted from the record alone: entries, changes, and how long a fact took to take effect.

A tally is a function of the ledger up to an entry: whoever counts comes to the same numbers, whichever process did the
work, and counting goes on where it was left. It holds numbers of entries and digests of changes, and says nothing of
anybody. Pure: entries come in, in order, with the moments of facts that are asked for.

**The delay.** A change names the fact that caused it, and so a fact's work on a target is all changes there that name
it. From the moment the fact is on record, and in force, until the outcome after which none of them is left, when the
run has ended that says so. What is refused, on order, or without an answer is left. A fact that no run had to change
anything for has no delay; one whose work came in several runs, since a part of it was held, counts when each of them
has left nothing. What a passed proof is named for when something is taken away is its end: that is time's doing, like
the day that comes, and has no delay.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from reconciler.apply.intents import spelled_out
from reconciler.apply.tables import Kind
from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.ledger import Entry
from reconciler.plan.model import CauseKind
from reconciler.targets import GIVING

__all__ = ["BUCKETS", "COUNTED", "Delays", "Lane", "Tally", "Told"]

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Seconds: from the answer of a directory nearby to a day of waiting for somebody."""

KEPT = timedelta(days=30)
"""What has been left for so long is no longer waited for."""


@dataclass(frozen=True, slots=True)
class Told:
    """Since when a fact is on record and in force; whether it is a passed proof, which gives and never takes."""

    since: datetime
    passed: bool = False


Moments = Callable[[Collection[int]], Mapping[int, Told]]
"""Tells of the facts in these entries."""

_FORMAT = 2
_DONE = frozenset({"applied", "already"})
_LEFT = frozenset({"refused", "unavailable", "ordered"})
_BY_FACTS = frozenset({CauseKind.PERSON.value, CauseKind.EVIDENCE.value})


class Lane(StrEnum):
    """How a change came to be carried out."""

    LEAVER = "leaver"
    """It takes something from somebody who leaves, and waits for nobody."""
    APPROVED = "approved"
    """It had waited for somebody's word."""
    OTHER = "other"


@dataclass(slots=True)
class Delays:
    """A histogram: how many delays lie in each bucket (the last one has no end), and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class _Wait:
    """A fact's work on a target, by the run that was at it last: the changes that are left, and those that are done."""

    run: str
    at: str
    lane: str
    takes: bool
    left: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    done_at: str = ""


@dataclass(slots=True)
class _Batch:
    """What a run is about to do, of which nothing is known yet: change → its lane, and the fact that caused it (0)."""

    run: str
    at: str
    changes: dict[str, tuple[str, int]]


class Tally:
    """The numbers up to `entry`. Whoever shares one between threads takes turns."""

    def __init__(self) -> None:
        self.entry = 0
        self.entries: Counter[str] = Counter()
        self.changes: Counter[tuple[str, str, str, str]] = Counter()
        """Target, operation, outcome and lane → how many times that came onto the record."""
        self.delays: dict[tuple[str, str], Delays] = {}
        """Target and lane → the delays."""
        self.set_aside: Counter[str] = Counter()
        """Target → in how many runs it was given up."""
        self.contradicted: Counter[tuple[str, str]] = Counter()
        """Target and operation → how many times it was confirmed, and reading back did not show it."""
        self._batches: dict[int, _Batch] = {}
        self._waits: dict[tuple[int, str], _Wait] = {}
        self._running: dict[str, str] = {}

    def take(
        self,
        head: int,
        kinds: Mapping[str, int],
        entries: Iterable[Entry],
        moments: Moments,
    ) -> None:
        """Count on up to `head`: so many entries of these kinds lie between, and `entries` are those of `COUNTED`.
        `moments` tells since when facts are on record and in force.
        """
        self.entries.update(kinds)
        for entry in entries:
            if not entry.erased:
                _TAKE[Kind(entry.kind)](self, entry, moments)
        self.entry = head

    # --- the entries of a run -----------------------------------------------------------------------------------------

    def _started(self, entry: Entry, _moments: object) -> None:
        self._running[_said(entry)["run"]] = instant_text(entry.recorded_at)

    def _intended(self, entry: Entry, _moments: object) -> None:
        said, at = _said(entry), instant_text(entry.recorded_at)
        changes = {change["id"]: (_lane(change), _fact(change)) for change in spelled_out(said)}
        self._batches[entry.seq] = _Batch(said["run"], at, changes)
        for change, (lane, fact) in changes.items():
            if fact:
                self._wait(fact, said["target"], _Wait(said["run"], at, lane, said["op"] not in GIVING)).left.add(
                    change
                )

    def _wait(self, fact: int, target: str, fresh: _Wait) -> _Wait:
        known = self._waits.setdefault((fact, target), fresh)
        if known.run != fresh.run:  # it has looked anew: what it does not do is not to be done any more
            fresh.done_at = known.done_at
            self._waits[fact, target] = known = fresh
        return known

    def _effect(self, entry: Entry, moments: Moments) -> None:
        said = _said(entry)
        run, change = said["run"], said["change"]
        for seq in [seq for seq, batch in self._batches.items() if batch.run == run]:
            self._drop(seq, [change])
        self._became(entry, change, _lane(said), _fact(said))
        if run not in self._running:  # found by reading, or confirmed by a person, after the run had ended or died
            key = (_fact(said), said["target"])
            self._settle([key] if key in self._waits and self._waits[key].run == run else [], moments)

    def _effects(self, entry: Entry, _moments: object) -> None:
        said = _said(entry)
        seq = said["intended"]
        batch = self._batches.get(seq)
        if batch is None:
            return
        but = frozenset(said.get("but", ()))
        ids = said["changes"] if "changes" in said else [change for change in batch.changes if change not in but]
        for change in ids:
            lane, fact = batch.changes.get(change, (Lane.OTHER.value, 0))
            self._became(entry, change, lane, fact)
        self._drop(seq, ids)

    def _drop(self, seq: int, changes: Iterable[str]) -> None:
        batch = self._batches[seq]
        for change in changes:
            batch.changes.pop(change, None)
        if not batch.changes:
            del self._batches[seq]

    def _became(self, entry: Entry, change: str, lane: str, fact: int) -> None:
        said = _said(entry)
        outcome, target = said["outcome"], said["target"]
        self.changes[target, said["op"], outcome, lane] += 1
        wait = self._waits.get((fact, target))
        if wait is None:
            return
        if outcome not in _LEFT:
            wait.left.discard(change)
        if outcome in _DONE:
            wait.done.add(change)
            wait.done_at = instant_text(entry.recorded_at)

    def _contradicted(self, entry: Entry, _moments: object) -> None:
        said = _said(entry)
        self.contradicted[said["target"], said["op"]] += 1
        for (_, target), wait in self._waits.items():
            if target == said["target"] and said.get("change") in wait.done:
                wait.left.add(said["change"])

    def _finished(self, entry: Entry, moments: Moments) -> None:
        run = _said(entry)["run"]
        self.set_aside.update(_said(entry).get("set_aside", {}).keys())
        self._running.pop(run, None)
        self._settle([key for key, wait in self._waits.items() if wait.run == run], moments)
        self._forget(instant_text(entry.recorded_at - KEPT))

    def _settle(self, keys: Sequence[tuple[int, str]], moments: Moments) -> None:
        """Count the delays of those of which nothing is left."""
        ended = {key: self._waits.pop(key) for key in keys if not self._waits[key].left}
        since = moments({fact for fact, _ in ended}) if ended else {}
        for (fact, target), wait in ended.items():
            told = since.get(fact)
            if wait.done_at and told is not None and not (wait.takes and told.passed):
                seconds = (parse_instant(wait.done_at) - told.since).total_seconds()
                self.delays.setdefault((target, wait.lane), Delays()).add(max(0.0, seconds))

    def _forget(self, before: str) -> None:
        self._batches = {seq: batch for seq, batch in self._batches.items() if batch.at >= before}
        self._waits = {key: wait for key, wait in self._waits.items() if wait.at >= before}
        self._running = {run: at for run, at in self._running.items() if at >= before}

    # --- from one process to the next ---------------------------------------------------------------------------------

    def text(self) -> str:
        """All of it, as `read` takes it."""
        return json.dumps(
            {
                "format": _FORMAT,
                "entry": self.entry,
                "entries": self.entries,
                "changes": [[*key, count] for key, count in sorted(self.changes.items())],
                "contradicted": [[*key, count] for key, count in sorted(self.contradicted.items())],
                "set_aside": self.set_aside,
                "buckets": BUCKETS,
                "delays": [[*key, own.buckets, own.seconds] for key, own in sorted(self.delays.items())],
                "batches": [[seq, own.run, own.at, own.changes] for seq, own in sorted(self._batches.items())],
                "waits": [
                    [*key, own.run, own.at, own.lane, own.takes, sorted(own.left), sorted(own.done), own.done_at]
                    for key, own in sorted(self._waits.items())
                ],
                "running": self._running,
            },
            sort_keys=True,
        )

    @classmethod
    def read(cls, text: str) -> Tally | None:
        """What `text` gave; None where another version counted otherwise, so that counting begins anew."""
        said: dict[str, Any] = json.loads(text)
        if said["format"] != _FORMAT or tuple(said["buckets"]) != BUCKETS:
            return None
        tally = cls()
        tally.entry = said["entry"]
        tally.entries = Counter(said["entries"])
        tally.changes = Counter({(target, op, out, lane): n for target, op, out, lane, n in said["changes"]})
        tally.set_aside = Counter(said["set_aside"])
        tally.contradicted = Counter({(target, op): n for target, op, n in said["contradicted"]})
        tally.delays = {(target, lane): Delays(own, seconds) for target, lane, own, seconds in said["delays"]}
        tally._batches = {
            seq: _Batch(run, at, {change: (lane, fact) for change, (lane, fact) in own.items()})
            for seq, run, at, own in said["batches"]
        }
        tally._waits = {
            (fact, target): _Wait(run, at, lane, takes, set(left), set(done), done_at)
            for fact, target, run, at, lane, takes, left, done, done_at in said["waits"]
        }
        tally._running = said["running"]
        return tally


def _said(entry: Entry) -> Mapping[str, Any]:
    """The payload; its shape is what `reconciler.apply.telling` wrote under this kind."""
    return entry.payload


def _lane(change: Mapping[str, Any]) -> str:
    leaving, approved = change.get("leaver"), change.get("approved")
    return (Lane.LEAVER if leaving else Lane.APPROVED if approved else Lane.OTHER).value


def _fact(change: Mapping[str, Any]) -> int:
    """The entry of the fact that caused the change; 0 where a policy, a hand or time alone did."""
    cause = change.get("cause") or {}
    kind, _, number = str(cause.get("ref", "")).partition(":")
    by_fact = cause.get("kind") in _BY_FACTS and kind == "ledger" and number.isdecimal()
    return int(number) if by_fact else 0


_TAKE: Mapping[Kind, Callable[[Tally, Entry, Moments], None]] = {
    Kind.RUN_STARTED: Tally._started,
    Kind.INTENDED: Tally._intended,
    Kind.EFFECT: Tally._effect,
    Kind.EFFECTS: Tally._effects,
    Kind.CONTRADICTED: Tally._contradicted,
    Kind.RUN_FINISHED: Tally._finished,
}
COUNTED = frozenset(kind.value for kind in _TAKE)
"""The kinds of entries whose payloads are looked at; of all others it is only counted that they are there."""
