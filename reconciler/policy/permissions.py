"""Permissions and the entitlements that give them, as names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """A resource and an action; spelled ``resource:action``."""

    resource: str
    action: str

    def __str__(self) -> str:
        return f"{self.resource}:{self.action}"


@dataclass(frozen=True, slots=True, order=True)
class EntitlementRef:
    """Which entitlement: a target's name and the locator's canonical key on it."""

    target: str
    key: str

    def __str__(self) -> str:
        return f"{self.target}:{self.key}"
