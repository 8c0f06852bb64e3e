"""What may be configured of a Mayan EDMS target, and what is refused because it could not be safe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adapters import checking
from adapters.api.settings import ApiSettings, Auth, HeaderSecret
from adapters.checking import Strict
from reconciler.targets import TargetContext

__all__ = ["Match", "MayanSettings", "mayan_settings"]

Attribute = Literal["id", "email"]


class Match(Strict):
    """By which field of a Mayan user it is told whose the account is. One of them."""

    username: Attribute | None = None
    email: Attribute | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.username is None) is (self.email is None):
            raise ValueError("names either `username` or `email`, e.g. {username: id}")
        return self

    @property
    def field(self) -> str:
        """The field of the user."""
        return "username" if self.username else "email"

    @property
    def attribute(self) -> str:
        """The attribute of the person."""
        return self.username or self.email or ""


class MayanSettings(ApiSettings):
    """All settings. `usernames` is a pattern as of a shell: who does not fit it is nobody's account."""

    token: HeaderSecret | None = None
    match: Match
    usernames: Annotated[str, Field(min_length=1)] = "*"

    @model_validator(mode="after")
    def _signed_in(self) -> Self:
        if (self.token is None) is (self.auth is None):
            raise ValueError('give one of `token`, e.g. "${env:MAYAN_TOKEN}", and `auth`, e.g. {basic: …}')
        return self

    @property
    def connection(self) -> ApiSettings:
        """The settings of the connection, with the word that Mayan wants before a token."""
        if self.token is None:
            return self
        auth = Auth(bearer=self.token, scheme="Token")
        return self.model_copy(update={"auth": auth, "token": None})

    @property
    def api(self) -> str:
        """Where the API begins."""
        return f"{self.url.rstrip('/')}/api/v4/"


def mayan_settings(settings: Mapping[str, object], context: TargetContext) -> MayanSettings:
    """The settings, or `ProblemsFound` with all that is wrong with them."""
    owner = f"target {context.name}"
    return checking.checked(MayanSettings, settings, owner, "target-settings", context.place)
