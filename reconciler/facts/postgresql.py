"""A store in a PostgreSQL database: for more than one machine, or for whoever runs PostgreSQL anyway.

Promises: the tables stand in a schema of their own (`reconciler`, unless the URL names a `search_path`), where nobody
else's tables are looked for; one writer at a time, by an advisory lock that ends with its transaction or its
connection; readers see one state and cannot write; what was committed is on disk, whatever the role's settings say;
the password is in no message, and nothing of ours logs it.

Source: PostgreSQL's documentation of advisory locks, transaction isolation, libpq's connection parameters and
appendix A (error codes).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import IsolationLevel
from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from reconciler.errors import Place, Problem
from reconciler.facts.backend import OPTION, WRITE, StoreBusy, StoreError

__all__ = ["Postgresql"]

SCHEMA = "reconciler"
"""Where the tables stand unless the URL says otherwise."""

_CONNECTION = {
    "application_name": "permission-reconciler",
    "connect_timeout": "10",
    "keepalives_idle": "30",  # a server whose machine has gone says nothing at all
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
"""What a connection is opened with, unless the URL says otherwise."""

_SESSION = "-ctcp_keepalives_idle=10 -ctcp_keepalives_interval=5 -ctcp_keepalives_count=3"
"""And the other way round: a machine of ours that has gone keeps its locks until the server has noticed."""

_KEY = "hashtextextended('reconciler:{}:' || current_schema(), 0)"
"""Advisory locks are numbers of a database; ours hang on the schema, so that two stores of one database are two."""

_LOCK = (
    "SET LOCAL lock_timeout = {milliseconds}; "
    f"SELECT pg_advisory_xact_lock({_KEY.format('writer')}); "
    "SET LOCAL lock_timeout = 0; "
    "SELECT set_config('synchronous_commit', 'on', true) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
"""What a writer begins with; a role may be set to wait for more than the disk, never for less."""

_GONE = "the connection to it was lost"
_NO_RIGHT = "this role may not do that"
_AGAIN = (
    "see that the server runs, then run the same command again: what was under way is on record whole or not at all"
)
_GRANT = "give the role a schema of its own: CREATE SCHEMA reconciler AUTHORIZATION the_role"

_WORDS: Sequence[tuple[tuple[str, ...], str, str]] = (
    (("53100",), "the disk of its server is full", "make room and run the same command again; nothing was recorded"),
    (("53300",), "its server takes no more connections", "raise max_connections, or wait"),
    (("08", "57P"), _GONE, _AGAIN),
    (
        ("25006",),
        "it cannot be written: this connection reads only, or the server is a standby",
        "name the primary server in `store`; ?target_session_attrs=read-write finds it among several hosts",
    ),
    (("28P01",), "the password is wrong, or the role does not exist", "correct the secret that `store` refers to"),
    (("28000",), "its server does not let this role in", "check pg_hba.conf, the role's name and LOGIN"),
    (("3D000",), "there is no database of this name", "make it: createdb --encoding UTF8 NAME"),
    (("42501",), _NO_RIGHT, _GRANT),
    (("42P01", "3F000"), "its tables have disappeared", "restore it from a backup"),
    (("XX001", "XX002"), "it is damaged", "restore it from a backup, then run `reconciler ledger verify`"),
)
_PERSONAL = (
    *("ledger_payloads", "subject_keys", "people", "evidence", "feed_rows", "feed_imports", "scim_users"),
    *("effects", "intents"),
)
"""The tables that may hold what people are called."""

_BUSY = ("55P03", "40001", "40P01")

_REFUSALS: Sequence[tuple[str, str]] = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("pg_hba.conf", "28000"),
    ("is not permitted to log in", "28000"),
    ("authentication failed", "28000"),
    ('" does not exist', "3D000"),
    ("permission denied", "42501"),
    ("too many", "53300"),
    ("remaining connection slots", "53300"),
)
"""How a refused connection, which has no error code, is told from one that was never answered."""


class Postgresql:
    """The store that `url` names; a writer waits `busy_seconds` for another one."""

    path = None

    def __init__(self, url: URL, busy_seconds: float) -> None:
        self._named_schema = "search_path" in str(url.query.get("options", ""))
        self._url = _with_defaults(url, self._named_schema)
        self._busy_milliseconds = max(1, round(busy_seconds * 1000))
        port = f":{url.port}" if url.port else ""
        self.name = f"postgresql://{url.host or ''}{port}/{url.database or ''}"

    @property
    def driver_settings(self) -> Mapping[str, Any]:
        """What psycopg connects with, as the URL says it; it holds the password."""
        _, settings = self._plain_engine().dialect.create_connect_args(self._url)
        return settings

    def exists(self) -> bool:
        """Whether the schema has our tables."""
        with self._once() as connection:
            return bool(inspect(connection).has_table("alembic_version"))

    def prepare(self) -> None:
        """Make the schema where there is none. Raises `StoreError` where the database cannot hold every name."""
        with self._once() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                remedy = "make another one: createdb --encoding UTF8 --template template0 NAME"
                raise StoreError(f"the database of {self.name} is in {encoding}, and names need UTF8", remedy=remedy)
            if self._schema(connection) is None:
                self._create_schema(connection)

    def engine(self) -> Engine:
        """A few connections that stay open, in transactions that begin as their option says."""
        engine = create_engine(
            self._url, poolclass=QueuePool, pool_size=4, max_overflow=-1, pool_pre_ping=True, hide_parameters=True
        )
        lock = _LOCK.format(milliseconds=self._busy_milliseconds)

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get(OPTION) == WRITE
            driver: Any = connection.connection.driver_connection
            # A writer must see what the one before it committed while it waited for the lock.
            driver.isolation_level = IsolationLevel.READ_COMMITTED if writes else IsolationLevel.REPEATABLE_READ
            driver.read_only = not writes
            if writes:
                connection.exec_driver_sql(lock)

        return engine

    def check_present(self) -> None:
        """Nothing: a server that has gone, or tables that have, say so themselves."""

    def in_words(self, error: DBAPIError) -> StoreError:
        """By PostgreSQL's error codes; a connection that never came to be has none."""
        code = str(getattr(error.orig, "sqlstate", None) or "")
        said = _first_line(error.orig)
        if code.startswith(_BUSY):
            return StoreBusy(
                f"the store {self.name} is in use by another process",
                remedy="wait until it has finished, then run the same command again",
            )
        if not code:
            code = next((known for words, known in _REFUSALS if words in said), "")
        if not code and error.connection_invalidated:
            code = "08006"
        for codes, what, remedy in _WORDS:
            if code.startswith(codes):
                return StoreError(f"the store {self.name} cannot be used: {what}", remedy=remedy)
        if not code and isinstance(error, OperationalError):
            remedy = "check host and port in `store`, and that the server runs and can be reached from here"
            return StoreError(f"the store {self.name} cannot be reached: {self._without_secret(said)}", remedy=remedy)
        return StoreError(
            f"the store {self.name} cannot be used: {self._without_secret(said)}",
            remedy="check `store`, then try again",
        )

    def scrub(self, engine: Engine) -> None:
        """Rewrite the tables that say who is who, so that their files hold nothing of the rows before, and forget what
        was noted of their values for planning.
        """
        with self._plain_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in _PERSONAL:
                connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")

    def check_safety(self) -> list[Problem]:
        """Whether others could read or change the tables, or what goes over the network."""
        with self._once() as connection:
            driver: Any = connection.connection.driver_connection
            mode = driver.info.get_parameters().get("sslmode", "prefer")
            texts = [*_network(driver, mode), *_role(connection), *_others(connection)]
        place = Place(self.name)
        return [Problem(code, message, place, remedy, severity) for code, message, remedy, severity in texts]

    @contextmanager
    def lease(self, name: str) -> Iterator[bool]:
        """An advisory lock of a connection of its own, which ends with the process however it ends."""
        try:
            engine = self._plain_engine()
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            ours = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_KEY.format(name)})").scalar()
        except DBAPIError as error:
            raise self.in_words(error) from error
        try:
            yield bool(ours)
        finally:
            connection.invalidate()  # closes it, and with it the lock ends, whether or not the server is still there
            connection.close()

    @contextmanager
    def _once(self) -> Iterator[Connection]:
        with self._plain_engine().connect() as connection:
            yield connection

    def _plain_engine(self) -> Engine:
        return create_engine(self._url, poolclass=NullPool, hide_parameters=True)

    def _schema(self, connection: Connection) -> str | None:
        return connection.exec_driver_sql("SELECT current_schema()").scalar()

    def _create_schema(self, connection: Connection) -> None:
        if self._named_schema:
            text_ = f"none of the schemas that `search_path` names in {self.name} exists, or can be used by this role"
            raise StoreError(text_, remedy=_GRANT)
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('reconciler:schema', 0))")
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.commit()

    def _without_secret(self, said: str) -> str:
        password = str(self._url.password or "")
        return said.replace(password, "…") if password else said


