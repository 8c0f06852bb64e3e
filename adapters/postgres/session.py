"""The one module that opens connections: one that reads, in a transaction that cannot write, and one that writes; and
what the server's errors mean.

Promises: the password is in no message; a standby, which may be behind, is neither read nor written; names are looked
up in the server's own catalogue, whatever the role's settings say.

Source: PostgreSQL's documentation of libpq's connection parameters and appendix A (error codes).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import IsolationLevel

from adapters.postgres.settings import Endpoint
from reconciler.targets import Outcome, OutcomeKind, TargetError, TargetUnavailable

__all__ = ["Connection", "first_line", "in_words", "is_forbidden", "outcome_of", "reading", "writing"]

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_WORDS: Sequence[tuple[str, tuple[str, ...], str]] = (
    ("28P01", ("password authentication failed", "no password supplied"), "correct the secret that `password` names"),
    (
        "28000",
        ("pg_hba.conf", "not permitted to log in", "authentication failed"),
        "see pg_hba.conf and the role's LOGIN",
    ),
    (
        "42501",
        ("permission denied",),
        "give this role the right: GRANT CONNECT ON DATABASE …, or SELECT on the catalogue",
    ),
    ("3D000", ('database "',), "correct the database at the end of `url`"),
    ("28000", ('role "',), "correct the role in `url`, or make it: CREATE ROLE … LOGIN"),
    ("08P01", ("unsupported startup parameter",), "connect to the server itself: a pooler in between takes no options"),
    ("", ("does not support SSL",), "switch encryption on at the server; or say `tls: none` in so many words"),
    (
        "",
        ("certificate", "root certificate file"),
        "name the certificate authority's file in `ca`, and the server as its certificate does",
    ),
)
"""Error code, what the message has where there is no code (a refused connection), and what to do."""
_PASSING = ("08", "40", "53", "55P03", "57", "XX000")
"""What goes by: a lost connection, a deadlock, no room, a lock, a shutdown or time-out, a row changed meanwhile."""
_BUSY = ("too many", "remaining connection slots", "starting up", "shutting down", "recovery mode")


@contextmanager
def reading(endpoint: Endpoint) -> Iterator[Connection]:
    """One transaction that sees one state and cannot write. Raises `TargetUnavailable` and `TargetError`."""
    with _opened(endpoint, "-c default_transaction_read_only=on") as connection:
        connection.autocommit = False
        connection.read_only = True
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        _check_primary(connection, endpoint)
        yield connection
        connection.rollback()


@contextmanager
def writing(endpoint: Endpoint) -> Iterator[Connection]:
    """A connection on which each statement counts by itself. Raises as `reading` does."""
    with _opened(endpoint, "-c synchronous_commit=on") as connection:
        _check_primary(connection, endpoint)
        yield connection


@contextmanager
def _opened(endpoint: Endpoint, option: str) -> Iterator[Connection]:
    milliseconds = endpoint.timeout * 1000
    limits = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
    mode = {"verify-full": "verify-full", "none": "disable", None: "prefer"}[endpoint.tls]
    root = str(endpoint.ca) if endpoint.ca else "system"
    try:
        connection = psycopg.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=endpoint.database,
            user=endpoint.role,
            password=endpoint.password.get_secret_value() if endpoint.password else None,
            sslmode=mode,
            sslrootcert=root if mode == "verify-full" else None,
            connect_timeout=endpoint.timeout,
            keepalives_idle=30,  # a server whose machine has gone says nothing at all
            keepalives_interval=10,
            keepalives_count=3,
            application_name="permission-reconciler",
            client_encoding="UTF8",
            options=f"-c search_path=pg_catalog {limits} {option}",
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise in_words(error, endpoint) from None
    with connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise in_words(error, endpoint) from None


def _check_primary(connection: Connection, endpoint: Endpoint) -> None:
    [row] = connection.execute("SELECT pg_is_in_recovery()").fetchall()
    if row[0]:
        remedy = "name the primary server in `url`"
        raise TargetError(f"{endpoint.shown} is a standby, which may be behind and cannot be changed", remedy=remedy)


def first_line(error: BaseException) -> str:
    """What the server said, without the SQL that it said it of."""
    stripped = (line.strip() for line in str(error).splitlines())
    lines = [line for line in stripped if line and not line.startswith(("DETAIL:", "HINT:"))]
    # Where several addresses were tried, the last line says why the last one failed.
    return (lines[0] if getattr(error, "sqlstate", None) else lines[-1]) if lines else type(error).__name__


def in_words(error: psycopg.Error, endpoint: Endpoint) -> TargetError:
    """By PostgreSQL's error codes; a refused connection has none, and is known by its message."""
    code, said = error.sqlstate or "", first_line(error)
    if endpoint.password:
        said = said.replace(endpoint.password.get_secret_value(), "…")
    if not any(word in said for word in _BUSY) and not code.startswith(_PASSING):
        for known, words, remedy in _WORDS:
            if (code and code == known) or (not code and any(word in said for word in words)):
                return TargetError(f"{endpoint.shown} cannot be used as {endpoint.role}: {said}", remedy=remedy)
        if code:
            return TargetError(f"{endpoint.shown} cannot be used: {said}", remedy="check the target's settings")
    remedy = "see that the server runs, and can be reached from here"
    return TargetUnavailable(f"{endpoint.shown} does not answer: {said}", remedy=remedy)


def is_forbidden(error: psycopg.Error) -> bool:
    """Whether a right is missing."""
    return error.sqlstate == "42501"


def outcome_of(error: psycopg.Error, connection: Connection) -> Outcome:
    """What a failed statement means for its steps."""
    if connection.closed or (error.sqlstate or "").startswith(_PASSING):
        return Outcome(OutcomeKind.UNAVAILABLE, first_line(error))
    return Outcome(OutcomeKind.REFUSED, first_line(error))
