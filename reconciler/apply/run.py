"""One run: every batch is on record as intent before it is sent and as outcome after; what was changed is read back.

A run that dies leaves intents without outcomes. The next one looks at those entitlements afresh, records what became
of them, and goes on from a new plan (`recovered`). One step's failure never stops the next, one target's failure
never the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Protocol

from reconciler.apply.journal import OpenIntent
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import Entry, NewEntry
from reconciler.plan.model import Change
from reconciler.targets import (
    Observation,
    Op,
    Outcome,
    OutcomeKind,
    Reading,
    Target,
    TargetError,
    TargetWriter,
    entitlement_key,
)


class Recorder(Protocol):
    """Writes to the ledger, durably before it returns. Time and actor are its business."""

    def record(self, entries: Sequence[NewEntry]) -> Sequence[Entry]:
        """Append these entries in one transaction."""
        ...

    @property
    def actor(self) -> str:
        """Who is acting."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """One change and what became of it."""

    change: Change
    outcome: Outcome
    entry: int = 0


@dataclass(slots=True)
class RunReport:
    """What a run did. `contradicted` are changes that the target confirmed and that reading back does not show."""

    run: str
    done: list[Done] = field(default_factory=list)
    contradicted: list[Change] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[Done]:
        """The changes that are not as they should be."""
        return [each for each in self.done if each.outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE)]

    @property
    def stale(self) -> list[Done]:
        """The changes that were left alone because what the plan saw was no longer true."""
        return [each for each in self.done if each.outcome.kind is OutcomeKind.STALE]

    def counts(self) -> dict[str, int]:
        """Outcome → number of changes."""
        return dict(Counter(each.outcome.kind.value for each in self.done))


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run needs from outside.

    `no_longer_wanted` is asked before every batch and answers with the ids of those changes that the ledger and the
    policy, as they are now, would not make any more. `progress` is told after every batch how many changes are done.
    """

    run: str
    plan_digest: str
    plan_made_at: str
    policy_digest: str
    targets: Mapping[str, Target]
    recorder: Recorder
    no_longer_wanted: Callable[[Sequence[Change]], frozenset[str]]
    progress: Callable[[int], None]


def carry_out(changes: Sequence[Change], context: RunContext) -> RunReport:
    """Carry out the changes, which are in order and none of them held."""
    report = RunReport(context.run)
    context.recorder.record([_started(changes, context)])
    with ExitStack() as stack:
        writers: dict[str, TargetWriter | str] = {}
        for op, target, batch in _batches(changes, context.targets):
            writer = writers.get(target)
            if writer is None:
                writer = writers[target] = _open(context.targets[target], stack)
            if isinstance(writer, str):
                report.unreachable[target] = writer
                report.done += [Done(change, Outcome(OutcomeKind.UNAVAILABLE, writer)) for change in batch]
                continue
            report.done += _one_batch(op, target, batch, writer, context)
            context.progress(len(report.done))
    _read_back(report, context)
    context.recorder.record([_finished(report)])
    return report


def recovered(intents: Sequence[OpenIntent], observations: Mapping[str, Observation | None]) -> list[NewEntry]:
    """What became of the changes that a dead run intended, judged by what the targets show now.

    An intent whose target or entitlement could not be read stays open: nothing is claimed that nobody saw.
    """
    sights = {target: Sight(observation) for target, observation in observations.items()}
    entries = []
    for intent in intents:
        shown = sights[intent.target].shows(intent.change) if intent.target in sights else None
        if shown is not None:
            entries.append(_found(intent, "applied" if shown else "not-applied"))
    return entries


def _found(intent: OpenIntent, outcome: str) -> NewEntry:
    payload: dict[str, Any] = {
        **{name: value for name, value in intent.change.items() if name != "id"},
        "run": intent.run,
        "change": intent.change_id,
        "target": intent.target,
        "outcome": outcome,
        "detail": "found by reading, after the run had died",
    }
    return NewEntry(Kind.EFFECT.value, intent.change["subject"], "recovery", payload)


