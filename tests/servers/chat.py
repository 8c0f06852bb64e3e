"""The robots of WeCom, DingTalk and Feishu on loopback, and somebody who takes Standard Webhooks.

Each checks what it is sent as its documentation says, by code of its own: the address's key, the signature and its age,
the form and the length of the message. `replies` are given instead of the next answers, in their order; `hold` keeps
every answer back until it is set.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["KEY", "SIGNING", "WEBHOOK_SECRET", "ChatServer", "Reply", "chat_server"]

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
"""What stands in the addresses of the robots, and must stand nowhere else."""

SIGNING = "SEC10d6e79b42bd94be0d0d603843651aa2"
"""What DingTalk's and Feishu's robots have their messages signed with."""

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()
HOUR = 3600.0


@dataclass(frozen=True)
class Reply:
    """An answer as it goes over the line; `cut`: the connection ends instead."""

    status: int = 200
    body: bytes = b'{"errcode": 0, "code": 0}'
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False


@dataclass
class Received:
    """A message that was taken: by whom, what a reader sees, and the whole of it."""

    robot: str
    text: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class ChatServer:
    """All four of them."""

    port: int = 0
    taken: list[Received] = field(default_factory=list)
    refused: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    hold: Event = field(default_factory=Event)
    asked: int = 0
    clock: Callable[[], float] = time.time

    def url(self, robot: str) -> str:
        """The robot's address."""
        paths = {
            "wecom": f"/cgi-bin/webhook/send?key={KEY}",
            "dingtalk": f"/robot/send?access_token={KEY}",
            "feishu": f"/open-apis/bot/v2/hook/{KEY}",
            "webhook": "/hooks/security",
        }
        return f"http://127.0.0.1:{self.port}{paths[robot]}"

    def texts(self, robot: str) -> list[str]:
        """What it was sent, as a reader sees it."""
        return [each.text for each in self.taken if each.robot == robot]

    def answer(self, path: str, headers: dict[str, str], raw: bytes) -> tuple[str, dict[str, Any], str]:
        """Which robot, its answer, and what a reader sees of a message that it takes."""
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = json.loads(raw)
        assert headers["content-type"].startswith("application/json")
        match parts.path.split("/")[1]:
            case "cgi-bin":
                return "wecom", *_wecom(query, body)
            case "robot":
                return "dingtalk", *_dingtalk(query, body, raw, self.clock())
            case "open-apis":
                return "feishu", *_feishu(parts.path, body, raw, self.clock())
            case _:
                return "webhook", *_webhook(headers, body, raw, self.clock())


def _wecom(query: dict[str, str], body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if query != {"key": KEY}:
        return {"errcode": 93000, "errmsg": "invalid webhook url"}, ""
    content = body["markdown"]["content"]
    if body["msgtype"] != "markdown" or len(content.encode()) > 4096:
        return {"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"}, ""
    return {"errcode": 0, "errmsg": "ok"}, content


def _dingtalk(query: dict[str, str], body: dict[str, Any], raw: bytes, now: float) -> tuple[dict[str, Any], str]:
    if query.get("access_token") != KEY:
        return {"errcode": 300001, "errmsg": "token is not exist"}, ""
    stamp, wanted = query.get("timestamp", ""), f"{query.get('timestamp', '')}\n{SIGNING}"
    sign = base64.b64encode(hmac.new(SIGNING.encode(), wanted.encode(), hashlib.sha256).digest()).decode()
    if query.get("sign") != sign or abs(int(stamp or 0) / 1000 - now) > HOUR:
        return {"errcode": 310000, "errmsg": "sign not match"}, ""
    if len(raw) > 20_000:
        return {"errcode": 460101, "errmsg": "message too long"}, ""
    assert body["msgtype"] == "markdown"
    assert body["markdown"]["title"]
    assert not body["at"].get("isAtAll")
    return {"errcode": 0, "errmsg": "ok"}, body["markdown"]["text"]


def _feishu(path: str, body: dict[str, Any], raw: bytes, now: float) -> tuple[dict[str, Any], str]:
    if path != f"/open-apis/bot/v2/hook/{KEY}":
        return {"code": 19001, "msg": "param invalid: incoming webhook access token invalid"}, ""
    stamp = body.get("timestamp", "")
    sign = base64.b64encode(hmac.new(f"{stamp}\n{SIGNING}".encode(), b"", hashlib.sha256).digest()).decode()
    if body.get("sign") != sign or abs(int(stamp or 0) - now) > HOUR:
        return {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}, ""
    if len(raw) > 20 * 1024 or body["msg_type"] != "post":
        return {"code": 9499, "msg": "Bad Request"}, ""
    (post,) = body["content"]["post"].values()
    lines = ["".join(part["text"] for part in line) for line in post["content"]]
    assert all(part["tag"] == "text" for line in post["content"] for part in line)
    return {"code": 0, "msg": "success", "data": {}}, "\n".join([post["title"], *lines])


def _webhook(headers: dict[str, str], body: dict[str, Any], raw: bytes, now: float) -> tuple[dict[str, Any], str]:
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert wanted in headers["webhook-signature"].split(" ")
    assert abs(int(headers["webhook-timestamp"]) - now) < 300
    return {}, body["data"]["text"]


def _says_no(body: bytes) -> bool:
    """Whether an answer of its own says that the message was not taken."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and bool(said.get("errcode") or said.get("code"))


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A server, for as long as the context lasts."""
    own = ChatServer()
    own.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            own.asked += 1
            raw = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            own.hold.wait(60)
            robot, said, text = own.answer(self.path, headers, raw)
            reply = own.replies.pop(0) if own.replies else Reply(body=json.dumps(said).encode())
            if text and reply.status == 200 and not _says_no(reply.body):
                own.taken.append(Received(robot, text, json.loads(raw), headers))
            else:
                own.refused.append((robot, said))
            if reply.cut:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # the library's name
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    own.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield own
    finally:
        own.hold.set()
        server.shutdown()
        server.server_close()
