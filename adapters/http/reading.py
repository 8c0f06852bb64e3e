"""An observation of a REST system, from its accounts and its entitlements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from adapters.http.accounts import Account, AccountsFound, find_accounts
from adapters.http.entitlements import Found, find_entitlements
from adapters.http.listing import Api
from adapters.http.queries import text_of
from adapters.http.settings import HttpSettings
from reconciler.targets import (
    AccountsRead,
    BitMap,
    EntitlementRead,
    Locator,
    Observation,
    Reading,
    TargetFinding,
    entitlement_key,
)

__all__ = ["Principals", "observation"]


class Principals:
    """Which account is meant where an entitlement names one: by its key, name or login."""

    def __init__(self, settings: HttpSettings, accounts: Mapping[str, Account]) -> None:
        self._members = settings.entitlements.members
        self._by_spelling: dict[str, str] = {}
        self.ambiguous: set[str] = set()
        for key, account in accounts.items():
            spelling = self.spelled(account)
            if self._by_spelling.setdefault(spelling, key) != key:
                self.ambiguous.add(spelling)

    @property
    def attribute(self) -> str:
        """What of an account stands in an entitlement."""
        return self._members.are

    def spelled(self, account: Account) -> str:
        """How an account is called in an entitlement, for comparison."""
        observed = account.observed
        return self.folded({"key": observed.key, "name": observed.name, "login": observed.login}[self.attribute])

    def folded(self, text: str) -> str:
        """A spelling for comparison."""
        return text.casefold() if self._members.ignore_case else text

    def key_of(self, principal: object) -> str | None:
        """The key of the account that is meant; None of a foreign one."""
        return self._by_spelling.get(self.folded(text_of(principal)))


def observation(api: Api, locators: Sequence[Locator], keys: Collection[str] | None, at: datetime) -> Observation:
    """Raises `Trouble` where the accounts cannot be read at all."""
    accounts = find_accounts(api, keys)
    principals = Principals(api.settings, accounts.by_key)
    positions = {key: position for position, key in enumerate(accounts.by_key)}
    found = find_entitlements(api, locators)
    keys_of = _by_id(locators, found)
    nested = () if keys is not None else tuple(_nested(found, keys_of))
    return Observation(
        at,
        AccountsRead(accounts.reading, tuple(each.observed for each in accounts.by_key.values()), accounts.detail),
        {
            entitlement_key(locator): replace(
                _read(locator, each, principals, positions, narrow=keys is not None),
                within=sorted(keys_of[inner] for inner in each.nested if inner in keys_of),
            )
            for locator, each in zip(locators, found, strict=True)
        },
        findings=[*rehearsal(api.settings), *nested],
        own=own_spellings(api.settings, accounts),
    )


def rehearsal(settings: HttpSettings) -> tuple[TargetFinding, ...]:
    """That nothing is ever changed, where that is so."""
    if not settings.dry:
        return ()
    text = "nothing is ever sent to change something: `dry: true` is for checking a declaration"
    return (TargetFinding("dry-target", settings.url, f"{settings.url}: {text}"),)


def _by_id(locators: Sequence[Locator], found: Sequence[Found]) -> Mapping[str, str]:
    """What the system calls the entitlements asked for → their keys."""
    return {
        text_of(each.values["entitlement.id"]): entitlement_key(locator)
        for locator, each in zip(locators, found, strict=True)
        if "entitlement.id" in each.values
    }


def _nested(found: Sequence[Found], keys_of: Mapping[str, str]) -> Iterator[TargetFinding]:
    """Entitlements in those asked for that were not asked for themselves."""
    for each in found:
        for inner in sorted(each.nested - keys_of.keys()):
            text = f"{inner} is in {each.name}: whoever is in it has what {each.name} gives, beside any policy"
            yield TargetFinding("nested-group", each.name, text)


def own_spellings(settings: HttpSettings, accounts: AccountsFound) -> frozenset[str]:
    """Whom we are there, as far as that is known."""
    basic = settings.auth.basic if settings.auth else None
    login = settings.own or (basic.user if basic else None)
    if login is None:
        return frozenset()
    return frozenset({login, *(key for key, account in accounts.by_key.items() if account.observed.login == login)})


def _read(
    locator: Locator, found: Found, principals: Principals, positions: Mapping[str, int], *, narrow: bool
) -> EntitlementRead:
    members, foreign, details = BitMap(), [], [found.detail] if found.detail else []
    for each in found.principals:
        key = principals.key_of(each)
        if principals.folded(text_of(each)) in principals.ambiguous:
            details.append(f"{each} may be one of several accounts")
        elif key is not None:
            members.add(positions[key])
        elif not narrow:
            foreign.append(text_of(each))
    reading = Reading.PARTIAL if details and found.reading.whole else found.reading
    return EntitlementRead(
        entitlement_key(locator), found.name, reading, members, tuple(dict.fromkeys(foreign)), "; ".join(details)
    )
