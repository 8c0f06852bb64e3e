"""A PostgreSQL server as tests of its adapter see it: from behind, as its superuser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from adapters.postgres import PostgresTarget
from reconciler.targets import Locator, Observation, Op, Outcome, Place, Step, TargetContext, TargetFinding
from tests.contract.suite import Lab, LabAccount
from tests.servers.postgresql import PASSWORD, Postgresql

__all__ = [
    "ACCOUNTS",
    "OWN",
    "PASSWORD",
    "SELECT",
    "Objects",
    "PostgresLab",
    "context",
    "is_modern",
    "outcomes",
    "settings_for",
    "told",
]

OWN = "provisioner"
"""Whom the adapter signs in as."""
KEPT = ("admin", "reconciler", OWN)
"""The roles that were there before a test, and are there after it."""
ACCOUNTS = {"disable": "nologin", "end_sessions": True}
_numbers = count(1)


def context(folder: Path = Path()) -> TargetContext:
    return TargetContext("db", folder, Place("reconciler.yaml"))


def settings_for(server: Postgresql, database: str = "postgres") -> dict[str, object]:
    return {
        "url": f"postgresql://{OWN}@127.0.0.1:{server.port}/{database}",
        "password": PASSWORD,
        "match": {"comment": "id"},
        "protected": list(KEPT),
    }


def quoted(name: str) -> sql.Identifier:
    return sql.Identifier(name)


class PostgresLab(Lab):
    """A server with these accounts and group roles, and no others but those that were there before.

    The role that the adapter signs in as may give and take membership in the groups, and nothing else.
    """

    def __init__(
        self, server: Postgresql, accounts: Sequence[LabAccount], groups: Mapping[str, Sequence[str]], **more: object
    ) -> None:
        self.server = server
        self.admin = server.connect()
        self._clean()
        self._run("CREATE ROLE {} LOGIN NOINHERIT PASSWORD {}", quoted(OWN), sql.Literal(PASSWORD))
        for account in accounts:
            self.add(account)
        for group, logins in groups.items():
            self._run("CREATE ROLE {}", quoted(group))
            self._run("GRANT {} TO {} WITH ADMIN OPTION", quoted(group), quoted(OWN))
            if logins:
                self._let_in(group, sql.SQL(", ").join(map(quoted, logins)))
        self.settings = settings_for(server) | more
        self.target = PostgresTarget(context(), self.settings)

    def close(self) -> None:
        """Leave the server as it was."""
        self._clean()
        self.admin.close()

    def add(self, account: LabAccount) -> None:
        self._run("CREATE ROLE {} LOGIN", quoted(account.login))
        comment = f"id={account.id}; {account.name}"
        self._run("COMMENT ON ROLE {} IS {}", quoted(account.login), sql.Literal(comment))

    def run(self, statement: str) -> None:
        """A statement as an administrator would type it."""
        self.admin.execute(statement)

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        return self.admin.execute(question).fetchall()

    def sign_in(self, login: str, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """As this role, which only now gets a password: a server takes its time over one. Raises if not let in."""
        self._run("ALTER ROLE {} PASSWORD {}", quoted(login), sql.Literal(PASSWORD))
        named = {"host": "127.0.0.1", "port": self.server.port, "user": login, "password": PASSWORD}
        return psycopg.connect(dbname=database, autocommit=True, **named)  # type: ignore[arg-type]

    def with_accounts(self) -> PostgresTarget:
        self._run("ALTER ROLE {} CREATEROLE", quoted(OWN))
        self._run("GRANT pg_signal_backend TO {}" + (" WITH INHERIT TRUE" if is_modern(self) else ""), quoted(OWN))
        return PostgresTarget(context(), self.settings | {"accounts": ACCOUNTS})

    def locator(self, group: str) -> Locator:
        return {"role": group}

    def key(self, login: str) -> str:
        [(oid,)] = self.admin.execute("SELECT oid FROM pg_roles WHERE rolname = %s", [login]).fetchall()
        return str(oid)

    def account_name(self, login: str) -> str:
        return login

    def members(self, group: str) -> set[str]:
        asked = """SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                    JOIN pg_roles g ON g.oid = m.roleid WHERE g.rolname = %s AND r.rolname <> %s"""
        return {name for (name,) in self.admin.execute(asked, [group, OWN])}

    def put(self, group: str, login: str) -> None:
        self._let_in(group, quoted(login), "WITH ADMIN OPTION")

    def put_foreign(self, group: str) -> str:
        principal = 'legacy "old"\nteam; 部门'
        self._run("CREATE ROLE {}", quoted(principal))
        self._let_in(group, quoted(principal))
        return principal

    def remove_account(self, login: str) -> None:
        self._run("DROP ROLE {}", quoted(login))

    def picture(self) -> object:
        tables = ("pg_authid", "pg_auth_members", "pg_shdescription", "pg_database", "pg_namespace", "pg_class")
        return [sorted(map(repr, self.ask(f"TABLE {table}"))) for table in tables]

    def _let_in(self, group: str, who: sql.Composable, how: str = "") -> None:
        """By the role that the adapter signs in as: from version 16 on, nobody takes back what somebody else gave."""
        self._run("GRANT {} TO {} {} GRANTED BY {}", quoted(group), who, sql.SQL(how), quoted(OWN))

    def _run(self, statement: str, *parts: sql.Composable) -> None:
        self.admin.execute(sql.SQL(statement).format(*parts))

    def _clean(self) -> None:
        for (name,) in self.ask("SELECT datname FROM pg_database WHERE datname LIKE 'lab%'"):
            self._run("DROP DATABASE {} WITH (FORCE)", quoted(name))
        asked = "SELECT rolname FROM pg_roles WHERE rolname <> ALL(%s) AND rolname !~ '^pg_'"
        names = [quoted(name) for (name,) in self.admin.execute(asked, [list(KEPT[:2])])]
        if names:
            self._run("DROP OWNED BY {}", sql.SQL(", ").join(names))
            self._run("DROP ROLE {}", sql.SQL(", ").join(names))


class Objects:
    """A database with a schema and a table, whose owner the adapter's role is a member of, and a target there."""

    def __init__(self, lab: PostgresLab, table: str = "t", schema: str = "s") -> None:
        self.lab, self.name = lab, f"lab{next(_numbers)}"
        lab.run(f"CREATE DATABASE {self.name}")
        self.admin = lab.server.connect(self.name)
        quoted = [part.replace('"', '""') for part in (schema, table)]
        self.schema, self.table = f'"{quoted[0]}"', f'"{quoted[0]}"."{quoted[1]}"'
        self.run(
            "CREATE ROLE owners",
            f"ALTER DATABASE {self.name} OWNER TO owners",
            f"ALTER ROLE {OWN} INHERIT",
            f"GRANT owners TO {OWN}",
            f"CREATE SCHEMA {self.schema} AUTHORIZATION owners",
            f"CREATE TABLE {self.table} (a int, b int)",
            f"ALTER TABLE {self.table} OWNER TO owners",
        )
        self.target = PostgresTarget(context(), settings_for(lab.server) | {"url": self.url})
        lab.target = self.target

    @property
    def url(self) -> str:
        return f"postgresql://{OWN}@127.0.0.1:{self.lab.server.port}/{self.name}"

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.admin.execute(statement)

    def may(self, login: str, privilege: str) -> bool:
        [(answer,)] = self.admin.execute("SELECT has_table_privilege(%s, %s, %s)", [login, self.table, privilege])
        return bool(answer)

    def step(self, op: Op, login: str, **locator: str) -> Step:
        return Step(op, self.lab.key(login), login, locator)


def outcomes(lab: PostgresLab, *steps: Step) -> Sequence[Outcome]:
    with lab.target.writer() as writer:
        return writer.apply(steps)


def is_modern(lab: PostgresLab) -> bool:
    """Version 16 or newer: a membership may be held from several grantors, and CREATEROLE reaches less far."""
    return lab.admin.info.server_version >= 160000


def told(observation: Observation, kind: str) -> Sequence[TargetFinding]:
    return [finding for finding in observation.findings if finding.kind == kind]


SELECT = {"table": "s.t", "privilege": "select"}
