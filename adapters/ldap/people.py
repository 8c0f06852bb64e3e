"""`LdapPeople`: an LDAP directory as a people source.

Promises: the search is read to its end or refused (a limit, a part on another server: half a delivery is none); the
connection cannot write. An entry without an id is a row without one, so that somebody hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from adapters.checking import Expect, Strict, checked_source
from adapters.columns import Columns
from adapters.directory import names
from adapters.directory.entries import Entry
from adapters.directory.settings import DnText
from adapters.ldap.schema import attributes_known
from adapters.ldap.session import encoded_filter, filter_flaw
from adapters.ldap.settings import Connection, endpoint_of
from adapters.ldap.wire import ReadOnlyWire, opened
from adapters.records import SET_SEPARATORS, Gathering
from reconciler.sources import Feed, Place, Source, SourceContext, SourceError
from reconciler.targets import TargetError

__all__ = ["LdapPeople"]

DEFAULT_FILTER = "(objectClass=person)"
_OWN_NAME = "dn"
"""What `columns` calls the entry's name, which is no attribute of it."""
_FIRST_ONLY = frozenset({"name", "email"})
"""Columns that hold one value, of attributes that often hold several."""


def _is_filter(text: str) -> str:
    if flaw := filter_flaw(text):
        raise ValueError(f"is no search filter ({flaw}): write e.g. {DEFAULT_FILTER}")
    return text


class People(Strict):
    """Where the people are, and which entries are people."""

    base: DnText
    filter: Annotated[str, AfterValidator(_is_filter)] = DEFAULT_FILTER


class LdapPeopleSettings(Connection):
    """All settings of a directory as a people source. `references`: columns whose values are names of entries."""

    people: People
    references: tuple[str, ...] = Field(default=())
    expect: Expect = Expect()
    columns: Any = None
    transforms: Any = None
    values: Any = None


class LdapPeople(Source):
    """A directory, configured as `LdapPeopleSettings` says. Raises `ProblemsFound` for wrong settings."""

    def __init__(self, context: SourceContext, settings: Mapping[str, object]) -> None:
        self._context = context
        self._settings = checked_source(LdapPeopleSettings, settings, context)
        self._endpoint = endpoint_of(self._settings, context.folder)
        self._columns = Columns(context, settings)
        self._place = Place(f"{self._endpoint.url}/{self._settings.people.base}")

    def read(self, columns: Sequence[str], required: Sequence[str], since: str = "") -> Feed:
        """Everybody, always: a directory does not tell who has left it. Raises `SourceError`."""
        gathering = Gathering(self._context, self._columns, columns)
        asked = self._attributes((*columns, "id"))
        with self._errors(), opened(ReadOnlyWire, self._endpoint) as wire:
            entries = self._entries(wire, asked)
            ids = self._ids(entries) if self._resolves(columns) else {}
            for entry in entries:
                gathering.take(partial(self._cell, entry, self._resolvers(columns, ids)), Place(entry.dn))
            gathering.check_count(self._settings.expect.minimum, self._place)
            self._check_columns(gathering, required, wire)
        return gathering.feed((), full=True)

    def _entries(self, wire: ReadOnlyWire, attributes: Sequence[str]) -> Sequence[Entry]:
        people = self._settings.people
        listing = wire.search(people.base, encoded_filter(people.filter), attributes)
        entries = list(listing)
        if listing.shortfalls:
            raise self._error(
                f"it delivers only a part ({len(entries)} entries): {'; '.join(sorted(set(listing.shortfalls)))}",
                f"let {self._endpoint.user} read all of {people.base}; nothing was taken",
            )
        return entries

    def _attributes(self, columns: Sequence[str]) -> Sequence[str]:
        """What has to be asked for; `1.1` (RFC 4511) where that is nothing."""
        return sorted({self._columns.theirs(column) for column in columns} - {_OWN_NAME}) or ("1.1",)

    # --- values -----------------------------------------------------------------------------------------------------

    def _cell(self, entry: Entry, resolvers: Mapping[str, Callable[[str], str]], theirs: str) -> str | None:
        if theirs.lower() == _OWN_NAME:
            return entry.dn
        values = entry.values(theirs)
        if not values:
            self._check_range(entry, theirs)
            return None
        texts = [_text(value) for value in values]
        if theirs in resolvers:
            texts = [resolvers[theirs](text) for text in texts]
        if len(texts) == 1 or theirs in self._single:
            return texts[0]
        if marked := next((text for text in texts if any(mark in text for mark in SET_SEPARATORS)), ""):
            raise ValueError(f"`{marked}` holds a `;`, which separates the values of a set")
        return ";".join(sorted(texts))

    @property
    def _single(self) -> frozenset[str]:
        return frozenset(self._columns.theirs(column) for column in _FIRST_ONLY)

    def _check_range(self, entry: Entry, theirs: str) -> None:
        """Raises `ValueError` where the server gives the values of an attribute in parts only."""
        if any(name.startswith(f"{theirs.lower()};range=") for name in entry.attributes):
            raise ValueError("the server gives only a part of its values")

    def _resolves(self, columns: Sequence[str]) -> bool:
        return any(column in columns for column in self._settings.references)

    def _resolvers(self, columns: Sequence[str], ids: Mapping[str, str]) -> Mapping[str, Callable[[str], str]]:
        resolve = partial(_resolved, ids)
        return {self._columns.theirs(column): resolve for column in self._settings.references if column in columns}

    def _ids(self, entries: Sequence[Entry]) -> Mapping[str, str]:
        """The id of each entry's person in our words, by the entry's name; a name that is nobody's stays as it is."""
        theirs = self._columns.theirs("id")
        return {names.canonical(entry.dn): self._id(entry.text(theirs)) for entry in entries if entry.text(theirs)}

    def _id(self, text: str) -> str:
        """As it stands in the person's own row; one that no transform takes is a problem of that row alone."""
        try:
            return self._columns.cell("id", text)
        except ValueError:
            return text

    # --- what went wrong --------------------------------------------------------------------------------------------

    def _check_columns(self, gathering: Gathering, required: Sequence[str], wire: ReadOnlyWire) -> None:
        """Raises `SourceError` where a needed attribute is in no entry, and no entry could have it.

        One that the schema knows and nobody has is left out of the delivery: what was known of it stays as it was.
        """
        missing = gathering.missing(required)
        known = attributes_known(wire, self._settings.people.base) if missing else ()
        schema = {name.lower(): name for name in known}
        blank = [column for column in missing if column not in required and self._base_name(column) in schema]
        for column in missing:
            schema.pop(self._base_name(column), None)  # nobody has it: it would be proposed for itself
        gathering.check(required, sorted(schema.values()), self._place, blank)

    def _base_name(self, column: str) -> str:
        return self._columns.theirs(column).partition(";")[0].lower()

    def _error(self, said: str, remedy: str) -> SourceError:
        return SourceError(f"source `{self._context.name}`: {said}", place=self._place, remedy=remedy)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The words of the connection, which are those of a target, as this source's."""
        try:
            yield
        except TargetError as error:
            remedy = error.remedy.replace("target's", "source's") or "check the source's settings"
            raise self._error(error.message, remedy) from None


def _resolved(ids: Mapping[str, str], dn: str) -> str:
    try:
        return ids.get(names.canonical(dn), dn)
    except names.InvalidName:
        return dn


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError("its value is no text") from None
