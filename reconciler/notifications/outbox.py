"""What is to be said, kept until it is said: decided once, claimed by one, sent, and what became of it noted.

Promises, whoever dies in between, and however many processes share the store:

- A state of affairs that stands is said once on each channel to each recipient; again only after it was over.
- One message at a time is under way on a channel, under a lock that ends with the process that holds it. What waits for
  the same recipient goes together.
- Whoever dies between sending and noting it leaves a message of which nobody knows whether it arrived: it is sent
  again, of the same name and content. At the wire it is at least once then, and otherwise exactly once.
- What is over before it was sent is not sent.

A clock that was set back does not keep a channel waiting for longer than the longest wait there is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from reconciler.apply.tables import channels, deliveries, notices
from reconciler.facts.days import instant_text, parse_instant
from reconciler.facts.ledger import CHUNK
from reconciler.facts.store import Store
from reconciler.notifications.notices import Notice, NoticeKind, Told

__all__ = ["Batch", "ChannelState", "Outbox", "Route", "State"]

FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=30)
"""How long a channel that fails is left alone: twice as long each time."""

UTMOST = timedelta(hours=1)
"""No channel makes us wait for longer, whatever it says."""

KEPT = timedelta(days=90)
"""So long after it is over it is remembered what was said."""

TOGETHER = 1000
"""So many notices go in one message at the most."""

_URGENCY = {kind.value: at for at, kind in enumerate(NoticeKind)}


class State(StrEnum):
    """What became of a notice on one channel. `unsure`: sent, and nobody can tell whether it arrived; `dropped`: it was
    over before it could be sent.
    """

    WAITING = "waiting"
    SENDING = "sending"
    UNSURE = "unsure"
    SENT = "sent"
    GIVEN_UP = "given-up"
    DROPPED = "dropped"


_MARK = "mark"
"""The kind of a row that says that something was looked for; it is nobody's notice."""

_MARKS = select(notices.c.notice).where(notices.c.kind == _MARK)

_OPEN = (State.WAITING, State.SENDING, State.UNSURE)


@dataclass(frozen=True, slots=True)
class Route:
    """To whom something is said: by a channel, to a person (blank: to whom the channel is for), not before then."""

    channel: str
    recipient: str
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes as one message. `again`: an earlier attempt may have arrived. `since`: when the oldest of it was
    raised.
    """

    message: str
    channel: str
    recipient: str
    notices: tuple[Notice, ...]
    since: datetime
    attempts: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How it stands with a channel: how many notices wait, were sent, were given up, and what went wrong last."""

    channel: str
    waiting: int = 0
    sent: int = 0
    given_up: int = 0
    trouble: str = ""


