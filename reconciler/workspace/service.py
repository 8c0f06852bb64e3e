"""The `service` section of the workspace file: where the service listens, who may tell it what, and when it acts."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

__all__ = [
    "Address",
    "PolicyUpstream",
    "PushSecrets",
    "Schedule",
    "ScimSettings",
    "ServiceSettings",
    "Tls",
    "Webhook",
]

_PORTS = range(1, 65536)
_REF = re.compile(r"[A-Za-z0-9_][\w./+-]*")
"""No option, no refspec, no URL."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: an IP address and a TCP port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Tls(_Section):
    """The files of the service's certificate (with its chain) and key, in PEM; relative to the workspace's folder."""

    certificate: str
    key: str


class Webhook(_Section):
    """Somebody who may send events, known by their secret; during a rotation by several."""

    secret: list[str] = Field(min_length=1)

    @field_validator("secret", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


def _turns(value: str) -> str:
    try:
        next(CronSim(value, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        why = f": {error}" if str(error) else ", or of one that never comes"
        remedy = 'write minute, hour, day, month and weekday, such as "*/30 * * * *"'
        raise _flaw("cron", f"`{value}` is no cron expression{why}", remedy) from None
    return value


Cron = Annotated[str, AfterValidator(_turns)]


class Schedule(_Section):
    """Cron expressions, in the workspace's timezone. `imports`, `full_imports`: source → when its people are brought
    in, and when all of them also where it can tell what has changed. `checkpoint`: when the record is attested; None:
    never. `fetch`: when the policy repository is asked for news, where the workspace says so.
    """

    full_pass: Cron = "*/30 * * * *"  # noqa: S105  # no password
    imports: dict[str, Cron] = {}
    full_imports: dict[str, Cron] = {}
    checkpoint: Cron | None = None
    fetch: Cron = "*/5 * * * *"


class PushSecrets(_Section):
    """Who may say that something was pushed, each in its own way: `secret` signs after Standard Webhooks, `github` as
    GitHub does, `gitlab` is the token that GitLab sends. Several of each during a rotation.
    """

    secret: list[str] = []
    github: list[str] = []
    gitlab: list[str] = []

    @field_validator("secret", "github", "gitlab", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class PolicyUpstream(_Section):
    """Where the policy repository's news come from: a branch of a remote. `signers`: a file of those whose signature
    every new commit needs to have (ssh-keygen's ALLOWED SIGNERS format), relative to the workspace's folder.
    """

    branch: Annotated[str, Field(min_length=1)]
    remote: Annotated[str, Field(min_length=1)] = "origin"
    signers: str | None = None
    push: PushSecrets = PushSecrets()

    @field_validator("branch", "remote")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _REF.fullmatch(value) or ".." in value:
            raise _flaw("text", f"`{value}` is no name of a branch or a remote", "write it as git shows it")
        return value


class ScimSettings(_Section):
    """Inbound SCIM. `id`: the attribute that carries a person's stable id. `attributes`: policy attribute → the SCIM
    attribute that it is read from, where that is not the usual one; `values`: policy attribute → what is sent → what it
    is called here. `inactive`: what `active: false` is taken for. `take_over`: whether somebody whom another source has
    made known may become SCIM's. `url`: where clients reach it, where that is not the address they connect to.
    """

    id: Literal["employeeNumber", "externalId", "userName"] = "employeeNumber"
    attributes: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    inactive: Literal["exit", "leave"] = "exit"
    take_over: bool = False
    url: str = ""

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            remedy = "write it as clients do, such as https://access.example.com/scim/v2"
            raise _flaw("text", f"`{value}` is no address of a SCIM service", remedy)
        return value.rstrip("/")


class ServiceSettings(_Section):
    """What `reconciler serve` goes by. `max_body_bytes`: a larger request is refused unread. `stale_after_minutes`:
    with the last whole pass older than that, the service says that it is not ready. `workers`: so many does it have
    inside, where the store is PostgreSQL; 0 leaves all work to others. `policy_repository`: where it fetches the
    policies from; None: they are somebody else's to bring. `look_every_seconds`: how often a target that can tell what
    has changed is asked; 0: never. `metrics`: whether whoever reads those needs a token; none given, whoever is not on
    this machine does.
    """

    listen: str = "127.0.0.1:8470"
    tls: Tls | None = None
    behind_proxy: bool = False
    webhooks: dict[str, Webhook] = {}
    scim: ScimSettings | None = None
    schedule: Schedule = Schedule()
    policy_repository: PolicyUpstream | None = None
    look_every_seconds: Annotated[int, Field(ge=0, le=3600)] = 5
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 << 20
    stale_after_minutes: Annotated[int, Field(ge=1, le=60 * 24 * 7)] = 120
    workers: Annotated[int, Field(ge=0, le=16)] = 1
    metrics: Literal["open", "token"] | None = None

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            _address(value)
        except ValueError:
            remedy = "write an IP address and a port, such as 127.0.0.1:8470 or [::1]:8470"
            raise _flaw("listen", f"`{value}` is nowhere to listen", remedy) from None
        return value

    @field_validator("webhooks")
    @classmethod
    def _named(cls, value: dict[str, Webhook]) -> dict[str, Webhook]:
        for name in value:
            if not 1 <= len(name.strip()) <= 100 or name != name.strip() or not name.isprintable():
                remedy = "name the system that sends, such as `hr`: the record will know it by that"
                raise _flaw("text", f"a webhook cannot be called `{name}`", remedy)
        return value

    @model_validator(mode="after")
    def _nobody_listens_in(self) -> ServiceSettings:
        if not self.address.loopback and self.tls is None and not self.behind_proxy:
            text = f"`listen: {self.listen}` is open to others than this machine, and nothing would be encrypted"
            remedy = (
                "give `tls: {certificate: …, key: …}`, or say `behind_proxy: true` where a proxy in front does it; "
                "or listen on 127.0.0.1"
            )
            raise _flaw("listen", text, remedy)
        return self

    @property
    def address(self) -> Address:
        """Where to listen."""
        return _address(self.listen)

    @property
    def metrics_guarded(self) -> bool:
        """Whether `/metrics` takes a token. What a proxy hands on may come from anywhere, loopback or not."""
        if self.metrics is not None:
            return self.metrics == "token"
        return self.behind_proxy or not self.address.loopback


def _address(text: str) -> Address:
    """Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or (":" in host and bare == host) or not port.isascii() or not port.isdigit():
        raise ValueError(text)
    if int(port) not in _PORTS:
        raise ValueError(text)
    return Address(str(ipaddress.ip_address(bare)), int(port))


def _flaw(kind: str, message: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {"message": message, "remedy": remedy})
