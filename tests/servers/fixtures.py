"""The fixtures that hand a test a running server. A module that uses one imports it by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import mayan as mayan_server
from tests.servers import postgresql as postgresql_server
from tests.servers import samba as samba_server
from tests.servers import scim as scim_server
from tests.servers.chat import ChatServer, chat_server
from tests.servers.mail import MailServer, mail_server
from tests.servers.mayan import Mayan
from tests.servers.postgresql import Database, Postgresql
from tests.servers.samba import Samba
from tests.servers.scim import ScimServer
from tests.servers.slapd import Slapd, required, started


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One server for all tests of a process; each test works in a branch of its own."""
    required()
    with started(tmp_path_factory.mktemp("slapd"), overlays=["ppolicy"]) as server:
        yield server


@pytest.fixture(scope="session")
def samba_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain that controllers start from; where the tests run in several processes, these share it."""
    samba_server.required()
    own = tmp_path_factory.getbasetemp()
    return samba_server.seeded((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "samba-seed")


@pytest.fixture(scope="session")
def samba(samba_seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    """One domain controller for all tests of a process; each test works in a unit of its own."""
    with samba_server.started(samba_seed, tmp_path_factory.mktemp("samba")) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """One server for all tests of a process; each test has databases of its own."""
    postgresql_server.required()
    with postgresql_server.started() as server:
        yield server


@pytest.fixture(scope="session")
def scim() -> Iterator[ScimServer]:
    """One server for all tests of a process; each test has users and groups of its own."""
    with scim_server.started() as server:
        yield server


@pytest.fixture(scope="session")
def mayan_server_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mayan]:
    """One server; where the tests run in several processes, these share it."""
    mayan_server.required()
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "mayan"
    with mayan_server.shared(folder) as server:
        yield server


@pytest.fixture
def mayan(mayan_server_of_all: Mayan) -> Iterator[Mayan]:
    """A document management system with nothing in it, for as long as a test takes."""
    with mayan_server_of_all.turn() as server:
        yield server


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """The robots of group chats, and a webhook."""
    with chat_server() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mail server."""
    with mail_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """The URL of a store with nothing in it, of either kind; a file is relative to a folder that is its own."""
    if request.param == "sqlite":
        yield lambda: "sqlite:///s.db"
        return
    server: Postgresql = request.getfixturevalue("postgresql")
    taken: list[Database] = []

    def take() -> str:
        taken.append(server.take())
        return taken[-1].url

    yield take
    for each in taken:
        server.give_back(each)


@pytest.fixture
def database(postgresql: Postgresql) -> Iterator[Database]:
    """A database with an empty store."""
    taken = postgresql.take()
    yield taken
    postgresql.give_back(taken)
