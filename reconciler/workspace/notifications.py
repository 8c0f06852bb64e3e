"""The `notifications` section of the workspace file: whom something is said to, by which channel, in which language."""

from __future__ import annotations

from datetime import time
from email.headerregistry import Address
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

__all__ = ["ROBOTS", "Channel", "ChannelType", "Kind", "Language", "NotificationSettings"]

ChannelType = Literal["mail", "webhook", "wecom", "dingtalk", "feishu"]
Language = Literal["zh-CN", "en"]
Kind = Literal["leaver", "policies", "pass", "import", "approval", "held", "evidence"]
"""What there is to be said, the most urgent first."""

ROBOTS = ("wecom", "dingtalk", "feishu")
"""Robots of group chats: whoever knows their address may write there, so that the address is a secret."""

_ANY = frozenset({"type", "language", "kinds", "names", "pause_seconds", "timeout"})
_OWN = {
    "mail": frozenset({"server", "port", "tls", "sender", "to", "managers", "user", "password", "ca"}),
    "webhook": frozenset({"url", "secret", "ca"}),
    "wecom": frozenset({"url"}),
    "dingtalk": frozenset({"url", "secret", "keyword"}),
    "feishu": frozenset({"url", "secret", "keyword"}),
}
_NEEDED = {"mail": ("server", "sender", "to"), "webhook": ("url", "secret"), **dict.fromkeys(ROBOTS, ("url",))}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Channel(_Section):
    """One way to people. `kinds`: what is said there, all of it unless given. `names`: people's names beside their ids.
    `pause_seconds`: so long after a message nothing is sent there, and what comes meanwhile is one message. `managers`:
    each manager is told by mail of their own people's evidence, beside whoever stands in `to`.
    """

    type: ChannelType
    language: Language | None = None
    kinds: Annotated[list[Kind], Field(min_length=1)] | None = None
    names: bool = False
    pause_seconds: Annotated[int, Field(ge=0, le=86400)] = 60
    timeout: Annotated[int, Field(ge=1, le=60)] = 10
    url: str = Field(default="", repr=False)
    secret: str = Field(default="", repr=False)
    keyword: str = ""
    ca: str = ""
    server: str = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = ""
    to: list[str] = []
    managers: bool = False
    user: str = ""
    password: str = Field(default="", repr=False)

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("to", "sender")
    @classmethod
    def _mailboxes(cls, value: str | list[str]) -> str | list[str]:
        for each in [value] if isinstance(value, str) else value:
            if not is_mailbox(each):
                raise _flaw(f"`{each}` is no mail address", "write one of the form name@example.com")
        return value

    @model_validator(mode="after")
    def _fits_its_type(self) -> Channel:
        allowed = _ANY | _OWN[self.type]
        if strange := sorted(self.model_fields_set - allowed):
            remedy = f"take it out; it has: {', '.join(sorted(_OWN[self.type]))}"
            raise _flaw(f"a channel of type `{self.type}` has no `{strange[0]}`", remedy)
        if missing := [name for name in _NEEDED[self.type] if not getattr(self, name)]:
            remedy = f"give it {', '.join(f'`{name}`' for name in missing)}; see docs/notifications.md"
            raise _flaw(f"a channel of type `{self.type}` needs `{missing[0]}`", remedy)
        if bool(self.user) != bool(self.password):
            raise _flaw("`user` and `password` go together", "give both, or neither")
        return self


class NotificationSettings(_Section):
    """`digest_at`: from when on, each day, it is said what evidence will run out. `patience_seconds`: what a service
    can mend by itself within so long is not said. `give_up_after_hours`: what could not be sent for so long is not sent
    any more.
    """

    channels: dict[str, Channel] = {}
    language: Language = "en"
    digest_at: str = "09:00"
    patience_seconds: Annotated[int, Field(ge=0, le=86400)] = 60
    give_up_after_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24

    @field_validator("digest_at")
    @classmethod
    def _is_time(cls, value: str) -> str:
        try:
            time.fromisoformat(value)
        except ValueError:
            raise _flaw(f"`{value}` is no time of day", 'write hours and minutes, in quotes: "09:00"') from None
        return value

    @field_validator("channels")
    @classmethod
    def _named(cls, value: dict[str, Channel]) -> dict[str, Channel]:
        for name in value:
            if not 1 <= len(name.strip()) <= 100 or name != name.strip() or not name.isprintable():
                raise _flaw(f"a channel cannot be called `{name}`", "name it by who is told, such as `security`")
        return value

    def language_of(self, channel: Channel) -> Language:
        """In which language something is said there."""
        return channel.language or self.language

    def says(self, channel: Channel, kind: str) -> bool:
        """Whether this kind of thing is said there."""
        return channel.kinds is None or kind in channel.kinds


def is_mailbox(text: str) -> bool:
    """Whether this is one plain mail address (RFC 5321) in ASCII, and can forge no header."""
    if not text.isascii() or not text.isprintable():
        return False
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError):
        return False
    return bool(address.username and address.domain)


def kinds() -> tuple[str, ...]:
    """All kinds, the most urgent first."""
    return get_args(Kind)


def _flaw(message: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("notification", "{message}", {"message": message, "remedy": remedy})
