"""A document management system to test on: Mayan EDMS, which the declaration below treats as any REST system."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.targets import Target
from reconciler.testing.targets import LabAccount
from tests.adapters.http.lab import target
from tests.adapters.mayan.lab import MayanLab
from tests.servers.mayan import RECONCILER

PAGES = {"by": "link", "next": "$.next", "size": {"parameter": "page_size", "value": 100}, "total": "$.count"}


def declaration(url: str, **more: object) -> dict[str, object]:
    """Mayan as a plain REST system: one list of members for each group, one member per request."""
    return {
        "url": url,
        "auth": {"bearer": RECONCILER, "scheme": "Token"},
        "accounts": {
            "list": {"path": "users/", "items": "$.results", "pages": PAGES},
            "one": {"path": "users/{account.key}/"},
            "where": "@.username != 'reconciler' && @.first_name != 'robot'",
            "key": "$.id",
            "name": "$.username",
            "match": {"$.email": "id"},
            "enabled": {"at": "$.is_active"},
        },
        "entitlements": {
            "list": {"path": "groups/", "items": "$.results", "pages": PAGES},
            "locator": {"group": "$.name"},
            "id": "$.id",
            "members": {
                "list": {"path": "groups/{entitlement.id}/users/", "items": "$.results", "pages": PAGES},
                "at": "$.id",
            },
        },
        "add": {"method": "POST", "path": "groups/{entitlement.id}/users/add/", "body": {"user": "{account.key}"}},
        "remove": {
            "method": "POST",
            "path": "groups/{entitlement.id}/users/remove/",
            "body": {"user": "{account.key}"},
        },
        **more,
    }


class MayanAsRestLab(MayanLab):
    """These users and groups, to be asked for as a declaration says."""

    def configured(self, more: Mapping[str, object]) -> tuple[dict[str, object], Target]:
        settings = declaration(self.server.api, **more)
        return settings, target(settings)

    def members(self, group: str) -> set[str]:
        asked = """SELECT CASE u.first_name WHEN 'robot' THEN u.id::text ELSE u.username END
                     FROM auth_user u JOIN auth_user_groups m ON m.user_id = u.id
                     JOIN auth_group g ON g.id = m.group_id WHERE g.name = %s"""
        return {name for (name,) in self.server.sql(asked, group)}

    def put_foreign(self, group: str) -> str:
        self.add(LabAccount("scanner", "", "robot"))
        self.put(group, "scanner")
        return self.key("scanner")
