"""A real Mayan EDMS for tests: a document management system on a loopback port, with its own PostgreSQL and files.

Promises: nothing of the system's configuration is read or changed; the servers end when the last who uses them ends,
however that comes about; no waiting by the clock. There is no worker beside the server: files are taken, and nothing is
made of them. `install.sh` puts Mayan into a virtual environment of its own, in the user's cache folder (`MAYAN_CACHE`
names another place).

Setting it up takes half a minute, and is done once: what came of it is kept in the cache folder, and servers start
from copies of it. Where tests run in several processes, these share one server: each takes its `turn`, and finds the
system empty but for the administrator and the user `reconciler`.

    python -m tests.servers.mayan FOLDER    serves until nobody holds FOLDER/in-use any more
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import postgresql
from tests.servers.postgresql import PASSWORD as DATABASE_PASSWORD
from tests.servers.slapd import free_port, insist

__all__ = ["NEEDED", "PASSWORD", "READ", "RECONCILER", "TOKEN", "Mayan", "Refused", "missing", "required", "shared"]

VERSION = "4.12.2"
TOKEN = "a" * 39 + "1"
"""Of the administrator, `admin`, who stands above all permissions."""
RECONCILER = "b" * 39 + "2"
"""Of `reconciler`, an ordinary user with the permissions that an adapter needs and no others."""
PASSWORD = "Secret-of-the-archive-1"
"""Of both."""
READ = ("documents.document_view", "documents.document_file_view", "documents.document_version_view")
"""The permissions by which somebody sees a document, its files and its versions."""
NEEDED = (
    "acls.acl_view",
    "cabinets.cabinet_view",
    "documents_types.document_type_view",
    "permissions.role_view",
    "user_management.group_edit",
    "user_management.group_view",
    "user_management.user_edit",
    "user_management.user_view",
)
_READY = 90.0
"""Seconds a server may take to answer at all."""
_LARGE = 64 * 1024 * 1024
"""Octets of memory that a server's data takes."""
_USERS = f"""
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from rest_framework.authtoken.models import Token
from mayan.apps.permissions.classes import Permission
from mayan.apps.permissions.models import Role
users = get_user_model().objects
admin, own = users.get(username="admin"), users.create_user("reconciler", email="reconciler@example.com")
for user, key in ((admin, "{TOKEN}"), (own, "{RECONCILER}")):
    user.set_password("{PASSWORD}")
    user.save()
    Token.objects.create(user=user, key=key)
group, role = Group.objects.create(name="reconciler"), Role.objects.create(label="reconciler")
group.user_set.add(own)
role.groups.add(group)
for pk in {NEEDED!r}:
    role.permissions.add(Permission.get(pk=pk).stored_permission)
"""


