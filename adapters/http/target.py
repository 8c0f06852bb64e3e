"""`HttpTarget`: a REST system as a target, as its declaration says.

Observing goes over a client that cannot send what is declared to change something; only `writer` opens one that can,
and a dry target not even then.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters.api.client import Client
from adapters.api.trouble import Trouble, bare
from adapters.api.words import Words
from adapters.http.accounts import find_of_person
from adapters.http.conversation import Conversation
from adapters.http.guard import reading_only, writing_too
from adapters.http.listing import Api
from adapters.http.pace import Pace
from adapters.http.probing import probed, unsafe
from adapters.http.reading import observation
from adapters.http.requests import Sender
from adapters.http.settings import hidden, http_settings
from adapters.http.writing import HttpWriter
from reconciler.targets import (
    Capabilities,
    Locator,
    Observation,
    Place,
    Reading,
    Target,
    TargetContext,
    TargetError,
    TargetFinding,
    TargetUnavailable,
    TargetWriter,
)

__all__ = ["HttpTarget"]


class HttpTarget(Target):
    """A REST system, declared as `adapters.http.settings.HttpSettings` says."""

    def __init__(
        self,
        context: TargetContext,
        settings: Mapping[str, object],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._context = context
        self._settings = http_settings(settings, context)
        self._clock = clock
        self._pace = Pace(self._settings.requests_per_second)

    def describe(self) -> Capabilities:
        return Capabilities(ops=frozenset(self._settings.writes), batch_size=_BATCH)

    def check_locator(self, locator: Locator) -> str | None:
        parts = self._settings.entitlements.named_by
        for name, value in locator.items():
            if name not in parts:
                near = difflib.get_close_matches(name, parts, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"possible here: {', '.join(parts)}"
                return f"`{name}` is no part of an entitlement of this target; {hint}"
            if not value:
                return f"`{name}` is blank"
        missing = [part for part in parts if part not in locator]
        return f"`{missing[0]}` is missing" if missing else None

    def match_attributes(self) -> Sequence[str]:
        return tuple(self._settings.accounts.match.values())

    def observe(self, locators: Sequence[Locator], accounts: Collection[str] | None = None) -> Observation:
        with self._connected() as (api, conversation, _):
            seen = observation(api, locators, accounts, self._clock())
            _tell(conversation, seen)
            return seen

    def keys_matching(self, values: Mapping[str, str]) -> Collection[str] | None:
        with self._connected() as (api, _, _):
            return find_of_person(api, values)

    @contextmanager
    def writer(self) -> Iterator[TargetWriter]:
        with self._connected() as (api, conversation, words):
            if self._settings.dry:
                yield HttpWriter(api, Sender(api, None, conversation))
                return
            client = self._client(words, conversation, writes=True)
            try:
                yield HttpWriter(api, Sender(api, client, conversation))
            finally:
                client.close()

    def probe(self) -> Sequence[TargetFinding]:
        """It can be read whole, its declaration agrees with itself, and nothing is for trying only."""
        with self._connected() as (api, conversation, _):
            seen = observation(api, [], None, self._clock())
            _tell(conversation, seen)
            return [*unsafe(self._settings), *probed(api, conversation, seen)]

    @contextmanager
    def _connected(self) -> Iterator[tuple[Api, Conversation, Words]]:
        """A connection that cannot write. What goes wrong on it is a `TargetError`."""
        words = Words(hidden(self._settings))
        file = self._context.folder / self._settings.conversation if self._settings.conversation else None
        conversation = Conversation(file, self._settings, words, self._clock)
        client = self._client(words, conversation, writes=False)
        try:
            yield Api(client, self._settings, words), conversation, words
        except Trouble as trouble:
            raise self._error(trouble) from None
        finally:
            client.close()
            conversation.close()

    def _client(self, words: Words, conversation: Conversation, *, writes: bool) -> Client:
        return Client(
            self._settings,
            self._context.folder,
            words,
            lambda: self._clock().timestamp(),
            allows=writing_too(self._settings) if writes else reading_only(self._settings),
            meanings=_MEANINGS,
            turn=self._pace.wait,
            hear=conversation.heard,
        )

    def _error(self, trouble: Trouble) -> TargetError:
        where = f", page {trouble.number}" if trouble.number > 1 else ""
        place = Place(bare(trouble.url or self._settings.url))
        said = f"target `{self._context.name}`{where}: {trouble.said}"
        if trouble.passing:
            return TargetUnavailable(said, place=place, remedy=trouble.remedy, retry_after=trouble.wait)
        return TargetError(said, place=place, remedy=trouble.remedy)


_MEANINGS = {
    400: ("it does not understand what it is asked", "check `path`, `query` and `pages` of what is read"),
    401: ("it does not accept the credentials", "check the secret that `auth` refers to: it may have expired"),
    403: ("these credentials may not read this", "give this account the right to read all users and groups"),
    404: ("there is no such thing", "check `url` and `path`"),
    407: ("the proxy wants credentials", "check HTTPS_PROXY in the environment"),
    410: ("there is no such thing any more", "check `url` and `path`"),
}
_SHOWN = 3
_BATCH = 1000
"""Steps. What is there is read once for each batch, so that larger ones are fewer requests."""


def _tell(conversation: Conversation, seen: Observation) -> None:
    """What was understood of the answers, a few of each kind in full."""
    accounts = seen.accounts
    first = [
        {"key": each.key, "name": each.name, "login": each.login, "match": each.match, "enabled": each.enabled}
        for each in accounts.accounts[:_SHOWN]
    ]
    conversation.understood(
        "accounts", reading=accounts.reading, count=len(accounts.accounts), first=first, detail=accounts.detail
    )
    for key, read in seen.entitlements.items():
        members = [accounts.accounts[position].name for position in list(read.members)[:_SHOWN]]
        conversation.understood(
            "entitlement",
            entitlement=key,
            reading=read.reading if read.reading is not Reading.FAILED else "failed",
            count=len(read.members),
            members=members,
            foreign=list(read.foreign[:_SHOWN]),
            detail=read.detail,
        )
