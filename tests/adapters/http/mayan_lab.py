"""A document management system to test on: Mayan EDMS, which the declaration below treats as any REST system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.targets import Locator
from reconciler.testing.targets import Lab, LabAccount
from tests.adapters.http.lab import target
from tests.servers.mayan import RECONCILER, Mayan

PAGES = {"by": "link", "next": "$.next", "size": {"parameter": "page_size", "value": 100}, "total": "$.count"}
_USERS = """
    INSERT INTO auth_user (username, first_name, last_name, email, password, is_superuser, is_staff, is_active,
                           date_joined)
    SELECT u.username, left(u.name, 150), '', u.email, '!', false, false, true, now()
      FROM unnest(%s::text[], %s::text[], %s::text[]) AS u(username, name, email)
"""
_MEMBERS = """
    INSERT INTO auth_user_groups (user_id, group_id)
    SELECT u.id, g.id FROM auth_user u, auth_group g WHERE g.name = %s AND u.username = ANY(%s::text[])
        ON CONFLICT DO NOTHING
"""


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


class MayanAsRestLab(Lab):
    """These users and groups, looked at and changed in the database."""

    def __init__(
        self, server: Mayan, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]], **more: object
    ) -> None:
        self.server = server
        self.add(*accounts)
        for group, logins in groups.items():
            server.sql("INSERT INTO auth_group (name) VALUES (%s)", group)
            server.sql(_MEMBERS, group, list(logins))
        self.settings = declaration(server.api, **more)
        self.target = target(self.settings)

    def add(self, *accounts: LabAccount) -> None:
        columns = [[each.login for each in accounts], [each.name for each in accounts], [each.id for each in accounts]]
        self.server.sql(_USERS, *columns)

    def user(self, login: str) -> int:
        [(number,)] = self.server.sql("SELECT id FROM auth_user WHERE username = %s", login)
        return int(number)

    def locator(self, group: str) -> Locator:
        return {"group": group}

    def key(self, login: str) -> str:
        return str(self.user(login))

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        asked = """SELECT CASE u.first_name WHEN 'robot' THEN u.id::text ELSE u.username END
                     FROM auth_user u JOIN auth_user_groups m ON m.user_id = u.id
                     JOIN auth_group g ON g.id = m.group_id WHERE g.name = %s"""
        return {name for (name,) in self.server.sql(asked, group)}

    def put(self, group: str, login: str) -> None:
        self.server.sql(_MEMBERS, group, [login])

    def put_foreign(self, group: str) -> str:
        self.add(LabAccount("scanner", "", "robot"))
        self.put(group, "scanner")
        return self.key("scanner")

    def remove_account(self, login: str) -> None:
        self.server.call("DELETE", f"users/{self.user(login)}/")

    def picture(self) -> object:
        tables = ("auth_user", "auth_group", "auth_user_groups", "permissions_role", "acls_accesscontrollist")
        return [sorted(map(repr, self.server.sql(f"TABLE {table}"))) for table in (*tables, "actstream_action")]
