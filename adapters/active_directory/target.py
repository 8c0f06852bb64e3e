"""`ActiveDirectoryTarget`: an Active Directory domain as a target.

Observing goes over a connection that cannot write; only `writer` opens one that can. Both go to one controller, the
first that answered: an object of this class is for one pass (`adapters.active_directory.controllers`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from adapters import checking
from adapters.active_directory.controllers import Controllers, DomainWire, WritableDomainWire
from adapters.active_directory.domain import Domain
from adapters.active_directory.leavers import LeaversWriter
from adapters.active_directory.settings import DomainSettings, endpoints_of, layout_of, leavers_of, system_groups
from adapters.active_directory.writable import WritableDomain
from adapters.directory.reading import observation
from adapters.directory.writing import DirectoryStepWriter
from adapters.ldap.requests import Scope, any_value
from adapters.ldap.wire import Question
from adapters.marks import mark_of
from reconciler.targets import (
    Capabilities,
    EntitlementRead,
    Locator,
    Observation,
    Reading,
    Target,
    TargetContext,
    TargetError,
    TargetFinding,
    TargetWriter,
)

__all__ = ["ActiveDirectoryTarget"]

_TOLD_ONE_BY_ONE = 5
"""Of more accounts in one group, there is one finding and not one for each."""


class ActiveDirectoryTarget(Target):
    """A domain, configured as `adapters.active_directory.settings.DomainSettings` says."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        parsed = checking.checked(DomainSettings, settings, f"target {context.name}", "target-settings", context.place)
        self._controllers = Controllers(endpoints_of(parsed, context.folder))
        self._layout = layout_of(parsed)
        self._bound_as = parsed.bind.dn
        self._people_filter = parsed.people.filter
        self._system_groups = system_groups(parsed)
        self._leavers = leavers_of(parsed)

    def describe(self) -> Capabilities:
        return Capabilities(ops=self._layout.ops)

    def check_locator(self, locator: Locator) -> str | None:
        return self._layout.locator_error(locator)

    def match_attributes(self) -> Sequence[str]:
        return tuple(self._layout.match.values())

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        with self._reading() as domain:
            seen = observation(domain, self._layout, locators, accounts, datetime.now(UTC), self._bound_as)
            entitlements = {key: _judged(read, domain) for key, read in seen.entitlements.items()}
            found = list(_findings(entitlements.values(), domain))
            if accounts is None:
                found += _nested(entitlements.values(), domain)
        return replace(seen, entitlements=entitlements, findings=(*seen.findings, *found))

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str]:
        """One search, by the attributes that accounts are matched by."""
        asked = {attribute: values[person] for attribute, person in self._layout.match.items()}
        with self._reading() as domain:
            return frozenset(filter(None, map(domain.key, domain.having(asked))))

    def mark(self, since: str = "") -> str:
        """By the number of the newest change that the controller has (MS-ADTS, section 3.1.1.3.2), and which
        controller, restored from which backup, that is; blank where it does not say.
        """
        asked = ("dsServiceName", "highestCommittedUSN")
        with self._controllers.opened(DomainWire) as wire:
            (root,) = list(wire.ask([Question("", Scope.BASE, any_value("objectClass"))], asked))
            itself = Question(root.text("dsServiceName"), Scope.BASE, any_value("objectClass"))
            history = [b"".join(entry.values("invocationId")) for entry in wire.ask([itself], ("invocationId",))]
        newest = root.text("highestCommittedUSN")
        if not newest:
            return ""
        settings = (repr(self._layout), self._people_filter or "", self._bound_as, *sorted(self._system_groups))
        return mark_of(*settings, root.text("dsServiceName"), *history, newest)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with self._controllers.opened(WritableDomainWire) as wire:
            domain = WritableDomain(wire, self._layout, self._people_filter, self._system_groups)
            writer = DirectoryStepWriter(domain, self._layout, lambda: datetime.now(UTC))
            yield LeaversWriter(writer, domain, self._leavers) if self._leavers else writer

    def probe(self) -> Sequence[TargetFinding]:
        """Both bases can be read."""
        with self._reading() as domain:
            for base in (self._layout.people_base, self._layout.groups_base):
                if domain.read(base, ("objectClass",)) is None:
                    raise TargetError(
                        f"there is no entry {base} that {self._bound_as} can see in the domain {domain.root()}",
                        remedy="correct the base, or give this account the right to read it",
                    )
        return ()

    @contextmanager
    def _reading(self) -> Iterator[Domain]:
        with self._controllers.opened(DomainWire) as wire:
            yield Domain(wire, self._layout, self._people_filter, self._system_groups)


def _judged(read: EntitlementRead, domain: Domain) -> EntitlementRead:
    """A group of the system's own is no entitlement, whatever could be read of it."""
    standing = domain.group_standings.get(read.name)
    if standing is None or not standing.refusal:
        return read
    return EntitlementRead(read.key, read.name, Reading.FAILED, detail=standing.refusal)


def _findings(read: Collection[EntitlementRead], domain: Domain) -> Iterator[TargetFinding]:
    for name, account in domain.account_standings.items():
        if account.protection:
            text = f"{name} {account.protection}: nothing of it is changed from here, not even for a leaver"
            yield TargetFinding("protected-account", name, text)
    for group, standing in ((each.name, domain.group_standings.get(each.name)) for each in read):
        if standing is None or standing.refusal:
            continue
        if not standing.security:
            text = f"{group} is a distribution group: it opens nothing by itself, whoever is in it"
            yield TargetFinding("distribution-group", group, text)
        yield from _by_primary_group(group, list(domain.holders(standing)))


def _by_primary_group(group: str, holders: Sequence[str]) -> Iterator[TargetFinding]:
    ending = f"in {group} by primaryGroupID, and can be removed only by being given another primary group"
    if len(holders) > _TOLD_ONE_BY_ONE:
        some = "; ".join(holders[:_TOLD_ONE_BY_ONE])
        yield TargetFinding("primary-group", group, f"{len(holders)} accounts are {ending}: {some}; …")
        return
    for holder in holders:
        yield TargetFinding("primary-group", holder, f"{holder} is {ending}")


def _nested(read: Collection[EntitlementRead], domain: Domain) -> Iterator[TargetFinding]:
    """Groups that are members: who is in them has what the group gives, and only they as a whole are looked at. One
    that is an entitlement itself is told as `within`.
    """
    own = {each.name for each in read}
    holding = {each.name: each.foreign for each in read if each.foreign}
    if not holding:
        return
    groups = domain.nested(holding)
    for name, foreign in holding.items():
        for inner in foreign:
            if inner in groups and inner not in own:
                text = f"the group {inner} is a member of {name}: all who are in it have what {name} gives, unseen here"
                yield TargetFinding("nested-group", inner, text)