class Outbox:
    """The outbox of one store. Raises `StoreError` where the store does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- what is to be said -------------------------------------------------------------------------------------------

    def settle(self, told: Told, routes: Callable[[Notice], Iterable[Route]], now: datetime, *, mark: str = "") -> int:
        """Let that stand which was seen, and that be over which was not; and keep the mark, if there is one, that this
        was done. Returns how many notices are new. Nothing is written where nothing is otherwise.
        """
        with self._store.reading() as connection:
            new, over = _difference(connection, told)
        if not new and not over and not mark:
            return 0
        with self._store.writing() as connection:
            if mark:
                _keep_mark(connection, mark, now)
            new, over = _difference(connection, told)
            for part in _chunks(over):
                ended = update(notices).where(notices.c.notice.in_(part))
                connection.execute(ended.values(key=None, over_at=instant_text(now)))
            _raise(connection, new, routes, now)
            _forget(connection, now - KEPT)
        return len(new)

    # --- sending ------------------------------------------------------------------------------------------------------

    def has_work(self, channel: str, now: datetime) -> bool:
        """Whether something is to be sent by that channel now."""
        with self._store.reading() as connection:
            return _ready(connection, channel, now) and _first(connection, channel, now) is not None

    def alone(self, channel: str) -> AbstractContextManager[bool]:
        """Held for as long as the context lasts, or the process: whether nobody else sends by that channel."""
        return self._store.lease(f"channel-{hashlib.sha256(channel.encode()).hexdigest()[:12]}")

    def claim(self, channel: str, now: datetime) -> Batch | None:
        """What is to be sent by that channel now, for whoever is `alone` at it; None where nothing is, or where the
        channel rests. What was claimed before and never closed, somebody has died over.
        """
        with self._store.writing() as connection:
            if not _ready(connection, channel, now):
                return None
            _drop(connection, channel, now)
            first = _first(connection, channel, now)
            if first is None:
                return None
            rows = _together(connection, channel, first, now)
            batch = _batch(channel, first, rows)
            mine = [row.notice for row in rows]
            _mark(connection, batch, mine, State.SENDING, now, attempts=batch.attempts)
        return batch

    def sent(self, batch: Batch, now: datetime, pause: timedelta) -> None:
        """It has arrived; the channel rests for so long."""
        with self._store.writing() as connection:
            _close(connection, batch, State.SENT, now)
            _set_channel(connection, batch.channel, not_before=instant_text(now + pause), failures=0, trouble="")

    def failed(
        self, batch: Batch, now: datetime, trouble: str, *, wait: timedelta | None, unsure: bool, final: bool
    ) -> None:
        """It has not arrived, or nobody can tell (`unsure`), as nobody can of one that an earlier attempt left open. It
        is tried again after that wait (None: after what the failures in a row make); or, where that is `final`, never.
        """
        with self._store.writing() as connection:
            if final:
                _close(connection, batch, State.GIVEN_UP, now)
            elif unsure or batch.again:
                _close(connection, batch, State.UNSURE, now)
            else:
                _close(connection, batch, State.WAITING, now, message="")
            row = connection.execute(select(channels.c.failures).where(channels.c.channel == batch.channel)).first()
            failures = row.failures if row else 0
            backoff = min(LONGEST, FIRST * 2 ** min(failures, 20)) if wait is None else min(wait, UTMOST)
            _set_channel(
                connection,
                batch.channel,
                not_before=instant_text(now + backoff),
                failures=failures + 1,
                trouble=trouble,
            )

    # --- how it stands ------------------------------------------------------------------------------------------------

    def states(self, since: datetime) -> list[ChannelState]:
        """Every channel that ever had something to say; what was sent and given up since then."""
        counted = select(deliveries.c.channel, deliveries.c.state, func.count()).where(
            or_(deliveries.c.state.in_(_OPEN), deliveries.c.changed_at >= instant_text(since))
        )
        with self._store.reading() as connection:
            rows = connection.execute(counted.group_by(deliveries.c.channel, deliveries.c.state)).all()
            trouble = {row.channel: row.trouble for row in connection.execute(select(channels))}
        counts = {(row[0], row[1]): row[2] for row in rows}
        return [
            ChannelState(
                name,
                sum(counts.get((name, state), 0) for state in _OPEN),
                counts.get((name, State.SENT), 0),
                counts.get((name, State.GIVEN_UP), 0),
                trouble.get(name, ""),
            )
            for name in sorted({*trouble, *(row[0] for row in rows)})
        ]

    def marked(self, mark: str) -> bool:
        """Whether this is the newest mark that was kept."""
        with self._store.reading() as connection:
            return connection.execute(_MARKS.where(notices.c.key == f"{_MARK}:{mark}")).first() is not None


# --- standing and over ------------------------------------------------------------------------------------------------


def _difference(connection: Connection, told: Told) -> tuple[list[Notice], list[int]]:
    """What was not known, and the numbers of what is over."""
    columns = (notices.c.notice, notices.c.key, notices.c.kind, notices.c.target, notices.c.person)
    kinds = told.kinds | {each.kind for each in told.notices}
    standing = connection.execute(
        select(*columns).where(notices.c.key.is_not(None), notices.c.kind.in_(sorted(kinds)))
    ).all()
    seen = {notice.key: notice for notice in reversed(told.notices)}
    known = {row.key for row in standing}
    over = [
        row.notice for row in standing if row.key not in seen and told.ends(row.kind, row.key, row.target, row.person)
    ]
    return [notice for key, notice in seen.items() if key not in known], over


def _keep_mark(connection: Connection, mark: str, now: datetime) -> None:
    connection.execute(delete(notices).where(notices.c.kind == _MARK))
    row = {"notice": _last(connection) + 1, "key": f"{_MARK}:{mark}", "kind": _MARK, "raised_at": instant_text(now)}
    connection.execute(insert(notices).values({**row, "target": "", "person": "", "content": "{}", "over_at": None}))


def _last(connection: Connection) -> int:
    """The largest number that a notice has."""
    return int(connection.execute(select(func.coalesce(func.max(notices.c.notice), 0))).scalar_one())


def _raise(
    connection: Connection, new: Sequence[Notice], routes: Callable[[Notice], Iterable[Route]], now: datetime
) -> None:
    at, rows, sends = instant_text(now), [], []
    for number, notice in enumerate(new, start=_last(connection) + 1):
        rows.append(
            {
                "notice": number,
                "key": notice.key,
                "kind": notice.kind.value,
                "target": notice.target,
                "person": notice.person,
                "content": json.dumps(notice.content, ensure_ascii=False, sort_keys=True),
                "raised_at": at,
                "over_at": None,
            }
        )
        sends += [
            {
                "notice": number,
                "channel": route.channel,
                "recipient": route.recipient,
                "state": State.WAITING.value,
                "not_before": instant_text(route.not_before),
                "message": "",
                "attempts": 0,
                "changed_at": at,
            }
            for route in dict.fromkeys(routes(notice))
        ]
    if rows:
        connection.execute(insert(notices), rows)
    if sends:
        connection.execute(insert(deliveries), sends)


def _forget(connection: Connection, before: datetime) -> None:
    """What was over by then, and was said or never will be: by a channel that there is no more, for one."""
    late = instant_text(before)
    undone = select(deliveries.c.notice).where(deliveries.c.state.in_(_OPEN), deliveries.c.changed_at >= late)
    old = select(notices.c.notice).where(notices.c.over_at < late, notices.c.notice.not_in(undone))
    numbers = list(connection.execute(old).scalars())
    for part in _chunks(numbers):
        connection.execute(delete(deliveries).where(deliveries.c.notice.in_(part)))
        connection.execute(delete(notices).where(notices.c.notice.in_(part)))


def _chunks(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK))


# --- claiming ---------------------------------------------------------------------------------------------------------


def _ready(connection: Connection, channel: str, now: datetime) -> bool:
    row = connection.execute(select(channels).where(channels.c.channel == channel)).first()
    # What lies further ahead than anything that is ever set is from before a clock was set back.
    return row is None or not instant_text(now) < row.not_before <= instant_text(now + UTMOST)


def _drop(connection: Connection, channel: str, now: datetime) -> None:
    over = select(notices.c.notice).where(notices.c.over_at.is_not(None))
    connection.execute(
        update(deliveries)
        .where(deliveries.c.channel == channel, deliveries.c.state == State.WAITING, deliveries.c.notice.in_(over))
        .values(state=State.DROPPED.value, changed_at=instant_text(now))
    )


def _first(connection: Connection, channel: str, now: datetime) -> Any:
    """The delivery that decides which message is next: one of which nobody knows what became of it, or else the most
    urgent.
    """
    mine = and_(deliveries.c.channel == channel, deliveries.c.state.in_(_OPEN), _due(now))
    both = deliveries.join(notices, notices.c.notice == deliveries.c.notice)
    columns = (deliveries.c.state, deliveries.c.message, deliveries.c.recipient, notices.c.kind, notices.c.notice)
    rows = connection.execute(select(*columns).select_from(both).where(mine)).all()
    return min(rows, key=lambda row: (row.state == State.WAITING, _URGENCY.get(row.kind, 0), row.notice), default=None)


def _due(now: datetime) -> ColumnElement[bool]:
    return or_(deliveries.c.state != State.WAITING, deliveries.c.not_before <= instant_text(now))


def _together(connection: Connection, channel: str, first: Any, now: datetime) -> Sequence[Row[Any]]:
    both = deliveries.join(notices, notices.c.notice == deliveries.c.notice)
    same = [deliveries.c.channel == channel, deliveries.c.recipient == first.recipient]
    if first.state == State.WAITING:
        same += [deliveries.c.state == State.WAITING, deliveries.c.not_before <= instant_text(now)]
    else:
        same += [deliveries.c.state != State.WAITING, deliveries.c.message == first.message]
    columns = (notices, deliveries.c.state, deliveries.c.attempts, deliveries.c.message)
    return connection.execute(
        select(*columns).select_from(both).where(*same).order_by(notices.c.notice).limit(TOGETHER)
    ).all()


def _batch(channel: str, first: Any, rows: Sequence[Row[Any]]) -> Batch:
    again = first.state != State.WAITING
    own = [[row.notice, row.raised_at] for row in rows]
    text = json.dumps([channel, first.recipient, own])
    return Batch(
        message=first.message if again else hashlib.sha256(text.encode()).hexdigest()[:24],
        channel=channel,
        recipient=first.recipient,
        notices=tuple(
            Notice(NoticeKind(row.kind), row.key or "", json.loads(row.content), row.target, row.person) for row in rows
        ),
        since=parse_instant(min(row.raised_at for row in rows)),
        attempts=max(row.attempts for row in rows) + 1,
        again=again,
    )


def _mark(
    connection: Connection, batch: Batch, numbers: Sequence[int], state: State, now: datetime, *, attempts: int
) -> None:
    for part in _chunks(numbers):
        mine = (
            deliveries.c.notice.in_(part),
            deliveries.c.channel == batch.channel,
            deliveries.c.recipient == batch.recipient,
        )
        values = {"state": state.value, "message": batch.message, "attempts": attempts, "changed_at": instant_text(now)}
        connection.execute(update(deliveries).where(*mine).values(values))


def _close(connection: Connection, batch: Batch, state: State, now: datetime, message: str | None = None) -> None:
    """Say what became of a message."""
    mine = (
        deliveries.c.channel == batch.channel,
        deliveries.c.message == batch.message,
        deliveries.c.state.in_((State.SENDING, State.UNSURE)),
    )
    values = {"state": state.value, "changed_at": instant_text(now)}
    if message is not None:
        values["message"] = message
    connection.execute(update(deliveries).where(*mine).values(values))


def _set_channel(connection: Connection, channel: str, **values: str | int) -> None:
    known = connection.execute(select(channels.c.channel).where(channels.c.channel == channel)).first()
    if known is None:
        blank = {"channel": channel, "not_before": "", "failures": 0, "trouble": ""}
        connection.execute(insert(channels).values({**blank, **values}))
    else:
        connection.execute(update(channels).where(channels.c.channel == channel).values(values))
