"""Connections that get no further, against a server of uvicorn's in this process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from threading import Thread

import pytest
import requests
import uvicorn
from fastapi import FastAPI, Request

from reconciler.service.connections import Impatient
from tests.service.office import PATIENCE, until

PLACES = 4


@contextmanager
def served(heads: list[None]) -> Iterator[tuple[str, int]]:
    """A server that has fewer connections than so many at once, and takes bodies."""
    app = FastAPI()

    @app.post("/")
    async def take(request: Request) -> int:
        heads.append(None)
        return len(await request.body())

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Impatient, log_config=None, limit_concurrency=PLACES))
    running = Thread(target=server.run, args=([listener],))
    running.start()
    try:
        until(lambda: server.started, "a server that has begun")
        yield listener.getsockname()[:2]
    finally:
        server.should_exit = True
        running.join(PATIENCE)
        listener.close()


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["nothing", "half a head", "half a body"],
)
def test_what_gets_no_further_gives_its_place_back(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Impatient, "PATIENCE", 0.2)
    heads: list[None] = []
    with served(heads) as address, ExitStack() as held:
        lines = [held.enter_context(closing(socket.create_connection(address, PATIENCE))) for _ in range(PLACES - 1)]
        for line in lines:
            line.sendall(begun)
        whole = PLACES - 1 if b"half" in begun else 0
        until(lambda: len(heads) == whole, "all whole heads")  # whoever came before them would have taken a place
        url = "http://{}:{}/".format(*address)

        until(lambda: requests.post(url, b"whole", timeout=PATIENCE).status_code == 200, "a place")

        for line in lines:
            assert line.recv(1) == b"", "it was closed"


def test_a_connection_whose_requests_are_whole_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Impatient, "PATIENCE", PATIENCE)
    with served([]) as address, closing(socket.create_connection(address, PATIENCE)) as line:
        for part in (b"POST / HTTP/1.1\r\nHost: x\r\nContent-", b"Length: 2\r\n\r\na", b"b") * 2:
            line.sendall(part)
            told = b""
            while part == b"b" and not told.endswith(b"\r\n\r\n2"):
                more = line.recv(4096)
                assert more, told
                told += more


def test_the_service_is_as_impatient() -> None:
    assert 5 <= Impatient.PATIENCE <= 60
