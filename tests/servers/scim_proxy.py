"""Stands between a client and a real SCIM server: counts what is asked, and answers in its place, or otherwise than it
did, where a test says so. What a real provider does in its bad days, or does at all, and scim2-server does not.

`instead` is asked first: an answer of its own keeps the request from the server. `answered` may change what the server
said; by then the request has taken effect.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.servers.hr_api import Reply

__all__ = ["Asked", "ScimProxy", "error", "json_reply", "standing_between"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. `path` begins after the provider's own address."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def _nothing(asked: Asked) -> Reply | None:
    return None


def _itself(asked: Asked) -> Asked:
    return asked


def _as_it_is(asked: Asked, reply: Reply) -> Reply:
    return reply


@dataclass
class ScimProxy:
    """A proxy before the provider at `upstream`."""

    upstream: str
    asked: list[Asked] = field(default_factory=list)
    instead: Callable[[Asked], Reply | None] = _nothing
    answered: Callable[[Asked, Reply], Reply] = _as_it_is
    rewritten: Callable[[Asked], Asked] = _itself
    """What the server is asked in the place of a request that it does not understand."""
    base: str = ""

    @property
    def url(self) -> str:
        return f"{self.base}/scim/v2"

    def counted(self, *methods: str) -> int:
        """How many requests there were of these methods; of all, where none is named."""
        return sum(not methods or asked.method in methods for asked in self.asked)

    def forget(self) -> None:
        """Count anew."""
        self.asked.clear()

    def once(self, method: str, path: str, *replies: Reply) -> None:
        """Answer the next requests of this kind with these, and then no more."""
        left = list(replies)

        def instead(asked: Asked) -> Reply | None:
            fits = asked.method == method and asked.path.startswith(path)
            return left.pop(0) if fits and left else None

        self.instead = instead

    def always(self, method: str, path: str, reply: Reply) -> None:
        """Answer every request of this kind with this."""
        self.instead = lambda asked: reply if asked.method == method and asked.path.startswith(path) else None

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        own = self.instead(asked)
        if own is not None:
            return own
        asked = self.rewritten(asked)
        passed_on = {name: value for name, value in asked.headers.items() if name.lower() in _PASSED_ON}
        answer = requests.request(
            asked.method, self.upstream + asked.path, params=asked.query, headers=passed_on, data=asked.body, timeout=60
        )
        headers = {name: value for name, value in answer.headers.items() if name in ("ETag", "Content-Type")}
        return self.answered(asked, Reply(answer.status_code, answer.content, headers))


_PASSED_ON = frozenset({"authorization", "content-type", "accept", "if-match"})


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """An answer with this value; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/scim+json", **named})


def error(status: int, detail: str, **headers: str) -> Reply:
    """An error as SCIM spells it (RFC 7644, 3.12)."""
    schema = "urn:ietf:params:scim:api:messages:2.0:Error"
    return json_reply({"schemas": [schema], "status": str(status), "detail": detail}, status, **headers)


@contextmanager
def standing_between(upstream: str, certificate: Path | None = None) -> Iterator[ScimProxy]:
    """A proxy on a free port of 127.0.0.1, over TLS where there is a certificate (with its key in the same file)."""
    proxy = ScimProxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    proxy.base = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(proxy: ScimProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path = parts.path.removeprefix("/scim/v2")
            self._send(proxy.reply(Asked(str(self.command), path, query, dict(self.headers), body)))

        def do_GET(self) -> None:  # the library calls them so
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
            self.close_connection = reply.cut is not None

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what was asked is in `asked`."""

    return Handler
