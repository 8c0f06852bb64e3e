"""The store: one database, one writer at a time, migrated when it is opened.

Promises: a SQLite file that only its owner can read; writes are on disk when a transaction ends (WAL,
``synchronous=FULL``); whatever the database says about itself (locked, missing, corrupt, full) becomes a `StoreError`
with a remedy. What is *in* the store belongs to the rooms that declare their tables on `metadata`; each brings its
own migration.

Source: SQLite's documentation of WAL, PRAGMA and result codes; SQLAlchemy's recipe for explicit SQLite transactions.
"""

from __future__ import annotations

import io
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, MetaData, NullPool, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from reconciler.errors import Place, Problem, ReconcilerError

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


class StoreError(ReconcilerError):
    """The store cannot be used as it is."""

    code = "store"


class StoreBusy(StoreError):
    """Somebody else is writing and did not finish in time; the same call may go through later."""

    code = "store-busy"


class StoreTooNew(StoreError):
    """The store was written by a newer version of this program."""

    code = "store-too-new"


class Store:
    """An open store. Made by `Store.open`; cheap to hold, has no connection of its own between transactions."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, folder: Path, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open the store at `url` (relative to `folder`), creating or migrating it as needed.

        Raises `StoreError` where it is missing (and `create` is false), unreadable, corrupt or of a kind that is not
        supported; `StoreTooNew` where a newer version wrote it.
        """
        path = _sqlite_path(url, folder)
        if not path.exists() and not create:
            raise StoreError(
                f"there is no store at {path}", remedy="import people first, or correct `store` in the workspace file"
            )
        with _told(path):
            _create_file(path)
            store = cls(path, _engine(path, busy_seconds))
            store._migrate()
        return store

    @staticmethod
    def exists(url: str, *, folder: Path) -> bool:
        """Whether there is a store at `url`. Raises `StoreError` for a URL of a kind that is not supported."""
        return _sqlite_path(url, folder).exists()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write: the only one at its time, all or nothing, on disk when it ends."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that cannot write and sees one consistent state throughout."""
        with self._transaction("BEGIN") as connection:
            yield connection

    def scrub(self) -> None:
        """Leave nothing of what was deleted in the store's files."""
        with _told(self.path):
            driver = self._engine.raw_connection()
            try:
                driver.cursor().execute("VACUUM")
                driver.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                driver.close()

    def check_mode(self) -> list[Problem]:
        """Whether others than the owner could read or change the store, for `doctor`."""
        files = [self.path, *(self.path.with_name(self.path.name + suffix) for suffix in ("-wal", "-shm"))]
        return [problem for file in files if file.exists() for problem in _open_to_others(file)]

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with _told(self.path):
            if not self.path.exists():  # the driver would make an empty one, and the record would seem to be gone
                raise StoreError(f"the store {self.path} has disappeared", remedy="restore it from a backup")
            with self._engine.connect().execution_options(reconciler_begin=begin) as connection, connection.begin():
                yield connection

    def _migrate(self) -> None:
        known = _revisions()
        with self.reading() as connection:
            found = _revision(connection)
        if found not in known and found is not None:
            raise StoreTooNew(
                f"the store {self.path} was written by a newer version (schema {found}, known here up to {known[-1]})",
                remedy="install that version, or one after it",
            )
        if found != known[-1]:
            with self.writing() as connection:
                _upgrade(connection)


def _sqlite_path(url: str, folder: Path) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("`store` is not a URL", remedy="write sqlite:///state/reconciler.db") from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(
            f"`store` asks for `{parsed.drivername}`; this version keeps its record in SQLite only",
            remedy="write sqlite:///state/reconciler.db",
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise StoreError(
            "`store` must name a file, without options: a record in memory is none",
            remedy="write sqlite:///state/reconciler.db",
        )
    return folder / parsed.database


def _create_file(path: Path) -> None:
    """Make the file before the database does, so that it is never readable by others, not even for a moment."""
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _engine(path: Path, busy_seconds: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, connect_args={"timeout": busy_seconds}
    )

    @event.listens_for(engine, "connect")
    def _prepare(driver: Any, _record: object) -> None:
        driver.isolation_level = None  # transactions begin where we say so, not where the driver guesses
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cell_size_check=ON"):
            driver.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options()["reconciler_begin"]
        if begin == "BEGIN":
            connection.exec_driver_sql("PRAGMA query_only=ON")
        connection.exec_driver_sql(begin)

    return engine


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


# --- what the database says, in our words ---------------------------------------------------------------------------

_WORDS: Sequence[tuple[tuple[str, ...], str, str]] = (
    (("SQLITE_FULL",), "the disk is full", "make room and run the same command again; nothing was recorded"),
    (
        ("SQLITE_CORRUPT", "SQLITE_NOTADB"),
        "it is damaged, or is no store of ours",
        "restore it from a backup, then run `reconciler ledger verify`",
    ),
    (("SQLITE_READONLY", "SQLITE_PERM"), "it cannot be written", "check who owns the file and its folder"),
    (("SQLITE_CANTOPEN",), "it cannot be opened", "check the path, and who owns the file and its folder"),
    (("SQLITE_IOERR",), "the disk cannot be read or written", "check the disk; nothing was recorded"),
)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # a constraint was hit: a defect of ours, or somebody trying to rewrite the record
    except DBAPIError as error:
        raise _in_words(path, error) from error
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be used: {error.strerror or error}",
            remedy="check the path, and who owns the file and its folder",
        ) from error


def _in_words(path: Path, error: DBAPIError) -> Exception:
    code = str(getattr(error.orig, "sqlite_errorname", ""))
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(
            f"the store {path} is in use by another process",
            remedy="wait until it has finished, then run the same command again",
        )
    for codes, what, remedy in _WORDS:
        if code.startswith(codes):
            return StoreError(f"the store {path} cannot be used: {what}", remedy=remedy)
    return StoreError(f"the store {path} cannot be used: {error.orig}", remedy="run `reconciler ledger verify`")


def _open_to_others(file: Path) -> Iterator[Problem]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        yield Problem(
            code="store-mode",
            message=f"others than its owner can use this file of the store (mode {mode:04o})",
            place=Place(str(file)),
            remedy=f"chmod 600 {file}",
        )