def _with_defaults(url: URL, named_schema: bool) -> URL:
    query = {**_CONNECTION, **url.query}
    ours = _SESSION if named_schema else f"{_SESSION} -csearch_path={SCHEMA}"
    query["options"] = f"{ours} {query.get('options', '')}".strip()
    return url.set(drivername="postgresql+psycopg", query=query)


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


# --- what others could do -------------------------------------------------------------------------------------------

_Found = Iterator[tuple[str, str, str, str]]
"""Code, message, remedy, severity."""

_TABLES = """
    SELECT who.name, bool_or(has_any_column_privilege(who.name, c.oid, 'INSERT, UPDATE')
                             OR has_table_privilege(who.name, c.oid, 'DELETE, TRUNCATE')) AS writes
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
     CROSS JOIN (SELECT 'public' AS name
                 UNION ALL
                 SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> current_user) who
     WHERE c.relkind IN ('r', 'p', 'v', 'm')
       AND has_schema_privilege(who.name, n.oid, 'USAGE')
       AND (has_any_column_privilege(who.name, c.oid, 'SELECT, INSERT, UPDATE')
            OR has_table_privilege(who.name, c.oid, 'DELETE, TRUNCATE'))
     GROUP BY who.name ORDER BY who.name COLLATE "C"
"""


