"""One target's part of a run: its batches in order, tried again where nobody answered, and read back at the end.

Promises: intent is on record before anything is sent, outcome after; before every sending, also the second one of the
same step, the lease still holds and the step is still wanted; a target that keeps failing is set aside, and what is
left of its changes is not tried. Nothing here knows of other targets: a run has one of these for each, side by side.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from threading import Event
from typing import Any

from reconciler.apply.context import RunContext
from reconciler.apply.intents import locator_keys
from reconciler.apply.sight import Sight
from reconciler.apply.telling import Done, Intended, contradiction, effect, effects_of, intended, not_done
from reconciler.facts.ledger import chunks
from reconciler.logs import log
from reconciler.plan.model import Change
from reconciler.targets import (
    Observation,
    Op,
    Outcome,
    OutcomeKind,
    Target,
    TargetError,
    TargetUnavailable,
    TargetWriter,
    entitlement_key,
)

NARROW = 200
"""Up to so many accounts are read back by themselves; beyond, reading everything is less work for a target."""

AT_ONCE = 500
"""So many entries are written in one go: whoever has a leaver to put on record waits for no more than that."""

_STALE = Outcome(OutcomeKind.STALE, "no longer wanted: the facts or the policy have changed since the plan was made")
_THEIRS = Outcome(OutcomeKind.ALREADY, "the target did not answer, and another run has done it meanwhile")
_FOUND = Outcome(OutcomeKind.APPLIED, "the target did not answer, and reading it back shows that it was done")


@dataclass(slots=True)
class TargetReport:
    """What became of one target's changes. `set_aside` says why it was given up, where it was."""

    target: str
    done: list[Done] = field(default_factory=list)
    contradicted: list[Change] = field(default_factory=list)
    set_aside: str = ""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one sending came to, change by change."""

    outcomes: Sequence[Outcome]

    @property
    def silent(self) -> bool:
        """Whether there was no answer to anything."""
        return all(outcome.kind is OutcomeKind.UNAVAILABLE for outcome in self.outcomes)

    @property
    def retry_after(self) -> float | None:
        """When the target wants to be asked again, in seconds, where it says so."""
        asked = [outcome.retry_after for outcome in self.outcomes if outcome.retry_after is not None]
        return max(asked, default=None)


class OneTarget:
    """Carries out one target's changes, which are in order. Used once, by one thread."""

    def __init__(self, name: str, changes: Sequence[Change], context: RunContext, stopping: Event) -> None:
        self._changes = changes
        self._target: Target = context.targets[name]
        self._log = log.bind(run=context.told.run, target=name)
        self._context = context
        self._stopping = stopping
        self._report = TargetReport(name)
        self._waited = 0.0
        self._silent_batches = 0
        self._intended = Intended()
        self._writer: TargetWriter | None = None
        self._connection = ExitStack()

    def carried_out(self) -> TargetReport:
        """Do it. Where the run is to end, what has been begun is put on record and nothing new is begun."""
        with self._connection:
            for op, batch in _batches(self._changes, self._target.describe().batch_size):
                if self._stopping.is_set():
                    return self._report
                before = len(self._report.done)
                if self._report.set_aside:
                    self._leave(batch)
                else:
                    self._batch(op, batch)
                failed = sum(each.outcome.kind in _NOT_DONE for each in self._report.done[before:])
                self._context.progress(len(batch), failed)
        self._read_back()
        return self._report

    # --- one batch ----------------------------------------------------------------------------------------------------

    def _batch(self, op: Op, batch: Sequence[Change]) -> None:
        # The connection first: waiting for one takes as long as it takes, and the facts do not wait.
        if self._reached() is None:
            self._leave(batch)
            return
        wanted = self._still_wanted([Done(change, _STALE) for change in batch], self._context.no_longer_wanted(batch))
        if not wanted:
            return
        [entry] = self._context.recorder.record([intended(op, self._report.target, wanted, self._context.told)])
        self._intended = Intended(entry.seq, frozenset(change.id for change in wanted))
        # Asked once more now that everybody can see what is about to happen: see `reconciler.apply.leases`.
        stale, unwanted = [Done(change, _STALE) for change in wanted], self._context.no_longer_wanted(wanted)
        begun, before = time.perf_counter(), len(self._report.done)
        self._tried(self._still_wanted(stale, unwanted))
        outcomes = Counter(each.outcome.kind.value for each in self._report.done[before:])
        self._log.info("batch-sent", op=op.value, count=len(wanted), outcomes=dict(outcomes), seconds=_since(begun))

    def _still_wanted(self, given_up: Sequence[Done], unwanted: frozenset[str]) -> list[Change]:
        """The changes that are not among the unwanted, which go on record as `given_up` has them. That takes its time,
        and so it is asked again until there is nothing to record: no sending goes by an older answer.
        """
        while unwanted:
            self._settle([each for each in given_up if each.change.id in unwanted])
            given_up = [each for each in given_up if each.change.id not in unwanted]
            rest = [each.change for each in given_up]
            unwanted = self._context.no_longer_wanted(rest) if rest else frozenset()
        return [each.change for each in given_up]

    def _tried(self, changes: Sequence[Change]) -> None:
        """Send them, and what gets no answer again, until all is answered or patience ends."""
        if not changes:
            return
        answered, number, pending = False, 0, list(changes)
        while pending:
            number += 1
            attempt = self._sent(pending)
            answered = answered or not attempt.silent
            results = self._results(pending, attempt, number)
            unanswered = [outcome.kind is OutcomeKind.UNAVAILABLE for outcome in attempt.outcomes]
            self._settle([each for each, again in zip(results, unanswered, strict=True) if not again])
            silent = [each for each, again in zip(results, unanswered, strict=True) if again]
            pending = [each.change for each in silent]
            given_up = self._given_up(pending, number, attempt.retry_after) if pending else frozenset()
            pending = self._still_wanted(silent, given_up)
        self._silent_batches = 0 if answered else self._silent_batches + 1
        if self._silent_batches >= self._context.patience.silent_batches and not self._report.set_aside:
            words = next(each.outcome.detail for each in reversed(self._report.done))
            self._set_aside(f"{self._silent_batches} batches in a row got no answer: {words}")

    def _results(self, pending: Sequence[Change], attempt: _Attempt, number: int) -> Sequence[Done]:
        """What the attempt came to, as it goes on record."""
        told = list(zip(pending, attempt.outcomes, strict=True))
        again = [change for change, outcome in told if number > 1 and outcome.kind is OutcomeKind.ALREADY]
        theirs = self._theirs(again)
        return [Done(change, _THEIRS) if change.id in theirs else _told(change, out, number) for change, out in told]

    def _theirs(self, changes: Sequence[Change]) -> frozenset[str]:
        """Of what seems to have been done by an attempt that got no answer, what another run says to have done."""
        return self._context.done_by_others(changes) if changes else frozenset()

    def _given_up(self, pending: Sequence[Change], number: int, retry_after: float | None) -> frozenset[str]:
        """Wait, and the ids of those that are not tried again even so."""
        everything = frozenset(change.id for change in pending)
        if number >= self._context.patience.attempts or not self._wait(number, retry_after):
            return everything
        self._hang_up()
        if self._reached() is None:
            return everything
        return self._context.no_longer_wanted(pending)

    def _sent(self, changes: Sequence[Change]) -> _Attempt:
        """What the target says; one that breaks off says nothing."""
        self._context.still_ours()
        writer = self._writer
        if writer is None:
            raise RuntimeError("nothing is sent without a connection")
        try:
            return _Attempt(writer.apply([change.step for change in changes]))
        except TargetError as error:
            return _Attempt([_no_answer(error)] * len(changes))

    def _settle(self, done: Sequence[Done]) -> None:
        """Put outcomes on record."""
        if not done:
            return
        for some in chunks(effects_of(done, self._intended, self._context.told), AT_ONCE):
            entries = self._context.recorder.record([entry for entry, _ in some])
            for (_, own), entry in zip(some, entries, strict=True):
                self._report.done += [Done(each.change, each.outcome, entry.seq) for each in own]
        for each in done:
            if each.outcome.kind in _NOT_DONE:
                self._log.warning("change-refused", outcome=each.outcome.kind.value, **_named(each.change))

    def _set_aside(self, why: str) -> None:
        self._report.set_aside = why
        self._log.warning("target-set-aside", why=why)

    def _leave(self, changes: Sequence[Change]) -> None:
        """Not tried: nothing of these comes onto the record, and the next plan has them again."""
        outcome = Outcome(OutcomeKind.UNAVAILABLE, f"not tried: {self._report.set_aside}")
        self._report.done += [Done(change, outcome) for change in changes]

    # --- the connection -----------------------------------------------------------------------------------------------

    def _reached(self) -> TargetWriter | None:
        """A connection that can write; None where there is none to be had, and the target is set aside."""
        number = 0
        while self._writer is None and not self._report.set_aside:
            number += 1
            try:
                self._writer = self._connection.enter_context(self._target.writer())
            except TargetError as error:
                later = isinstance(error, TargetUnavailable)
                retry_after = error.retry_after if isinstance(error, TargetUnavailable) else None
                again = later and number < self._context.patience.attempts and self._wait(number, retry_after)
                if not again and not self._report.set_aside:
                    times = f" ({number} attempts)" if number > 1 else ""
                    self._set_aside(f"no connection that can write{times}: {error.message}")
        return self._writer

    def _hang_up(self) -> None:
        """After silence, the next attempt gets a connection of its own."""
        self._writer = None
        with suppress(TargetError):
            self._connection.close()

    def _wait(self, number: int, retry_after: float | None) -> bool:
        """Wait until the next attempt. False: there is none, since the run ends or the target asks for too much."""
        patience = self._context.patience
        seconds = patience.pause(number, retry_after)
        if self._waited + seconds > patience.in_all:
            if retry_after is not None:
                self._set_aside(f"it asks to be left alone for {retry_after:g} s")
            return False
        self._waited += seconds
        self._log.info("retry-waiting", attempt=number, seconds=round(seconds, 3), retry_after=retry_after)
        if patience.wait is not None:
            patience.wait(seconds)
            return not self._stopping.is_set()
        return not self._stopping.wait(seconds)

    # --- reading back -------------------------------------------------------------------------------------------------

    def _read_back(self) -> None:
        """Look at all that was sent: what was confirmed may not be so, and what nobody answered may have happened."""
        done = self._report.done
        sent = (OutcomeKind.APPLIED, OutcomeKind.UNAVAILABLE)
        own = [at for at, each in enumerate(done) if each.entry and each.outcome.kind in sent]
        if not own:
            return
        sight = Sight(self._look_again([done[at] for at in own]))
        key_of = locator_keys()
        shown = {at: sight.shows(self._described(done[at].change, key_of)) for at in own}
        # What nobody wants by now, a pass for that person may have undone since: no contradiction.
        absent = [done[at].change for at in own if shown[at] is False]
        undone = self._context.no_longer_wanted(absent) if absent else frozenset()
        silent = [done[at].change for at in own if shown[at] and done[at].outcome.kind is OutcomeKind.UNAVAILABLE]
        theirs = self._theirs(silent)
        entries = []
        for at in own:
            each, seen = done[at], shown[at]
            if each.outcome.kind is OutcomeKind.APPLIED and seen is False and each.change.id not in undone:
                self._report.contradicted.append(each.change)
                self._log.warning("change-contradicted", **_named(each.change))
                entries.append(contradiction(each))
            elif each.outcome.kind is OutcomeKind.UNAVAILABLE and seen is True:
                done[at] = replace(each, outcome=_THEIRS if each.change.id in theirs else _FOUND)
                entries.append(effect(done[at], self._context.told))
            elif each.outcome.kind is OutcomeKind.UNAVAILABLE and seen is False:
                entries.append(not_done(each, self._context.told))
        if entries:
            self._context.recorder.record(entries)

    def _described(self, change: Change, key_of: Callable[[Change], str]) -> dict[str, Any]:
        """What of a change can be seen, and what an account that it creates is found by."""
        said: dict[str, Any] = {
            "op": change.op.value,
            "account": change.account,
            "account_key": change.account_key,
            "entitlement_key": key_of(change),
        }
        if change.op is Op.CREATE_ACCOUNT:
            said["match"] = {name: change.profile.get(name, "") for name in self._target.match_attributes()}
        return said

    def _look_again(self, done: Sequence[Done]) -> Observation | None:
        locators = {entitlement_key(each.change.locator): each.change.locator for each in done if each.change.locator}
        accounts = {each.change.account_key for each in done}
        # A narrow reading knows no foreign principals: where one was to go, everything is read.
        narrow = "" not in accounts and len(accounts) <= NARROW
        try:
            return self._target.observe(list(locators.values()), accounts if narrow else None)
        except TargetError:
            return None