# --- batches ----------------------------------------------------------------------------------------------------------


def _batches(changes: Sequence[Change], targets: Mapping[str, Target]) -> Iterator[tuple[Op, str, Sequence[Change]]]:
    for op, same_op in groupby(changes, key=lambda change: change.op):
        by_target: dict[str, list[Change]] = defaultdict(list)
        for change in same_op:
            by_target[change.target].append(change)
        for target, own in by_target.items():
            size = max(1, targets[target].describe().batch_size)
            for start in range(0, len(own), size):
                yield op, target, own[start : start + size]


def _open(target: Target, stack: ExitStack) -> TargetWriter | str:
    """A writing connection, or why there is none."""
    try:
        return stack.enter_context(target.writer())
    except TargetError as error:
        return str(error)


def _one_batch(
    op: Op, target: str, batch: Sequence[Change], writer: TargetWriter, context: RunContext
) -> Iterable[Done]:
    unwanted = context.no_longer_wanted(batch)
    stale = Outcome(OutcomeKind.STALE, "no longer wanted: the facts or the policy have changed since the plan was made")
    late = [change for change in batch if change.id in unwanted]
    sent = [change for change in batch if change.id not in unwanted]
    done = [Done(change, stale) for change in late]
    if sent:
        context.recorder.record([_intended(op, target, sent, context)])
        outcomes = _sent(writer, sent)
        done += [Done(change, outcome) for change, outcome in zip(sent, outcomes, strict=True)]
    entries = context.recorder.record([_effect(each, context) for each in done])
    return [Done(each.change, each.outcome, entry.seq) for each, entry in zip(done, entries, strict=True)]


def _sent(writer: TargetWriter, changes: Sequence[Change]) -> Sequence[Outcome]:
    """What became of the steps; a target that breaks off says nothing, and stops no other target."""
    try:
        return writer.apply([change.step for change in changes])
    except TargetError as error:
        return [Outcome(OutcomeKind.UNAVAILABLE, str(error))] * len(changes)


# --- reading back -----------------------------------------------------------------------------------------------------


def _read_back(report: RunReport, context: RunContext) -> None:
    """Look at all that was sent: what was confirmed may not be so, and what nobody answered may have happened."""
    by_target: dict[str, list[Done]] = defaultdict(list)
    for each in report.done:
        if each.entry and each.outcome.kind in (OutcomeKind.APPLIED, OutcomeKind.UNAVAILABLE):
            by_target[each.change.target].append(each)
    entries = []
    for target, own in by_target.items():
        sight = Sight(_look_again(context.targets[target], own))
        for each in own:
            seen = sight.shows(_described(each.change))
            if each.outcome.kind is OutcomeKind.APPLIED and seen is False:
                report.contradicted.append(each.change)
                entries.append(_contradiction(each))
            elif each.outcome.kind is OutcomeKind.UNAVAILABLE and seen is True:
                found = replace(each, outcome=_FOUND)
                report.done[report.done.index(each)] = found
                entries.append(_effect(found, context))
    if entries:
        context.recorder.record(entries)


_FOUND = Outcome(OutcomeKind.APPLIED, "the target did not answer, and reading it back shows that it was done")


def _look_again(target: Target, done: Sequence[Done]) -> Observation | None:
    locators = {entitlement_key(each.change.locator): each.change.locator for each in done if each.change.locator}
    accounts = {each.change.account_key for each in done}
    try:
        # A narrow reading knows no foreign principals: where one was to go, everything is read.
        return target.observe(list(locators.values()), None if "" in accounts else accounts)
    except TargetError:
        return None


