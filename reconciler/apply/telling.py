"""What a run tells the ledger: that it began, what it is about to do, what became of it, that it ended.

The shape of every payload stands here; `projecting` reads what is written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.apply.intents import described, in_short
from reconciler.apply.journal import OpenIntent
from reconciler.apply.sight import Sight
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import NewEntry, chunks
from reconciler.plan.model import Change
from reconciler.targets import Observation, Op, Outcome, entitlement_key

NOT_APPLIED = "not-applied"
"""The outcome of what was intended and, by what reading shows, did not happen."""


@dataclass(slots=True)  # and not frozen, which triples the time that making one takes: there may be a million
class Done:
    """One change and what became of it. `entry` is the ledger entry that says so, 0 where it was never tried."""

    change: Change
    outcome: Outcome
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """Under which names a run writes."""

    run: str
    plan_digest: str
    plan_made_at: str
    policy_digest: str
    actor: str
    seen: int = 0
    """The record's newest entry when the targets were about to be read."""
    lease: str = ""
    """The lease that the run acts under, where it is one on a person."""


def started(count: int, told: Told) -> NewEntry:
    """A run begins, with so many changes."""
    payload: dict[str, Any] = {
        "run": told.run,
        "plan": told.plan_digest,
        "plan_made_at": told.plan_made_at,
        "policy": told.policy_digest,
        "changes": count,
        "seen": told.seen,
    }
    if told.lease:
        payload["lease"] = told.lease
    return NewEntry(Kind.RUN_STARTED.value, f"run:{told.run}", told.actor, payload)


def finished(run: str, outcomes: Mapping[str, int], contradicted: int, set_aside: Mapping[str, str]) -> NewEntry:
    """A run has ended."""
    payload: dict[str, Any] = {"run": run, "outcomes": dict(outcomes), "contradicted": contradicted}
    if set_aside:
        payload["set_aside"] = dict(sorted(set_aside.items()))
    return NewEntry(Kind.RUN_FINISHED.value, f"run:{run}", "", payload)


def intended(op: Op, target: str, changes: Sequence[Change], told: Told) -> NewEntry:
    """These changes are about to be sent."""
    shared, own = in_short(changes)
    payload: dict[str, Any] = {"run": told.run, "op": op.value, "target": target, "shared": shared, "changes": own}
    return NewEntry(Kind.INTENDED.value, f"run:{told.run}", told.actor, payload)


@dataclass(frozen=True, slots=True)
class Intended:
    """What is on record as about to be sent: the entry's number, and the ids of its changes."""

    entry: int = 0
    changes: frozenset[str] = frozenset()


def effects_of(done: Sequence[Done], intended: Intended, told: Told) -> list[tuple[NewEntry, Sequence[Done]]]:
    """What became of changes of one batch. Those of whom no more is to be said than the same outcome stand in one
    entry, which leads to what was intended; every other one has an entry of its own, which can be erased by itself, and
    so has every deletion: that entry says what the account was.
    """
    alike: dict[str, list[Done]] = {}
    entries: list[tuple[NewEntry, Sequence[Done]]] = []
    for each in done:
        alone = each.outcome.detail or each.change.op is Op.DELETE_ACCOUNT
        if alone or each.change.id not in intended.changes:
            entries.append((effect(each, told), [each]))
        else:
            alike.setdefault(each.outcome.kind.value, []).append(each)
    for outcome, same in alike.items():
        if len(same) == 1:
            entries.append((effect(same[0], told), same))
        elif len(intended.changes) - len(same) <= MOST_LISTED:
            but = sorted(intended.changes.difference(each.change.id for each in same))
            entries.append((_effects(outcome, same, intended, told, {"but": but}), same))
        else:
            for some in chunks(same, MOST_LISTED):
                listed = {"changes": [each.change.id for each in some]}
                entries.append((_effects(outcome, some, intended, told, listed), some))
    return entries


MOST_LISTED = 500
"""The most changes that an entry for many lists; beyond, it says that it is all but some, or there are several."""


def _effects(
    outcome: str, done: Sequence[Done], intended: Intended, told: Told, which: Mapping[str, list[str]]
) -> NewEntry:
    change = done[0].change
    payload: dict[str, Any] = {
        "run": told.run,
        "op": change.op.value,
        "target": change.target,
        "outcome": outcome,
        "intended": intended.entry,
        **which,
    }
    return NewEntry(Kind.EFFECTS.value, f"run:{told.run}", told.actor, payload)


def effect(done: Done, told: Told) -> NewEntry:
    """What became of a change; of a deletion, also what the account had been: nothing else will say so any more."""
    change = done.change
    payload: dict[str, Any] = {
        **described(change),
        **({"had": list(change.had)} if change.op is Op.DELETE_ACCOUNT else {}),
        "run": told.run,
        "change": change.id,
        "target": change.target,
        "outcome": done.outcome.kind.value,
        "detail": done.outcome.detail,
    }
    return NewEntry(Kind.EFFECT.value, change.subject, told.actor, payload)


def not_done(done: Done, told: Told) -> NewEntry:
    """Nobody answered, and reading back shows that it did not happen."""
    said = effect(done, told)
    detail = "the target did not answer, and reading it back shows that it was not done"
    return replace(said, payload={**said.payload, "outcome": NOT_APPLIED, "detail": detail})


def contradiction(done: Done) -> NewEntry:
    """Reading back does not show what the target confirmed."""
    payload: dict[str, Any] = {
        "effect": done.entry,
        "change": done.change.id,
        "target": done.change.target,
        "entitlement_key": entitlement_key(done.change.locator),
        "op": done.change.op.value,
        "text": "the target confirmed the change, and reading it back does not show it",
    }
    return NewEntry(Kind.CONTRADICTED.value, done.change.subject, "", payload)


def recovered(intents: Sequence[OpenIntent], observations: Mapping[str, Observation | None]) -> list[NewEntry]:
    """What became of the changes that a dead run intended, judged by what the targets show now.

    An intent whose target or entitlement could not be read stays open: nothing is claimed that nobody saw. Several runs
    may have died over the same change, or one have done it since: it was done once.
    """
    sights = {target: Sight(observation) for target, observation in observations.items()}
    entries: list[NewEntry] = []
    claimed: set[str] = set()
    for intent in intents:
        shown = sights[intent.target].shows(intent.change) if intent.target in sights else None
        if shown is not None:
            again = intent.done_since or intent.change_id in claimed
            claimed.update({intent.change_id} if shown else ())
            entries.append(_found(intent, NOT_APPLIED if not shown else "already" if again else "applied"))
    return entries


def confirmed(order: OpenIntent, words: str) -> NewEntry:
    """What was ordered from a person, who says with these words that it is done."""
    return _found(order, "applied", words)


def _found(
    intent: OpenIntent, outcome: str, detail: str = "found by reading, after a run that could not say"
) -> NewEntry:
    payload: dict[str, Any] = {
        **{name: value for name, value in intent.change.items() if name not in ("id", "match")},
        "run": intent.run,
        "change": intent.change_id,
        "target": intent.target,
        "outcome": outcome,
        "detail": detail,
    }
    return NewEntry(Kind.EFFECT.value, intent.change["subject"], "recovery", payload)
