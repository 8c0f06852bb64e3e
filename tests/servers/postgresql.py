"""A real PostgreSQL server for tests: its own folder, its own loopback port, its own roles and passwords.

Promises: no cluster of the system is started or changed; the server ends with whoever started it; no waiting by the
clock. PostgreSQL does not run as root, so that root runs it as `postgres` or `nobody`. It sorts texts as a language
does, not by their octets, and does not wait for the disk.

A test takes a database with the store's tables in it, and gives it back: emptying one takes a fraction of the time of
making one.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from reconciler.facts.store import Store
from tests.servers.slapd import free_port, insist

__all__ = [
    "FAST",
    "PASSWORD",
    "Database",
    "Postgresql",
    "initialise",
    "missing_programs",
    "programs_version",
    "required",
    "serving",
    "started",
    "stop",
]

PASSWORD = "s3cret/of:the@store"
"""Of every role; it has what would end a password in a URL."""

ESCAPED = "s3cret%2Fof%3Athe%40store"
ROLE = "reconciler"
TEMPLATE = "migrated"
_QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # a folder of one's own is made below it
FAST = signal.SIGINT
"""How to end a server so that its data can be copied: nobody is waited for, and everything is written."""
_READY = 60.0
"""Seconds a server may take to answer at all; it takes far less than one."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database with an empty store in it. `admin` is a superuser's connection, who stands above every trigger."""

    name: str
    url: str
    admin: psycopg.Connection[tuple[Any, ...]]

    def vandalise(self, statement: str) -> None:
        """Change the store behind its back, as its administrator could."""
        self.admin.execute("SET session_replication_role = replica; SET search_path = reconciler")
        self.admin.execute(statement)
        self.admin.execute("SET session_replication_role = origin")

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """The rows of an answer."""
        return self.admin.execute(question).fetchall()


@dataclass(slots=True)
class Postgresql:
    """A running server. `admin` is its superuser; `reconciler` owns the databases that are handed out."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    free: list[Database] = field(default_factory=list)
    made: int = 0
    modern: bool = True
    """Version 15 or newer: it knows more ways to sort, and to copy a database."""

    def url(self, database: str, *, role: str = ROLE, password: str = ESCAPED) -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def programs(self) -> Path:
        """The folder of the programs that belong to it."""
        return _folder()

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """As the superuser; every statement counts at once."""
        named = {"host": "127.0.0.1", "port": self.port, "user": "admin", "password": PASSWORD}
        return psycopg.connect(dbname=database, autocommit=True, **named)  # type: ignore[arg-type]

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def create(self, template: str = TEMPLATE) -> Database:
        """A database that is nobody else's, and never will be."""
        self.made += 1
        name = f"store{self.made}"
        quickly = "STRATEGY FILE_COPY" if self.modern else ""
        self.run(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} {quickly}")
        return Database(name, self.url(name), self.connect(name))

    def take(self) -> Database:
        """A database with an empty store, to be given back."""
        return self.free.pop() if self.free else self.create()

    def restart(self) -> None:
        """Start it again, on the same port and data, after it has ended."""
        self.process = _process(self.folder, self.port)
        assert _answers(self), (self.folder / "log").read_text(errors="replace")[-2000:]

    def give_back(self, database: Database) -> None:
        """Empty it for the next test; whoever is still at work in it is sent away."""
        busy = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle' AND pid <> "
        )
        database.admin.execute(busy + "pg_backend_pid()", [database.name])
        asked = "SELECT tablename FROM pg_tables WHERE schemaname = 'reconciler' AND tablename <> 'alembic_version'"
        tables = [sql.Identifier("reconciler", name) for (name,) in database.admin.execute(asked)]
        deletes = sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(table) for table in tables)
        quietly = sql.SQL("SET session_replication_role = replica; {}; SET session_replication_role = origin")
        database.admin.execute(quietly.format(deletes))
        self.free.append(database)


