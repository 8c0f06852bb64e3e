"""The page on notifications: its settings are settings, its samples are what is sent, its tables are whole."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
import yaml

from reconciler.notifications import channel_of
from reconciler.notifications.notices import Content, Notice, NoticeKind
from reconciler.notifications.robots import WeCom
from reconciler.notifications.texts import Style, composed
from reconciler.workspace import Workspace
from reconciler.workspace.notifications import Channel, NotificationSettings
from tests.docs.test_docs import blocks, read

PAGE = "docs/notifications.md"
HEAD = {"format": "reconciler.workspace/1", "organization": "星河科技", "timezone": "Asia/Shanghai", "policies": "p"}
DIGEST = "sha256:9c1b6fd0a4c35e2b81d7f6a90c3e5b7d2f4a6c8e0b1d3f5a7c9e1b3d5f7a9c0e"


def loaded(folder: Path, block: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in re.findall(r"\$\{env:([A-Z_]+)\}", block):
        secret = "whsec_" + base64.b64encode(bytes(24)).decode()
        monkeypatch.setenv(name, "https://robots.example.com/x" if "URL" in name else secret)
    path = folder / "reconciler.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **yaml.safe_load(block)}, allow_unicode=True), "utf-8")
    return Workspace.load(path)


def test_the_channels_that_are_shown_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types = set()
    for block in blocks(PAGE, "yaml"):
        workspace = loaded(tmp_path, block, monkeypatch)
        for name, channel in workspace.spec.notifications.channels.items():
            channel_of(workspace, name)
            types.add(channel.type)

    assert types == {"mail", "webhook", "wecom", "dingtalk", "feishu"}


def test_every_setting_and_kind_is_explained() -> None:
    rows = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`[^|]+) \|", read(PAGE), re.MULTILINE))))

    assert rows >= NotificationSettings.model_fields.keys() | Channel.model_fields.keys()
    assert rows >= {kind.value for kind in NoticeKind}


def sample() -> list[Notice]:
    held: Content = {
        "slice": "corp-ldap/revoke/internal/people",
        "target": "corp-ldap",
        "op": "revoke",
        "class": "internal",
        "guard": "too-many",
        "digest": DIGEST,
        "changes": 62,
        "people": 31,
        "permissions": ["source-code:read", "source-code:write"],
    }
    evidence: Content = {
        "what": "secrecy-training",
        "at": "2026-12-06T00:00+08:00",
        "days": 7,
        "permissions": ["core-algorithms:read"],
        "more": 2,
    }
    leaver: Content = {"target": "file-servers", "permissions": ["chip-designs:read"], "read": 1}
    return [
        Notice(NoticeKind.LEAVER, "l", leaver, "file-servers", "E1017"),
        Notice(NoticeKind.HELD, "h", held, "corp-ldap"),
        Notice(NoticeKind.EVIDENCE, "e", evidence, person="E1009"),
    ]


@pytest.mark.parametrize(("language", "at"), [("en", 0), ("zh-CN", 1)])
def test_the_samples_are_what_is_sent(language: str, at: int) -> None:
    message = composed(sample(), language=language, organization="星河科技", style=Style())

    assert list(blocks(PAGE, "text"))[at].strip() == f"{message.title}\n\n{message.body}"


def test_the_sample_fits_the_smallest_robot() -> None:
    message = composed(sample(), language="zh-CN", organization="星河科技", style=WeCom.style)

    assert len(message.body.encode()) < 3600
