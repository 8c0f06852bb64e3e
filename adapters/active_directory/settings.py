"""What may be configured of an Active Directory domain, and what is refused because it could not be safe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from adapters.active_directory.creating import Creation, template_of
from adapters.directory import names
from adapters.directory.creating import Handover, problems_of
from adapters.directory.groups import ACTIVE_DIRECTORY
from adapters.directory.locking import AccountControl
from adapters.directory.settings import DnText, Layout, People, Places, Strict, within
from adapters.ldap.settings import Endpoint, EndpointUrl, endpoint_at

__all__ = ["KEY", "DomainSettings", "endpoints_of", "layout_of", "system_groups"]

KEY = "objectGUID"
"""MS-ADA3: given once, whatever becomes of the name, and never given again."""
_GLOBAL_CATALOG = (3268, 3269)


def _several(given: object) -> object:
    return given if isinstance(given, list | tuple) else (given,)


def _encrypted(given: object) -> object:
    if given == "none":
        raise ValueError(
            "`none` is not possible: Active Directory takes no password over an unencrypted connection; "
            "write `starttls`, or use ldaps:// urls"
        )
    return given


_USER = re.compile(r"[^@\\\s]+@[^@\\\s]+|[^@\\/\s]+\\[^@\\/]+")


def _is_user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("is neither NAME@DOMAIN nor DOMAIN\\NAME; the name of an entry goes into `bind.dn`")
    return text


class Bind(Strict):
    """Whom to sign in as, by the name of the entry or as people do, and with which password: with an empty one that
    would be nobody, yet look like success (RFC 4513, 5.1.2).
    """

    dn: DnText | None = None
    user: Annotated[str, AfterValidator(_is_user)] | None = None
    password: Annotated[SecretStr, Field(min_length=1)]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.dn is None) is (self.user is None):
            raise ValueError("whom to sign in as is said once: by `dn`, or by `user` (NAME@DOMAIN or DOMAIN\\NAME)")
        return self

    @property
    def name(self) -> str:
        """What the controller is told."""
        return self.dn or self.user or ""


class Groups(Strict):
    """Where the groups are. `system`: those of the system's own groups that policies may name all the same."""

    base: DnText
    system: tuple[str, ...] = ()


class Accounts(Places):
    """What may be done with accounts themselves; nothing unless said."""

    disable: Literal["user-account-control"] | None = None
    delete: bool = False
    create: Creation | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.create and (flaw := next(self.create.flaws(), "")):
            raise ValueError(flaw)
        return self


class DomainSettings(Strict):
    """All settings of an Active Directory target; `timeout` in seconds."""

    url: Annotated[tuple[EndpointUrl, ...], BeforeValidator(_several), Field(min_length=1)]
    bind: Bind
    tls: Annotated[Literal["starttls", "ldaps"] | None, BeforeValidator(_encrypted)] = None
    ca: str | None = None
    timeout: Annotated[int, Field(ge=1, le=600)] = 10
    people: People
    groups: Groups
    accounts: Accounts = Accounts()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        schemes = {url.split(":", 1)[0].lower() for url in self.url}
        if len(schemes) > 1:
            raise ValueError("the urls are ldap:// and ldaps://; reach all controllers in the same way")
        if schemes == {"ldap"} and self.tls != "starttls":
            raise ValueError("ldap:// urls need `tls: starttls`; or use ldaps:// urls")
        if schemes == {"ldaps"} and self.tls == "starttls":
            raise ValueError("an ldaps:// url is encrypted from the first octet on; `tls: starttls` contradicts it")
        if wrong := next(self.accounts.flaws(self.accounts.disable, self.people.base), ""):
            raise ValueError(wrong)
        create = self.accounts.create
        if create and (wrong := next(problems_of(template_of(create), self.people.match), "")):
            raise ValueError(wrong)
        if create and create.under and not within(create.under, self.people.base):
            raise ValueError("`accounts.create.under` lies outside `people.base`, where accounts are looked for")
        if any(url.rstrip("/").endswith(f":{port}") for url in self.url for port in _GLOBAL_CATALOG):
            raise ValueError("3268 and 3269 are the global catalog, which lacks attributes and members; use 389 or 636")
        return self


def endpoints_of(settings: DomainSettings, folder: Path) -> Sequence[Endpoint]:
    """The domain's controllers in the order of their mention; a relative CA file is looked for in `folder`."""
    ca, tls, bind = folder / settings.ca if settings.ca else None, settings.tls or "ldaps", settings.bind
    return [endpoint_at(url, tls, ca, settings.timeout, bind.name, bind.password) for url in settings.url]


def layout_of(settings: DomainSettings, folder: Path = Path()) -> Layout:
    """What the shared semantics need to know of these settings; what is handed over goes to a folder relative to this
    one.
    """
    create = template_of(settings.accounts.create) if settings.accounts.create else None
    secret = create.secret if create else None
    return Layout(
        people_base=settings.people.base,
        match={attribute.lower(): person for attribute, person in settings.people.match.items()},
        groups_base=settings.groups.base,
        kind=ACTIVE_DIRECTORY,
        placeholder="",
        lock=AccountControl() if settings.accounts.disable else None,
        deletes=settings.accounts.delete,
        create=create,
        handover=Handover(folder / secret.folder, secret.length) if secret else None,
        leavers=settings.accounts.leaving,
        login="sAMAccountName",
        key=KEY,
    )


def system_groups(settings: DomainSettings) -> frozenset[str]:
    """The names of the system's groups that may be changed: each a `cn` or a DN, in canonical spelling."""
    return frozenset(_canonical(name) for name in settings.groups.system)


def _canonical(name: str) -> str:
    try:
        return names.canonical(name)
    except names.InvalidName:
        return names.fold(name)
