"""The accounts of a REST system: what each item of its list says, and how far all of them can be trusted.

Promises: an item that cannot be read is left out and said, and makes the whole partial; so does a key that comes twice,
and an attribute that is to match people and is in no item at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.api.json_values import MISSING, paths
from adapters.api.trouble import Trouble
from adapters.http.listing import Api, several
from adapters.http.queries import Query, plain, text_of
from adapters.http.settings import Accounts
from adapters.http.templates import CannotSay, Values
from reconciler.targets import ObservedAccount, Reading

__all__ = ["Account", "AccountsFound", "find_accounts", "find_of_person"]

_NARROW = 10
"""So many accounts are asked for one by one, where the system can; more are a list."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Account:
    """An account, and what templates say of it, as the system has it."""

    observed: ObservedAccount
    values: Values = field(repr=False)

    @property
    def key(self) -> str:
        return self.observed.key


@dataclass(frozen=True, slots=True)
class AccountsFound:
    """Accounts by their keys."""

    by_key: Mapping[str, Account] = field(repr=False)
    reading: Reading
    detail: str = ""


class _Unreadable(ValueError):
    """Why an item is no account."""


def find_accounts(api: Api, keys: Collection[str] | None = None) -> AccountsFound:
    """All accounts, or those of these keys. Raises `Trouble` where nothing can be read."""
    settings = api.settings.accounts
    if keys is not None and not keys:
        return AccountsFound({}, Reading.COMPLETE)
    if keys is not None and settings.one is not None and len(keys) <= _NARROW:
        return _one_by_one(api, keys)
    listed = api.all(settings.list, {})
    found, details = _read(settings, listed.items)
    if listed.detail:
        details = [listed.detail, *details]
    reading = Reading.PARTIAL if details else listed.reading
    by_key = {account.key: account for account in found}
    if keys is not None:
        by_key = {key: by_key[key] for key in keys if key in by_key}
    return AccountsFound(by_key, reading, "; ".join(details))


def find_of_person(api: Api, values: Mapping[str, str]) -> frozenset[str] | None:
    """The keys of one person's accounts, asked narrowly; None where that cannot be asked, or not told whole. Raises
    `Trouble`.
    """
    settings = api.settings.accounts
    if settings.find is None:
        return None
    known = {f"person.{attribute}": value for attribute, value in values.items()}
    if not set(settings.find.names) <= known.keys():
        return None
    try:
        listed = api.all(settings.find, known)
    except CannotSay:
        return None
    found, details = _read(settings, listed.items)
    if listed.detail or details:
        return None
    return frozenset(account.key for account in found if _is_of(account, values))


def _is_of(account: Account, values: Mapping[str, str]) -> bool:
    """The system may find more than was meant."""
    own = account.observed.match
    return all(_spelled(own.get(attribute, "")) == _spelled(value) for attribute, value in values.items())


def _spelled(value: str) -> str:
    return value.strip().casefold()


def account_of(settings: Accounts, item: Any) -> Account:
    """What an item says of its account. Raises `ValueError`, in words."""
    try:
        raw: dict[str, object] = {"key": settings.key.one(item), "name": settings.name.one(item)}
        key = _named(raw["key"], "key", settings.key)
        whose = f"account {key}: "
        name = _named(raw["name"], "name", settings.name, whose)
        login = name
        raw["login"] = raw["name"]
        if settings.login is not None:
            raw["login"] = settings.login.one(item)
            login = _named(raw["login"], "login", settings.login, whose)
        for each, query in settings.fields.items():
            raw[each] = query.one(item)
        observed = ObservedAccount(key, name, login, _match(settings, item), _enabled(settings, item, whose))
    except _Unreadable:
        raise
    except ValueError as error:
        raise _Unreadable(str(error)) from None
    values = {f"account.{each}": value for each, value in raw.items() if value is not MISSING}
    return Account(observed, values)


def _read(settings: Accounts, items: Sequence[Any]) -> tuple[list[Account], list[str]]:
    found: list[Account] = []
    wrong: list[str] = []
    for item in items:
        if not _counts(settings, item):
            continue
        try:
            found.append(account_of(settings, item))
        except _Unreadable as error:
            wrong.append(str(error))
    details = [f"accounts that cannot be read ({len(wrong)}): {'; '.join(wrong[:_SHOWN])}"] if wrong else []
    if items and not any(_counts(settings, item) for item in items):
        details.append(f"none of the {len(items)} items is an account, as `accounts.where` says: correct it")
    if twice := several("account", [account.key for account in found]):
        details.append(twice)
    for query, attribute in settings.match.items():
        if found and not any(attribute in account.observed.match for account in found):
            there = ", ".join(f"$.{name}" for name in paths(items[0], depth=2)[:12])
            details.append(f"no account has anything at `match: {query}`, so none can be told by {attribute}: {there}")
    return found, details


def _counts(settings: Accounts, item: Any) -> bool:
    return settings.where is None or settings.where.holds(item)


def _one_by_one(api: Api, keys: Collection[str]) -> AccountsFound:
    settings = api.settings.accounts
    assert settings.one is not None  # noqa: S101  # the caller has looked
    found: dict[str, Account] = {}
    details: list[str] = []
    for key in keys:
        try:
            item = api.one(settings.one, {"account.key": key})
            if not _counts(settings, item):
                continue
            account = account_of(settings, item)
        except Trouble as trouble:
            if trouble.status not in (404, 410):
                raise
        except (CannotSay, _Unreadable) as error:
            details.append(str(error))
        else:
            if account.key == key:
                found[key] = account
            else:
                details.append(f"asked for account {key}, it gives {account.key}")
    reading = Reading.PARTIAL if details else Reading.COMPLETE
    return AccountsFound(found, reading, "; ".join(details))


def _named(value: object, what: str, query: Query, whose: str = "") -> str:
    try:
        return text_of(value)
    except ValueError as error:
        raise _Unreadable(f"{whose}`{what}: {query}` {error}") from None


def _match(settings: Accounts, item: Any) -> dict[str, str]:
    """An account without a value matches nobody."""
    found: dict[str, str] = {}
    for query, attribute in settings.match.items():
        value = query.one(item)
        if value is not MISSING and value is not None and value != "":
            found[attribute] = _named(value, "match", query)
    return found


def _enabled(settings: Accounts, item: Any, whose: str) -> bool:
    enabled = settings.enabled
    if enabled is None:
        return True
    value = enabled.at.one(item)
    if value is MISSING:
        if enabled.absent is None:
            raise _Unreadable(f"{whose}there is nothing at `enabled.at: {enabled.at}`; `absent` can say what it means")
        return enabled.absent
    return plain(value) == enabled.when
