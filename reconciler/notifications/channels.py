"""What a channel is: something that carries one message to people, or says why it did not.

No words of a channel ever hold its address or its secret: who knows the address of a robot can write to its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from reconciler.notifications.notices import Notice
from reconciler.notifications.texts import Message, Style

__all__ = ["Channel", "NotSent", "Outgoing"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message, ready to go. `name` is the same whenever it is sent again. `to`: mail addresses, where they are
    others than the channel's own.
    """

    name: str
    message: Message
    at: datetime
    organization: str = ""
    language: str = "en"
    notices: Sequence[Notice] = ()
    to: Sequence[str] = ()


@dataclass(eq=False)
class NotSent(Exception):
    """The message did not arrive, or (`unsure`) nobody can tell; the text says why, in our own words. `wait`: not to be
    tried again any sooner. `final`: never to be tried again, since this message will be refused each time.
    """

    text: str
    wait: timedelta | None = field(default=None)
    unsure: bool = False
    final: bool = False

    def __str__(self) -> str:
        return self.text


class Channel(Protocol):
    """One way to people."""

    @property
    def style(self) -> Style:
        """How it writes."""

    @property
    def least_pause(self) -> timedelta:
        """Between two messages, so that whoever carries them does not refuse them."""

    def send(self, outgoing: Outgoing) -> None:
        """Send one message. Raises `NotSent`."""

    def reach(self) -> Sequence[str]:
        """Try whether it would work, and send nothing. What somebody should look at. Raises `NotSent`."""
