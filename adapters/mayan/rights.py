"""Who we are in Mayan, and what we may do there.

Mayan leaves out of a listing what the asking user may not see, without a word. So a listing proves absence only where
we hold the permission to see on everything, by a role. To staff and superusers it shows everybody, staff among them,
and says of nobody that they are staff: nobody could be protected then, so such an account is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from adapters.api.trouble import Trouble
from adapters.mayan.access import Roles
from adapters.mayan.api import Api
from reconciler.targets import TargetError, TargetFinding

__all__ = ["Standing"]

SEEING = ("user_management.user_view", "user_management.group_view", "permissions.role_view")
CHANGING = ("user_management.group_edit", "user_management.user_edit")
_UNNEEDED = "events.events_view"
"""A permission that an adapter has no use for: who uses it without holding it is above permissions."""


class Standing:
    """The user that the credentials belong to."""

    def __init__(self, api: Api, roles: Roles, shown: str) -> None:
        self._api = api
        self._roles = roles
        own = api.one("users/current/", "id,username")
        number = own.get("id") if own else None
        name = own.get("username") if own else None
        if not isinstance(number, int) or not isinstance(name, str):
            raise TargetError(
                f"{shown}: there is no API of a Mayan EDMS there", remedy="let `url` name its address, without /api/v4"
            )
        self.id = number
        self.name = name

    def check(self) -> None:
        """Raises `TargetError` where we stand above permissions."""
        path = f"objects/auth/user/{self.id}/events/"
        if self._api.one(path, "id") is not None and not self.holds(_UNNEEDED):
            raise TargetError(
                f"{self.name} is staff or a superuser: Mayan shows it staff and superusers among all others without "
                "saying who is one, so that none could be protected",
                remedy="sign in as an ordinary user whose role has the permissions that the page on Mayan names",
            )

    def blind(self) -> str:
        """Why what Mayan shows us may not be all; a blank where it is."""
        lacking = [each for each in SEEING if not self.holds(each)]
        if not lacking:
            return ""
        return f"Mayan may be leaving something out: no role of {self.name} holds {' and '.join(lacking)}"

    def told(self) -> Iterator[TargetFinding]:
        """What is missing for reading and for changing."""
        for lacking in (each for each in (*SEEING, *CHANGING) if not self.holds(each)):
            text = f"no role of {self.name} holds {lacking} on everything: give its role that permission"
            yield TargetFinding("missing-right", self.name, text)

    def holds(self, permission: str) -> bool:
        """Whether one of our roles holds it on everything."""
        return any(permission in self._roles.permissions(role) for role in self._own_roles())

    def _own_roles(self) -> Iterator[int]:
        """Ours; those first that are called as one of our groups is, since no role says whose it is without asking."""
        groups = self._own_groups
        labels = self._roles.labels
        for role in sorted(labels, key=lambda each: labels[each] not in groups.values()):
            if groups.keys() & set(self._roles.groups(role)):
                yield role

    @cached_property
    def _own_groups(self) -> Mapping[object, str]:
        try:
            return {each["id"]: str(each["name"]) for each in self._api.every(f"users/{self.id}/groups/", "id,name")}
        except Trouble as trouble:
            if trouble.status == 404:  # we may not see even ourselves
                return {}
            raise
