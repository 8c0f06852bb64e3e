"""`ScimTarget`: a SCIM 2.0 service provider as a target.

Observing goes over a connection that lets nothing but GET onto the line; only `writer` opens another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters.scim.provider import Provider
from adapters.scim.reading import belongs_to, observation
from adapters.scim.session import opened
from adapters.scim.settings import Feature, endpoint_of, layout_of, scim_settings
from adapters.scim.users import user_of
from adapters.scim.writing import ScimWriter
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Target,
    TargetContext,
    TargetFinding,
    TargetWriter,
)

__all__ = ["ScimTarget"]

_WITHOUT: Mapping[Feature, str] = {
    "filter": "one person's pass reads everybody and every group",
    "etag": "what somebody else changes between reading and writing is noticed only by reading back",
    "bulk": "each group and each account takes a request of its own",
}


class ScimTarget(Target):
    """A provider, configured as `adapters.scim.settings.ScimSettings` says."""

    def __init__(self, context: TargetContext, settings: Mapping[str, object]) -> None:
        parsed = scim_settings(settings, context)
        self._endpoint = endpoint_of(parsed, context.folder)
        self._layout = layout_of(parsed)

    def describe(self) -> Capabilities:
        return Capabilities(ops=self._layout.ops, batch_size=2000)

    def check_locator(self, locator: Locator) -> str | None:
        return self._layout.locator_error(locator)

    def match_attributes(self) -> Sequence[str]:
        return tuple(self._layout.match)

    def creation_attributes(self) -> Sequence[str]:
        return self._layout.creation_attributes

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        with opened(self._endpoint) as session:
            provider = Provider(session, self._layout)
            return observation(provider, self._layout, locators, accounts, datetime.now(UTC))

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str] | None:
        """One question, by filter; None where the provider has no filters."""
        with opened(self._endpoint) as session:
            provider = Provider(session, self._layout)
            listing = provider.users.having([{person: values[person].strip() for person in self._layout.match}])
            if listing is None or listing.shortfall:
                return None
            users = map(user_of, listing.resources.values())
            return frozenset(user.key for user in users if belongs_to(self._layout, user, values))

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with opened(self._endpoint, writes=True) as session:
            provider = Provider(session, self._layout)
            yield ScimWriter(session, provider, self._layout)

    def probe(self) -> Sequence[TargetFinding]:
        """It can be reached and read, what crosses a network is encrypted, and it can do what is asked of it."""
        with opened(self._endpoint) as session:
            provider = Provider(session, self._layout)
            provider.check()
            return tuple(self._weaknesses(provider))

    def _weaknesses(self, provider: Provider) -> Iterator[TargetFinding]:
        url, features = self._endpoint.api.url, provider.features
        if not self._endpoint.api.encrypted:
            text = f"{url}: the token and all data cross the network unencrypted; use https"
            yield TargetFinding("unencrypted", url, text)
        if not features.patch and not features.etag:
            text = (
                f"{url} has neither PATCH nor versions: nobody could be let in or put out without undoing what "
                "somebody else does at the same moment, so nothing is changed there"
            )
            yield TargetFinding("missing-feature", url, text)
        if features.lacking:
            what = "; ".join(_WITHOUT[each] for each in features.lacking)
            named = ", ".join(features.lacking)
            text = f"{url} does not offer {named}: {what}. Say `without: [{named}]` where that is known"
            yield TargetFinding("missing-feature", url, text)
