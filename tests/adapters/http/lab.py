"""A REST system to test on: scim2-server, which the declaration below treats as any REST system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.http import HttpTarget
from reconciler.targets import Locator, Place, TargetContext
from reconciler.testing.targets import Lab, LabAccount
from tests.servers.scim import TOKEN, Tenant

MEMBERS = {
    "before": "members[",
    "for_each_account": "value eq {account.key:json}",
    "joined_by": " or ",
    "after": "]",
}
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def declaration(url: str, page: int = 500, **more: object) -> dict[str, object]:
    """SCIM as a plain REST system."""
    size = {"parameter": "count", "value": page}
    paged = {"by": "offset", "parameter": "startIndex", "first": 1, "size": size, "total": "$.totalResults"}
    return {
        "url": url,
        "auth": {"bearer": TOKEN},
        "media_type": "application/scim+json",
        "accounts": {
            "list": {"path": "Users", "items": "$.Resources", "pages": paged},
            "one": {"path": "Users/{account.key}"},
            "find": {
                "path": "Users",
                "query": {"filter": "externalId eq {person.id:json}"},
                "items": "$.Resources",
                "pages": {"total": "$.totalResults"},
            },
            "key": "$.id",
            "name": "$.displayName",
            "login": "$.userName",
            "match": {"$.externalId": "id"},
            "enabled": {"at": "$.active", "absent": True},
        },
        "entitlements": {
            "list": {"path": "Groups", "items": "$.Resources", "pages": paged},
            "one": {"path": "Groups/{entitlement.id}"},
            "locator": {"group": "$.displayName"},
            "id": "$.id",
            "members": {"items": "$.members", "at": "$.value", "absent": "empty"},
        },
        "add": {
            "method": "PATCH",
            "path": "Groups/{entitlement.id}",
            "many": 500,
            "body": {
                "schemas": [PATCH],
                "Operations": [
                    {"op": "add", "path": "members", "value": {"for_each_account": {"value": "{account.key}"}}}
                ],
            },
        },
        "remove": {
            "method": "PATCH",
            "path": "Groups/{entitlement.id}",
            "many": 500,
            "body": {
                "schemas": [PATCH],
                "Operations": [{"op": "remove", "path": MEMBERS}],
            },
        },
        "disable": _active(value=False),
        "enable": _active(value=True),
        "delete": {"method": "DELETE", "path": "Users/{account.key}"},
        **more,
    }


def _active(*, value: bool) -> dict[str, object]:
    operation = {"op": "replace", "path": "active", "value": value}
    return {
        "method": "PATCH",
        "path": "Users/{account.key}",
        "body": {"schemas": [PATCH], "Operations": [operation]},
    }


def target(settings: Mapping[str, object], folder: Path = Path()) -> HttpTarget:
    return HttpTarget(TargetContext("wiki", folder, Place("reconciler.yaml", 7)), settings)


class ScimLab(Lab):
    """A tenant of its own, looked at by other means than the adapter."""

    def __init__(
        self,
        tenant: Tenant,
        accounts: Sequence[LabAccount],
        groups: Mapping[str, Sequence[str]],
        url: str = "",
        **more: object,
    ) -> None:
        self.tenant = tenant
        self._names = {each.login: each.name for each in accounts}
        users = [{"userName": each.login, "externalId": each.id, "displayName": each.name} for each in accounts]
        self.keys = dict(zip(self._names, tenant.add_users(users), strict=True))
        self.groups = {
            name: tenant.add_group(name, [{"value": self.keys[login]} for login in members])
            for name, members in groups.items()
        }
        self.settings = {**declaration(url or tenant.url), **more}
        self.target = target(self.settings)

    def locator(self, group: str) -> Locator:
        return {"group": group}

    def key(self, login: str) -> str:
        return self.keys[login]

    def account_name(self, login: str) -> str:
        return self._names[login]

    def members(self, group: str) -> set[str]:
        logins = {key: login for login, key in self.keys.items()}
        members = self.tenant.get(f"/Groups/{self.groups[group]}").get("members", [])
        return {logins.get(each["value"], each["value"]) for each in members}

    def put(self, group: str, login: str) -> None:
        self._add(group, {"value": self.keys[login], "display": "Somebody else", "type": "User"})

    def put_foreign(self, group: str) -> str:
        spelling = 'legacy "old"\nteam; 部门/\\'
        self._add(group, {"value": spelling})
        return spelling

    def remove_account(self, login: str) -> None:
        self.tenant.delete(f"/Users/{self.keys[login]}")

    def picture(self) -> object:
        return [self.tenant.everything("Users"), self.tenant.everything("Groups")]

    def enabled(self, login: str) -> bool:
        """Whether somebody may sign in."""
        return bool(self.tenant.get(f"/Users/{self.keys[login]}")["active"])

    def _add(self, group: str, member: Mapping[str, str]) -> None:
        self.tenant.patch(f"/Groups/{self.groups[group]}", {"op": "add", "path": "members", "value": [dict(member)]})
