"""Receivers on loopback, each test's own, and a workspace that speaks to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from reconciler.workspace import Workspace
from tests.servers.chat import SIGNING, WEBHOOK_SECRET, ChatServer
from tests.servers.fixtures import chat, mail, new_store, postgresql
from tests.servers.mail import MailServer

HEAD = {
    "format": "reconciler.workspace/1",
    "organization": "一家公司",
    "timezone": "Asia/Shanghai",
    "policies": "policies",
}

__all__ = ["chat", "mail", "new_store", "postgresql"]


def written(folder: Path, channels: dict[str, dict[str, Any]], **settings: Any) -> Workspace:
    """A workspace file with these channels; what stands under `secrets` becomes files that only we can read."""
    for name, text in (("signing", SIGNING), ("hook", WEBHOOK_SECRET)):
        secret_file(folder, name, text)
    content = {**HEAD, "notifications": {"channels": channels, **settings}}
    path = folder / "reconciler.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    return Workspace.load(path)


def secret_file(folder: Path, name: str, text: str) -> str:
    """A reference to a file that holds it."""
    (folder / name).write_text(text, "utf-8")
    (folder / name).chmod(0o600)
    return f"${{file:{name}}}"


def all_five(folder: Path, chat: ChatServer, mail: MailServer, **more: Any) -> dict[str, dict[str, Any]]:
    """One channel of each type."""
    robots = ("wecom", "dingtalk", "feishu")
    found: dict[str, dict[str, Any]] = {
        name: {"type": name, "url": secret_file(folder, f"{name}-url", chat.url(name)), **more} for name in robots
    }
    found["dingtalk"]["secret"] = found["feishu"]["secret"] = "${file:signing}"
    found["webhook"] = {"type": "webhook", "url": chat.url("webhook"), "secret": "${file:hook}", **more}
    found["mail"] = {
        "type": "mail",
        "server": "127.0.0.1",
        "port": mail.port,
        "tls": "none",
        "sender": "reconciler@example.com",
        "to": ["ops@example.com", "hr@example.com"],
        **more,
    }
    return found
