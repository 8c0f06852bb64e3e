"""How an account is created: a template in the settings, filled in with what is known of the person.

What stands in a name is escaped by the rules of names (RFC 4514), so that nobody's name makes an entry somewhere else.

The initial secret is made here, stands in a file of its own that only this user can read, and goes to the directory;
it is in no log, no outcome and no record. Without `secret`, an account has none until somebody sets one.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from adapters.checking import Strict
from adapters.directory import names
from adapters.directory.entries import Answer, DirectoryWriter, NewEntry, Verdict
from adapters.templates import Template, fields, filled, literal

__all__ = [
    "Create",
    "Handover",
    "Secret",
    "create",
    "filled_in",
    "problems_of",
    "template_attributes",
]

_UNSAFE = re.compile(r"[^\w.-]")


class Secret(Strict):
    """Where initial secrets are handed over: `folder`, one file for each account; `length` in characters of 6 bits."""

    folder: Annotated[str, Field(min_length=1)]
    length: Annotated[int, Field(ge=16, le=127)] = 24


class Create(Strict):
    """A new account: its naming attribute, its classes, its attributes, and `under` which entry it stands (where it
    says nothing, the people's base).
    """

    rdn: Annotated[str, Field(min_length=1)]
    classes: Annotated[list[str], Field(min_length=1)]
    attributes: Annotated[dict[str, Template], Field(min_length=1)]
    under: str | None = None
    secret: Secret | None = None


def template_attributes(create: Create) -> frozenset[str]:
    """The attributes of a person that the templates ask for."""
    return frozenset(name for text in create.attributes.values() for name in fields(text))


def filled_in(create: Create, base: str, person: Mapping[str, str]) -> NewEntry:
    """The entry for a person of whom everything is known that the templates ask for."""
    values = {attribute: filled(text, person) for attribute, text in create.attributes.items()}
    naming = next(value for attribute, value in values.items() if attribute.lower() == create.rdn.lower())
    attributes = {attribute: (value.encode(),) for attribute, value in values.items()}
    classes = tuple(name.encode() for name in create.classes)
    dn = f"{create.rdn}={names.escaped_value(naming)},{create.under or base}"
    return NewEntry(dn, {"objectClass": classes, **attributes})


def problems_of(create: Create, match: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a template beside its parts. `match`: attribute of an account → attribute of a person."""
    own = {attribute.lower(): text for attribute, text in create.attributes.items()}
    if create.rdn.lower() not in own:
        yield f"`accounts.create.attributes` has no `{create.rdn}`, by which the entry is to be named"
    for attribute, person in match.items():
        text = own.get(attribute.lower(), "")
        if fields(text) != [person] or literal(text):
            yield (
                f'`accounts.create.attributes` has no `{attribute}: "{{{person}}}"`, by which the account would be '
                "found again"
            )


def create(
    directory: DirectoryWriter,
    template: Create,
    base: str,
    match: Mapping[str, str],
    handover: Handover | None,
    person: Mapping[str, str],
) -> tuple[Answer, bool]:
    """Create the account of a person, unless there is one; what the directory said, and whether it was there before.
    `match`: attribute of an account → attribute of a person.

    Raises `TargetError` where it cannot be asked.
    """
    listing = directory.having({attribute: person[name] for attribute, name in match.items()})
    there = [entry.dn for entry in listing]
    if listing.shortfalls:
        return Answer(Verdict.UNAVAILABLE, "; ".join(listing.shortfalls)), False
    if there:
        return Answer(Verdict.DONE, f"there is {there[0]}"), True
    entry = filled_in(template, base, person)
    answer = _handing_over(directory, entry, handover, person) if handover else directory.add(entry)
    if answer.verdict is Verdict.CONFLICT:
        return Answer(Verdict.REFUSED, f"{entry.dn} is somebody else's: {answer.words}"), False
    if answer.verdict is Verdict.GONE:
        return Answer(Verdict.REFUSED, f"there is no entry {template.under or base}: {answer.words}"), False
    return answer, False


def _handing_over(directory: DirectoryWriter, entry: NewEntry, handover: Handover, person: Mapping[str, str]) -> Answer:
    """Add the entry with a secret that is on disk before the directory knows it."""
    try:
        secret, path = handover.make("-".join(filter(None, (person.get("id", ""), names.rdn_value(entry.dn)))))
    except OSError as error:
        words = f"no initial secret can be handed over, and nothing was created: {error.filename}: {error.strerror}"
        return Answer(Verdict.REFUSED, words)
    whole = directory.with_secret(entry, secret)
    answer = directory.add(whole or entry)
    if answer.verdict is Verdict.UNAVAILABLE and whole:  # it may have been created, and then this opens it
        return Answer(Verdict.UNAVAILABLE, f"{answer.words} (if it was created, its initial secret is in {path})")
    told = f"its initial secret is in {path}"
    if answer.verdict is Verdict.DONE:
        given = Answer(Verdict.DONE) if whole else directory.give_secret(entry.dn, secret)
        if given.verdict is Verdict.DONE:
            return Answer(Verdict.DONE, told)
        answer = Answer(Verdict.DONE, f"without an initial secret: {given.words}")
    handover.withdraw(path)
    return answer


@dataclass(frozen=True, slots=True)
class Handover:
    """Initial secrets of so many characters, each in a file that only this user can read."""

    folder: Path
    length: int

    def make(self, name: str) -> tuple[str, Path]:
        """A new secret, on disk before anybody else knows it. Raises `OSError`."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = _secret(self.length)
        handle, path = self._new_file(_UNSAFE.sub("_", name))
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(f"{secret}\n")
            stream.flush()
            os.fsync(stream.fileno())
        return secret, path

    def _new_file(self, name: str) -> tuple[int, Path]:
        """A file that was not there: one that is holds a secret that nobody has fetched yet, on another target too."""
        path, number = self.folder / f"{name}.secret", 1
        while True:
            try:
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), path
            except FileExistsError:
                number += 1
                path = self.folder / f"{name}-{number}.secret"

    @staticmethod
    def withdraw(path: Path) -> None:
        """Nobody got it."""
        with suppress(OSError):
            path.unlink()


def _secret(length: int) -> str:
    """A text of chance, with a capital, a small letter and a digit, as policies want it."""
    while True:
        text = secrets.token_urlsafe(length)[:length]
        if all(any(map(kind, text)) for kind in (str.isupper, str.islower, str.isdigit)):
            return text
