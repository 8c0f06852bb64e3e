"""What tells people: passes hand it what they came to, and it sees to the rest, in threads of its own.

Whoever hands something over waits for nothing: neither for the store nor for a mail server. What is handed over is lost
with the process and seen again by the next pass; from the moment at which it is in the outbox, it is kept.

Each channel has a thread, so that one that hangs holds up no other.
"""

from __future__ import annotations

import time as clocks
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from threading import Event, Thread

from reconciler.access.forecast import forecast
from reconciler.errors import ProblemsFound, ReconcilerError
from reconciler.facts.model import Person, Population
from reconciler.facts.people import Facts
from reconciler.logs import log
from reconciler.notifications.channels import Channel
from reconciler.notifications.mail import Mail
from reconciler.notifications.notices import (
    DAYS,
    Notice,
    NoticeKind,
    Told,
    of_evidence,
    of_import,
    of_person,
    of_policies,
    of_trouble,
    of_whole_pass,
)
from reconciler.notifications.outbox import Outbox, Route
from reconciler.notifications.posting import Address, UnusableAddress
from reconciler.notifications.robots import DingTalk, Feishu, WeCom
from reconciler.notifications.sending import Sender
from reconciler.notifications.webhook import Webhook
from reconciler.passes import Applied
from reconciler.policy.model import Policy
from reconciler.workspace import Workspace, WorkspaceError, now
from reconciler.workspace.notifications import is_mailbox

__all__ = ["Notifier", "channel_of", "sender_of"]

PIECE = 2.0
"""Seconds: no longer is waited without a look at what others may have left to be said, and at the clock."""

MOST = 10_000
"""So much that was handed over is kept while the store cannot be written to; the newest counts."""

PATIENCE = 5.0
"""Seconds that a message under way has at a stop."""

_MENDED = frozenset({NoticeKind.LEAVER, NoticeKind.PASS})
"""What a service tries again by itself, and often mends before anybody could read of it."""


def channel_of(workspace: Workspace, name: str) -> Channel:
    """The channel of this name, nothing reached yet. Raises `WorkspaceError`, whose words repeat no secret."""
    own = workspace.notification_channel(name)
    place = workspace.place("notifications", "channels", name, "url")
    if own.type == "mail":
        return Mail(own, workspace.folder)
    try:
        address = Address(own.url, own.timeout, workspace.folder / own.ca if own.ca else None)
        match own.type:
            case "webhook":
                return Webhook(address, own.secret)
            case "wecom":
                return WeCom(address)
            case "dingtalk":
                return DingTalk(address, own.secret, own.keyword)
            case _:
                return Feishu(address, own.secret, own.keyword)
    except UnusableAddress as flaw:
        raise WorkspaceError(f"channel `{name}`: {flaw}", place=place, remedy="correct what it refers to") from None


def sender_of(workspace: Workspace, facts: Facts, name: str, clock: Callable[[], datetime] = now) -> Sender:
    """What sends by the channel of this name. Raises `WorkspaceError`."""
    settings = workspace.spec.notifications
    own = settings.channels.get(name)
    channel = channel_of(workspace, name)
    assert own is not None  # noqa: S101  (or the line before would have raised)
    return Sender(
        name=name,
        channel=channel,
        outbox=Outbox(facts.store),
        facts=facts,
        clock=clock,
        organization=workspace.spec.organization,
        language=settings.language_of(own),
        names=own.names,
        pause=timedelta(seconds=own.pause_seconds),
        give_up_after=timedelta(hours=settings.give_up_after_hours),
    )


@dataclass(frozen=True, slots=True)
class _Handed:
    """What was seen, and when."""

    told: Told
    at: datetime


