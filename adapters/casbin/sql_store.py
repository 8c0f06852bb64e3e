"""A casbin policy store in a SQL table with casbin's usual columns: id, ptype, v0 … v5.

A row is read as casbin's SQL adapter reads it: its fields joined by commas, up to the first NULL, and parsed as a line.
Reading happens on a connection that cannot write, a batch of changes in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile, zip_longest
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from adapters.casbin.model import VaultModel, fresh
from adapters.casbin.rules import Edits, Rule, meaning_of
from adapters.casbin.store import Contents, Decision, Line, Store
from reconciler.targets import TargetError, TargetUnavailable

FIELDS = ("ptype", "v0", "v1", "v2", "v3", "v4", "v5")
Numbered = tuple[int, Line]


class SqlStore(Store):
    """Rows of a table."""

    def __init__(self, url: URL, table: str) -> None:
        self._url = url
        columns = [Column(name, String(255)) for name in FIELDS]
        self._table = Table(table, MetaData(), Column("id", Integer, primary_key=True), *columns)

    def reach(self) -> None:
        with self._connected(writing=False) as connection:
            self._require_table(connection)

    def read(self, model: VaultModel) -> Contents:
        with self._connected(writing=False) as connection:
            return Contents([line for _, line in self._rows(connection, model)])

    def change(self, model: VaultModel, decide: Decision) -> Edits:
        with self._connected(writing=True) as connection:
            rows = self._rows(connection, model)
            edits = decide(Contents([line for _, line in rows]).rules)
            gone = [number for number, line in rows if line.meaning in edits.removed]
            for start in range(0, len(gone), 500):
                connection.execute(delete(self._table).where(self._table.c.id.in_(gone[start : start + 500])))
            if edits.added:
                connection.execute(insert(self._table), [_row(rule) for rule in edits.added])
            return edits

    def _require_table(self, connection: Connection) -> None:
        if not inspect(connection).has_table(self._table.name):
            remedy = "name the table that the enforcer loads; where it is to be new, let the enforcer create it"
            raise TargetError(f"there is no table {self._table.name} in {self._shown}", remedy=remedy)

    def _rows(self, connection: Connection, model: VaultModel) -> Sequence[Numbered]:
        self._require_table(connection)
        probe = fresh(model)
        found = connection.execute(select(self._table).order_by(self._table.c.id))
        return [(row[0], Line(f"{self._table.name} id {row[0]}", meaning_of(_text(row[1:]), probe))) for row in found]

    @property
    def _shown(self) -> str:
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def _connected(self, *, writing: bool) -> Iterator[Connection]:
        if self._url.get_backend_name() == "sqlite" and not Path(self._url.database or "").is_file():
            remedy = "name the database that the enforcer loads"
            raise TargetError(f"there is no database file {self._url.database}", remedy=remedy)
        try:
            # Without a pool, closing the connection is all there is to close.
            with _engine(self._url, writing=writing).connect() as connection:
                if self._url.get_backend_name() == "postgresql" and not writing:
                    connection = connection.execution_options(postgresql_readonly=True)
                with connection.begin():
                    yield connection
        except (OperationalError, InterfaceError, InternalError) as error:
            raise TargetUnavailable(f"{self._shown} does not answer: {error.orig}") from None
        except SQLAlchemyError as error:
            raise TargetError(f"{self._shown} cannot be used: {getattr(error, 'orig', error)}") from None
        except ImportError as error:
            raise TargetError(f"{self._shown} needs a driver that is not installed: {error.name}") from None


def checked_url(text: str, folder: Path) -> URL:
    """The URL, with the path of an SQLite file taken from the folder.

    Raises ValueError, in words and without the URL: it may hold a password.
    """
    try:
        url = make_url(text)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError):
        raise ValueError("is no database URL, e.g. sqlite:///vault.db") from None
    if url.get_backend_name() != "sqlite":
        return url
    if not url.database or url.database == ":memory:":
        raise ValueError("names no file: a database in memory is nobody's policy store")
    return url.set(database=str((folder / url.database).absolute()))


def _engine(url: URL, *, writing: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool)
    # SQLite creates a missing file, and a plan must not be able to write: both are said when it is opened.
    file = Path(url.database or "").as_uri()
    opened = url.set(database=file).update_query_dict({"mode": "rw" if writing else "ro", "uri": "true"})
    engine = create_engine(opened, poolclass=NullPool)
    event.listen(
        engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
    )
    return engine


def _text(values: Sequence[str | None]) -> str:
    return ", ".join(value for value in takewhile(lambda value: value is not None, values) if value is not None)


def _row(rule: Rule) -> dict[str, str | None]:
    # Every column in every row: an insert of many rows has the columns of its first one.
    return dict(zip_longest(FIELDS, rule.fields))
