"""The workspace file: its format, and what is wrong with a workspace."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

from reconciler.errors import Place, ReconcilerError
from reconciler.policy.nodes import Node, find
from reconciler.policy.periods import BadPeriod, parse_period
from reconciler.workspace.notifications import NotificationSettings
from reconciler.workspace.service import ServiceSettings

__all__ = [
    "AnchorRefused",
    "Retention",
    "RunInProgress",
    "SecretMissing",
    "WorkspaceError",
    "WorkspaceFile",
    "find_place",
]


class WorkspaceError(ReconcilerError):
    """The workspace cannot be used as it is."""

    code = "workspace"


class SecretMissing(WorkspaceError):
    """A reference to a secret (or to anything else that stands outside the workspace file) leads nowhere."""

    code = "secret-missing"


class AnchorRefused(WorkspaceError):
    """The policy repository cannot keep a checkpoint."""

    code = "anchor"


class RunInProgress(WorkspaceError):
    """Another run holds the workspace's lease."""

    code = "run-in-progress"


class Retention(BaseModel):
    """How long records of people are kept."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    after_exit: str

    @field_validator("after_exit")
    @classmethod
    def _is_period(cls, value: str) -> str:
        try:
            parse_period(value)
        except BadPeriod as error:
            raise PydanticCustomError("period", "{message}", _said(error.message, error.remedy)) from None
        return value


class WorkspaceFile(BaseModel):
    """The workspace file's format, ``reconciler.workspace/1``."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["reconciler.workspace/1"]
    organization: str
    timezone: str
    policies: list[str]
    store: str = "sqlite:///state/reconciler.db"
    operators: str = ""
    four_eyes: bool = False
    retention: Retention | None = None
    signing_key: str = "state/checkpoint-key.pem"
    sources: dict[str, dict[str, Any]] = {}
    targets: dict[str, dict[str, Any]] = {}
    service: ServiceSettings = ServiceSettings()
    notifications: NotificationSettings = NotificationSettings()

    @field_validator("policies", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            remedy = "write an IANA name such as Asia/Shanghai"
            raise PydanticCustomError("timezone", "{message}", _said(f"`{value}` is no timezone", remedy)) from None
        return value

    @field_validator("targets", "sources")
    @classmethod
    def _typed(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, settings in value.items():
            if not isinstance(settings.get("type"), str):
                raise PydanticCustomError("missing", "{message}", _said(f"`{name}` has no `type`", "say what it is"))
        return value


def _said(message: str, remedy: str) -> dict[str, str]:
    return {"message": message, "remedy": remedy}


def find_place(node: Node, *path: str | int) -> Place:
    """Where the value at this path stands in the workspace file."""
    return find(node, path).place
