"""`MayanTarget`: a Mayan EDMS as a target.

Observing goes over a connection that can send nothing but GET; only `writer` opens one that can write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters.api.trouble import Moved, Trouble, bare
from adapters.mayan.access import Access, Roles
from adapters.mayan.api import Api, connected
from adapters.mayan.entitlements import containers, locator_error
from adapters.mayan.reading import USER_FIELDS, Eye, accounts_in
from adapters.mayan.rights import Standing
from adapters.mayan.settings import mayan_settings
from adapters.mayan.writing import OPS, MayanWriter
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Place,
    Target,
    TargetContext,
    TargetError,
    TargetFinding,
    TargetUnavailable,
    TargetWriter,
)

__all__ = ["MayanTarget"]


class MayanTarget(Target):
    """A Mayan EDMS, configured as `adapters.mayan.settings.MayanSettings` says."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        self._settings = mayan_settings(settings, context)
        self._context = context

    def describe(self) -> Capabilities:
        """Accounts can be neither created nor disabled: Mayan's API cannot do the one safely, nor the other at all."""
        return Capabilities(ops=OPS)

    def check_locator(self, locator: Locator) -> str | None:
        return locator_error(locator)

    def containers(self, locators: Sequence[Locator]) -> Mapping[str, Sequence[str]]:
        return containers(locators)

    def match_attributes(self) -> Sequence[str]:
        return (self._settings.match.attribute,)

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        at = datetime.now(UTC)
        with self._signed_in() as (api, standing, roles):
            if accounts is None:
                standing.check()
            return Eye(api, self._settings, Access(api, roles), standing).observation(locators, accounts, at)

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str] | None:
        """All users are gone through: Mayan finds nobody by a field, except in an index that lags behind. None where it
        finds nobody and may be hiding somebody.
        """
        attribute = self._settings.match.attribute
        asked = values[attribute].strip().casefold()
        with self._signed_in() as (api, standing, _):
            known = accounts_in(api.every("users/", USER_FIELDS), self._settings, standing.id).values()
            found = frozenset(each.key for each in known if each.match.get(attribute, "").casefold() == asked)
            return found if found or not standing.blind() else None

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with self._signed_in(writes=True) as (api, standing, _):
            standing.check()
            yield MayanWriter(api, standing, self._settings.retry.within)

    def probe(self) -> Sequence[TargetFinding]:
        """It can be reached and read, what crosses a network is encrypted, and our role is the right one."""
        with self._signed_in() as (_, standing, __):
            standing.check()
            return [*self._unsafe(), *standing.told()]

    def _unsafe(self) -> Iterator[TargetFinding]:
        if not self._settings.encrypted:
            shown = self._settings.url
            text = f"{shown}: everything crosses the network unencrypted, the token too; use https"
            yield TargetFinding("unencrypted", shown, text)

    @contextmanager
    def _signed_in(self, *, writes: bool = False) -> Iterator[tuple[Api, Standing, Roles]]:
        """Raises `TargetUnavailable` and `TargetError` in place of what the API did."""
        try:
            with connected(self._settings, self._context.folder, writes=writes) as api:
                roles = Roles(api)
                yield api, Standing(api, roles, self._settings.url), roles
        except Trouble as trouble:
            raise self._error(trouble) from None

    def _error(self, trouble: Trouble) -> TargetError:
        message = f"target `{self._context.name}`: {trouble.said}"
        place = Place(bare(trouble.url) if trouble.url else self._settings.url)
        if trouble.passing or isinstance(trouble, Moved):
            return TargetUnavailable(message, place=place, remedy=trouble.remedy, retry_after=trouble.wait)
        remedy = trouble.remedy
        if trouble.status == 403:
            remedy = (
                "check that the token is right and the user active; Mayan answers 403 to all that it does not accept"
            )
        return TargetError(message, place=place, remedy=remedy)
