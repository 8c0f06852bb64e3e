"""A document management system as tests of its adapter see it: from behind, by its REST API and its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.mayan import MayanTarget
from reconciler.targets import EntitlementRead, Locator, Op, Outcome, Place, Step, Target, TargetContext
from reconciler.testing.targets import Lab, LabAccount
from tests.servers.mayan import READ, RECONCILER, Mayan

__all__ = ["VIEW", "Archive", "MayanLab", "context", "outcomes", "read", "settings_for", "step", "told"]

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


def context(folder: Path = Path()) -> TargetContext:
    return TargetContext("archive", folder, Place("reconciler.yaml"))


def settings_for(server: Mayan) -> dict[str, object]:
    return {"url": server.url, "token": RECONCILER, "match": {"email": "id"}, "usernames": "[!_]*"}


class MayanLab(Lab):
    """These users and groups, whose names are what they are: the database takes more than Mayan's forms do."""

    def __init__(
        self, server: Mayan, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]], **more: object
    ) -> None:
        self.server = server
        self.add(*accounts)
        for group, logins in groups.items():
            server.sql("INSERT INTO auth_group (name) VALUES (%s)", group)
            server.sql(_MEMBERS, group, list(logins))
        self.settings, self.target = self.configured(more)

    def configured(self, more: Mapping[str, object]) -> tuple[dict[str, object], Target]:
        """The target, and its settings."""
        settings = {**settings_for(self.server), **more}
        return settings, MayanTarget(context(), settings)

    def add(self, *accounts: LabAccount) -> None:
        columns = [[each.login for each in accounts], [each.name for each in accounts], [each.id for each in accounts]]
        self.server.sql(_USERS, *columns)

    def group(self, name: str) -> int:
        [(number,)] = self.server.sql("SELECT id FROM auth_group WHERE name = %s", name)
        return int(number)

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
        asked = """SELECT u.username FROM auth_user u JOIN auth_user_groups m ON m.user_id = u.id
                     JOIN auth_group g ON g.id = m.group_id WHERE g.name = %s"""
        return {name for (name,) in self.server.sql(asked, group)}

    def put(self, group: str, login: str) -> None:
        self.server.sql(_MEMBERS, group, [login])

    def put_foreign(self, group: str) -> str:
        principal = '_旧 "scanner"\n/bot'
        self.add(LabAccount(principal, "", "robot"))
        self.put(group, principal)
        return principal

    def remove_account(self, login: str) -> None:
        self.server.call("DELETE", f"users/{self.user(login)}/")

    def picture(self) -> object:
        tables = ("auth_user", "auth_group", "auth_user_groups", "permissions_role", "acls_accesscontrollist")
        return [sorted(map(repr, self.server.sql(f"TABLE {table}"))) for table in (*tables, "actstream_action")]


class Archive:
    """A document type with a document, and the group whose role lets its members open that."""

    def __init__(self, lab: MayanLab, kind: str = "设计图", group: str = "docs-readers") -> None:
        self.lab, self.server, self.name = lab, lab.server, kind
        self.kind = self.server.document_type(kind)
        self.document = self.server.document(self.kind, "龙芯 v2")
        self.role = self.let_in(f"readers of {kind}", lab.group(group))

    def let_in(self, label: str, *groups: int, permissions: Sequence[str] = READ) -> int:
        role = self.server.role(label, *groups)
        self.server.allow("documents/documenttype", self.kind, role, *permissions)
        return role

    @property
    def locator(self) -> Locator:
        return {"document_type": self.name, "permission": VIEW}

    def opens(self, login: str) -> bool:
        """Asked of Mayan, as that user."""
        return self.server.opens(self.lab.user(login), self.document)


VIEW = "documents.document_view"


def read(lab: MayanLab, *locators: Locator) -> list[EntitlementRead]:
    return list(lab.target.observe(locators).entitlements.values())


def told(lab: MayanLab, kind: str, *locators: Locator) -> list[str]:
    """What the findings of this kind say."""
    return [finding.text for finding in lab.target.observe(locators).findings if finding.kind == kind]


def outcomes(lab: MayanLab, *steps: Step) -> Sequence[Outcome]:
    with lab.target.writer() as writer:
        return writer.apply(steps)


def step(lab: MayanLab, op: Op, login: str, locator: Locator) -> Step:
    return Step(op, lab.key(login), login, locator)
