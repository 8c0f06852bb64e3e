"""What the server's catalogue says: roles, memberships, and who holds which right on what.

A handful of questions, however many people there are. Everything is read from views and tables that every role may
read; passwords (`pg_authid`) are never asked for.

Source: PostgreSQL's documentation of pg_roles, pg_auth_members, `aclexplode` and `acldefault`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.postgres.entitlements import Kind, Managed, is_reserved, is_spellable
from adapters.postgres.session import Connection

__all__ = [
    "PUBLIC",
    "Grant",
    "Holding",
    "Role",
    "has_grantors",
    "holdings",
    "nested",
    "own_role",
    "roles",
    "roles_named",
]

PUBLIC = 0
"""The grantee that is everybody (documented of `aclitem`)."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role. `login`: it may sign in."""

    oid: int
    name: str
    login: bool
    superuser: bool
    replication: bool
    comment: str

    @property
    def mighty(self) -> bool:
        """Whether it stands above all rights, or belongs to the server itself."""
        return self.superuser or self.replication or is_reserved(self.name)


@dataclass(frozen=True, slots=True)
class Grant:
    """That one role holds it from another; `can_pass_on`: and may give it to others. `usable` is false of a membership
    (from version 16 on) that gives nothing but the right to pass it on.
    """

    grantee: int
    grantor: int
    can_pass_on: bool
    usable: bool = True


@dataclass(slots=True)
class Holding:
    """One entitlement as it is: the object's (or group role's) oid, its owner (0 of a role) and who holds it.

    `columns` hold it on single columns of the table only. `manageable`: whether we may give and take it. `mighty`: the
    role stands above all rights, and so does whoever is a member.
    """

    oid: int
    owner: int
    manageable: bool
    mighty: bool = False
    grants: list[Grant] = field(default_factory=list)
    columns: set[int] = field(default_factory=set)

    @property
    def holders(self) -> set[int]:
        """Who has it directly; 0 is everybody."""
        return {grant.grantee for grant in self.grants if grant.usable}


_ROLES = """
    SELECT r.oid, r.rolname, r.rolcanlogin, r.rolsuper, r.rolreplication, coalesce(d.description, '')
      FROM pg_roles r
      LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
"""
_GROUPS = """
    SELECT r.rolname, r.oid, pg_has_role(session_user, r.oid, 'MEMBER WITH ADMIN OPTION')
           OR (SELECT o.rolsuper OR (o.rolcreaterole AND {old}) FROM pg_roles o WHERE o.rolname = session_user),
           r.rolsuper OR r.rolreplication
      FROM pg_roles r WHERE r.rolname = ANY(%s::text[])
"""
_MEMBERS = """
    SELECT m.roleid, m.member, m.grantor, m.admin_option, {usable}
      FROM pg_auth_members m
     WHERE m.roleid = ANY(%s::oid[]) AND (%s::oid[] IS NULL OR m.member = ANY(%s::oid[]))
"""
_NESTED = """
    SELECT m.roleid, m.member
      FROM pg_auth_members m
     WHERE m.roleid = ANY(%s::oid[]) OR m.roleid IN (SELECT inner_.member FROM pg_auth_members inner_)
"""
_OBJECTS = {
    Kind.TABLE: """
        SELECT n.nspname, c.relname, c.oid, c.relowner, a.grantee, a.grantor, a.privilege_type, a.is_grantable,
               has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION'),
               has_table_privilege(c.oid, 'INSERT WITH GRANT OPTION'),
               has_table_privilege(c.oid, 'UPDATE WITH GRANT OPTION'),
               has_table_privilege(c.oid, 'DELETE WITH GRANT OPTION')
          FROM unnest(%s::text[], %s::text[]) AS w(schema, name)
          JOIN pg_namespace n ON n.nspname = w.schema
          JOIN pg_class c ON c.relname = w.name AND c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          LEFT JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a ON true
    """,
    Kind.SCHEMA: """
        SELECT '', n.nspname, n.oid, n.nspowner, a.grantee, a.grantor, a.privilege_type, a.is_grantable,
               has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION'),
               has_schema_privilege(n.oid, 'CREATE WITH GRANT OPTION')
          FROM unnest(%s::text[], %s::text[]) AS w(schema, name)
          JOIN pg_namespace n ON n.nspname = w.name
          LEFT JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a ON true
    """,
    Kind.DATABASE: """
        SELECT '', d.datname, d.oid, d.datdba, a.grantee, a.grantor, a.privilege_type, a.is_grantable,
               has_database_privilege(d.oid, 'CONNECT WITH GRANT OPTION'),
               has_database_privilege(d.oid, 'CREATE WITH GRANT OPTION')
          FROM unnest(%s::text[], %s::text[]) AS w(schema, name)
          JOIN pg_database d ON d.datname = w.name
          LEFT JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a ON true
    """,
}
_MANAGEABLE = {
    Kind.TABLE: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    Kind.SCHEMA: ("USAGE", "CREATE"),
    Kind.DATABASE: ("CONNECT", "CREATE"),
}
"""Of which privilege each of the last columns above says whether we may manage it."""
_COLUMNS = """
    SELECT DISTINCT t.attrelid, a.grantee, a.privilege_type
      FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) a
     WHERE t.attrelid = ANY(%s::oid[]) AND t.attacl IS NOT NULL AND NOT t.attisdropped
"""


