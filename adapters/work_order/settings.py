"""What may be configured of a system whose changes people carry out."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import timedelta
from email.headerregistry import Address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from adapters.checking import PersonAttribute, Strict
from adapters.loopback import is_loopback

__all__ = ["Mail", "Webhook", "WorkOrderSettings"]

_PERIOD = re.compile(r"(?P<count>[0-9]{1,4}) ?(?P<unit>[hd])")
_SECRET_PREFIX = "whsec_"  # noqa: S105  # what secrets of Standard Webhooks begin with


def _period(value: object) -> object:
    """12h or 3d."""
    if not isinstance(value, str) or not (found := _PERIOD.fullmatch(value.strip())):
        raise ValueError("is no length of time: write 12h or 3d")
    count = int(found["count"])
    return timedelta(hours=count) if found["unit"] == "h" else timedelta(days=count)


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("is no timezone: write an IANA name such as Asia/Shanghai")
    return value


def _mailbox(value: str) -> str:
    try:
        address = Address(addr_spec=value)
    except ValueError:
        address = None
    if address is None or not address.username or not address.domain or not value.isascii():
        raise ValueError("is no address of the form name@example.com")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError("is not of the form https://HOST[:PORT]/PATH")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("would send orders unencrypted over the network: write https://")
    return value


def _signing_key(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value().removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < 24:
        raise ValueError(f"is no secret of Standard Webhooks: {_SECRET_PREFIX} and at least 24 bytes in base64")
    return value


Text = Annotated[str, Field(min_length=1)]
Period = Annotated[timedelta, BeforeValidator(_period), Field(gt=timedelta(0))]
Mailbox = Annotated[str, AfterValidator(_mailbox)]


class Mail(Strict):
    """A server that takes mail (RFC 5321), whom it comes from, and who is to do the work."""

    server: Text
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender: Mailbox
    to: Annotated[list[Mailbox], Field(min_length=1)]
    user: Text | None = None
    password: SecretStr | None = None
    ca: Text | None = None
    timeout: Annotated[int, Field(ge=1, le=300)] = 10

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` go together")
        if self.password is not None and self.tls == "none" and not is_loopback(self.server):
            raise ValueError("the password would go unencrypted over the network: use `tls: starttls` or `tls: tls`")
        return self


class Webhook(Strict):
    """Where orders are posted to, signed as Standard Webhooks has it."""

    url: Annotated[str, AfterValidator(_url)]
    secret: Annotated[SecretStr, AfterValidator(_signing_key)]
    ca: Text | None = None
    timeout: Annotated[int, Field(ge=1, le=300)] = 10

    @property
    def key(self) -> bytes:
        """What is signed with."""
        return base64.b64decode(self.secret.get_secret_value().removeprefix(_SECRET_PREFIX))


class WorkOrderSettings(Strict):
    """All settings. `match` is column of the inventory → person attribute; the column `account` means that people are
    known there by what the attribute says, so that nobody needs an account before an order.
    """

    inventory: Text
    orders: Text
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    match: Annotated[dict[str, PersonAttribute], Field(min_length=1, max_length=1)] = Field(default={"account": "id"})
    due: Period = timedelta(days=3)
    urgent_due: Period = timedelta(days=1)
    inventory_valid_for: Period = timedelta(days=90)
    proof: Literal["required", "optional"] = "required"
    acknowledged_by: Annotated[list[Text], Field(min_length=1)] | None = None
    mail: Mail | None = None
    webhook: Webhook | None = None

    @property
    def zone(self) -> ZoneInfo:
        """Where times without an offset are meant."""
        return ZoneInfo(self.timezone)

    @property
    def column(self) -> str:
        """The column of the inventory by which accounts are matched."""
        return next(iter(self.match))

    @property
    def attribute(self) -> str:
        """The person attribute that it holds."""
        return self.match[self.column]

    @property
    def implicit(self) -> bool:
        """Whether everybody has an account here by nature: the account is the person's id."""
        return self.match == {"account": "id"}
