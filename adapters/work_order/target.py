"""The target contract on a system that only people can change."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters import checking
from adapters.marks import mark_of
from adapters.work_order.folder import Folder
from adapters.work_order.known import Known, Place, known
from adapters.work_order.sending import Channel, MailChannel, NotSent, WebhookChannel
from adapters.work_order.settings import WorkOrderSettings
from adapters.work_order.writing import OPS, OrderWriter
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Locator,
    Observation,
    ObservedAccount,
    Reading,
    Target,
    TargetContext,
    TargetFinding,
    TargetWriter,
    entitlement_key,
)

__all__ = ["WorkOrderTarget"]


class WorkOrderTarget(Target):
    """A system of which an inventory says what is there, and in which people do what is ordered from them. Relative
    paths begin at the workspace's folder.
    """

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        owner = f"target {context.name}"
        own = checking.checked(WorkOrderSettings, settings, owner, "target-settings", context.place)
        channels: list[Channel] = []
        if own.mail is not None:
            channels.append(MailChannel(context.name, own.mail, context.folder))
        if own.webhook is not None:
            channels.append(WebhookChannel(context.name, own.webhook, context.folder))
        self._settings = own
        self._place = Place(
            context.name, context.folder / own.inventory, Folder(context.folder / own.orders), own, channels
        )

    def describe(self) -> Capabilities:
        return Capabilities(ops=OPS, implicit_accounts=self._settings.implicit)

    def check_locator(self, locator: Locator) -> str | None:
        if set(locator) != {"entitlement"} or not locator["entitlement"].strip():
            return "a binding has the form {entitlement: NAME}, spelled as in the inventory"
        return None

    def match_attributes(self) -> Sequence[str]:
        return (self._settings.attribute,)

    def mark(self, since: str = "") -> str:
        seen = known(self._place, datetime.now(UTC))
        findings = [f"{each.kind} {each.subject}" for each in seen.findings(self._settings)]
        files = [part for name, content in self._place.folder.contents() for part in (name, content)]
        return mark_of(repr(self._settings), self._place.inventory.read_bytes(), *files, "findings", *findings)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        seen = known(self._place, datetime.now(UTC))
        detail = seen.inventory.detail
        chosen = [account for account in seen.accounts if accounts is None or account in accounts]
        positions = {account: position for position, account in enumerate(chosen)}
        shown = [self._account(account, seen.accounts[account]) for account in chosen]
        reading = Reading.PARTIAL if detail else Reading.COMPLETE if seen.accounts else Reading.CONFIRMED_EMPTY
        reads = [self._read(locator, seen, positions) for locator in locators]
        return Observation(
            seen.now,
            AccountsRead(reading, tuple(shown), detail),
            {read.key: read for read in reads},
            tuple(seen.findings(self._settings)),
        )

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        yield OrderWriter(self._place)

    def probe(self) -> Sequence[TargetFinding]:
        found = known(self._place, datetime.now(UTC)).weaknesses(self._settings)
        folder = self._place.folder.path
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            found.append(TargetFinding("no-right-to-change", folder.name, f"{folder} cannot be written to"))
        for channel in self._place.channels:
            try:
                channel.reach()
            except NotSent as failure:
                found.append(TargetFinding("unreachable-people", channel.name, str(failure)))
        return found

    # --- one observation ----------------------------------------------------------------------------------------------

    def _account(self, account: str, value: str) -> ObservedAccount:
        value = account if self._settings.implicit else value
        return ObservedAccount(account, account, account, {self._settings.attribute: value} if value else {})

    def _read(self, locator: Locator, seen: Known, positions: Mapping[str, int]) -> EntitlementRead:
        key, name = entitlement_key(locator), locator["entitlement"]
        stands, detail = seen.standing, seen.inventory.detail
        members = stands.members.get(name)
        if members is None:
            text = f"the inventory has no entitlement {name}: give it a line, without an account if nobody has it"
            return EntitlementRead(key, name, Reading.FAILED, detail=text)
        asked = stands.open_in(name)
        reading = Reading.PARTIAL if detail else Reading.COMPLETE if members else Reading.CONFIRMED_EMPTY
        words = {positions[who]: text for who, text in stands.confirmed_in(name).items() if who in positions}
        return EntitlementRead(
            key,
            name,
            reading,
            BitMap(positions[account] for account in members if account in positions),
            detail=detail,
            unsettled=BitMap(positions[account] for account in asked if account in positions),
            confirmed=words,
        )