class Sight:
    """An observation, asked whether changes show in it."""

    def __init__(self, observation: Observation | None) -> None:
        self._observation = observation
        accounts = observation.accounts.accounts if observation else ()
        self._positions = {account.key: position for position, account in enumerate(accounts)}

    def shows(self, change: Mapping[str, Any]) -> bool | None:
        """Whether the target is as the change, described as in the ledger, wanted it; None where nobody can tell."""
        if self._observation is None or change["op"] == Op.END_SESSIONS.value:
            return None
        if change["op"] in (Op.GRANT.value, Op.REVOKE.value):
            member = self._is_member(self._observation, change)
            return None if member is None else member == (change["op"] == Op.GRANT.value)
        return self._account_is_so(self._observation, change)

    def _is_member(self, observation: Observation, change: Mapping[str, Any]) -> bool | None:
        read = observation.entitlements.get(change["entitlement_key"])
        if read is None or read.reading is Reading.FAILED:
            return None
        if not change["account_key"]:
            member = change["account"] in read.foreign
        else:
            position = self._positions.get(change["account_key"])
            if position is None and not observation.accounts.reading.whole:
                return None
            member = position is not None and position in read.members
        return member if member or read.reading.whole else None

    def _account_is_so(self, observation: Observation, change: Mapping[str, Any]) -> bool | None:
        position = self._positions.get(change["account_key"])
        deleted = change["op"] == Op.DELETE_ACCOUNT.value
        if position is None:
            return deleted if observation.accounts.reading.whole else None
        enabled = observation.accounts.accounts[position].enabled
        return not deleted and enabled == (change["op"] != Op.DISABLE_ACCOUNT.value)


# --- what the ledger is told ------------------------------------------------------------------------------------------


def _started(changes: Sequence[Change], context: RunContext) -> NewEntry:
    payload: dict[str, Any] = {
        "run": context.run,
        "plan": context.plan_digest,
        "plan_made_at": context.plan_made_at,
        "policy": context.policy_digest,
        "changes": len(changes),
    }
    return NewEntry(Kind.RUN_STARTED.value, f"run:{context.run}", context.recorder.actor, payload)


def _finished(report: RunReport) -> NewEntry:
    payload: dict[str, Any] = {"run": report.run, "outcomes": report.counts(), "contradicted": len(report.contradicted)}
    return NewEntry(Kind.RUN_FINISHED.value, f"run:{report.run}", "", payload)


def _intended(op: Op, target: str, changes: Sequence[Change], context: RunContext) -> NewEntry:
    payload: dict[str, Any] = {
        "run": context.run,
        "op": op.value,
        "target": target,
        "changes": [{"id": change.id, **_described(change)} for change in changes],
    }
    return NewEntry(Kind.INTENDED.value, f"run:{context.run}", context.recorder.actor, payload)


def _effect(done: Done, context: RunContext) -> NewEntry:
    change = done.change
    payload: dict[str, Any] = {
        **_described(change),
        "run": context.run,
        "change": change.id,
        "target": change.target,
        "outcome": done.outcome.kind.value,
        "detail": done.outcome.detail,
    }
    return NewEntry(Kind.EFFECT.value, change.subject, context.recorder.actor, payload)


def _contradiction(done: Done) -> NewEntry:
    payload: dict[str, Any] = {
        "effect": done.entry,
        "target": done.change.target,
        "entitlement_key": entitlement_key(done.change.locator),
        "op": done.change.op.value,
        "text": "the target confirmed the change, and reading it back does not show it",
    }
    return NewEntry(Kind.CONTRADICTED.value, done.change.subject, "", payload)


def _described(change: Change) -> dict[str, Any]:
    """A change as the ledger keeps it: enough to know later what it did, to whom, and why."""
    holder = "person" if change.person else "service-account" if change.service_account else "nobody"
    return {
        "op": change.op.value,
        "subject": change.subject,
        "holder": holder,
        "account": change.account,
        "account_key": change.account_key,
        "entitlement": change.entitlement,
        "entitlement_key": entitlement_key(change.locator),
        "locator": dict(change.locator),
        "permissions": list(change.permissions),
        "classification": change.classification,
        "cause": {"kind": change.cause.kind.value, "ref": change.cause.ref, "text": change.cause.text},
        "slice": change.slice,
        "approved": change.approved,
        "leaver": change.leaver,
    }
