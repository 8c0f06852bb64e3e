"""One run: every target's changes carried out side by side, each target failing alone; intents and outcomes on record.

A run that dies leaves intents without outcomes. The next one looks at those entitlements afresh, records what became
of them (`telling.recovered`), and goes on from a new plan. One step's failure never stops the next, one target's
failure never the others; only what makes the record or the lease unusable ends the whole run, before anything more is
sent.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event, Lock

from reconciler.apply.context import Recorder, RunContext, to_rest
from reconciler.apply.one_target import OneTarget, TargetReport
from reconciler.apply.telling import Done, finished, started
from reconciler.errors import ReconcilerError
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.logs import log, within
from reconciler.plan.model import Change, Finding, count_by_op
from reconciler.targets import OutcomeKind

__all__ = ["Done", "RunContext", "RunReport", "carry_out"]


@dataclass(slots=True)
class RunReport:
    """What a run did. `contradicted` are changes that the target confirmed and that reading back does not show;
    `set_aside` is target → why it was given up in this run.
    """

    run: str
    done: list[Done] = field(default_factory=list)
    contradicted: list[Change] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> list[Done]:
        """The changes that are not as they should be."""
        return self._of(OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE)

    @property
    def ordered(self) -> list[Done]:
        """The changes that somebody was asked to carry out and has not confirmed."""
        return self._of(OutcomeKind.ORDERED)

    @property
    def stale(self) -> list[Done]:
        """The changes that were left alone because what the plan saw was no longer true."""
        return self._of(OutcomeKind.STALE)

    def counts(self) -> dict[str, int]:
        """Outcome → number of changes."""
        counts = Counter(each.outcome.kind for each in self.done)
        return {kind.value: count for kind, count in counts.items()}

    def _of(self, *kinds: OutcomeKind) -> list[Done]:
        return [each for each in self.done if each.outcome.kind in kinds]


def carry_out(changes: Sequence[Change], context: RunContext) -> RunReport:
    """Carry out the changes, which are in order and none of them held. On every target they keep that order.

    Raises what made the record or the lease unusable (`StoreError`, `RunSuperseded`), once every target has come to
    rest; what was sent until then and is not on record is found by the next run.
    """
    counted = _Counted(context)
    context = replace(context, recorder=_InTurn(context.recorder), progress=counted.progress)
    told, begun = context.told, time.perf_counter()
    context.recorder.record([started(len(changes), told)])
    own = log.bind(run=told.run)
    own.info("run-started", plan=told.plan_digest, actor=told.actor, changes=count_by_op(changes))
    with within(run=told.run):
        parts = _side_by_side(changes, context)
    report = _joined(changes, parts, context)
    outcomes, contradicted = report.counts(), len(report.contradicted)
    context.recorder.record([finished(report.run, outcomes, contradicted, report.set_aside)])
    aside, seconds = sorted(report.set_aside), round(time.perf_counter() - begun, 3)
    own.info("run-finished", outcomes=outcomes, contradicted=contradicted, set_aside=aside, seconds=seconds)
    return report


def _side_by_side(changes: Sequence[Change], context: RunContext) -> Sequence[TargetReport]:
    by_target: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_target[change.target].append(change)
    stopping = Event()
    works = [partial(_part, OneTarget(name, own, context, stopping), stopping) for name, own in by_target.items()]
    return to_rest(context.side_by_side, works, stopping.set)


def _part(part: OneTarget, stopping: Event) -> TargetReport:
    """One target's part. What ends the whole run is told to the others at once."""
    try:
        return part.carried_out()
    except ReconcilerError:
        stopping.set()
        raise


def _joined(changes: Sequence[Change], parts: Sequence[TargetReport], context: RunContext) -> RunReport:
    """All targets' outcomes, in the order of the changes."""
    report = RunReport(context.told.run)
    report.done = [each for part in parts for each in part.done]
    report.contradicted = [change for part in parts for change in part.contradicted]
    if any(each.change is not change for each, change in zip(report.done, changes, strict=False)):
        position = {id(change): at for at, change in enumerate(changes)}
        report.done.sort(key=lambda each: position[id(each.change)])
        report.contradicted.sort(key=lambda change: position[id(change)])
    report.set_aside = {part.target: part.set_aside for part in parts if part.set_aside}
    report.findings = [_set_aside(part) for part in parts if part.set_aside]
    return report


def _set_aside(part: TargetReport) -> Finding:
    text = f"set aside in this run, {part.untried} of {len(part.done)} changes not tried: {part.set_aside}"
    return Finding("target-set-aside", part.target, part.target, text)


def together(first: RunReport | None, second: RunReport | None) -> RunReport | None:
    """What two runs of one pass came to, under the name of the first."""
    if first is None or second is None:
        return first or second
    return RunReport(
        first.run,
        [*first.done, *second.done],
        [*first.contradicted, *second.contradicted],
        {**first.set_aside, **second.set_aside},
        [*first.findings, *second.findings],
    )


class _InTurn:
    """A recorder for several threads: one writes, the others wait for their turn, and not for the database's."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._turn: AbstractContextManager[object] = Lock()

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """See `Recorder.record`."""
        with self._turn:
            return self._recorder.record(entries)


class _Counted:
    """Adds up what all targets have done, for whoever shows it."""

    def __init__(self, context: RunContext) -> None:
        self._progress = context.progress
        self._turn = Lock()
        self._done = self._failed = 0

    def progress(self, more: int, failed: int) -> None:
        """So many more have had their turn, and so many of those failed; tells how many have, altogether."""
        with self._turn:
            self._done += more
            self._failed += failed
            self._progress(self._done, self._failed)