def own_role(connection: Connection) -> Role:
    """Whom we are here."""
    [row] = connection.execute(f"{_ROLES} WHERE r.rolname = session_user").fetchall()
    return Role(*row)


def acting_as(connection: Connection) -> set[int]:
    """The roles as which we may act, ourselves among them: what they granted we can take back."""
    asked = "SELECT oid FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')"
    return {oid for (oid,) in connection.execute(asked)}


def roles(connection: Connection, oids: Collection[int] | None = None) -> Mapping[int, Role]:
    """All roles, or those of these oids."""
    if oids is None:
        rows = connection.execute(_ROLES).fetchall()
    else:
        rows = connection.execute(f"{_ROLES} WHERE r.oid = ANY(%s::oid[])", [list(oids)]).fetchall()
    return {row[0]: Role(*row) for row in rows}


def roles_named(connection: Connection, names: Collection[str]) -> Mapping[str, Role]:
    """The roles of these names, which are compared octet by octet."""
    asked = [name for name in names if is_spellable(name)]
    if not asked:
        return {}
    rows = connection.execute(f"{_ROLES} WHERE r.rolname = ANY(%s::text[])", [asked]).fetchall()
    return {row[1]: Role(*row) for row in rows}


def nested(connection: Connection, oids: Collection[int]) -> Mapping[int, Sequence[int]]:
    """Role → its members, of these roles and of every role that is itself a member of one."""
    found: dict[int, list[int]] = defaultdict(list)
    for role, member in connection.execute(_NESTED, [list(oids)]):
        found[role].append(member)
    return found


def holdings(
    connection: Connection, wanted: Collection[Managed], of: Collection[int] | None = None
) -> Mapping[Managed, Holding]:
    """Who holds each of these; what does not exist is left out. At most six questions. `of`: of the members of a role,
    of whom there may be very many, only these count.
    """
    found = dict(_memberships(connection, [each for each in wanted if each.kind is Kind.ROLE], of))
    for kind in _OBJECTS:
        found |= _rights(connection, kind, [each for each in wanted if each.kind is kind])
    tables: dict[tuple[int, str], Holding] = {
        (holding.oid, each.privilege): holding for each, holding in found.items() if each.kind is Kind.TABLE
    }
    if tables:
        for oid, grantee, privilege in connection.execute(_COLUMNS, [sorted({oid for oid, _ in tables})]):
            if (oid, privilege) in tables:
                tables[oid, privilege].columns.add(grantee)
    return found


def _memberships(
    connection: Connection, wanted: Sequence[Managed], of: Collection[int] | None
) -> Mapping[Managed, Holding]:
    if not wanted:
        return {}
    modern = has_grantors(connection)
    by_name = {each.name: each for each in wanted}
    groups = _GROUPS.format(old="false" if modern else "true")
    found = {
        by_name[name]: Holding(oid, 0, manageable, mighty)
        for name, oid, manageable, mighty in connection.execute(groups, [list(by_name)])
    }
    by_oid = {holding.oid: holding for holding in found.values()}
    members = _MEMBERS.format(usable="m.inherit_option OR m.set_option" if modern else "true")
    only = None if of is None else list(of)
    for role, *grant in connection.execute(members, [list(by_oid), only, only]):
        by_oid[role].grants.append(Grant(*grant))
    return found


def _rights(connection: Connection, kind: Kind, wanted: Sequence[Managed]) -> Mapping[Managed, Holding]:
    if not wanted:
        return {}
    by_name: dict[tuple[str, str], list[Managed]] = defaultdict(list)
    for each in wanted:
        by_name[each.schema, each.name].append(each)
    asked = [[schema for schema, _ in by_name], [name for _, name in by_name]]
    found: dict[Managed, Holding] = {}
    for row in connection.execute(_OBJECTS[kind], asked):
        for each in by_name[row[0], row[1]]:
            _enter(found, each, row)
    return found


def _enter(found: dict[Managed, Holding], each: Managed, row: Sequence[Any]) -> None:
    _, _, oid, owner, grantee, grantor, privilege, can_pass_on, *manageable = row
    if each not in found:
        found[each] = Holding(oid, owner, manageable[_MANAGEABLE[each.kind].index(each.privilege)])
    if privilege == each.privilege:
        found[each].grants.append(Grant(grantee, grantor, can_pass_on))


def has_grantors(connection: Connection) -> bool:
    """Whether a membership may be held from several grantors, each of whom takes away only their own (version 16)."""
    return connection.info.server_version >= 160000
