"""Sending what the outbox holds for one channel: claim it, put it into words, send it, note what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.facts.people import Facts
from reconciler.logs import log
from reconciler.notifications.channels import Channel, NotSent, Outgoing
from reconciler.notifications.outbox import Batch, Outbox
from reconciler.notifications.texts import composed
from reconciler.workspace.notifications import is_mailbox

__all__ = ["Sender"]


@dataclass(frozen=True, slots=True)
class Sender:
    """What one channel needs to send. `pause`: after each message. `give_up_after`: since the oldest thing that it says
    was raised.
    """

    name: str
    channel: Channel
    outbox: Outbox
    facts: Facts
    clock: Callable[[], datetime]
    organization: str
    language: str
    names: bool
    pause: timedelta
    give_up_after: timedelta

    def send_next(self) -> bool:
        """Send the next message, if there is one and nobody else is at it. Whether there was one; what became of it is
        noted and logged. Raises `StoreError`.
        """
        if not self.outbox.has_work(self.name, self.clock()):
            return False
        with self.outbox.alone(self.name) as alone:
            return alone and self._send_next()

    def _send_next(self) -> bool:
        batch = self.outbox.claim(self.name, self.clock())
        if batch is None:
            return False
        about = {
            "channel": self.name,
            "message": batch.message,
            "kinds": sorted({each.kind.value for each in batch.notices}),
        }
        try:
            self.channel.send(self._outgoing(batch))
        except NotSent as failure:
            self._note_failure(batch, failure, about)
        except Exception as error:
            # Not its text and no traceback: they could hold the channel's address.
            log.error("defect", where="notification", error=type(error).__name__, **about)
            self._note_failure(batch, NotSent(f"a defect ({type(error).__name__})", unsure=True), about)
        else:
            self.outbox.sent(batch, self.clock(), max(self.pause, self.channel.least_pause))
            log.info("notification-sent", notices=len(batch.notices), attempts=batch.attempts, **about)
        return True

    def _outgoing(self, batch: Batch) -> Outgoing:
        ids = {each.person for each in batch.notices if each.person} if self.names else set[str]()
        recipients = {batch.recipient} - {""}
        people = self.facts.population(ids | recipients).by_id if ids | recipients else {}
        to: tuple[str, ...] = ()
        if batch.recipient:
            found = people.get(batch.recipient)
            if found is None or not is_mailbox(found.email):
                raise NotSent("whom it is for has no mail address any more", final=True)
            to = (found.email,)
        names: Mapping[str, str] = {id_: people[id_].name for id_ in ids if id_ in people}
        message = composed(
            batch.notices,
            language=self.language,
            organization=self.organization,
            style=self.channel.style,
            names=names,
            again=batch.again,
        )
        return Outgoing(batch.message, message, self.clock(), self.organization, self.language, batch.notices, to)

    def _note_failure(self, batch: Batch, failure: NotSent, about: Mapping[str, object]) -> None:
        now = self.clock()
        final = failure.final or now - batch.since > self.give_up_after
        self.outbox.failed(batch, now, failure.text, wait=failure.wait, unsure=failure.unsure, final=final)
        event = "notification-given-up" if final else "notification-not-sent"
        tell = log.error if final else log.warning
        tell(event, why=failure.text, attempts=batch.attempts, notices=len(batch.notices), **about)