class Notifier:
    """One for a process. Its methods that take what was seen never raise and never wait; without a channel they do
    nothing. `record` and `send_waiting` do in this thread what `start` begins threads for.
    """

    def __init__(
        self,
        workspace: Workspace,
        facts: Facts,
        clock: Callable[[], datetime] = now,
        *,
        patient: bool = False,
        unusable: Callable[[WorkspaceError], None] | None = None,
    ) -> None:
        """`patient`: what may mend itself is said only where it has not after the workspace's patience. Where a channel
        cannot be used, `unusable` is told and the others are; without it, `WorkspaceError` is raised.
        """
        self._workspace = workspace
        self._settings = workspace.spec.notifications
        self._facts = facts
        self._clock = clock
        self._outbox = Outbox(facts.store)
        self._patience = timedelta(seconds=self._settings.patience_seconds if patient else 0)
        self._senders: list[Sender] = []
        for name in self._settings.channels:
            try:
                self._senders.append(sender_of(workspace, facts, name, clock))
            except WorkspaceError as error:
                if unusable is None:
                    raise
                unusable(error)
        self._handed: deque[_Handed] = deque(maxlen=MOST)
        self._news = Event()
        self._looked_ahead_on: date | None = None
        self._stop = Event()
        self._wakes = [Event() for _ in self._senders]
        self._threads: list[Thread] = []

    @property
    def speaks(self) -> bool:
        """Whether anybody is to be told of anything."""
        return bool(self._senders)

    # --- what was seen ------------------------------------------------------------------------------------------------

    def whole_passed(self, done: Applied, policy: Policy) -> None:
        """A pass over everything has ended."""
        self._hand(lambda: of_whole_pass(done, policy))

    def whole_failed(self, code: str) -> None:
        """A pass over everything could not be made, or was broken off, for the reason of this code."""
        self._hand(lambda: of_trouble(code))

    def person_passed(self, done: Applied, person: str) -> None:
        """A pass for one person has ended."""
        self._hand(lambda: of_person(done, person))

    def policies_read(self, problems: ProblemsFound | None) -> None:
        """The policies pass, or have these problems."""
        self._hand(lambda: of_policies(problems))

    def imported(self, source: str, *, refused: str = "", waiting: int = 0, import_id: str = "") -> None:
        """People were imported from that source, or that was refused (`of_import`)."""
        self._hand(lambda: of_import(source, refused=refused, waiting=waiting, import_id=import_id))

    def _hand(self, seen: Callable[[], Told]) -> None:
        if not self._senders:
            return
        try:
            self._handed.append(_Handed(seen(), self._clock()))
        except Exception:
            log.exception("defect", where="notification")
        self._news.set()

    # --- into the outbox ----------------------------------------------------------------------------------------------

    def record(self, policy: Callable[[], Policy] | None = None) -> None:
        """Put into the outbox what was handed over; and, with a policy, once a day from the workspace's time on, whose
        evidence will run out by it. Raises `StoreError`; what was not put there by then stays handed over.
        """
        new = 0
        while self._handed:
            new += self._outbox.settle(self._handed[0].told, self._routes, self._handed[0].at)
            self._handed.popleft()
        if policy is not None and self._senders:
            new += self._look_ahead(policy)
        if new:
            for wake in self._wakes:
                wake.set()

    def _routes(self, notice: Notice) -> Iterable[Route]:
        when = self._clock() + (self._patience if notice.kind in _MENDED else timedelta(0))
        for name, channel in self._settings.channels.items():
            if self._settings.says(channel, notice.kind.value):
                yield Route(name, "", when)
                if channel.managers and notice.manager:
                    yield Route(name, notice.manager, when)

    def _look_ahead(self, policy: Callable[[], Policy]) -> int:
        """Much work in a large company, and done once a day: which day it was done for is kept."""
        zone, at = self._workspace.zone, self._clock()
        local = at.astimezone(zone)
        today = local.date()
        wanted = any(self._settings.says(each, NoticeKind.EVIDENCE) for each in self._settings.channels.values())
        early = local.time() < time.fromisoformat(self._settings.digest_at)
        if not wanted or early or today == self._looked_ahead_on:
            return 0
        new, mark = 0, f"evidence:{today}"
        if not self._outbox.marked(mark):
            population = self._facts.population()
            if population.people:
                foreseen = forecast(policy(), population, at, at + timedelta(days=max(DAYS) + 1))
                told = of_evidence(foreseen, today, zone, _managers(population, at))
                new = self._outbox.settle(told, self._routes, at, mark=mark)
        self._looked_ahead_on = today
        return new

    # --- sending ------------------------------------------------------------------------------------------------------

    def send_waiting(self, seconds: float) -> bool:
        """Send what waits and may be sent now, by all channels side by side, for so long at the most. Whether that was
        long enough: a channel that hangs is left behind.
        """
        threads = [Thread(target=self._send_all, args=(sender,), daemon=True) for sender in self._senders]
        until = clocks.monotonic() + seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - clocks.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _send_all(self, sender: Sender) -> None:
        try:
            while sender.send_next():
                pass
        except ReconcilerError as error:
            log.warning("record-unreadable", code=error.code, channel=sender.name)
        except Exception as error:
            log.error("defect", where="notification", error=type(error).__name__, channel=sender.name)

    # --- in a service -------------------------------------------------------------------------------------------------

    def start(self, policy: Callable[[], Policy]) -> None:
        """Begin threads that see to all of it, until `stop`."""
        if not self._senders:
            return
        self._threads = [Thread(target=self._keep_recording, args=(policy,), name="notices", daemon=True)]
        self._threads += [
            Thread(target=self._keep_sending, args=(sender, wake), name=f"channel-{sender.name}", daemon=True)
            for sender, wake in zip(self._senders, self._wakes, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is being sent, if that takes no long time; what is left is sent by the next one."""
        self._stop.set()
        for wake in (self._news, *self._wakes):
            wake.set()
        until = clocks.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - clocks.monotonic()))
        if self._threads and not self._threads[0].is_alive():  # who is at it still, because others write, ends it
            try:
                self.record()
            except ReconcilerError as error:
                log.warning("record-unreadable", code=error.code)

    def _keep_recording(self, policy: Callable[[], Policy]) -> None:
        while not self._stop.is_set():
            try:
                self.record(policy)
            except ReconcilerError as error:
                log.warning("record-unreadable", code=error.code)
            except Exception:
                log.exception("defect", where="notification")
            self._news.wait(PIECE)
            self._news.clear()

    def _keep_sending(self, sender: Sender, wake: Event) -> None:
        while not self._stop.is_set():
            self._send_all(sender)
            wake.wait(PIECE)
            wake.clear()


def _managers(population: Population, at: datetime) -> dict[str, str]:
    """Person → the manager of a post that they hold, where that one can be told by mail."""
    found = {}
    for person in population:
        for post in person.assignments:
            manager = population.by_id.get(post.attributes.get("manager", ""))
            if manager is not None and manager.id != person.id and post.span.covers(at) and _told_by_mail(manager, at):
                found[person.id] = manager.id
    return found


def _told_by_mail(manager: Person, at: datetime) -> bool:
    return is_mailbox(manager.email) and not any(span.covers(at) for span in (*manager.exited, *manager.lockouts))
