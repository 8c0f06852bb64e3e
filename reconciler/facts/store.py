"""The store: one database, one writer at a time, migrated when it is opened.

Promises: writes are on disk when a transaction ends, all of it or nothing; a reader sees one state throughout; two who
open a new or an old store at the same time migrate it once; whatever the database says about itself (locked, missing,
damaged, full, out of reach) becomes a `StoreError` with a remedy. Which kind of database it is, is the URL's to say:
`reconciler.facts.sqlite` and `reconciler.facts.postgresql` answer for theirs. What is *in* the store belongs to the
rooms that declare their tables on `metadata`; each brings its own migration.
"""

from __future__ import annotations

import io
import logging
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, MetaData, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from reconciler.errors import Problem
from reconciler.facts.backend import OPTION, READ, WRITE, Backend, StoreBusy, StoreError, StoreTooNew
from reconciler.facts.sqlite import Sqlite

__all__ = ["BUSY_SECONDS", "Store", "StoreBusy", "StoreError", "StoreTooNew", "metadata"]

BUSY_SECONDS = 10.0
"""How long a writer waits for another one before it gives up."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables of the store. A room declares its own here and brings the migration that creates them."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_EXAMPLES = "write sqlite:///state/reconciler.db or postgresql://reconciler@db.example.com/reconciler"


class Store:
    """An open store. Made by `Store.open`; threads may share it, and so may a process with the one it was forked from.
    What it keeps open between transactions, it closes when it is forgotten.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._engine = backend.engine()
        self._process = os.getpid()
        self.unwritable = ""
        """Why the last transaction that was to write could not; empty since one has. That others write is no reason."""
        weakref.finalize(self, _close, self._engine, self._process)

    @classmethod
    def open(cls, url: str, *, folder: Path, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open the store at `url` (a file's is relative to `folder`), creating or migrating it as needed.

        Raises `StoreError` where it is missing (and `create` is false), out of reach, damaged or of a kind that is not
        supported; `StoreTooNew` where a newer version wrote it.
        """
        backend = _backend(url, folder, busy_seconds)
        with _told(backend):
            if not create and not backend.exists():
                remedy = "import people first, or correct `store` in the workspace file"
                raise StoreError(f"there is no store at {backend.name}", remedy=remedy)
            backend.prepare()
            store = cls(backend)
            store._migrate()
        return store

    @staticmethod
    def exists(url: str, *, folder: Path) -> bool:
        """Whether there is a store at `url`. Raises `StoreError` for a URL of a kind that is not supported, and where
        the database cannot be asked.
        """
        backend = _backend(url, folder, BUSY_SECONDS)
        with _told(backend):
            return backend.exists()

    @property
    def name(self) -> str:
        """The store as messages call it; never with a secret."""
        return self._backend.name

    @property
    def path(self) -> Path:
        """The file that it is. Raises `StoreError` where it is none."""
        path = self._backend.path
        if path is None:
            raise StoreError(f"the store {self.name} is no file", remedy="ask its database instead")
        return path

    @property
    def shared(self) -> bool:
        """Whether it is on a server, where several machines can work with it."""
        return self._backend.driver_settings is not None

    def driver_settings(self) -> Mapping[str, Any]:
        """What psycopg connects with; it holds the password. Raises `StoreError` where the store is a file."""
        settings = self._backend.driver_settings
        if settings is None:
            text_ = f"the store {self.name} is a file, and several machines cannot share one"
            raise StoreError(text_, remedy="keep the record in PostgreSQL: reconciler store copy URL")
        return settings

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write: the only one at its time, all or nothing, on disk when it ends."""
        try:
            with self._transaction(WRITE) as connection:
                yield connection
        except StoreError as error:
            if not isinstance(error, StoreBusy):
                self.unwritable = error.message
            raise
        self.unwritable = ""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that cannot write and sees one consistent state throughout."""
        with self._transaction(READ) as connection:
            yield connection

    def close(self) -> None:
        """Close what is kept open between transactions; the next one opens it again."""
        self._engine.dispose(close=self._process == os.getpid())

    def lease(self, name: str = "lease") -> AbstractContextManager[bool]:
        """Held for as long as the context lasts, or the process: whether nobody else holds the one of this name. Raises
        `StoreError`.
        """
        return self._backend.lease(name)

    def check_migrated(self) -> None:
        """Raises `StoreError` where the store cannot be read, or is of another schema than this version's by now."""
        with self.reading() as connection:
            found = _revision(connection)
        if found != (own := _revisions()[-1]):
            text_ = f"the store {self.name} is of schema {found or 'none'}, and this version works with {own}"
            raise StoreError(text_, remedy="start it again with the version that the store is of")

    def scrub(self) -> None:
        """Leave nothing of what was deleted in the database's files."""
        with _told(self._backend):
            self._backend.scrub(self._own_engine())

    def check_safety(self) -> list[Problem]:
        """Whether others than we could read or change the store, for `doctor`."""
        with _told(self._backend):
            return self._backend.check_safety()

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[Connection]:
        with _told(self._backend):
            self._backend.check_present()
            with self._own_engine().connect().execution_options(**{OPTION: kind}) as connection, connection.begin():
                yield connection

    def _own_engine(self) -> Engine:
        """The engine, without the connections of the process that this one was forked from: those stay that one's."""
        if self._process != os.getpid():
            self._engine.dispose(close=False)
            self._process = os.getpid()
        return self._engine

    def _migrate(self) -> None:
        known = _revisions()
        with self.reading() as connection:
            found = _revision(connection)
        if found not in known and found is not None:
            raise StoreTooNew(
                f"the store {self.name} was written by a newer version (schema {found}, known here up to {known[-1]})",
                remedy="install that version, or one after it",
            )
        if found != known[-1]:
            with self.writing() as connection:
                _upgrade(connection)


def _backend(url: str, folder: Path, busy_seconds: float) -> Backend:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # whose text would show what stands in it
        raise StoreError("`store` is not a URL", remedy=_EXAMPLES) from None
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        from reconciler.facts.postgresql import Postgresql  # only whoever has one pays for loading its driver

        return Postgresql(parsed, busy_seconds)
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(
            f"`store` asks for `{parsed.drivername}`; the record is kept in SQLite or PostgreSQL", remedy=_EXAMPLES
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise StoreError("`store` must name a file, without options: a record in memory is none", remedy=_EXAMPLES)
    return Sqlite(folder / parsed.database, busy_seconds)


def _close(engine: Engine, process: int) -> None:
    engine.dispose(close=process == os.getpid())


# --- migrations -----------------------------------------------------------------------------------------------------


def _revisions() -> list[str]:
    """The known schema revisions, oldest first: a file is called ``v0001_words.py`` and its revision is ``0001``."""
    return sorted(file.name[1:5] for file in (_MIGRATIONS / "versions").glob("v[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # only a new or an old store pays for loading it
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, "head")


@contextmanager
def _told(backend: Backend) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # a constraint was hit: a defect of ours, or somebody trying to rewrite the record
    except DBAPIError as error:
        raise backend.in_words(error) from error
    except OSError as error:
        raise StoreError(
            f"the store {backend.name} cannot be used: {error.strerror or error}",
            remedy="check the path, and who owns the file and its folder",
        ) from error