class Refused(AssertionError):
    """Mayan answered, and it was no success. `status` is that of the answer."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said[:500]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Mayan:
    """A running system. Objects are made through its REST API, as the administrator would."""

    url: str
    folder: Path
    database_port: int

    @property
    def api(self) -> str:
        return f"{self.url}/api/v4/"

    def call(self, method: str, path: str, body: object = None, *, token: str = TOKEN) -> Any:
        """What the API answers to a request, as the owner of a token; raises `Refused`."""
        request = urllib.request.Request(self.api + path, method=method)  # noqa: S310  # our own server
        request.add_header("Authorization", f"Token {token}")
        request.add_header("Accept", "application/json")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, error.read().decode("utf-8", "replace")) from None
        return json.loads(text) if text else None

    def every(self, path: str) -> list[Any]:
        """All results of a listing, from page to page."""
        found: list[Any] = []
        page = 1
        while True:
            answer = self.call("GET", f"{path}?page_size=100&page={page}")
            found += answer["results"]
            if not answer["next"]:
                return found
            page += 1

    def user(self, username: str, email: str = "", **more: str) -> int:
        """A new user without a password; its id."""
        return int(self.call("POST", "users/", {"username": username, "email": email, **more})["id"])

    def group(self, name: str, *members: int) -> int:
        number = int(self.call("POST", "groups/", {"name": name})["id"])
        for member in members:
            self.call("POST", f"groups/{number}/users/add/", {"user": member})
        return number

    def members(self, group: int) -> set[str]:
        """The user names of a group's members, those included that the API shows to nobody but staff."""
        return {each["username"] for each in self.every(f"groups/{group}/users/")}

    def role(self, label: str, *groups: int, permissions: Sequence[str] = ()) -> int:
        """A new role of these groups, with permissions on everything."""
        number = int(self.call("POST", "roles/", {"label": label})["id"])
        for group in groups:
            self.call("POST", f"roles/{number}/groups/add/", {"group": group})
        for permission in permissions:
            self.call("POST", f"roles/{number}/permissions/add/", {"permission": permission})
        return number

    def document_type(self, label: str) -> int:
        return int(self.call("POST", "document_types/", {"label": label})["id"])

    def cabinet(self, label: str, parent: int | None = None) -> int:
        return int(self.call("POST", "cabinets/", {"label": label, "parent": parent})["id"])

    def document(self, document_type: int, label: str, cabinet: int | None = None) -> int:
        """A new document without a file; its id."""
        body = {"document_type_id": document_type, "label": label}
        number = int(self.call("POST", "documents/", body)["id"])
        if cabinet is not None:
            self.call("POST", f"cabinets/{cabinet}/documents/add/", {"document": number})
        return number

    def allow(self, kind: str, number: int, role: int, *permissions: str) -> None:
        """Permissions of a role on one object; `kind` is `documents/documenttype`, `cabinets/cabinet` or alike."""
        acl = self.call("POST", f"objects/{kind}/{number}/acls/", {"role_id": role})["id"]
        for permission in permissions:
            self.call("POST", f"objects/{kind}/{number}/acls/{acl}/permissions/add/", {"permission": permission})

    def token(self, user: int) -> str:
        """The user's token, as if they had asked for it, which takes a password and its time."""
        key = f"{user:040x}"
        self.sql(
            "INSERT INTO authtoken_token (key, created, user_id) VALUES (%s, now(), %s) ON CONFLICT DO NOTHING",
            key,
            user,
        )
        return key

    def opens(self, user: int, document: int) -> bool:
        """Whether this user can open this document, asked as that user."""
        try:
            self.call("GET", f"documents/{document}/", token=self.token(user))
        except Refused as refused:
            if refused.status in (403, 404):
                return False
            raise
        return True

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask or change the database behind Mayan's back, as its administrator."""
        with self._database("mayan") as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def _database(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            dbname=name,
            host="127.0.0.1",
            port=self.database_port,
            user="admin",
            password=DATABASE_PASSWORD,
            autocommit=True,
        )

    def renew(self) -> None:
        """Make it as it was when it was new; whoever is at work in it is cut off."""
        with self._database("postgres") as connection:
            quickly = "STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""
            connection.execute("DROP DATABASE IF EXISTS mayan WITH (FORCE)")
            connection.execute(f"CREATE DATABASE mayan TEMPLATE seed {quickly}")

    @contextmanager
    def turn(self) -> Iterator[Mayan]:
        """The system for oneself, and new."""
        with (self.folder / "turn").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self.renew()
            yield self


# --- one for all who use it -------------------------------------------------------------------------------------------


def missing() -> str:
    """What is needed and not there, in words; empty where all is."""
    if not (_home() / "venv" / "whole").exists():
        return f"not installed: Mayan EDMS {VERSION} in {_home()}; see tests/servers/install.sh"
    return postgresql.missing_programs()


def required() -> None:
    """Skip the test, saying why, where there can be no Mayan; fail it where CI is to have one."""
    insist(missing())


