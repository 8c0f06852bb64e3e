"""A plan as canonical JSON, format ``reconciler.plan/1``, and what of such a file can be trusted when it comes back.

A saved plan is a statement of intent, not a list of orders: reading one back yields the digests and change ids that
somebody reviewed. What is carried out is the part of a *fresh* plan that those ids name, so that a file edited by
hand can make a run smaller and never larger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from reconciler.errors import Place, ReconcilerError
from reconciler.plan.model import Change, Finding, Plan, TargetSeen, Withheld, change_id, count_by_op, plan_digest

FORMAT = "reconciler.plan/1"

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class PlanFileError(ReconcilerError):
    """A plan file that cannot be carried out."""

    code: ClassVar[str] = "plan-file"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What a plan file says, once its digest has been checked."""

    digest: str
    made_at: str
    workspace: str
    policy_digest: str
    change_ids: frozenset[str]
    for_reading: bool
    """Made with ``--at`` some other day: it can be read, not carried out."""


def instant(moment: datetime | None) -> str | None:
    """UTC, ISO 8601, to the second, as all JSON of ours spells it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def plan_json(plan: Plan) -> dict[str, Json]:
    """The plan as plain data, ready for `json.dumps`."""
    return {
        "format": FORMAT,
        "digest": plan.digest,
        "made_at": instant(plan.made_at),
        "at": instant(plan.at),
        "workspace": plan.workspace,
        "policy": {"revision": plan.policy_revision, "digest": plan.policy_digest},
        "facts": {"ledger_seq": plan.ledger_seq, "people": plan.people},
        "targets": {name: _target(seen) for name, seen in plan.targets.items()},
        "changes": [_change(change) for change in plan.changes],
        "observed": [_change(change) for change in plan.observed],
        "withheld": [_withheld(each) for each in plan.withheld],
        "findings": [_finding(each) for each in plan.findings],
        "summary": {
            "grant": 0,
            "revoke": 0,
            **count_by_op(plan.changes),
            "held": len(plan.held),
            "observed": len(plan.observed),
            "withheld": len(plan.withheld),
            "findings": len(plan.findings),
        },
    }


def _target(seen: TargetSeen) -> Json:
    return {
        "observed_at": instant(seen.observed_at),
        "accounts": seen.accounts,
        "entitlements": seen.entitlements,
        "unread": list(seen.unread),
        "error": seen.error or None,
    }


def _change(change: Change) -> Json:
    held = change.held
    return {
        "id": change.id,
        "op": change.op.value,
        "target": change.target,
        "account": change.account,
        "account_key": change.account_key,
        "person": change.person,
        "service_account": change.service_account,
        "entitlement": change.entitlement,
        "locator": dict(change.locator),
        "permissions": list(change.permissions),
        "classification": change.classification,
        "saw": change.saw,
        "leaver": change.leaver,
        "approved": change.approved,
        "cause": {"kind": change.cause.kind.value, "ref": change.cause.ref, "text": change.cause.text},
        "held": {"guard": held.guard, "slice": held.slice, "digest": held.digest, "text": held.text} if held else None,
    }


def _withheld(each: Withheld) -> Json:
    subject = "person" if each.is_person else "service_account"
    return {
        subject: each.subject,
        "permission": each.permission,
        "classification": each.classification,
        "reasons": [
            {"kind": reason.kind, "what": reason.what, "text": reason.text, "remedy": reason.remedy}
            for reason in each.reasons
        ],
        "text": each.text,
    }


def _finding(each: Finding) -> Json:
    return {"kind": each.kind, "target": each.target or None, "subject": each.subject, "text": each.text}


def read_plan(content: bytes, file: str) -> SavedPlan:
    """What a plan file says. Raises `PlanFileError` where it is no plan of this format or has been edited."""
    place = Place(file)
    try:
        data = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PlanFileError(f"this is not a plan: {error}", place=place, remedy=_MAKE_ONE) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        text = f"expected a plan of format {FORMAT}, found {found!r}"
        raise PlanFileError(text, place=place, remedy=_MAKE_ONE)
    try:
        saved = _saved(data)
        digest = plan_digest(saved.policy_digest, saved.change_ids)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PlanFileError("the plan is incomplete or was edited", place=place, remedy=_MAKE_ONE) from None
    if saved.digest != digest:
        text = "the plan's digest does not fit its changes: it was edited after it was made"
        raise PlanFileError(text, place=place, remedy=_MAKE_ONE)
    return saved


_MAKE_ONE = "make a new one: reconciler plan --out FILE"


def _change_id(change: Mapping[str, Any]) -> str:
    """The id of a change as the file spells it out. Raises `ValueError` where the file gives it another one."""
    account = change["account_key"] or change["account"] or change["person"]
    own = change_id(change["op"], change["target"], account, change["locator"], change["saw"])
    if change["id"] != own:
        raise ValueError
    return own


def _saved(data: Mapping[str, Any]) -> SavedPlan:
    return SavedPlan(
        digest=str(data["digest"]),
        made_at=str(data["made_at"]),
        workspace=str(data["workspace"]),
        policy_digest=str(data["policy"]["digest"]),
        change_ids=frozenset(map(_change_id, data["changes"])),
        for_reading=data["at"] != data["made_at"],
    )
