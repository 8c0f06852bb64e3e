"""An order as a person reads it, in Chinese and English, and what that person fills in when it is done.

What stands in the system or in the policies is shown on one line whatever it holds: no name can forge a line.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.work_order.order import Order

__all__ = ["filled_in", "form", "one_line"]

RULE = "-" * 72
_VERBS = {True: "请开通 / please give", False: "请取消 / please take away"}
_LABELS = {"order": ("工单", "order"), "done_by": ("办理人", "done by"), "done_at": ("办理时间", "done at")}
_LABELS["proof"] = ("凭证", "proof")
_FIELDS = {
    name: re.compile(rf"\s*(?:{chinese})?\s*(?:{english})?\s*[:：](?P<value>.*)", re.IGNORECASE)
    for name, (chinese, english) in _LABELS.items()
}


def one_line(text: str) -> str:
    """The text, in quotes where it holds what would not show or would look like something else."""
    hidden = any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)
    return json.dumps(text, ensure_ascii=True) if hidden or text != text.strip() else text


def form(order: Order, zone: ZoneInfo, *, proof_required: bool, withdrawn_by: str = "") -> str:
    """The text of an order. `withdrawn_by` is the number of the order that took its place."""
    urgent = "   *** 紧急 / URGENT ***" if order.urgent_since else ""
    lines = [
        f"工单 / WORK ORDER  {order.number}{urgent}",
        "",
        f"系统 / system:       {one_line(order.target)}",
        f"事项 / what:         {_VERBS[order.gives]}",
        f"账号 / account:      {one_line(order.account)}",
        f"权限 / entitlement:  {one_line(order.entitlement)}",
        f"下单 / ordered:      {_moment(order.ordered_at, zone)}",
        f"期限 / due:          {_moment(order.due, zone)}",
    ]
    if order.replaces:
        lines += [
            "",
            f"工单 {order.replaces} 已撤回：请勿再办；若已办理，请按本工单改回。",
            f"Order {order.replaces} is withdrawn: do not carry it out; if you have, undo it, as this order says.",
        ]
    if withdrawn_by:
        return "\n".join([*_withdrawn(order.number, withdrawn_by), RULE, *lines]) + "\n"
    needed = "" if proof_required else "（可不填 / may stay blank）"
    return (
        "\n".join(
            [
                *lines,
                RULE,
                "办完后填写以下各行，并把本文件移到 acknowledged 文件夹。若系统中本来就是这样，也请填写。",
                "When it is done, fill in these lines and move this file to the folder `acknowledged`; also where",
                "it was so already. Proof: a ticket number, or the name of a file that you put beside this one.",
                "",
                f"工单 order: {order.number}",
                "办理人 done by: ",
                "办理时间 done at (2026-01-31 14:30): ",
                f"凭证 proof{needed}: ",
            ]
        )
        + "\n"
    )


def _withdrawn(number: str, by: str) -> list[str]:
    return [
        f"工单 {number} 已撤回，请勿办理。见 {by}。",
        f"Order {number} is withdrawn: do not carry it out. See {by}.",
    ]


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M %z")


def filled_in(text: str) -> Mapping[str, str]:
    """What somebody has written into the form: `order`, `done_by`, `done_at`, `proof`, as far as they are there."""
    found: dict[str, str] = {}
    for line in text.rpartition(f"\n{RULE}\n")[2].splitlines():
        # What is said in brackets after a label is how to fill it in.
        plain = re.sub(r"\s*[(（][^)）]*[)）](?=\s*[:：])", "", line, count=1)
        for name, pattern in _FIELDS.items():
            label = plain.replace("：", ":").partition(":")[0].strip()
            if label and (match := pattern.fullmatch(plain)) and match["value"].strip():
                found[name] = match["value"].strip()
    return found
