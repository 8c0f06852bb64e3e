"""What may be configured of an LDAP server, and what is refused because it could not be safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from adapters.directory.settings import DnText, Settings, Strict, checked
from adapters.loopback import is_loopback
from reconciler.targets import TargetContext

__all__ = [
    "Bind",
    "Connection",
    "Endpoint",
    "EndpointUrl",
    "LdapSettings",
    "endpoint_at",
    "endpoint_of",
    "ldap_settings",
]

_PORTS = {"ldap": 389, "ldaps": 636}
Tls = Literal["starttls", "ldaps", "none"]


def _is_endpoint(url: str) -> str:
    parts, port = _split(url)
    if parts.scheme not in _PORTS or not parts.hostname or port is None:
        raise ValueError("is not of the form ldap://HOST[:PORT] or ldaps://HOST[:PORT]")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("names more than a host and a port; bases and credentials have settings of their own")
    return url


EndpointUrl = Annotated[str, AfterValidator(_is_endpoint)]


class Bind(Strict):
    """Whom to sign in as. With an empty password that would be nobody, yet look like success (RFC 4513, 5.1.2)."""

    dn: DnText
    password: Annotated[SecretStr, Field(min_length=1)]


class Connection(Strict):
    """How to reach a server, and as whom; `timeout` in seconds."""

    url: EndpointUrl
    bind: Bind
    tls: Tls | None = None
    ca: str | None = None
    timeout: Annotated[int, Field(ge=1, le=600)] = 10

    @model_validator(mode="after")
    def _safe(self) -> Self:
        scheme = self.url.split(":", 1)[0].lower()
        if scheme == "ldap" and self.tls is None:
            raise ValueError("`tls` is missing: `starttls`, or `none` in so many words; or use an ldaps:// url")
        if scheme == "ldap" and self.tls == "ldaps":
            raise ValueError("`tls: ldaps` needs an ldaps:// url")
        if scheme == "ldaps" and self.tls not in (None, "ldaps"):
            raise ValueError(f"an ldaps:// url is encrypted from the first octet on; `tls: {self.tls}` contradicts it")
        if self.ca and self.tls == "none":
            raise ValueError("`ca` has no effect with `tls: none`")
        return self


class LdapSettings(Settings, Connection):
    """All settings of an LDAP target."""

    @model_validator(mode="after")
    def _secretive(self) -> Self:
        create = self.accounts.create
        if create and create.secret and self.tls == "none" and not is_loopback(_split(self.url)[0].hostname or ""):
            raise ValueError(
                "`accounts.create.secret` needs an encrypted connection: an ldaps:// url, or `tls: starttls`"
            )
        return self


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect, and as whom: `user` is a DN, or what else the server takes for a name."""

    url: str
    host: str
    port: int
    tls: Tls
    ca: Path | None
    timeout: int
    user: str
    password: SecretStr = field(repr=False)


def ldap_settings(settings: Mapping[str, object], context: TargetContext) -> LdapSettings:
    """The settings, or `ProblemsFound`."""
    return checked(LdapSettings, settings, context)


def endpoint_of(settings: Connection, folder: Path) -> Endpoint:
    """Where these settings point to; a relative CA file is looked for in `folder`."""
    ca = folder / settings.ca if settings.ca else None
    tls = settings.tls or "ldaps"
    return endpoint_at(settings.url, tls, ca, settings.timeout, settings.bind.dn, settings.bind.password)


def endpoint_at(url: str, tls: Tls, ca: Path | None, timeout: int, user: str, password: SecretStr) -> Endpoint:
    """The server at this url."""
    parts, port = _split(url)
    return Endpoint(url, parts.hostname or "", port or _PORTS[parts.scheme], tls, ca, timeout, user, password)


def _split(url: str) -> tuple[SplitResult, int | None]:
    """A URL's parts and its port (0 where none is given, None where it is no number)."""
    parts = urlsplit(url)
    try:
        return parts, parts.port or 0
    except ValueError:
        return parts, None
