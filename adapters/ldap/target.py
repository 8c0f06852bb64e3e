"""`LdapTarget`: an LDAP directory as a target.

Observing goes over a connection that cannot write; only `writer` opens one that can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from adapters.directory.leavers import step_writer
from adapters.directory.reading import observation
from adapters.directory.settings import layout_of
from adapters.directory.vocabulary import asked_of, unknown
from adapters.ldap.lockout import SESSIONS, without_effect
from adapters.ldap.marking import mark, news
from adapters.ldap.schema import attributes_known
from adapters.ldap.server import Server, WritableServer
from adapters.ldap.settings import endpoint_of, ldap_settings
from adapters.ldap.wire import ReadOnlyWire, Wire, opened
from adapters.loopback import is_loopback
from reconciler.targets import (
    Capabilities,
    Locator,
    News,
    Observation,
    Target,
    TargetContext,
    TargetError,
    TargetFinding,
    TargetWriter,
)

__all__ = ["LdapTarget"]

_ACTIVE_DIRECTORY = b"1.2.840.113556.1.4.800"
"""What a domain controller says that it can (MS-ADTS 3.1.1.3.4.3.1)."""

BATCH = 2000
"""The most steps at a time: a server is done with them within a second, and what has to be asked before each batch is
asked a quarter as often as with the usual size.
"""


class LdapTarget(Target):
    """An LDAP directory, configured as `adapters.ldap.settings.LdapSettings` says."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        parsed = ldap_settings(settings, context)
        self._endpoint = endpoint_of(parsed, context.folder)
        self._layout = layout_of(parsed, context.folder)
        self._people_filter = parsed.people.filter
        self._sessions = SESSIONS.get(parsed.accounts.disable or "", "")

    def describe(self) -> Capabilities:
        can = self._layout.ops
        return Capabilities(ops=can, batch_size=BATCH, sessions_live_on=self._sessions, change_feed=True)

    def check_locator(self, locator: Locator) -> str | None:
        return self._layout.locator_error(locator)

    def creation_attributes(self) -> Sequence[str]:
        return self._layout.creation_attributes

    def match_attributes(self) -> Sequence[str]:
        return tuple(self._layout.match.values())

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        with opened(ReadOnlyWire, self._endpoint) as wire:
            server = Server(wire, self._layout, self._people_filter)
            at, bound_as = datetime.now(UTC), self._endpoint.user
            seen = observation(server, self._layout, locators, accounts, at, bound_as)
            found = () if accounts is not None else self._unknown(wire)
            return replace(seen, findings=(*seen.findings, *found))

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str]:
        """One search, by the attributes that accounts are matched by."""
        asked = {attribute: values[person] for attribute, person in self._layout.match.items()}
        with opened(ReadOnlyWire, self._endpoint) as wire:
            server = Server(wire, self._layout, self._people_filter)
            return frozenset(filter(None, map(server.key, server.having(asked))))

    def mark(self, since: str = "") -> str:
        """By the state of the directory as a whole; blank where the server does not offer content synchronization."""
        with opened(ReadOnlyWire, self._endpoint) as wire:
            server = Server(wire, self._layout, self._people_filter)
            return mark(server, self._layout, self._endpoint.url, self._endpoint.user, self._people_filter or "")

    def news(self, since: str = "") -> News:
        """By what the entries say of when and by whom they were changed last."""
        with opened(ReadOnlyWire, self._endpoint) as wire:
            server = Server(wire, self._layout, self._people_filter)
            return news(server, wire, self._layout, self._endpoint.user, since)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with opened(Wire, self._endpoint) as wire:
            server = WritableServer(wire, self._layout, self._people_filter)
            yield step_writer(server, self._layout, lambda: datetime.now(UTC))

    def probe(self) -> Sequence[TargetFinding]:
        """Both bases can be read, the schema knows what the settings name, what locks has an effect, and the password
        does not cross a network in the clear.
        """
        with opened(ReadOnlyWire, self._endpoint) as wire:
            server = Server(wire, self._layout, self._people_filter)
            self._check_kind(server)
            for base in (self._layout.people_base, self._layout.groups_base):
                if server.read(base, ("objectClass",)) is None:
                    raise TargetError(
                        f"{self._endpoint.url}: there is no entry {base} that {self._endpoint.user} can see",
                        remedy="correct the base, or give this account the right to read it",
                    )
            found = [*self._unknown(wire), *without_effect(wire, server, self._layout)]
        return (*found, *self._unsafe())

    def _check_kind(self, server: Server) -> None:
        """Raises `TargetError` where this is a domain, whose accounts and groups are of another make."""
        root = server.read("", ("supportedCapabilities",))
        if root is not None and _ACTIVE_DIRECTORY in root.values("supportedCapabilities"):
            raise TargetError(
                f"{self._endpoint.url} is a controller of an Active Directory domain, where no account has an "
                f"{self._layout.key}",
                remedy="use `type: active-directory`",
            )

    def _unknown(self, wire: ReadOnlyWire) -> Iterator[TargetFinding]:
        known = attributes_known(wire, self._layout.people_base)
        return unknown(asked_of(self._layout, self._people_filter), known, f"the schema of {self._endpoint.url}")

    def _unsafe(self) -> Iterator[TargetFinding]:
        if self._endpoint.tls == "none" and not is_loopback(self._endpoint.host):
            text = f"{self._endpoint.url}: the password and all data cross the network unencrypted; set `tls: starttls`"
            yield TargetFinding("unencrypted", self._endpoint.url, text)
