"""A store in one SQLite file: only its owner can read it, and what was written is on disk when a transaction ends.

Source: SQLite's documentation of WAL, PRAGMA and result codes; SQLAlchemy's recipe for explicit SQLite transactions.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.errors import Place, Problem
from reconciler.facts.backend import OPTION, WRITE, StoreBusy, StoreError

__all__ = ["Sqlite"]

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


class Sqlite:
    """A store in the file `path`; a writer waits `busy_seconds` for another one."""

    driver_settings = None

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self.path = path
        self.name = str(path)
        self._busy_seconds = busy_seconds

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    def prepare(self) -> None:
        """Make the file before the database does, so that it is never readable by others, not even for a moment."""
        missing = [folder for folder in (self.path.parent, *self.path.parent.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))

    def engine(self) -> Engine:
        """Connections with WAL and full synchronisation, in transactions that begin where we say so.

        One stays open: closing the last one moves the whole write-ahead log, which costs more than most transactions.
        """
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            connect_args={"timeout": self._busy_seconds, "check_same_thread": False},  # the pool gives it to one thread
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=-1,
            hide_parameters=True,
        )

        @event.listens_for(engine, "connect")
        def _prepare(driver: Any, record: ConnectionPoolEntry) -> None:
            record.info["file"] = self._file()
            driver.isolation_level = None  # transactions begin where we say so, not where the driver guesses
            pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cell_size_check=ON")
            for pragma in (*pragmas, "secure_delete=ON", "cache_size=-8192", "wal_autocheckpoint=8192"):
                driver.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "checkout")
        def _check(_driver: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
            if record.info["file"] != self._file():  # put back from a backup: what is open is the file before it
                raise DisconnectionError

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get(OPTION) == WRITE
            connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def check_present(self) -> None:
        """The driver would make an empty file, and the record would seem to be gone."""
        if not self.path.exists():
            raise StoreError(f"the store {self.path} has disappeared", remedy="restore it from a backup")

    def _file(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def in_words(self, error: DBAPIError) -> StoreError:
        """By SQLite's own names of its results."""
        code = str(getattr(error.orig, "sqlite_errorname", ""))
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreBusy(
                f"the store {self.path} is in use by another process",
                remedy="wait until it has finished, then run the same command again",
            )
        for codes, what, remedy in _WORDS:
            if code.startswith(codes):
                return StoreError(f"the store {self.path} cannot be used: {what}", remedy=remedy)
        return StoreError(
            f"the store {self.path} cannot be used: {error.orig}", remedy="run `reconciler ledger verify`"
        )

    def scrub(self, engine: Engine) -> None:
        """Rewrite the file, and empty the journal beside it."""
        driver = engine.raw_connection()
        try:
            for statement in ("PRAGMA query_only=OFF", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                driver.cursor().execute(statement)
        finally:
            driver.close()

    def check_safety(self) -> list[Problem]:
        """Whether others than the owner could read or change its files."""
        files = [self.path, *(self.path.with_name(self.path.name + suffix) for suffix in ("-wal", "-shm"))]
        return [problem for file in files if file.exists() for problem in _open_to_others(file)]

    @contextmanager
    def lease(self, name: str) -> Iterator[bool]:
        """A lock on a file beside the store, which ends with the process however it ends."""
        try:
            handle = os.open(self.path.with_name(f"{self.path.name}.{name}"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            text = f"the store {self.path} cannot be used: {error.strerror or error}"
            raise StoreError(text, remedy="check who owns the folder of the store") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)


def _open_to_others(file: Path) -> Iterator[Problem]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        yield Problem(
            code="store-mode",
            message=f"others than its owner can use this file of the store (mode {mode:04o})",
            place=Place(str(file)),
            remedy=f"chmod 600 {file}",
        )
