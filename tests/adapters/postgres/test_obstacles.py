"""What keeps us from a server is told in words that say what to do, and never with the password."""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters.postgres import PostgresTarget
from reconciler.targets import TargetError, TargetUnavailable
from reconciler.testing.targets import GROUPS, PEOPLE, observe, seen
from tests.adapters.postgres.lab import OWN, PASSWORD, PostgresLab, context, settings_for
from tests.servers.fixtures import postgresql  # noqa: F401
from tests.servers.postgresql import Postgresql, required, started, stop
from tests.servers.slapd import certificates, free_port


@pytest.fixture
def lab(postgresql: Postgresql) -> Iterator[PostgresLab]:  # noqa: F811
    made = PostgresLab(postgresql, PEOPLE, GROUPS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def spoilt() -> Iterator[Postgresql]:
    """A server of this module's own, which its tests may change as a whole."""
    required()
    with started() as server:
        yield server


def failure(settings: dict[str, object], folder: Path = Path()) -> TargetError:
    """What observing raises, and opening a writer raises alike."""
    target = PostgresTarget(context(folder), settings)
    with pytest.raises(TargetError) as observing:
        target.observe([])
    with pytest.raises(TargetError) as writing, target.writer():
        pass
    assert str(writing.value) == str(observing.value)
    assert type(writing.value) is type(observing.value)
    told = str(observing.value) + "".join(traceback.format_exception(observing.value))
    assert "wrong-secret" not in told
    assert PASSWORD not in told
    return observing.value


def test_a_wrong_password_is_final_and_says_where_it_stands(lab: PostgresLab) -> None:
    error = failure(lab.settings | {"password": "wrong-secret"})

    assert not isinstance(error, TargetUnavailable)
    assert "password authentication failed" in error.message
    assert "`password`" in error.remedy


def test_no_such_database_no_such_role_and_no_login_are_told(lab: PostgresLab) -> None:
    port = lab.server.port
    nowhere = failure(lab.settings | {"url": f"postgresql://{OWN}@127.0.0.1:{port}/nowhere"})
    assert '"nowhere" does not exist' in nowhere.message
    assert "`url`" in nowhere.remedy
    lab.run(f"ALTER ROLE {OWN} NOLOGIN")
    assert "LOGIN" in failure(lab.settings).remedy
    for error in (nowhere, failure(lab.settings)):
        assert not isinstance(error, TargetUnavailable)


def test_a_database_that_we_may_not_enter_is_told(lab: PostgresLab) -> None:
    lab.run("CREATE DATABASE labclosed")
    lab.run("REVOKE CONNECT ON DATABASE labclosed FROM PUBLIC")

    error = failure(lab.settings | {"url": f"postgresql://{OWN}@127.0.0.1:{lab.server.port}/labclosed"})
    assert "GRANT CONNECT ON DATABASE" in error.remedy


def test_a1_a_server_that_is_down_is_unavailable_and_nothing_was_seen(lab: PostgresLab) -> None:
    error = failure(lab.settings | {"url": f"postgresql://{OWN}@127.0.0.1:{free_port()}/postgres"})

    assert isinstance(error, TargetUnavailable)
    assert "does not answer" in error.message


def test_the_folder_of_a_local_socket_is_a_host_too(lab: PostgresLab) -> None:
    folder = quote(str(lab.server.folder), safe="")
    url = f"postgresql://{OWN}@{folder}:{lab.server.port}/postgres"
    lab.target = PostgresTarget(context(), lab.settings | {"url": url})

    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}
    assert lab.target.probe() == []


def test_a_catalogue_that_may_not_be_read_is_told(lab: PostgresLab) -> None:
    lab.run("CREATE DATABASE labhardened")
    admin = lab.server.connect("labhardened")
    admin.execute("REVOKE SELECT ON pg_catalog.pg_auth_members FROM PUBLIC")
    admin.close()
    target = PostgresTarget(
        context(), lab.settings | {"url": f"postgresql://{OWN}@127.0.0.1:{lab.server.port}/labhardened"}
    )

    with pytest.raises(TargetError, match="permission denied for table pg_auth_members") as raised:
        target.observe([lab.locator("docs-readers")])
    assert "SELECT on the catalogue" in raised.value.remedy


def test_the_servers_certificate_is_verified(spoilt: Postgresql, tmp_path: Path) -> None:
    lab = PostgresLab(spoilt, PEOPLE, GROUPS)
    verified = lab.settings | {"tls": "verify-full", "ca": "ca.pem"}
    certificates(tmp_path)
    assert "`tls: none` in so many words" in failure(verified, tmp_path).remedy, "before it offers encryption"

    data = spoilt.folder / "data"
    owner = data.stat()
    for name in ("server.pem", "server.key"):
        shutil.copy(tmp_path / name, data / name)
        (data / name).chmod(0o600)
        os.chown(data / name, owner.st_uid, owner.st_gid)
    for setting in ("ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'", "ssl = on"):
        lab.run(f"ALTER SYSTEM SET {setting}")
    lab.close()
    stop(spoilt.process, signal.SIGINT)
    spoilt.restart()

    lab = PostgresLab(spoilt, PEOPLE, GROUPS)
    lab.target = PostgresTarget(context(tmp_path), verified)
    assert seen(observe(lab, "docs-readers")) == {"zhang", "smith"}
    untrusted = failure(lab.settings | {"tls": "verify-full"})
    assert not isinstance(untrusted, TargetUnavailable)
    assert "`ca`" in untrusted.remedy
    other = f"postgresql://{OWN}@localhost:{spoilt.port}/postgres"
    assert "server certificate" in failure(verified | {"url": other}, tmp_path).message
    assert "`ca`" in failure(verified | {"ca": "missing.pem"}, tmp_path).remedy
    lab.close()


def test_a_standby_is_neither_believed_nor_written(spoilt: Postgresql) -> None:
    PostgresLab(spoilt, PEOPLE, GROUPS).admin.close()
    stop(spoilt.process, signal.SIGINT)
    (spoilt.folder / "data" / "standby.signal").touch()
    spoilt.restart()

    error = failure(settings_for(spoilt))

    assert "is a standby" in error.message
    assert "primary" in error.remedy


def test_doctor_says_what_crosses_a_network_in_the_clear(lab: PostgresLab, monkeypatch: pytest.MonkeyPatch) -> None:
    target = PostgresTarget(context(), lab.settings | {"tls": "none"})
    assert target.probe() == []
    monkeypatch.setattr("adapters.postgres.settings.is_loopback", lambda _: False)

    assert [finding.kind for finding in target.probe()] == ["unencrypted"]
