"""A REST system to test on: scim2-server, which the declaration below treats as any REST system."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.http import HttpTarget
from reconciler.targets import Locator, Place, TargetContext
from tests.contract.suite import Lab, LabAccount
from tests.servers.scim2 import TOKEN, Scim

PAGES = {"by": "offset", "parameter": "startIndex", "first": 1, "size": {"parameter": "count", "value": 500}}
MEMBERS = {
    "before": "members[",
    "for_each_account": "value eq {account.key:json}",
    "joined_by": " or ",
    "after": "]",
}
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def declaration(url: str, **more: object) -> dict[str, object]:
    """SCIM as a plain REST system."""
    return {
        "url": url,
        "auth": {"bearer": TOKEN},
        "media_type": "application/scim+json",
        "accounts": {
            "list": {"path": "Users", "items": "$.Resources", "pages": {**PAGES, "total": "$.totalResults"}},
            "one": {"path": "Users/{account.key}"},
            "key": "$.id",
            "name": "$.displayName",
            "login": "$.userName",
            "match": {"$.externalId": "id"},
            "enabled": {"at": "$.active", "absent": True},
        },
        "entitlements": {
            "list": {"path": "Groups", "items": "$.Resources", "pages": {**PAGES, "total": "$.totalResults"}},
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
    """A tenant of its own, seen by urllib."""

    def __init__(
        self,
        server: Scim,
        accounts: Sequence[LabAccount],
        groups: Mapping[str, Sequence[str]],
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.server = server.of(f"t{uuid.uuid4().hex}")
        self._accounts = {each.login: each for each in accounts}
        self._keys = {
            each.login: self.server.add_user(each.login, externalId=each.id, displayName=each.name) for each in accounts
        }
        for name, members in groups.items():
            self.server.add_group(name, [self._keys[login] for login in members])
        self.target = target({**declaration(self.server.url), **(settings or {})})

    def locator(self, group: str) -> Locator:
        return {"group": group}

    def key(self, login: str) -> str:
        return self._keys[login]

    def account_name(self, login: str) -> str:
        return self._accounts[login].name

    def members(self, group: str) -> set[str]:
        logins = {key: login for login, key in self._keys.items()}
        values = [each["value"] for each in self.server.group(group).get("members", [])]
        return {logins.get(each, each) for each in values}

    def put(self, group: str, login: str) -> None:
        self._add(group, {"value": self._keys[login], "display": "Somebody else", "type": "User"})

    def put_foreign(self, group: str) -> str:
        spelling = 'urn:robot:"核心", 7'
        self._add(group, {"value": spelling})
        return spelling

    def remove_account(self, login: str) -> None:
        self.server.ask("DELETE", f"Users/{self._keys[login]}")

    def picture(self) -> Any:
        return [self.server.all("Users"), self.server.all("Groups")]

    def _add(self, group: str, member: Mapping[str, str]) -> None:
        operations = [{"op": "add", "path": "members", "value": [dict(member)]}]
        body = {"schemas": [PATCH], "Operations": operations}
        self.server.ask("PATCH", f"Groups/{self.server.group(group)['id']}", body)
