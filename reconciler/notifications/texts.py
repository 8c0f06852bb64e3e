"""The words around what is said, in Chinese and in English. Pure.

A block is a heading and lines; a line is a template of ours with values in it. Whatever comes from outside is a value:
it stands on one line, is cut where it is long, and is written by the `Style` of the channel, so that no name can forge
a line or become markup. What is too long for a channel is cut line by line, and how much is left out is said.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.notifications.notices import Content, Notice, NoticeKind

__all__ = ["Message", "Style", "composed", "one_line", "robot_text", "trial"]

LONGEST = 120
"""Characters of a value; of more, the rest is left out."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FULL_WIDTH = str.maketrans({sign: chr(ord(sign) + 0xFEE0) for sign in "\\`*[]<>#~|!@"})
"""No robot's documentation says how its markup is escaped; the full-width twin of a sign reads alike, and is none."""


def one_line(text: str) -> str:
    """The text on one line, without what does not show (or turns the direction of what does), and not too long."""
    shown = "".join(" " if unicodedata.category(sign) in _HIDDEN else sign for sign in text)
    short = " ".join(shown.split())
    return short if len(short) <= LONGEST else short[: LONGEST - 1] + "…"


def robot_text(text: str) -> str:
    """The text as a value in a group chat: it is no markup, mentions nobody, and is no link."""
    plain = one_line(text).translate(_FULL_WIDTH).replace("://", "：//")
    return "".join(
        "＿" if sign == "_" and not (_word(plain, at - 1) and _word(plain, at + 1)) else sign
        for at, sign in enumerate(plain)
    )


def _word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and (text[at].isalnum() or text[at] == "_")


@dataclass(frozen=True, slots=True)
class Style:
    """How a channel writes: a value, a heading, and what stands between two lines. `limit`: UTF-8 bytes of a body
    (None: any number).
    """

    value: Callable[[str], str] = one_line
    heading: Callable[[str], str] = lambda text: text
    between: str = "\n"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a title of one line, and a body."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class _Block:
    heading: str
    lines: tuple[str, ...]
    left_out: int = 0


def composed(
    notices: Sequence[Notice],
    *,
    language: str,
    organization: str,
    style: Style,
    names: Mapping[str, str] | None = None,
    again: bool = False,
) -> Message:
    """One message that says all of these. `names` is person → what they are called, where that may be said. `again`: an
    earlier attempt may have arrived.
    """
    words = _WORDS[language]
    title = words["title"].format(organization=style.value(organization), count=len(notices))
    blocks = [_block(kind, notices, words, style, names or {}) for kind in NoticeKind]
    own = [block for block in blocks if block.lines]
    notes = [words["again"]] if again else []
    body = _written(own, notes, words, style)
    while style.limit is not None and len(body.encode()) > style.limit and any(block.lines for block in own):
        longest = max(range(len(own)), key=lambda at: sum(len(line) for line in own[at].lines))
        own[longest] = _shorter(own[longest])
        body = _written(own, notes, words, style)
    return Message(one_line(title), body)


def _shorter(block: _Block) -> _Block:
    kept = block.lines[: len(block.lines) // 2]
    return replace(block, lines=kept, left_out=block.left_out + len(block.lines) - len(kept))


def _written(blocks: Iterable[_Block], notes: Sequence[str], words: Mapping[str, str], style: Style) -> str:
    parts = [style.between.join(notes)] if notes else []
    for block in blocks:
        lines = [style.heading(block.heading), *block.lines]
        if block.left_out:
            lines.append(words["more"].format(count=block.left_out))
        parts.append(style.between.join(lines))
    return "\n\n".join(parts)


def _block(
    kind: NoticeKind, notices: Sequence[Notice], words: Mapping[str, str], style: Style, names: Mapping[str, str]
) -> _Block:
    own = [notice for notice in notices if notice.kind is kind]
    lines = [_line(notice, words, style, names) for notice in own]
    return _Block(words[kind].format(count=len(own)), tuple(lines))


def _line(notice: Notice, words: Mapping[str, str], style: Style, names: Mapping[str, str]) -> str:
    content = notice.content
    values = {key: _spelled(value, style) for key, value in content.items()}
    values["person"] = _person(notice.person, style, names)
    values["and"] = words["none"] if not content.get("permissions") else values["permissions"]
    values["more_permissions"] = words["more_permissions"].format(**values) if content.get("more") else ""
    if "op" in content:
        values["op"] = words.get(f"op:{content['op']}", values["op"])
        values["why"] = words.get(f"guard:{content['guard']}", values["guard"])
    if notice.kind is NoticeKind.EVIDENCE:
        values["at"] = f"{datetime.fromisoformat(str(content['at'])):%Y-%m-%d %H:%M}"
        values["in"] = words["today" if content["days"] == 0 else "tomorrow" if content["days"] == 1 else "in_days"]
        values["in"] = values["in"].format(days=content["days"])
    return "· " + f"{style.between}  ".join(words[part].format(**values) for part in _parts(notice.kind, content))


def _parts(kind: NoticeKind, content: Content) -> Sequence[str]:
    """Which templates a notice takes, one a line."""
    match kind:
        case NoticeKind.LEAVER:
            return ("leaver:left" if content["read"] else "leaver:unread",)
        case NoticeKind.PASS if "code" in content:
            return ("pass:code",)
        case NoticeKind.PASS:
            return ("pass:unread" if content["unread"] else "pass:failed",)
        case NoticeKind.IMPORT:
            return ("import:refused",) if "code" in content else ("import:waiting", "import:confirm")
        case NoticeKind.HELD | NoticeKind.APPROVAL:
            first = "approval:line" if kind is NoticeKind.APPROVAL else "held:line"
            return (first, "held:permissions", "held:approve" if content["digest"] else "held:no-approval")
        case _:
            return (f"{kind}:line",)


def _spelled(value: str | int | Sequence[str], style: Style) -> str:
    if isinstance(value, str):
        return style.value(value)
    return str(value) if isinstance(value, int) else ", ".join(style.value(each) for each in value)


def _person(person: str, style: Style, names: Mapping[str, str]) -> str:
    name = names.get(person, "")
    return f"{style.value(person)} ({style.value(name)})" if name else style.value(person)


_EN = {
    "title": "[{organization}] permissions: {count} to look at",
    "again": "(This may have arrived already: nobody can tell whether the last attempt did.)",
    "more": "… and {count} more; all of it: reconciler plan, reconciler notify list",
    "none": "—",
    "more_permissions": " and {more} more",
    "today": "today",
    "tomorrow": "tomorrow",
    "in_days": "in {days} days",
    "leaver": "Who is out and could not be removed ({count})",
    "leaver:left": "{person} still has access on {target}: {and}",
    "leaver:unread": "{person} may still have access on {target}, which does not answer",
    "policies": "The policies do not pass; only leavers are let out until they are mended",
    "policies:line": "{errors} errors, at {places}; see: reconciler check",
    "pass": "A full pass does not succeed",
    "pass:code": "nothing could be compared ({code}); see: reconciler doctor",
    "pass:unread": "could not be read: {unread}; {failed} changes failed; see: reconciler doctor",
    "pass:failed": "{failed} changes failed; it goes on trying",
    "import": "Import of people",
    "import:refused": "{source}: refused ({code}); nothing of it counts",
    "import:waiting": "{source}: {waiting} exits wait for a decision. If they are right:",
    "import:confirm": "reconciler people confirm {import}",
    "approval": "Grants that wait for approval ({count})",
    "approval:line": "{op} on {target}, class {class}: {changes} changes, {people} people; approvals needed: {wanted}",
    "held": "Held until somebody decides ({count})",
    "held:line": "{op} on {target}, class {class}: {changes} changes, {people} people; {why}",
    "held:permissions": "permissions: {and}",
    "held:approve": 'reconciler approve {digest} --reason "…"',
    "held:no-approval": "no approval releases it: the policies or the facts have to change; see: reconciler plan",
    "evidence": "Evidence that runs out and costs access ({count})",
    "evidence:line": "{person}: {what} runs out {in}, {at}; then no more: {and}{more_permissions}",
    "guard:protected": "somebody protected is concerned",
    "guard:incomplete-read": "it was not read whole",
    "guard:deletions": "a deletion always waits",
    "guard:approvals": "its class asks for approval",
    "guard:first-contact": "the first revocations there",
    "guard:empties": "nobody would be left",
    "guard:too-many": "more people than the guard lets through",
    "guard:invariant": "an invariant would be broken",
    "op:end-sessions": "end sessions",
    "op:disable-account": "disable accounts",
    "op:revoke": "revoke",
    "op:delete-account": "delete accounts",
    "op:create-account": "create accounts",
    "op:enable-account": "enable accounts",
    "op:grant": "grant",
    "test:title": "[{organization}] test",
    "test": "This is a test of the channel {channel}: the reconciler can write here.",
}
_ZH = {
    "title": "【{organization}】权限：{count} 件事待处理",
    "again": "（本消息可能已送达过：上一次发送的结果无法确定。）",
    "more": "……另有 {count} 项；全部内容见：reconciler plan、reconciler notify list",
    "none": "—",
    "more_permissions": " 等，另有 {more} 项",
    "today": "今天",
    "tomorrow": "明天",
    "in_days": "{days} 天后",
    "leaver": "已离开的人尚未能移除（{count}）",
    "leaver:left": "{person} 在 {target} 上仍有访问权：{and}",
    "leaver:unread": "{person} 在 {target} 上可能仍有访问权，该系统没有应答",
    "policies": "策略未通过检查；修好之前只处理离职者的收回",
    "policies:line": "{errors} 处错误，位于 {places}；查看：reconciler check",
    "pass": "全量校准未能成功",
    "pass:code": "无法进行比较（{code}）；查看：reconciler doctor",
    "pass:unread": "读不到：{unread}；{failed} 项变更失败；查看：reconciler doctor",
    "pass:failed": "{failed} 项变更失败；会继续重试",
    "import": "人员数据导入",
    "import:refused": "{source}：被拒绝（{code}），其中内容一概不算",
    "import:waiting": "{source}：{waiting} 人的离职等待决定。若属实：",
    "import:confirm": "reconciler people confirm {import}",
    "approval": "等待批准的授予（{count}）",
    "approval:line": "{op}，{target}，密级 {class}：{changes} 项变更，涉及 {people} 人；需要 {wanted} 人批准",
    "held": "被护栏扣住，等待决定（{count}）",
    "held:line": "{op}，{target}，密级 {class}：{changes} 项变更，涉及 {people} 人；{why}",
    "held:permissions": "权限：{and}",
    "held:approve": 'reconciler approve {digest} --reason "…"',
    "held:no-approval": "批准不能放行：须修改策略或事实；查看：reconciler plan",
    "evidence": "即将到期、会失去权限的证明（{count}）",
    "evidence:line": "{person}：{what} {in}到期（{at}）；之后不再有：{and}{more_permissions}",
    "guard:protected": "涉及受保护的人",
    "guard:incomplete-read": "没有读全",
    "guard:deletions": "删除总要等待决定",
    "guard:approvals": "该密级需要批准",
    "guard:first-contact": "这是那里的首批收回",
    "guard:empties": "执行后将空无一人",
    "guard:too-many": "人数超出护栏限额",
    "guard:invariant": "会违反不变式",
    "op:end-sessions": "结束会话",
    "op:disable-account": "停用账号",
    "op:revoke": "收回",
    "op:delete-account": "删除账号",
    "op:create-account": "创建账号",
    "op:enable-account": "启用账号",
    "op:grant": "授予",
    "test:title": "【{organization}】测试",
    "test": "这是对通道 {channel} 的测试：reconciler 可以向这里发送消息。",
}
_WORDS: Mapping[str, Mapping[str, str]] = {"en": _EN, "zh-CN": _ZH}


def trial(channel: str, *, language: str, organization: str, style: Style) -> Message:
    """What is sent to try a channel."""
    words = _WORDS[language]
    title = words["test:title"].format(organization=style.value(organization))
    return Message(one_line(title), words["test"].format(channel=style.value(channel)))
