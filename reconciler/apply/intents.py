"""How the record speaks of changes: one by itself, or the many of a batch in short; and read again, whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.plan.model import Change
from reconciler.targets import entitlement_key


def described(change: Change) -> dict[str, Any]:
    """A change as the ledger keeps it: enough to know later what it did, to whom, and why."""
    own = {"subject": change.subject, "account": change.account, "account_key": change.account_key}
    return {"op": change.op.value, **own, **_shared(change, entitlement_key(change.locator))}


def in_short(changes: Sequence[Change]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What many of them have in common, said once; and of each change the rest, with the number of what it shares
    (`as`).

    What an account of a person is called is left out: an entry for many people is one from which what is said of one
    of them could not be erased.
    """
    numbers: dict[Hashable, int] = {}
    shared: list[dict[str, Any]] = []
    own: list[dict[str, Any]] = []
    key_of = locator_keys()
    for change in changes:
        key, holder = key_of(change), _holder(change)
        lane = change.approved, change.leaver
        alike = key, change.entitlement, holder, change.permissions, change.classification, change.cause, lane
        number = numbers.setdefault(alike, len(shared))
        if number == len(shared):
            shared.append(_shared(change, key))
        said: dict[str, Any] = {"id": change.id, "subject": change.subject, "account_key": change.account_key}
        if holder != "person" or not change.account_key:
            said["account"] = change.account
        own.append({**said, "as": number})
    return shared, own


def spelled_out(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The changes that an entry of `intended` speaks of, each by itself, as `described` has them and with its `id`.
    Entries of earlier versions say everything of every change.
    """
    shared = payload.get("shared")
    if shared is None:
        yield from payload["changes"]
        return
    for own in payload["changes"]:
        said = {name: value for name, value in own.items() if name != "as"}
        yield {"op": payload["op"], "account": "", **shared[own["as"]], **said}


def locator_keys() -> Callable[[Change], str]:
    """The entitlement key of one change after the other: those on one entitlement follow each other, and share their
    locator.
    """
    locator: Mapping[str, str] | None = None
    key = ""

    def of(change: Change) -> str:
        nonlocal locator, key
        if change.locator is not locator:
            locator, key = change.locator, entitlement_key(change.locator)
        return key

    return of


def _shared(change: Change, key: str) -> dict[str, Any]:
    """What a change may have in common with others."""
    return {
        "holder": _holder(change),
        "entitlement": change.entitlement,
        "entitlement_key": key,
        "locator": dict(change.locator),
        "permissions": list(change.permissions),
        "classification": change.classification,
        "cause": {"kind": change.cause.kind.value, "ref": change.cause.ref, "text": change.cause.text},
        "slice": change.slice,
        "approved": change.approved,
        "leaver": change.leaver,
    }


def _holder(change: Change) -> str:
    return "person" if change.person else "service-account" if change.service_account else "nobody"
