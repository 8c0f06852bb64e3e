"""`PostgresTarget`: a PostgreSQL server as a target.

Observing goes over a transaction that cannot write; only `writer` opens a connection that can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters.postgres import catalog
from adapters.postgres.entitlements import locator_error
from adapters.postgres.reading import is_account, observation
from adapters.postgres.session import Connection, reading, writing
from adapters.postgres.settings import endpoint_of, layout_of, postgres_settings
from adapters.postgres.writing import PostgresWriter
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Target,
    TargetContext,
    TargetFinding,
    TargetWriter,
)

__all__ = ["PostgresTarget"]

_RIGHTS = """
    SELECT rolsuper, rolcreaterole, pg_has_role(session_user, 'pg_signal_backend', 'USAGE')
      FROM pg_roles WHERE rolname = session_user
"""


class PostgresTarget(Target):
    """A PostgreSQL server, configured as `adapters.postgres.settings.PostgresSettings` says."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        parsed = postgres_settings(settings, context)
        self._endpoint = endpoint_of(parsed, context.folder)
        self._layout = layout_of(parsed)

    def describe(self) -> Capabilities:
        return Capabilities(ops=self._layout.ops)

    def check_locator(self, locator: Locator) -> str | None:
        return locator_error(locator)

    def match_attributes(self) -> Sequence[str]:
        return (self._layout.attribute,)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        with reading(self._endpoint) as connection:
            return observation(connection, self._layout, locators, accounts, datetime.now(UTC))

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str]:
        """One question: all roles there are are few for a server, and how a value is compared is known here alone."""
        asked = values[self._layout.attribute].strip().casefold()
        with reading(self._endpoint) as connection:
            known = [role for role in catalog.roles(connection).values() if is_account(role, self._layout)]
        said = ((role, self._layout.values(role.name, role.comment)) for role in known)
        return frozenset(str(role.oid) for role, own in said if asked in [each.strip().casefold() for each in own])

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with writing(self._endpoint) as connection:
            yield PostgresWriter(connection, self._layout)

    def probe(self) -> Sequence[TargetFinding]:
        """It can be reached and read, what crosses a network is encrypted, and the rights fit the settings."""
        with reading(self._endpoint) as connection:
            catalog.roles(connection)
            return [*self._unsafe(), *self._rights(connection)]

    def _unsafe(self) -> Iterator[TargetFinding]:
        if self._endpoint.tls == "none" and not self._endpoint.local:
            text = "everything crosses the network unencrypted; set `tls: verify-full`"
            yield TargetFinding("unencrypted", self._endpoint.shown, f"{self._endpoint.shown}: {text}")

    def _rights(self, connection: Connection) -> Iterator[TargetFinding]:
        [(superuser, creates, signals)] = connection.execute(_RIGHTS).fetchall()
        role = self._endpoint.role
        if superuser:
            text = f"{role} is a superuser: a mistake of ours would know no bounds; make a role with few rights"
            yield TargetFinding("superuser", role, text)
            return
        if self._layout.accounts.disable and not creates:
            text = f"`accounts.disable` is set, and {role} cannot change other roles: it needs CREATEROLE"
            yield TargetFinding("missing-right", role, text)
        if self._layout.accounts.end_sessions and not signals:
            text = f"`accounts.end_sessions` is set, and {role} cannot: GRANT pg_signal_backend TO it, and INHERIT"
            yield TargetFinding("missing-right", role, text)
