"""A way to a server that breaks off: what goes through it is cut after so many messages of an LDAP server's answers.

Promises: until it is armed, everything passes; afterwards exactly so many whole messages from the server pass, and then
both ends are closed, whatever else is on its way. What the client had sent until then has reached the server.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

from adapters.ldap.ber import message_end

__all__ = ["Way", "cutting"]


@dataclass(slots=True)
class Way:
    """An address that leads to the server. `passing`: how many more of its messages come through (None: all)."""

    port: int
    server_port: int
    passing: int | None = None
    cut: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"ldap://127.0.0.1:{self.port}"

    def arm(self, passing: int) -> None:
        """From now on, only so many messages of the server come through."""
        self.passing = passing

    def serve(self, client: socket.socket) -> None:
        """Carry one connection's octets in both directions."""
        server = socket.create_connection(("127.0.0.1", self.server_port))
        Thread(target=_carry, args=(client, server), daemon=True).start()
        buffer = bytearray()
        while received := _received(server):
            buffer += received
            while 0 < (end := message_end(buffer, 0)) <= len(buffer):
                if self.passing == 0:
                    self.cut.set()
                    _close(client, server)
                    return
                client.sendall(buffer[:end])
                self.passing = None if self.passing is None else self.passing - 1
                del buffer[:end]
        _close(client, server)


@contextmanager
def cutting(server_port: int) -> Iterator[Way]:
    """A way to the server on that port, open until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        way = Way(listening.getsockname()[1], server_port)

        def accept() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                Thread(target=way.serve, args=(client,), daemon=True).start()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield way
        listening.shutdown(socket.SHUT_RDWR)


def _carry(client: socket.socket, server: socket.socket) -> None:
    while received := _received(client):
        server.sendall(received)
    _close(server)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
