"""What a policy can name on a PostgreSQL server, and how giving and taking it is said in SQL.

Promise: names are put into statements by `psycopg.sql` alone, and privileges come from a closed list, so that no name
can become a part of a statement. Names are meant as they are written: nothing is folded to lower case.

Source: PostgreSQL's documentation of GRANT, REVOKE and identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from reconciler.targets import Locator

__all__ = ["Kind", "Managed", "is_reserved", "is_spellable", "locator_error", "managed"]


class Kind(StrEnum):
    """What an entitlement is a right on."""

    ROLE = "role"
    SCHEMA = "schema"
    TABLE = "table"
    DATABASE = "database"


_PRIVILEGES: dict[Kind, dict[str, sql.SQL]] = {
    Kind.SCHEMA: {"USAGE": sql.SQL("USAGE"), "CREATE": sql.SQL("CREATE")},
    Kind.TABLE: {
        "SELECT": sql.SQL("SELECT"),
        "INSERT": sql.SQL("INSERT"),
        "UPDATE": sql.SQL("UPDATE"),
        "DELETE": sql.SQL("DELETE"),
    },
    Kind.DATABASE: {"CONNECT": sql.SQL("CONNECT"), "CREATE": sql.SQL("CREATE")},
}
_OBJECTS = {Kind.SCHEMA: sql.SQL("SCHEMA"), Kind.TABLE: sql.SQL("TABLE"), Kind.DATABASE: sql.SQL("DATABASE")}
_PART = r'(?:"((?:[^"]|"")+)"|([^".]+))'
_TABLE = re.compile(rf"{_PART}\.{_PART}", re.DOTALL)
_KINDS = "{role: …}, {schema: …, privilege: …}, {table: schema.table, privilege: …} or {database: …, privilege: …}"


@dataclass(frozen=True, slots=True)
class Managed:
    """One entitlement. `schema` is that of a table, `privilege` (in upper case) blank for membership in a role."""

    kind: Kind
    name: str
    schema: str = ""
    privilege: str = ""

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.name if self.kind is Kind.ROLE else f"{self.privilege.lower()} on {self.kind} {self.path}"

    @property
    def path(self) -> str:
        """What people call that on which it is a right."""
        return ".".join(filter(None, (self.schema, self.name)))

    @property
    def object(self) -> sql.Composable:
        """What the right is on, as a statement names it."""
        if self.kind is Kind.TABLE:
            return sql.Identifier(self.schema, self.name)
        return sql.Identifier(self.name)

    def granting(self, roles: Sequence[str]) -> sql.Composed:
        """One statement that gives it to all of these."""
        return sql.SQL("GRANT {} TO {}").format(self._what(), _listed(roles))

    def revoking(self, roles: Sequence[str], granted_by: str = "") -> sql.Composed:
        """One statement that takes it from all of these, never from others whom they gave it to. `granted_by` (of a
        membership, from version 16 on): what this role gave.
        """
        by = sql.SQL(" GRANTED BY {}").format(sql.Identifier(granted_by)) if granted_by else sql.SQL("")
        return sql.SQL("REVOKE {} FROM {}{} RESTRICT").format(self._what(), _listed(roles), by)

    def _what(self) -> sql.Composable:
        if self.kind is Kind.ROLE:
            return self.object
        privilege = _PRIVILEGES[self.kind][self.privilege]
        return sql.SQL("{} ON {} {}").format(privilege, _OBJECTS[self.kind], self.object)

    def right_needed(self, role: str) -> str:
        """The statement by which an administrator lets this role manage it."""
        suffix = "ADMIN" if self.kind is Kind.ROLE else "GRANT"
        what = sql.SQL("GRANT {} TO {} WITH ").format(self._what(), sql.Identifier(role)).as_string(None)
        return f"{what}{suffix} OPTION"


def managed(locator: Locator) -> Managed:
    """What the locator names. Raises ValueError, in words."""
    kind = next((kind for kind in Kind if kind in locator), None)
    if kind is None or set(locator) != ({kind.value} if kind is Kind.ROLE else {kind.value, "privilege"}):
        raise ValueError(f"an entitlement here is {_KINDS}; given: {', '.join(sorted(locator)) or 'nothing'}")
    name = locator[kind]
    if not name or not is_spellable(name):
        raise ValueError(f"`{kind}` is empty, or has a character that no name can have")
    if kind is Kind.ROLE:
        if is_reserved(name):
            raise ValueError(f"{name} is one of the server's own roles: make a group role that has it, and name that")
        return Managed(kind, name)
    privilege = locator["privilege"].upper()
    if privilege not in _PRIVILEGES[kind]:
        known = ", ".join(_PRIVILEGES[kind]).lower()
        raise ValueError(f"`privilege` of a {kind} is one of {known}; given: {locator['privilege']}")
    if kind is not Kind.TABLE:
        return Managed(kind, name, privilege=privilege)
    schema, table = _parts(name)
    return Managed(kind, table, schema, privilege)


def locator_error(locator: Locator) -> str | None:
    """What is wrong with a locator, in words, or None."""
    try:
        managed(locator)
    except ValueError as error:
        return str(error)
    return None


def is_reserved(role: str) -> bool:
    """Whether it is a role that comes with the server; nobody else's may be called so."""
    return role.startswith("pg_")


def is_spellable(name: str) -> bool:
    """Whether the server can be asked about a role or an object of this name at all."""
    return "\0" not in name and name.encode("utf-8", "replace").decode() == name


def _parts(name: str) -> tuple[str, str]:
    found = _TABLE.fullmatch(name)
    if found is None:
        raise ValueError(
            '`table` is schema.table; a name with a dot or a quotation mark in it stands in "…", and that mark twice'
        )
    schema_quoted, schema, table_quoted, table = found.groups()
    unquoted = [
        plain or quoted.replace('""', '"') for quoted, plain in ((schema_quoted, schema), (table_quoted, table))
    ]
    return unquoted[0], unquoted[1]


def _listed(roles: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, roles))
