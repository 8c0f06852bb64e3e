"""Taking events from a webhook: each is recorded, known already, waiting, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from pydantic import BaseModel

from reconciler.errors import ReconcilerError
from reconciler.facts.events import Event, EventError, EventType, parse_event
from reconciler.facts.recording import EventOutcome, EventResult, record_events
from reconciler.logs import log
from reconciler.passes.operators import Actor, NotAllowed, Operators
from reconciler.passes.tokens import Act
from reconciler.service.premises import Premises

__all__ = ["Became", "EventAnswer", "EventsAnswer", "Inbox"]

LONGEST = 500
"""Characters of a message, whatever somebody wrote into an event."""


class Became(StrEnum):
    """What became of an event."""

    RECORDED = "recorded"
    ALREADY = "already"
    WAITS = "waits"
    REFUSED = "refused"


class EventAnswer(BaseModel):
    """What became of one event. `entry` is its ledger entry (of one that was known already, the first one's); `code`,
    `message` and `remedy` say why it was refused, `note` what somebody should know of one that was not. One that
    `waits` is on record, and has no effect until something else is told.
    """

    id: str | None
    outcome: Became
    entry: int | None = None
    note: str = ""
    code: str = ""
    message: str = ""
    remedy: str = ""


class EventsAnswer(BaseModel):
    """`ledger_seq`: the newest ledger entry that one of the events has; on disk by now. `events`: one for each, in the
    order in which they were sent.
    """

    ledger_seq: int | None
    events: list[EventAnswer]


class Inbox:
    """Takes events; called from several threads. `told` is called when something new is on record."""

    def __init__(self, premises: Premises, told: Callable[[], None]) -> None:
        self._premises = premises
        self._told = told

    def take(self, raws: Sequence[object], webhook: str) -> EventsAnswer:
        """Record what can be recorded, in one transaction. Raises `StoreError`: then nothing is on record."""
        actor, operators = Actor(webhook), self._premises.operators()
        judged: list[Event | ReconcilerError] = [self._judged(raw, actor, operators) for raw in raws]
        events = [each for each in judged if isinstance(each, Event)]
        policy = self._premises.standing().policy
        recorded = iter(
            record_events(
                self._premises.facts,
                events,
                source=webhook,
                now=self._premises.clock(),
                actor=actor.name,
                attributes=policy.attributes,
                kinds=policy.evidence,
                exits=policy.guards.exits,
            )
            if events
            else []
        )
        answers = [
            _answer(next(recorded)) if isinstance(each, Event) else _refused(_id_of(raw), each)
            for raw, each in zip(raws, judged, strict=True)
        ]
        self._told()
        counts = {kind.value: sum(each.outcome is kind for each in answers) for kind in Became}
        self._premises.measures.took_events(webhook, counts)
        log.info("events-taken", webhook=webhook, **counts)
        return EventsAnswer(
            ledger_seq=max((each.entry for each in answers if each.entry), default=None), events=answers
        )

    def _judged(self, raw: object, actor: Actor, operators: Operators) -> Event | ReconcilerError:
        try:
            event = _event(raw)
            if event.source and event.source != actor.name:
                text = f"event {event.id}: webhook `{actor.name}` does not speak for `{event.source}`"
                raise EventError(text, remedy="leave `source` out, or give the other system a webhook of its own")
            operators.check(actor, Act.RECORD, event.person)
            self._check_unlocking(event, actor, operators)
        except ReconcilerError as error:
            return error
        return event

    def _check_unlocking(self, event: Event, actor: Actor, operators: Operators) -> None:
        """Ending a lockout opens doors again: no machine does it that nobody has allowed to in so many words."""
        if event.type is not EventType.UNLOCKED:
            return
        if not operators.declared:
            text = f"event {event.id}: no access policy allows webhook `{actor.name}` to end a lockout"
            remedy = "record it on the command line: reconciler people event unlocked PERSON --at now --confirmed"
            raise NotAllowed(text, remedy=remedy)
        operators.check(actor, Act.APPROVE)
        if self._premises.workspace.spec.four_eyes and self._premises.facts.locked_out_by([event.person], actor.names):
            text = f"event {event.id}: `{actor.name}` recorded this lockout, and this workspace asks for four eyes"
            raise NotAllowed(text, remedy="somebody else has to record that it is over")


def _event(raw: object) -> Event:
    if not isinstance(raw, Mapping):
        raise EventError("an event is a JSON object", remedy="see docs/hr.md for what it holds")
    try:
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        text = f"event {_id_of(raw)}: it holds half a character (a lone surrogate)"
        raise EventError(text, remedy="write UTF-8, or both halves of the escape") from None
    return parse_event(raw)


def _id_of(raw: object) -> str | None:
    name = raw.get("id") if isinstance(raw, Mapping) else None
    return _short(name) if isinstance(name, str) else None


def _short(text: str) -> str:
    """As it can be sent: whole characters, and not too many of them."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"


def _answer(result: EventResult) -> EventAnswer:
    if result.error is not None:
        return _refused(result.event.id, result.error)
    outcome = Became.ALREADY if result.outcome is EventOutcome.DUPLICATE else Became.RECORDED
    return EventAnswer(
        id=result.event.id,
        outcome=Became.WAITS if result.waits else outcome,
        entry=result.entry,
        note=_short(result.note),
    )


def _refused(name: str | None, error: ReconcilerError) -> EventAnswer:
    return EventAnswer(
        id=name,
        outcome=Became.REFUSED,
        code=error.code,
        message=_short(error.message),
        remedy=_short(error.remedy),
    )
