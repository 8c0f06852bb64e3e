"""What may be configured of a connection to an API and of its pages, and what is refused because it could not be safe.

Values never appear in a message, and secrets not even in a representation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Generic, Literal, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from adapters.checking import Strict
from adapters.loopback import is_loopback

__all__ = [
    "ApiSettings",
    "Auth",
    "OAuth2",
    "Pages",
    "Text",
    "check_header",
    "origin",
    "seconds_of",
    "secrets_of",
]

_DURATION = re.compile(r"(?P<count>[0-9]{1,6}) ?(?P<unit>[smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PORTS = {"http": 80, "https": 443}
_OWN_HEADERS = {
    "authorization": "use `auth`",
    "host": "it follows from `url`",
    "content-length": "it follows from what is sent",
    **dict.fromkeys(
        ("x-http-method", "x-http-method-override", "x-method-override"), "a request is what its method says"
    ),
}


def seconds_of(value: object) -> object:
    """30, 30s, 5m or 1h in seconds."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        return int(found["count"]) * _SECONDS[found["unit"]]
    if isinstance(value, str | bool):
        raise ValueError("is no length of time: write 30s, 5m or 1h")
    return value


def _text(value: object) -> object:
    """A parameter as it is sent; YAML reads `true` and `1` as something else than text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def _is_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or _port(parts) is None:
        raise ValueError("is not of the form https://HOST[:PORT]/PATH")
    if parts.query or parts.fragment:
        raise ValueError("ends before a `?` or `#`: what is asked with stands under `parameters`")
    if "@" in parts.netloc:
        raise ValueError("names credentials: they stand under `auth`")
    return url


def _is_header(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise ValueError(
            "cannot be sent in a header: it holds line breaks, spaces around it, control characters, or other letters "
            "than those of ASCII"
        )
    return value


Seconds = Annotated[int, BeforeValidator(seconds_of), Field(ge=1, le=86_400)]
Text = Annotated[str, BeforeValidator(_text)]
Url = Annotated[str, AfterValidator(_is_url)]
HeaderSecret = Annotated[SecretStr, Field(min_length=1), AfterValidator(_is_header)]
_Path = Annotated[str, Field(min_length=1)]


class Basic(Strict):
    """User name and password (RFC 7617)."""

    user: Annotated[str, Field(min_length=1)]
    password: Annotated[SecretStr, Field(min_length=1)]


class OAuth2(Strict):
    """Client credentials (RFC 6749, section 4.4); `client: body` for a server that does not take them in a header."""

    token_url: Url
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: Annotated[SecretStr, Field(min_length=1)]
    scope: str = ""
    parameters: Mapping[str, Text] = Field(default_factory=dict)
    client: Literal["header", "body"] = "header"


class Auth(Strict):
    """One way to sign in. `scheme` is the word before a bearer token."""

    bearer: HeaderSecret | None = None
    scheme: Annotated[str, Field(pattern=r"^[!-~]+$")] = "Bearer"
    basic: Basic | None = None
    oauth2: OAuth2 | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.bearer, self.basic, self.oauth2)) != 1:
            raise ValueError("give one of `bearer`, `basic` and `oauth2`")
        return self


class Size(Strict):
    """The parameter that asks for so many records in a page."""

    parameter: _Path
    value: Annotated[int, Field(ge=1, le=100_000)]


Where = TypeVar("Where")
"""How a place in an answer is named: a dotted path, or a JSONPath."""


class Pages(Strict, Generic[Where]):
    """How the answer is divided. `total` is where the answer says how many records there are."""

    by: Literal["none", "page", "offset", "cursor", "link"] = "none"
    parameter: _Path | None = None
    first: Annotated[int, Field(ge=0)] | None = None
    size: Size | None = None
    next: Where | None = None
    total: Where | None = None
    max: Annotated[int, Field(ge=1)] = 10_000

    @property
    def asks_by(self) -> str:
        """The parameter that a page is asked for with."""
        return self.parameter or self.by

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        fitting = {
            "none": {"size"},
            "page": {"parameter", "first", "size"},
            "offset": {"parameter", "first", "size"},
            "cursor": {"parameter", "next", "size"},
            "link": {"next", "size"},
        }[self.by]
        for name in ("parameter", "first", "size", "next"):
            if getattr(self, name) is not None and name not in fitting:
                raise ValueError(f"`{name}` means nothing with `by: {self.by}`")
        if self.by == "cursor" and self.next is None:
            raise ValueError("`next` is missing: where in the answer the next cursor stands, e.g. meta.next_cursor")
        return self


class Retry(Strict):
    """How often one page is asked for, and for how long in all."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    within: Seconds = 120


class ApiSettings(Strict):
    """All settings of a connection to an API; times in seconds once they are read."""

    url: Url
    headers: Mapping[str, HeaderSecret] = Field(default_factory=dict)
    auth: Auth | None = None
    timeout: Seconds = 30
    retry: Retry = Retry()
    tls: Literal["none"] | None = None
    ca: str | None = None

    @property
    def encrypted(self) -> bool:
        """Whether nothing leaves this machine in the clear."""
        return all(_is_private(url) for url in self._urls)

    @property
    def _urls(self) -> list[str]:
        return [self.url, *([self.auth.oauth2.token_url] if self.auth and self.auth.oauth2 else [])]

    @model_validator(mode="after")
    def _safe(self) -> Self:
        for name in self.headers:
            check_header(name)
        for url in self._urls:
            if not _is_private(url) and self.tls != "none":
                raise ValueError(
                    f"http://{urlsplit(url).hostname} would carry credentials and personal data in the clear: use "
                    "https, or say `tls: none` in so many words"
                )
        if self.ca and not any(url.startswith("https:") for url in self._urls):
            raise ValueError("`ca` has no effect without https")
        return self


def check_header(name: str) -> None:
    """Raises `ValueError`, in words, for a name that no header may have here."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"`{name}` cannot be the name of a header")
    if name.lower() in _OWN_HEADERS:
        raise ValueError(f"the header `{name}` is not set here: {_OWN_HEADERS[name.lower()]}")


def secrets_of(settings: ApiSettings) -> list[str]:
    """What must never be quoted, should the API say it back."""
    auth = settings.auth
    hidden = [*settings.headers.values()]
    if auth is not None:
        hidden += [auth.bearer] if auth.bearer else []
        hidden += [auth.basic.password] if auth.basic else []
        hidden += [auth.oauth2.client_secret] if auth.oauth2 else []
    return [secret.get_secret_value() for secret in hidden]


def _is_private(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 6454). Raises `ValueError` where the URL has none."""
    parts = urlsplit(url)
    port = _port(parts)
    if parts.scheme not in _PORTS or not parts.hostname or port is None or "@" in parts.netloc:
        raise ValueError("no such place")
    return parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme]


def _port(parts: SplitResult) -> int | None:
    """0 where none is given, None where it is no number."""
    try:
        return parts.port or 0
    except ValueError:
        return None
