"""What may be configured of a PostgreSQL target, and what is refused because it could not be safe.

Source: PostgreSQL's documentation of libpq's connection parameters (`sslmode`, `sslrootcert`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, model_validator

from adapters import checking
from adapters.checking import Strict
from adapters.loopback import is_loopback
from reconciler.targets import Op, TargetContext

__all__ = ["Endpoint", "Layout", "PostgresSettings", "endpoint_of", "layout_of", "postgres_settings"]

_URL = re.compile(
    r"postgres(?:ql)?://(?P<role>[^@/?#]+)@(?P<host>\[[0-9a-fA-F:.]+\]|[^@/:?#,\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?/(?P<database>[^/?#]+)"
)
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_FORM = "postgresql://ROLE@HOST[:PORT]/DATABASE"
Attribute = Literal["id", "email"]
Tls = Literal["verify-full", "none"]


def _is_address(url: str) -> str:
    if (found := _URL.fullmatch(url)) is None:
        raise ValueError(f"is not of the form {_FORM}; password and encryption have settings of their own")
    if ":" in found["role"]:
        raise ValueError(f"is not of the form {_FORM}: a password has a setting of its own, `password`")
    return url


class Match(Strict):
    """By what a login role is told to be somebody's: its comment, or its name. One of them."""

    comment: Attribute | None = None
    name: Attribute | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.comment is None) is (self.name is None):
            raise ValueError("names either `comment` or `name`, e.g. {comment: id}")
        return self


class Accounts(Strict):
    """What may be done with login roles themselves; nothing unless said."""

    disable: Literal["nologin"] | None = None
    end_sessions: bool = False


class PostgresSettings(Strict):
    """All settings. `timeout` in seconds, for connecting and for each statement."""

    url: Annotated[str, AfterValidator(_is_address)]
    password: Annotated[SecretStr, Field(min_length=1)] | None = None
    tls: Tls | None = None
    ca: str | None = None
    timeout: Annotated[int, Field(ge=1, le=600)] = 10
    match: Match
    role_name: str | None = None
    accounts: Accounts = Accounts()
    protected: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ca and self.tls == "none":
            raise ValueError("`ca` has no effect with `tls: none`")
        if self.role_name is not None:
            self._check_template(self.role_name)
        elif self.match.name and self.accounts.disable:
            raise ValueError(_NEEDS_TEMPLATE)
        return self

    def _check_template(self, template: str) -> None:
        if self.match.name is None:
            raise ValueError("`role_name` has no effect without `match: {name: …}`")
        if _VARIABLE.findall(template) != [self.match.name]:
            raise ValueError(f"`role_name` has {{{self.match.name}}} once and no other variable")
        if self.accounts.disable and not _VARIABLE.sub("", template):
            raise ValueError(_NEEDS_TEMPLATE)


_NEEDS_TEMPLATE = (
    "`accounts.disable` needs `match: {comment: …}`, or a `role_name` with more than the variable, e.g. emp_{id}: "
    "otherwise a role without LOGIN could be a disabled account or a group, and nothing would tell which"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect, and as whom. `ca` is None for the system's own certificates."""

    host: str
    port: int
    database: str
    role: str
    tls: Tls | None
    """None: this machine, where encryption is used if it is offered."""
    ca: Path | None
    timeout: int
    password: SecretStr | None = field(repr=False, default=None)

    @property
    def shown(self) -> str:
        """The server and the database in a message."""
        return f"postgresql://{self.host}:{self.port}/{self.database}"

    @property
    def local(self) -> bool:
        """Whether what is sent there stays on this machine."""
        return self.host.startswith("/") or is_loopback(self.host)


@dataclass(frozen=True)
class Layout:
    """Which roles are accounts, whose they are, and what may be done with them."""

    match: Match
    role_name: str
    accounts: Accounts
    protected: frozenset[str]

    @property
    def attribute(self) -> str:
        """The person attribute that accounts are matched by."""
        return self.match.comment or self.match.name or ""

    @property
    def ops(self) -> frozenset[Op]:
        """What this server can be asked to do."""
        locking = {Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT} if self.accounts.disable else set()
        ending = {Op.END_SESSIONS} if self.accounts.end_sessions else set()
        return frozenset({Op.GRANT, Op.REVOKE} | locking | ending)

    @property
    def tells_disabled(self) -> bool:
        """Whether a role without LOGIN can be told to be a disabled account and no group."""
        return bool(self.match.comment or _VARIABLE.sub("", self.role_name))

    def values(self, name: str, comment: str) -> Sequence[str]:
        """What the role says of whose it is; more than one value where its comment contradicts itself."""
        if self.match.comment:
            return list(dict.fromkeys(self._in_comment.findall(comment)))
        found = self._in_name.fullmatch(name)
        return [found[1]] if found else []

    @cached_property
    def _in_comment(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![^\s;,]){self.attribute}=([^\s;,]+)")

    @cached_property
    def _in_name(self) -> re.Pattern[str]:
        before, after = (re.escape(part) for part in self.role_name.split(f"{{{self.attribute}}}"))
        return re.compile(f"{before}(.+){after}", re.DOTALL)


def postgres_settings(settings: Mapping[str, object], context: TargetContext) -> PostgresSettings:
    """The settings, or `ProblemsFound` with all that is wrong with them."""
    owner = f"target {context.name}"
    return checking.checked(PostgresSettings, settings, owner, "target-settings", context.place)


def endpoint_of(settings: PostgresSettings, folder: Path) -> Endpoint:
    """Where these settings point to; a relative CA file is looked for in `folder`."""
    parts = _URL.fullmatch(settings.url)
    assert parts is not None  # noqa: S101  # checked with the settings
    host = unquote(parts["host"]).strip("[]")
    local = host.startswith("/") or is_loopback(host)
    return Endpoint(
        host=host,
        port=int(parts["port"] or 5432),
        database=unquote(parts["database"]),
        role=unquote(parts["role"]),
        tls=settings.tls or ("verify-full" if settings.ca or not local else None),
        ca=folder / settings.ca if settings.ca else None,
        timeout=settings.timeout,
        password=settings.password,
    )


def layout_of(settings: PostgresSettings) -> Layout:
    """Which roles are whose accounts."""
    template = settings.role_name or f"{{{settings.match.name}}}"
    return Layout(settings.match, template, settings.accounts, frozenset(settings.protected))
