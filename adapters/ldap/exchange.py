"""Messages over one connection: requests out, whole messages in, in whatever pieces the octets arrive.

Promises: a message is handed on once it is there whole, and only then; a connection that ends is an error, never an
end of answers. What the messages mean is the caller's business.
"""

from __future__ import annotations

from itertools import count
from socket import socket

from adapters.ldap import ber, requests

__all__ = ["Exchange"]

_RECEIVED_AT_ONCE = 1 << 16
"""More takes longer: such pieces the allocator fetches from the system anew each time (mmap's threshold, 128 KiB)."""
_FIRST_NUMBER = 100  # signing in took the first few


class Exchange:
    """The messages of one connection that is signed in. Raises `OSError` where it is lost, and `ber.Malformed`."""

    def __init__(self, way: socket) -> None:
        self._way = way
        self._numbers = count(_FIRST_NUMBER)
        self._waiting: list[bytes] = []
        self.open: set[int] = set()
        """The requests whose answer has not been seen to its end."""
        self._pieces: list[bytes] = []
        """What has arrived of a message that is not there whole; its beginning first."""
        self._arrived = 0
        self._wanted = 0
        """So many octets are in the pieces, and so long is that message; 0 where that cannot be told yet."""

    def queue(self, operation: bytes, *controls: bytes) -> int:
        """Have a request sent with the next `flush`; its number."""
        number = next(self._numbers)
        self._waiting.append(requests.message(number, operation, *controls))
        self.open.add(number)
        return number

    def flush(self) -> None:
        """Send what is queued."""
        waiting, self._waiting = b"".join(self._waiting), []
        if waiting:
            self._way.sendall(waiting)

    def arrived(self) -> tuple[bytes, list[tuple[int, int]]]:
        """The next octets that hold at least one whole message, and where each of those starts and ends."""
        while True:
            received = self._way.recv(_RECEIVED_AT_ONCE)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            self._pieces.append(received)
            self._arrived += len(received)
            if self._arrived < self._wanted:
                continue
            octets = b"".join(self._pieces)
            found = ber.bounds(octets)
            rest = octets[found[-1][1] :] if found else octets
            self._pieces, self._arrived = [rest] if rest else [], len(rest)
            self._wanted = max(0, ber.message_end(rest, 0))
            if found:
                return octets, found