_NOT_DONE = (OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE)


def _named(change: Change) -> dict[str, str]:
    """A change as the log names it: by ids, so that no name of anybody stands there."""
    return {
        "change": change.id,
        "op": change.op.value,
        "person": change.person or "",
        "entitlement": entitlement_key(change.locator),
    }


def _since(begun: float) -> float:
    return round(time.perf_counter() - begun, 3)


def _batches(changes: Sequence[Change], size: int) -> Iterator[tuple[Op, Sequence[Change]]]:
    for op, same in groupby(changes, key=lambda change: change.op):
        own = list(same)
        for start in range(0, len(own), max(1, size)):
            yield op, own[start : start + max(1, size)]


def _no_answer(error: TargetError) -> Outcome:
    retry_after = error.retry_after if isinstance(error, TargetUnavailable) else None
    return Outcome(OutcomeKind.UNAVAILABLE, str(error), retry_after)


def _told(change: Change, outcome: Outcome, attempt: int) -> Done:
    """An outcome as it goes on record, after attempts that got no answer and may have done it: what is so `already` was
    done by one of those, and what is refused or stale now says nothing about them. Reading tells.
    """
    if attempt == 1:
        return Done(change, outcome)
    if outcome.kind is OutcomeKind.ALREADY:
        text = f"an attempt that got no answer had done it ({attempt} attempts)"
        return Done(change, Outcome(OutcomeKind.APPLIED, text))
    words = f"{outcome.detail} " if outcome.detail else ""
    if outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.STALE):
        words = f"{outcome.kind.value}, after an attempt that got no answer: {words}"
        outcome = replace(outcome, kind=OutcomeKind.UNAVAILABLE)
    return Done(change, replace(outcome, detail=f"{words}({attempt} attempts)"))
