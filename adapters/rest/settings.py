"""What may be configured of an HR system's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from adapters.api.settings import ApiSettings, Pages, Text, seconds_of, secrets_of
from adapters.checking import Expect, Strict, checked_source
from reconciler.sources import SourceContext

__all__ = ["Changes", "RestSettings", "hidden", "rest_settings"]

_SECRET_FROM = 8
"""A parameter this long may be a key; a shorter one is a word that an answer may well contain."""


class Changes(Strict):
    """How to ask for what has changed. `overlap` goes back behind the newest change seen, because clocks differ."""

    parameter: Annotated[str, Field(min_length=1)]
    field: Annotated[str, Field(min_length=1)]
    overlap: Annotated[int, BeforeValidator(seconds_of), Field(ge=0, le=31 * 86_400)] = 300


class RestSettings(ApiSettings):
    """All settings of an HR system's API; times in seconds once they are read."""

    records: str = ""
    parameters: Mapping[str, Text] = Field(default_factory=dict)
    pages: Pages[Annotated[str, Field(min_length=1)]] = Pages()
    success: Mapping[str, Text] = Field(default_factory=dict)
    changes: Changes | None = None
    expect: Expect = Expect()
    columns: Any = None
    transforms: Any = None
    values: Any = None


def rest_settings(settings: Mapping[str, object], context: SourceContext) -> RestSettings:
    """The settings, or `ProblemsFound`."""
    return checked_source(RestSettings, settings, context)


def hidden(settings: RestSettings) -> list[str]:
    """What must never be quoted, should the API say it back."""
    return [*secrets_of(settings), *(value for value in settings.parameters.values() if len(value) >= _SECRET_FROM)]