def _network(driver: Any, mode: str) -> _Found:
    host = str(driver.info.hostaddr or driver.info.host or "/")
    if host.startswith(("/", "@")) or _is_loopback(host):
        return
    if not driver.pgconn.ssl_in_use:
        text_ = "everything goes over the network in the clear, people's data included"
        yield "store-tls", text_, "add ?sslmode=verify-full&sslrootcert=system to `store`", "error"
    elif mode not in ("verify-ca", "verify-full"):
        text_ = f"the server's certificate is not checked (sslmode {mode}): anybody in between could be the server"
        yield "store-tls", text_, "add ?sslmode=verify-full&sslrootcert=system to `store`", "warning"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _role(connection: Connection) -> _Found:
    if connection.exec_driver_sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").scalar():
        text_ = "we sign in as a superuser, who can do anything on that server"
        yield "store-superuser", text_, "make a role that owns this schema and nothing else", "warning"


def _others(connection: Connection) -> _Found:
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
    for name, writes in connection.exec_driver_sql(_TABLES):
        who = "every role (PUBLIC)" if name == "public" else f"the role `{name}`"
        text_ = f"{who} can {'change' if writes else 'read'} the tables of the store"
        remedy = f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}; and see which roles it is a member of"
        yield "store-mode", text_, remedy, "error" if writes or name == "public" else "warning"
