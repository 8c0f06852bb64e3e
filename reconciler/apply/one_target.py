"""One target's part of a run: its batches in order, tried again where nobody answered, and read back at the end.

Promises: intent is on record before anything is sent, outcome after; before every sending, also the second one of the
same step, the lease still holds and the step is still wanted; a target that keeps failing is set aside, and what is
left of its changes is not tried. Nothing here knows of other targets: a run has one of these for each, side by side.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from threading import Event
from typing import Any

from reconciler.apply.context import RunContext, to_rest
from reconciler.apply.intents import locator_keys
from reconciler.apply.sight import Sight
from reconciler.apply.telling import Done, Intended, contradiction, effect, effects_of, intended, not_done
from reconciler.facts.ledger import Entry, NewEntry, chunks
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

AHEAD = 500
"""Of batches so large the next one is prepared while one is sent; of smaller ones there is nothing to be gained."""

_STALE = Outcome(OutcomeKind.STALE, "no longer wanted: the facts or the policy have changed since the plan was made")
_THEIRS = Outcome(OutcomeKind.ALREADY, "the target did not answer, and another run has done it meanwhile")
_FOUND = Outcome(OutcomeKind.APPLIED, "the target did not answer, and reading it back shows that it was done")


@dataclass(slots=True)
class TargetReport:
    """What became of one target's changes. `set_aside` says why it was given up, where it was; `untried`: how many were
    not sent for that.
    """

    target: str
    done: list[Done] = field(default_factory=list)
    contradicted: list[Change] = field(default_factory=list)
    set_aside: str = ""
    untried: int = 0


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


@dataclass(frozen=True, slots=True)
class _Begun:
    """A batch that is on record as about to be sent. `at`: since when, by the clock that `time.perf_counter` reads."""

    op: Op
    size: int
    """How many changes it had before it was asked which of them are wanted still."""
    changes: Sequence[Change]
    intended: Intended
    at: float


@dataclass(frozen=True, slots=True)
class _Unsaid:
    """What a batch came to and is not on record yet."""

    done: Sequence[Done] = ()
    intended: Intended = field(default_factory=Intended)


_NOTHING = _Unsaid()


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
        self._shown = 0
        self._intended = Intended()
        self._writer: TargetWriter | None = None
        self._connection = ExitStack()

    def carried_out(self) -> TargetReport:
        """Do it. Where the run is to end, what has been begun is put on record and nothing new is begun."""
        size = max(1, self._target.describe().batch_size)
        with self._connection:
            for op, own in groupby(self._changes, key=lambda change: change.op):
                batches = list(chunks(own, size))
                if len(batches) > 1 and size >= AHEAD:
                    self._overlapping(op, iter(batches))
                else:
                    self._one_after_the_other(op, batches)
                if self._stopping.is_set():
                    return self._report
        self._read_back()
        return self._report

    def _one_after_the_other(self, op: Op, batches: Iterable[Sequence[Change]]) -> None:
        for batch in batches:
            if self._stopping.is_set():
                return
            begun = self._begun(op, batch)
            if begun is not None:
                self._tried(begun, self._asked_again(begun))
            self._had_its_turn(len(batch))

    # --- one batch ----------------------------------------------------------------------------------------------------

    def _begun(self, op: Op, batch: Sequence[Change], unsaid: _Unsaid = _NOTHING) -> _Begun | None:
        """Put on record what is about to be sent, and what is `unsaid` of the batch before. None where nothing is."""
        # The connection first: waiting for one takes as long as it takes, and the facts do not wait.
        if self._report.set_aside or self._reached() is None:
            self._say(unsaid)
            self._leave(batch)
            return None
        unwanted = self._context.no_longer_wanted(batch)
        if unwanted:
            self._say(unsaid)
            unsaid = _NOTHING
        wanted = self._still_wanted(batch, unwanted)
        if not wanted:
            self._say(unsaid)
            return None
        news = intended(op, self._report.target, wanted, self._context.told)
        entry = self._say(unsaid, [news])[-1]
        ids = frozenset(change.id for change in wanted)
        return _Begun(op, len(batch), wanted, Intended(entry.seq, ids), time.perf_counter())

    def _asked_again(self, begun: _Begun) -> list[Change]:
        """What is wanted now that everybody can see what is about to happen: see `reconciler.apply.leases`."""
        self._intended = begun.intended
        return self._still_wanted(begun.changes, self._context.no_longer_wanted(begun.changes))

    def _still_wanted(
        self,
        changes: Sequence[Change],
        unwanted: frozenset[str],
        given_up: Callable[[Change], Done] = lambda change: Done(change, _STALE),
    ) -> list[Change]:
        """The changes that are not among the unwanted, which go on record as `given_up` has them. That takes its time,
        and so it is asked again until there is nothing to record: no sending goes by an older answer.
        """
        rest = list(changes)
        while unwanted:
            self._settle([given_up(change) for change in rest if change.id in unwanted])
            rest = [change for change in rest if change.id not in unwanted]
            unwanted = self._context.no_longer_wanted(rest) if rest else frozenset()
        return rest

    def _had_its_turn(self, count: int) -> None:
        failed = sum(each.outcome.kind in _NOT_DONE for each in self._report.done[self._shown :])
        self._shown = len(self._report.done)
        self._context.progress(count, failed)

    # --- many batches -------------------------------------------------------------------------------------------------

    def _overlapping(self, op: Op, batches: Iterator[Sequence[Change]]) -> None:
        """While the target works on one batch, what the one before came to is put on record, and in the same go that
        the next one is about to be sent. Of each alone the order is as ever: intent, question, sending, outcome.
        """
        unsaid, begun = _NOTHING, self._next_begun(op, batches)
        # What is begun and not sent where the run is to end stays open on the record: the next run looks.
        while begun is not None and not self._stopping.is_set():
            own, wanted = begun, self._asked_again(begun)
            ahead = partial(self._next_begun, op, batches, unsaid)
            attempt, begun = self._sent_meanwhile(wanted, ahead) if wanted else (None, ahead())
            self._intended, unsaid = own.intended, _NOTHING
            if attempt is None or any(each.kind is OutcomeKind.UNAVAILABLE for each in attempt.outcomes):
                self._tried(own, wanted, attempt)
            else:
                unsaid = _Unsaid([Done(*each) for each in zip(wanted, attempt.outcomes, strict=True)], own.intended)
                self._silent_batches = 0
                self._log_sent(own, unsaid.done)
            self._had_its_turn(own.size)
            if begun is not None and self._report.set_aside:
                self._untried(begun)
                begun = self._next_begun(op, batches)
        self._say(unsaid)

    def _sent_meanwhile(
        self, changes: Sequence[Change], ahead: Callable[[], _Begun | None]
    ) -> tuple[_Attempt | None, _Begun | None]:
        """Send these and do that, neither of which waits for the other."""
        works: list[Callable[[], Any]] = [partial(self._sent, changes), ahead]
        attempt, begun = to_rest(self._context.side_by_side, works)
        return attempt, begun

    def _next_begun(self, op: Op, batches: Iterator[Sequence[Change]], unsaid: _Unsaid = _NOTHING) -> _Begun | None:
        """The next batch of which anything is to be sent; None where there is none, or the run is to end."""
        for batch in batches:
            if self._stopping.is_set():
                break
            begun = self._begun(op, batch, unsaid)
            unsaid = _NOTHING
            if begun is not None:
                return begun
            self._had_its_turn(len(batch))
        self._say(unsaid)
        return None

    def _untried(self, begun: _Begun) -> None:
        """It is on record as about to be sent, and the target was set aside meanwhile: reading back tells."""
        self._intended = begun.intended
        outcome = Outcome(OutcomeKind.UNAVAILABLE, f"not tried: {self._report.set_aside}")
        self._settle([Done(change, outcome) for change in begun.changes])
        self._report.untried += len(begun.changes)
        self._had_its_turn(begun.size)

    # --- sending ------------------------------------------------------------------------------------------------------

    def _tried(self, begun: _Begun, changes: Sequence[Change], attempt: _Attempt | None = None) -> None:
        """Send them, unless they were (`attempt`), and what gets no answer again, until all is answered or patience
        ends.
        """
        if not changes:
            return
        answered, number, pending, before = False, 0, list(changes), len(self._report.done)
        while pending:
            number += 1
            attempt = attempt or self._sent(pending)
            answered = answered or not attempt.silent
            results = self._results(pending, attempt, number)
            unanswered = [outcome.kind is OutcomeKind.UNAVAILABLE for outcome in attempt.outcomes]
            self._settle([each for each, again in zip(results, unanswered, strict=True) if not again])
            silent = {each.change.id: each for each, again in zip(results, unanswered, strict=True) if again}
            pending = [each.change for each in silent.values()]
            given_up = self._given_up(pending, number, attempt.retry_after) if pending else frozenset()
            pending = self._still_wanted(pending, given_up, _as_said(silent))
            attempt = None
        self._log_sent(begun, self._report.done[before:])
        self._silent_batches = 0 if answered else self._silent_batches + 1
        if self._silent_batches >= self._context.patience.silent_batches and not self._report.set_aside:
            words = next(each.outcome.detail for each in reversed(self._report.done))
            self._set_aside(f"{self._silent_batches} batches in a row got no answer: {words}")

    def _log_sent(self, begun: _Begun, done: Sequence[Done]) -> None:
        outcomes = {kind.value: count for kind, count in Counter(each.outcome.kind for each in done).items()}
        count, seconds = len(begun.changes), _since(begun.at)
        self._log.info("batch-sent", op=begun.op.value, count=count, outcomes=outcomes, seconds=seconds)

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
        self._say(_Unsaid(done, self._intended))

    def _say(self, unsaid: _Unsaid, news: Sequence[NewEntry] = ()) -> Sequence[Entry]:
        """Put it on record, and in the last go these entries too. Returns what was recorded in that go."""
        told = effects_of(unsaid.done, unsaid.intended, self._context.told)
        portions = list(chunks(told, AT_ONCE)) or ([[]] if news else [])
        recorded: Sequence[Entry] = ()
        for number, some in enumerate(portions, start=1):
            last = news if number == len(portions) else ()
            recorded = self._context.recorder.record([*(entry for entry, _ in some), *last])
            for (_, own), entry in zip(some, recorded, strict=False):
                for each in own:
                    each.entry = entry.seq
                self._report.done += own
        for each in unsaid.done:
            if each.outcome.kind in _NOT_DONE:
                self._log.warning("change-refused", outcome=each.outcome.kind.value, **_named(each.change))
        return recorded

    def _set_aside(self, why: str) -> None:
        self._report.set_aside = why
        self._log.warning("target-set-aside", why=why)

    def _leave(self, changes: Sequence[Change]) -> None:
        """Not tried: nothing of these comes onto the record, and the next plan has them again."""
        outcome = Outcome(OutcomeKind.UNAVAILABLE, f"not tried: {self._report.set_aside}")
        self._report.done += [Done(change, outcome) for change in changes]
        self._report.untried += len(changes)

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
        shown = list(self._shown_in(sight, own))
        # What nobody wants by now, a pass for that person may have undone since: no contradiction.
        absent = [done[at].change for at, seen in zip(own, shown, strict=True) if seen is False]
        undone = self._context.no_longer_wanted(absent) if absent else frozenset()
        silent = [
            done[at].change
            for at, seen in zip(own, shown, strict=True)
            if seen and done[at].outcome.kind is OutcomeKind.UNAVAILABLE
        ]
        theirs = self._theirs(silent)
        entries = []
        for at, seen in zip(own, shown, strict=True):
            each = done[at]
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

    def _shown_in(self, sight: Sight, own: Sequence[int]) -> Iterator[bool | None]:
        """Of each of these changes, in order, whether it shows. Memberships are asked by entitlement."""
        done, key_of = self._report.done, locator_keys()

        def place(at: int) -> tuple[Op, str, bool]:
            change = done[at].change
            return change.op, key_of(change), bool(change.account_key)

        for (op, entitlement, known), alike in groupby(own, key=place):
            places = list(alike)
            if known and op in (Op.GRANT, Op.REVOKE):
                accounts = [done[at].change.account_key for at in places]
                yield from sight.shows_memberships(entitlement, accounts, grants=op is Op.GRANT)
            else:
                yield from (sight.shows(self._described(done[at].change, key_of)) for at in places)

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
        key_of = locator_keys()
        locators = {key_of(each.change): each.change.locator for each in done if each.change.locator}
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


def _as_said(done: Mapping[str, Done]) -> Callable[[Change], Done]:
    return lambda change: done[change.id]


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
