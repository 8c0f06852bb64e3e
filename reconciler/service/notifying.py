"""Telling systemd how it goes, where it wants to know: `sd_notify(3)`, which is one datagram."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["READY", "STOPPING", "tell_systemd"]

READY, STOPPING = "READY=1", "STOPPING=1"


def tell_systemd(state: str) -> None:
    """Say so to whoever started us, if it listens; otherwise nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(name)
        sender.sendall(state.encode())
