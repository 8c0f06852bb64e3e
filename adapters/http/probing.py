"""What `doctor` is told of a declared system: whether it can be read whole, and whether the lists agree with the rest.

A question for one thing alone that leads nowhere would make that thing look gone, so each is tried on what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from adapters.api.trouble import Trouble
from adapters.http.accounts import find_accounts, find_of_person
from adapters.http.conversation import Conversation
from adapters.http.entitlements import find_again, find_entitlements, locator_of
from adapters.http.listing import Api
from adapters.http.settings import HttpSettings
from reconciler.targets import Observation, Reading, TargetFinding

__all__ = ["probed", "unsafe"]

_TRIED = 3
"""Accounts: one that is deleted at this moment proves nothing."""


def unsafe(settings: HttpSettings) -> Iterator[TargetFinding]:
    """What is not as it should stay."""
    if not settings.encrypted:
        text = "everything crosses the network unencrypted; use https"
        yield TargetFinding("unencrypted", settings.url, f"{settings.url}: {text}")
    if settings.conversation:
        text = "all requests and answers are written to it, personal data included; remove it once it is checked"
        yield TargetFinding("conversation-recorded", settings.conversation, f"{settings.conversation}: {text}")


def probed(api: Api, conversation: Conversation, seen: Observation) -> Iterator[TargetFinding]:
    """What is read in part, and which questions contradict the lists. Raises `Trouble`."""
    shown = api.settings.url
    if not seen.accounts.reading.whole:
        yield TargetFinding("accounts-partial", shown, f"{shown}: {seen.accounts.detail}")
    for words in _of_accounts(api, seen):
        yield TargetFinding("questions-disagree", shown, f"{shown}: {words}")
    if api.settings.entitlements.list is None:
        return
    listed = api.all(api.settings.entitlements.list, {})
    conversation.understood("entitlements", count=len(listed.items), reading=listed.reading)
    if not listed.reading.whole:
        yield TargetFinding("entitlements-partial", shown, f"{shown}: {listed.detail}")
    for words in _of_entitlements(api, listed.items[:1]):
        yield TargetFinding("questions-disagree", shown, f"{shown}: {words}")


def _of_accounts(api: Api, seen: Observation) -> Iterator[str]:
    settings, some = api.settings.accounts, seen.accounts.accounts[:_TRIED]
    if some and settings.one is not None:
        why = [_missing(api, account.key) for account in some]
        if all(why):
            yield f"`accounts.one` does not give account {some[0].key}, which is in the list: {why[0]}"
    matching = islice((account for account in seen.accounts.accounts if account.match), _TRIED)
    known = [account for account in matching if len(account.match) == len(settings.match)]
    if known and settings.find is not None:
        answers = [(account.key, find_of_person(api, account.match)) for account in known]
        if all(keys is not None and key not in keys for key, keys in answers):
            yield f"`accounts.find` does not find account {known[0].key}, which is in the list"


def _missing(api: Api, key: str) -> str:
    """Why an account that is there cannot be had by itself; a blank where it can."""
    try:
        found = find_accounts(api, [key])
    except Trouble as trouble:
        return f"{trouble.said}; {trouble.remedy}"
    return "" if key in found.by_key else found.detail or "it says that there is none"


def _of_entitlements(api: Api, items: Sequence[Any]) -> Iterator[str]:
    if api.settings.entitlements.one is None:
        return
    for item in items:
        try:
            locator = locator_of(api.settings.entitlements, item)
        except ValueError as error:
            yield f"an entitlement cannot be named: {error}"
            continue
        (before,) = find_entitlements(api, [locator])
        again = find_again(api, locator, before)
        if before.reading is not Reading.FAILED and again is not None and again.reading is Reading.FAILED:
            yield f"`entitlements.one` does not give {before.name}, which is in the list: {again.detail}"
