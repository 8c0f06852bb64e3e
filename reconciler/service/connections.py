"""Connections on which a request does not come to its end."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Impatient"]

_UNFINISHED = frozenset({"IDLE", "SEND_BODY"})
"""As h11 calls it: nothing has come yet or a part of the head; a part of the body."""


class Impatient(H11Protocol):
    """uvicorn's protocol, which closes a connection whose request is still unfinished after a while: so many that
    never get any further, of a peer that has crashed or means harm, would take the place of all others for good.
    """

    PATIENCE: ClassVar[float] = 30.0
    """Seconds that a request has, from the connection or its first byte to the last byte of its body."""

    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if str(self.conn.their_state) not in _UNFINISHED:
            self._rest()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.PATIENCE, self._give_up)

    def _rest(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _give_up(self) -> None:
        self._alarm = None
        self.transport.close()
