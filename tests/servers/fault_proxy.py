"""Stands between a client and a real LDAP server, and disturbs one chosen message of all that pass.

A message is one `LDAPMessage` of RFC 4511, found by its length; what is in it is not looked at. Messages are counted
for each direction, over all connections. Nothing waits by the clock.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Lock, Thread

__all__ = ["Disturbance", "Fault", "FaultProxy", "Way", "between"]

_FOUND, _GOODBYE = 0x64, 0x42  # [APPLICATION 4], SearchResultEntry; [APPLICATION 2], UnbindRequest
_CHANGE = 0x66  # [APPLICATION 6], ModifyRequest


class Way(StrEnum):
    """In which direction a message passes."""

    REQUEST = "request"
    ANSWER = "answer"


class Fault(StrEnum):
    """What becomes of a message."""

    CUT = "cut"
    """The connection breaks before it."""
    CUT_WITHIN = "cut-within"
    """Half of it arrives, then the connection breaks."""
    CUT_AFTER = "cut-after"
    """It arrives, then the connection breaks: a request takes effect, and nobody hears of it."""
    CHOPPED = "chopped"
    """It arrives octet by octet."""
    HELD = "held"
    """It arrives together with the next one of its direction; the last one when the other side has something to say."""
    SILENCE = "silence"
    """Neither it nor anything after it arrives, and the connection stays."""

    @property
    def breaks(self) -> bool:
        """Whether something is lost by it."""
        return self not in (Fault.CHOPPED, Fault.HELD)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Which message, counted from 0, and what becomes of it."""

    way: Way
    number: int
    fault: Fault


class FaultProxy:
    """Listens on a loopback port. One disturbance at a time; the message counts begin anew with each."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._turn = Lock()
        self._planned: Disturbance | None = None
        self._passed = dict.fromkeys(Way, 0)
        self.struck = False
        """Whether the disturbance has come about."""
        self.open, self.asked = Event(), Event()
        """Changes pass while it is open; one has been asked for."""
        self.open.set()

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"ldap://127.0.0.1:{self._listening.getsockname()[1]}"

    def disturb(self, planned: Disturbance | None) -> None:
        """From now on, this."""
        with self._turn:
            self._planned, self._passed, self.struck = planned, dict.fromkeys(Way, 0), False

    def passed(self, way: Way) -> int:
        """How many messages have passed since `disturb`."""
        with self._turn:
            return self._passed[way]

    def serve(self) -> None:
        """Until `close`."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                Thread(target=self._connect, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.open.set()
        with suppress(OSError):  # which is how `serve` hears of it
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._upstream)) as server:
            requests = Thread(target=self._pass_on, args=(Way.REQUEST, client, server), daemon=True)
            requests.start()
            self._pass_on(Way.ANSWER, server, client)
            requests.join()

    def _pass_on(self, way: Way, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            held = b""
            for message in _messages(source):
                if way is Way.REQUEST and _operation(message) == _CHANGE:
                    self.asked.set()
                    self.open.wait()
                # Nobody waits for a goodbye, so it may pass when the next thing has begun.
                fault = None if _operation(message) == _GOODBYE else self._fault_of(way)
                if fault is Fault.SILENCE:
                    _swallow(source)
                    break
                if fault in (Fault.CUT, Fault.CUT_WITHIN):
                    sink.sendall(held + (message[: len(message) // 2] if fault is Fault.CUT_WITHIN else b""))
                    break
                if fault is Fault.HELD and not _ends_an_exchange(way, message):
                    held = message
                    continue
                if fault is Fault.CHOPPED:
                    _octet_by_octet(sink, message)
                else:
                    sink.sendall(held + message)
                held = b""
                if fault is Fault.CUT_AFTER:
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _fault_of(self, way: Way) -> Fault | None:
        with self._turn:
            number, planned = self._passed[way], self._planned
            self._passed[way] += 1
            if planned is None or (planned.way, planned.number) != (way, number):
                return None
            self.struck = True
            return planned.fault


def _messages(source: socket.socket) -> Iterator[bytes]:
    buffer = bytearray()
    while received := source.recv(1 << 16):
        buffer += received
        while 0 < (end := _end(buffer)) <= len(buffer):
            yield bytes(buffer[:end])
            del buffer[:end]


def _end(buffer: bytearray) -> int:
    """Where the first message ends (X.690, 8.1.3); 0 while that cannot be told."""
    if len(buffer) < 2:
        return 0
    octets = buffer[1] & 0x7F if buffer[1] & 0x80 else 0
    if len(buffer) < 2 + octets:
        return 0
    return 2 + octets + (int.from_bytes(buffer[2 : 2 + octets], "big") if octets else buffer[1])


def _ends_an_exchange(way: Way, message: bytes) -> bool:
    """Whether the other side now waits for nothing else, so that holding the message would be silence."""
    return way is Way.REQUEST or _operation(message) != _FOUND


def _operation(message: bytes) -> int:
    """The tag of what a message says, after its number (RFC 4511, 4.1.1)."""
    start = 2 + (message[1] & 0x7F if message[1] & 0x80 else 0)
    return message[start + 2 + message[start + 1]]


def _octet_by_octet(sink: socket.socket, message: bytes) -> None:
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in message:
        sink.sendall(bytes([octet]))


def _swallow(source: socket.socket) -> None:
    while source.recv(1 << 16):
        pass


@contextmanager
def between(upstream: int) -> Iterator[FaultProxy]:
    """A proxy in front of the server on that loopback port."""
    proxy = FaultProxy(upstream)
    serving = Thread(target=proxy.serve, daemon=True)
    serving.start()
    try:
        yield proxy
    finally:
        proxy.close()
        serving.join()