@contextmanager
def shared(folder: Path) -> Iterator[Mayan]:
    """The server of this folder, started by whoever comes first and ended after whoever leaves last, even by force."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "starting").open("a") as starting, (folder / "in-use").open("a") as in_use:
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(in_use, fcntl.LOCK_SH)  # waits while a server is just ending
        if not (folder / "ready.json").exists():
            command = [sys.executable, "-m", "tests.servers.mayan", str(folder)]
            done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
            assert done.returncode == 0, (folder / "log").read_text(errors="replace")[-3000:]
        fcntl.flock(starting, fcntl.LOCK_UN)
        ready = json.loads((folder / "ready.json").read_text(encoding="utf-8"))
        yield Mayan(ready["url"], folder, ready["database_port"])


def _serve(folder: Path) -> int:
    """Returns once the servers answer, leaving a process behind that ends them when nobody uses them any more."""
    with (folder / "log").open("ab") as log:
        heard, told = os.pipe()
        if os.fork():
            os.close(told)
            return 0 if os.read(heard, 1) else 1
        os.setsid()
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        try:
            with _running() as ready, (folder / "in-use").open("a") as in_use:
                (folder / "ready.json").write_text(json.dumps(ready), encoding="utf-8")
                os.write(told, b"+")
                os.close(told)
                fcntl.flock(in_use, fcntl.LOCK_EX)
                (folder / "ready.json").unlink()
        except BaseException:  # it goes into the log, which the other process shows
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(0)


@contextmanager
def _running() -> Iterator[Mapping[str, object]]:
    with ExitStack() as stack:
        data = _scratch()
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        _copy(_seed(), data)
        database = stack.enter_context(postgresql.serving(data))
        port = free_port()
        process = subprocess.Popen(
            _gunicorn(port), cwd=data, env=_environment(data, database.port), start_new_session=True
        )
        stack.callback(_end, process)
        _wait_for(process, port)
        yield {"url": f"http://127.0.0.1:{port}", "database_port": database.port}


def _gunicorn(port: int) -> Sequence[str]:
    how = ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "60", "--no-control-socket"]
    return [str(_home() / "venv" / "bin" / "gunicorn"), "mayan.wsgi", "--bind", f"127.0.0.1:{port}", *how]


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(int(_READY / 0.05)):
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v4/project/", timeout=30):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                continue
        break
    raise AssertionError("Mayan does not start")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- what is kept -----------------------------------------------------------------------------------------------------


def _home() -> Path:
    base = os.environ.get("MAYAN_CACHE") or f"{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/mayan-lab"
    return Path(base) / VERSION


def _scratch() -> Path:
    """A short name, because of sockets; in memory where that has room."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of one's own is made below it
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * _LARGE
    folder = Path(tempfile.mkdtemp(prefix="mayan-", dir=memory if roomy else None))
    folder.chmod(0o755)  # PostgreSQL runs as somebody else where the tests run as root
    return folder


def _seed() -> Path:
    """What a server starts from, made unless it is there; whoever else makes it at this moment is waited for."""
    seed = _home() / f"seed-{_postgresql_version()}"
    with seed.with_suffix(".lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not seed.exists():
            unfinished = seed.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            data = _scratch()
            try:
                _set_up(data)
                _copy(data, unfinished)
            finally:
                shutil.rmtree(data, ignore_errors=True)
            unfinished.rename(seed)
    return seed


def _set_up(data: Path) -> None:
    (data / "media").mkdir()
    postgresql.initialise(data)
    with postgresql.serving(data) as server:
        server.run("CREATE DATABASE mayan")
        environment = _environment(data, server.port)
        program = str(_home() / "venv" / "bin" / "mayan-edms.py")
        _run(program, "common_initial_setup", "--no-dependencies", "--force", environment=environment)
        _run(program, "shell", environment=environment, typed=_USERS)
        server.run("ALTER DATABASE mayan RENAME TO seed")
        postgresql.stop(server.process, how=postgresql.FAST)


def _run(*command: str, environment: Mapping[str, str], typed: str = "") -> None:
    done = subprocess.run(command, input=typed.encode(), capture_output=True, env=environment, check=False)
    if done.returncode or b"Traceback" in done.stderr:
        raise AssertionError(f"{command[1]}: {(done.stdout + done.stderr).decode(errors='replace')[-3000:]}")


def _environment(data: Path, port: int) -> Mapping[str, str]:
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": "mayan", "USER": "admin"}
    database |= {"PASSWORD": DATABASE_PASSWORD, "HOST": "127.0.0.1", "PORT": str(port)}
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(data),
        "LC_ALL": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",
        "DJANGO_SETTINGS_MODULE": "mayan.settings.production",
        "MAYAN_MEDIA_ROOT": str(data / "media"),
        "MAYAN_DATABASES": repr({"default": database}),
        "MAYAN_REST_API_THROTTLING_ENABLED": "false",
    }


def _copy(source: Path, destination: Path) -> None:
    """With owners and times."""
    destination.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", str(destination)], check=True)


@cache
def _postgresql_version() -> str:
    return postgresql.programs_version()


if __name__ == "__main__":
    sys.exit(_serve(Path(sys.argv[1])))
