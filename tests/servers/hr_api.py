"""An HR system's JSON API on loopback, which can be told to misbehave: no real one can.

Promises: it pages in every usual way, wants a token, tells what changed, and counts what it was asked. `replies` are
given instead of the next answers, in their order; None stands for the ordinary one.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

__all__ = ["Asked", "HrApi", "Reply", "certified", "serving", "text_reply"]

TOKEN = "t0ken-of-the-hr-system"
CLIENT_SECRET = "s3cret-of-the-client"
Record: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Reply:
    """An answer as it goes over the line. `cut`: the connection ends after so many octets of it."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    chunked: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str = ""


@dataclass
class HrApi:
    """What the API holds, and how it behaves. `paging`: page, offset, cursor, link, body-link or none."""

    people: list[Record]
    paging: str = "page"
    largest_page: int = 1000
    token: str = TOKEN
    wants: str = "bearer"
    asked: list[Asked] = field(default_factory=list)
    replies: list[Reply | None] = field(default_factory=list)
    reshape: Callable[[dict[str, object], Mapping[str, str]], object] = lambda answer, query: answer
    base: str = ""
    tokens_given: int = 0

    @property
    def url(self) -> str:
        return f"{self.base}/api/v1/employees"

    @property
    def token_url(self) -> str:
        return f"{self.base}/token"

    @property
    def pages_asked(self) -> list[Asked]:
        """The requests for employees."""
        return [asked for asked in self.asked if asked.path != "/token"]

    def reply(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            return self._token(asked)
        if self.replies and (scripted := self.replies.pop(0)) is not None:
            return scripted
        if not self._admits(asked.headers.get("Authorization", "")):
            return Reply(
                401, json.dumps({"message": "invalid token " + asked.headers.get("Authorization", "")}).encode()
            )
        return self._page(asked.query)

    def _admits(self, said: str) -> bool:
        expected = {
            "bearer": f"Bearer {self.token}",
            "basic": "Basic " + base64.b64encode(f"读者:{self.token}".encode()).decode(),
            "nothing": "",
        }
        return said == expected[self.wants]

    def _token(self, asked: Asked) -> Reply:
        form = dict(parse_qsl(asked.body))
        basic = "Basic " + base64.b64encode(f"reader:{CLIENT_SECRET}".encode()).decode()
        known = asked.headers.get("Authorization") == basic or form.get("client_secret") == CLIENT_SECRET
        if form.get("grant_type") != "client_credentials" or not known:
            return Reply(401, b'{"error": "invalid_client", "error_description": "who is that?"}')
        self.tokens_given += 1
        self.token = f"{TOKEN}-{self.tokens_given}"
        return Reply(body=json.dumps({"access_token": self.token, "token_type": "Bearer", "expires_in": 60}).encode())

    def _page(self, query: Mapping[str, str]) -> Reply:
        people = self._changed(query.get("updated_since", ""))
        size = min(int(query.get("per_page", "1000")), self.largest_page)
        start = self._start(query, size)
        if self.paging == "none":
            start, size = 0, len(people)
        following = str(start + size) if start + size < len(people) else None
        link = f"{self.url}?{urlencode({**query, 'at': following})}" if following else None
        answer: dict[str, object] = {
            "data": {"items": people[start : start + size]},
            "meta": {"total": len(people), "next_cursor": following},
            "links": {"next": link if self.paging == "body-link" else None},
        }
        headers = {"Link": f'<{link}>; rel="next", <{self.url}>; rel="first"'} if link and self.paging == "link" else {}
        return Reply(body=json.dumps(self.reshape(answer, query), ensure_ascii=False).encode(), headers=headers)

    def _start(self, query: Mapping[str, str], size: int) -> int:
        if self.paging == "page":
            return (int(query.get("page", "1")) - 1) * size
        name = {"offset": "offset", "cursor": "cursor"}.get(self.paging, "at")
        return int(query.get(name, "0"))

    def _changed(self, since: str) -> Sequence[Record]:
        return [person for person in self.people if not since or str(person["updated_at"]) >= since]


def text_reply(text: str, status: int = 200, **headers: str) -> Reply:
    """An answer with this body; `_` in a header's name stands for `-`."""
    return Reply(status, text.encode(), {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def serving(api: HrApi, certificate: Path | None = None) -> Iterator[HrApi]:
    """The API on a free port of 127.0.0.1, over TLS where there is a certificate (with its key in the same file)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    server.daemon_threads = True
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    api.base = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(api: HrApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:  # the library calls it so
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

        def _answer(self, body: str) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            asked = Asked(parts.path, query, dict(self.headers), body)
            api.asked.append(asked)
            self._send(api.reply(asked))

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers.get("Content-Type", "application/json"))
            for name, value in reply.headers.items():
                if name != "Content-Type":
                    self.send_header(name, value)
            if reply.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            whole = reply.body if reply.cut is None else reply.body[: reply.cut]
            if reply.chunked:
                end = b"\r\n0\r\n\r\n" if reply.cut is None else b""
                whole = f"{len(reply.body):x}\r\n".encode() + whole + end
            self.wfile.write(whole)
            self.close_connection = reply.cut is not None

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what was asked is in `asked`."""

    return Handler


def certified(folder: Path, *, host: str = "127.0.0.1", expired: bool = False) -> Path:
    """A certificate for an address that vouches for itself, with its key; worth nothing, for two days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC) - dt.timedelta(days=7 if expired else 0)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "hr-api.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
