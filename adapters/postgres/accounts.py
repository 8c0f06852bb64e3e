"""Login roles themselves: taking and giving back LOGIN, and ending what a role has open.

Source: PostgreSQL's documentation of ALTER ROLE and pg_terminate_backend.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from adapters.postgres import catalog
from adapters.postgres.catalog import Role
from adapters.postgres.reading import as_oids
from adapters.postgres.session import Connection, is_forbidden, outcome_of
from adapters.postgres.settings import Layout
from reconciler.targets import Op, Outcome, OutcomeKind, Step

__all__ = ["account_outcome", "find_account"]

_WAIT = 2000
"""Milliseconds that a session is given to end, after all of them were told to."""
_TELL = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = %s"
_AWAIT = "SELECT pid, pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE usesysid = %s"
_LEFT = "SELECT count(*) FROM pg_stat_activity WHERE usesysid = %s"


def find_account(step: Step, roles: Mapping[int, Role]) -> Role | Outcome:
    """The role that has the step's key, under whatever name by now."""
    oids = as_oids([step.account])
    role = roles.get(oids[0]) if oids else None
    if role is None:
        words = f"{step.account_name} is gone or is another role: none has the oid {step.account} any more"
        return Outcome(OutcomeKind.STALE, words)
    return role


def account_outcome(connection: Connection, layout: Layout, step: Step) -> Outcome:
    """Disable or enable an account, or end its sessions."""
    try:
        if (
            step.op is Op.END_SESSIONS
        ):  # not in one transaction: it would see the sessions as they were at its beginning
            return _carried_out(connection, layout, step)
        with connection.transaction():
            return _carried_out(connection, layout, step)
    except psycopg.Error as error:
        outcome = outcome_of(error, connection)
        return Outcome(outcome.kind, f"{outcome.detail}; {_remedy(step)}") if is_forbidden(error) else outcome


def _carried_out(connection: Connection, layout: Layout, step: Step) -> Outcome:
    role = find_account(step, catalog.roles(connection, as_oids([step.account])))
    if isinstance(role, Outcome):
        return role
    if role.oid == catalog.own_role(connection).oid:
        return Outcome(OutcomeKind.REFUSED, f"{role.name} is the role that the reconciler itself acts as")
    if role.mighty or role.name in layout.protected:
        words = f"{role.name} is protected: it is a superuser, replicates, or is named in `protected`"
        return Outcome(OutcomeKind.REFUSED, words)
    if step.op is Op.END_SESSIONS:
        return _ended(connection, role)
    return _switched(connection, role, login=step.op is Op.ENABLE_ACCOUNT)


def _switched(connection: Connection, role: Role, *, login: bool) -> Outcome:
    if role.login is login:
        return Outcome(OutcomeKind.ALREADY)
    how = sql.SQL("LOGIN" if login else "NOLOGIN")
    connection.execute(sql.SQL("ALTER ROLE {} WITH {}").format(sql.Identifier(role.name), how))
    now = catalog.roles(connection, [role.oid]).get(role.oid)
    if now is None or now.name != role.name or now.login is not login:
        raise psycopg.errors.SerializationFailure(f"{role.name} was renamed or dropped meanwhile")
    return Outcome(OutcomeKind.APPLIED)


def _ended(connection: Connection, role: Role) -> Outcome:
    told = connection.execute(_TELL, [role.oid]).fetchall()
    if not told:
        return Outcome(OutcomeKind.ALREADY, "nothing was open")
    connection.execute(_AWAIT, [_WAIT, role.oid])
    [(left,)] = connection.execute(_LEFT, [role.oid]).fetchall()
    if left:
        return Outcome(OutcomeKind.UNAVAILABLE, f"{left} session(s) of {role.name} were told to end and have not yet")
    return Outcome(OutcomeKind.APPLIED, f"{len(told)} session(s)")


def _remedy(step: Step) -> str:
    if step.op is Op.END_SESSIONS:
        return "ending others' sessions takes GRANT pg_signal_backend TO the reconciler's role, and INHERIT"
    return "LOGIN is changed with CREATEROLE, and from version 16 on with ADMIN OPTION on the role too"