@cache
def _programs() -> Path | None:
    """The folder of the newest PostgreSQL's programs: Debian keeps `initdb` out of the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
    for folder in [*reversed(debian), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def missing_programs() -> str:
    """What is needed and not there, in words; empty where all is."""
    return "" if _programs() else "not installed: postgresql; see tests/servers/install.sh"


def programs_version() -> str:
    """The major version of the programs, e.g. 15; data of another one they do not read."""
    done = subprocess.run([str(_folder() / "postgres"), "--version"], capture_output=True, check=True)
    return re.sub(rb"[^0-9]*([0-9]+).*", rb"\1", done.stdout, flags=re.DOTALL).decode()


def required() -> None:
    """Skip the test, saying why, where there is no PostgreSQL; fail it where CI is to have one."""
    insist(missing_programs())


@contextmanager
def started(*, durable: bool = False) -> Iterator[Postgresql]:
    """A server with a database of an empty store to copy from; it and all its data end when the block ends. `durable`:
    it waits for the disk, as one does that somebody relies on.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=None if durable else _QUICK))  # short: a socket's path must be
    try:
        initialise(folder)
        if durable:
            (folder / "durable").touch()
        with serving(folder) as server:
            _prepare(server)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(folder: Path) -> Iterator[Postgresql]:
    """A server on the data that `initialise` made in this folder, or on a copy of it; ended when the block ends."""
    server = _start(folder)
    try:
        yield server
    finally:
        for database in server.free:
            database.admin.close()
        stop(server.process)


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGQUIT) -> None:
    """End the server: at once, as a crash would, unless told otherwise."""
    process.send_signal(how)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def initialise(folder: Path) -> None:
    """A cluster with nothing in it, in `folder/data`."""
    (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    for path in (folder, folder / "password"):
        os.chown(path, *_owner())
    language = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=zh-CN"]
    allowed = ["--auth=scram-sha-256", "--username=admin", f"--pwfile={folder}/password"]
    done = _run(folder, "initdb", f"--pgdata={folder}/data", "--no-sync", "--no-instructions", *allowed, *language)
    if done.returncode and b"locale-provider" in done.stderr:  # before version 15
        done = _run(folder, "initdb", f"--pgdata={folder}/data", "--no-sync", *allowed, *language[:2])
    if done.returncode:
        raise AssertionError(f"initdb: {done.stderr.decode(errors='replace')}")


def _start(folder: Path) -> Postgresql:
    for _ in range(5):  # a free port may be taken by somebody else before the server takes it
        port = free_port()
        server = Postgresql(folder, port, _process(folder, port))
        if _answers(server):
            return server
    raise AssertionError(f"postgres does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


def _process(folder: Path, port: int) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "fsync": "on" if (folder / "durable").exists() else "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "shared_buffers": "32MB",
        "timezone": "UTC",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(_folder() / "postgres"), "-D", str(folder / "data"), *options]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True, **_as_owner())


def _answers(server: Postgresql) -> bool:
    for _ in range(int(_READY / 0.02)):
        try:
            server.process.wait(0.02)
        except subprocess.TimeoutExpired:
            try:
                with server.connect() as connection:
                    server.modern = connection.info.server_version >= 150000
            except psycopg.OperationalError:
                continue
            return True
        return False
    stop(server.process)
    return False


def _prepare(server: Postgresql) -> None:
    server.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'", f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
    Store.open(server.url(TEMPLATE), folder=server.folder).close()


def _folder() -> Path:
    folder = _programs()
    assert folder is not None, missing_programs()
    return folder


def _run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [str(_folder() / program), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, **_as_owner())


def _owner() -> tuple[int, int]:
    """Whom the server runs as: whoever runs the tests, or for root somebody who is not."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    known = {each.pw_name: each for each in pwd.getpwall()}
    chosen = known.get("postgres") or known["nobody"]
    return chosen.pw_uid, chosen.pw_gid


def _as_owner() -> dict[str, Any]:
    user, group = _owner()
    return {} if os.getuid() != 0 else {"user": user, "group": group, "extra_groups": []}
