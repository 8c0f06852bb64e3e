"""The robots of group chats: WeCom, DingTalk and Feishu (Lark abroad).

All three are an address to POST to, answer 200 to nearly everything, and say in the body what became of it. Their own
documentation, as of November 2026, is where the formats, signatures, limits and codes here come from:

- WeCom 群机器人配置说明: developer.work.weixin.qq.com/document/path/91770 (markdown of at most 4096 bytes; 20
  messages a minute; ``errcode``)
- DingTalk 自定义机器人接入: open.dingtalk.com/document/orgapp/custom-robot-access (``timestamp`` in milliseconds and
  ``sign`` in the query; 20 messages a minute, and none for ten minutes after more; ``errcode``)
- Feishu 自定义机器人使用指南: open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (``timestamp`` in seconds and
  ``sign`` in the body; a body of at most 20 KB; 100 messages a minute and 5 a second; ``code``)

None of them can be told that a message is one that it has had before.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from reconciler.notifications.channels import NotSent, Outgoing
from reconciler.notifications.posting import Address, dumped
from reconciler.notifications.texts import Style, robot_text

__all__ = ["DingTalk", "Feishu", "WeCom"]


class WeCom:
    """企业微信群机器人 (WeCom calls it 消息推送 by now). Its address is all that it asks for."""

    # Of its 4096 bytes, some are the title's.
    style = Style(robot_text, lambda text: f"**{text}**", limit=3600)
    least_pause = timedelta(seconds=3)

    def __init__(self, address: Address) -> None:
        self._address = address

    def send(self, outgoing: Outgoing) -> None:
        """POST it as markdown."""
        content = f"### {outgoing.message.title}\n{outgoing.message.body}"
        answer = self._address.post(dumped({"msgtype": "markdown", "markdown": {"content": content}}))
        _check(answer, "errcode", _WECOM)

    def reach(self) -> Sequence[str]:
        """Connect."""
        self._address.reach()
        return []


class DingTalk:
    """钉钉自定义机器人; signed (加签) where there is a secret, with its keyword where it wants one."""

    # A blank line: its markdown runs lines together otherwise.
    style = Style(robot_text, lambda text: f"**{text}**", between="\n\n", limit=15000)
    least_pause = timedelta(seconds=3)

    def __init__(self, address: Address, secret: str = "", keyword: str = "") -> None:
        self._address = address
        self._secret = secret
        self._keyword = keyword

    def send(self, outgoing: Outgoing) -> None:
        """POST it as markdown."""
        title = _with_keyword(outgoing.message.title, outgoing.message.body, self._keyword)
        markdown = {"title": title, "text": f"### {title}\n\n{outgoing.message.body}"}
        body = dumped({"msgtype": "markdown", "markdown": markdown, "at": {"isAtAll": False}})
        query = ""
        if self._secret:
            stamp = str(int(outgoing.at.timestamp() * 1000))
            query = urlencode({"timestamp": stamp, "sign": _hmac(self._secret, f"{stamp}\n{self._secret}")})
        _check(self._address.post(body, query=query), "errcode", _DINGTALK)

    def reach(self) -> Sequence[str]:
        """Connect."""
        self._address.reach()
        return [] if self._secret else [_UNSIGNED]


class Feishu:
    """飞书自定义机器人, abroad Lark; signed (签名校验) where there is a secret, with its keyword where it wants one."""

    # Each line is an object of its own in the body, of which 20 KB may be sent: no line is nearly as short as that.
    style = Style(robot_text, limit=8000)
    least_pause = timedelta(seconds=0.6)

    def __init__(self, address: Address, secret: str = "", keyword: str = "") -> None:
        self._address = address
        self._secret = secret
        self._keyword = keyword

    def send(self, outgoing: Outgoing) -> None:
        """POST it as rich text, whose lines are text and no markup."""
        title = _with_keyword(outgoing.message.title, outgoing.message.body, self._keyword)
        lines = [[{"tag": "text", "text": line}] for line in outgoing.message.body.split("\n")]
        language = "zh_cn" if outgoing.language == "zh-CN" else "en_us"
        post = {language: {"title": title, "content": lines}}
        body: dict[str, object] = {"msg_type": "post", "content": {"post": post}}
        if self._secret:
            stamp = str(int(outgoing.at.timestamp()))
            body |= {"timestamp": stamp, "sign": _hmac(f"{stamp}\n{self._secret}", "")}
        _check(self._address.post(dumped(body)), "code", _FEISHU)

    def reach(self) -> Sequence[str]:
        """Connect."""
        self._address.reach()
        return [] if self._secret else [_UNSIGNED]


_UNSIGNED = "messages are not signed: let the robot ask for signatures, and give `secret`"


def _with_keyword(title: str, body: str, keyword: str) -> str:
    return title if not keyword or keyword in title or keyword in body else f"{title} {keyword}"


def _hmac(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha256")).decode()


_SOON = timedelta(minutes=1)
_TEN_MINUTES = timedelta(minutes=10)


class _Answer(NamedTuple):
    """What a code means. `final`: the same message would be refused each time."""

    text: str
    wait: timedelta | None = None
    final: bool = False


_WECOM = {
    -1: _Answer("it is busy", _SOON),
    45009: _Answer("it has had too many messages", _SOON),
    93000: _Answer("it knows no such robot: look at `url`"),
    40058: _Answer("it does not take this message", final=True),
}
_DINGTALK = {
    -1: _Answer("it is busy", _SOON),
    130101: _Answer("it has had too many messages", _TEN_MINUTES),
    300001: _Answer("it knows no such robot: look at `url`"),
    310000: _Answer("it wants a signature, a keyword or another sender: look at `secret`, `keyword`, and at the clock"),
    460101: _Answer("the message is too long", final=True),
}
_FEISHU = {
    9499: _Answer("it does not take this message", final=True),
    11232: _Answer("it has had too many messages", _SOON),
    19001: _Answer("it knows no such robot: look at `url`"),
    19021: _Answer("the signature does not hold: look at `secret`, and at the clock"),
    19022: _Answer("it takes nothing from this machine's address"),
    19024: _Answer("it wants a keyword: give `keyword`"),
}


def _check(answer: Mapping[str, Any], key: str, known: Mapping[int, _Answer]) -> None:
    """Raises `NotSent` unless the answer says that the message was taken."""
    code = answer.get(key, answer.get("StatusCode"))
    if isinstance(code, bool) or not isinstance(code, int):
        raise NotSent("it answers, and does not say what became of the message", unsure=True)
    if code == 0:
        return
    said = known.get(code, _Answer("it refuses the message"))
    raise NotSent(f"{said.text} ({key} {code})", wait=said.wait, final=said.final)
