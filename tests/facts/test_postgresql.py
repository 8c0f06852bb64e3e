"""A store in PostgreSQL: what only a server can get wrong, said in words and without the password."""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from procrastinate.schema import SchemaManager
from sqlalchemy import text

from reconciler.apply import tables as _tables
from reconciler.facts.events import parse_event
from reconciler.facts.people import Facts
from reconciler.facts.recording import record_events
from reconciler.facts.store import Store, StoreError, metadata
from tests.facts.conftest import NOON
from tests.servers.postgresql import ESCAPED, PASSWORD, Database, Postgresql, started, stop
from tests.servers.slapd import free_port

HERE = Path()
"""Where a store on a server lies: nowhere."""


def opened(url: str, **options: bool) -> Store:
    return Store.open(url, folder=HERE, **options)


def said(error: BaseException) -> str:
    """Everything that a person, or a log with tracebacks, would see."""
    return str(error) + "".join(traceback.format_exception(error))


@pytest.fixture
def own(postgresql: Postgresql) -> Iterator[Database]:
    """A database that a test may spoil."""
    database = postgresql.create()
    yield database
    database.admin.close()
    postgresql.run(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")


@pytest.fixture
def role(postgresql: Postgresql) -> Iterator[str]:
    """A role with the usual password and no rights but those of everybody."""
    postgresql.run(f"CREATE ROLE visitor LOGIN PASSWORD '{PASSWORD}'")
    yield "visitor"
    postgresql.run("DROP ROLE visitor")


def test_the_migrations_make_the_tables_that_are_declared(database: Database) -> None:
    assert _tables.effects.metadata is metadata
    with opened(database.url).reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    declared = set(metadata.tables)
    assert [found for found in differences if getattr(found[1], "name", "") in declared] == []


def test_the_tables_stand_in_a_schema_of_their_own(database: Database) -> None:
    found = database.ask("SELECT schemaname, count(*) > 10 FROM pg_tables WHERE tableowner = 'reconciler' GROUP BY 1")

    assert found == [("reconciler", True)]


def test_two_stores_in_one_database_have_writers_and_leases_of_their_own(own: Database) -> None:
    own.admin.execute("CREATE SCHEMA other AUTHORIZATION reconciler")
    url = f"{own.url}?options=-csearch_path%3Dother"
    assert not Store.exists(url, folder=HERE)
    one, other = opened(own.url), opened(url)

    with one.writing() as first, other.writing() as second, one.lease() as ours, other.lease() as theirs:
        first.execute(text("INSERT INTO projections VALUES ('x', 0)"))
        assert second.execute(text("SELECT count(*) FROM projections")).scalar() == 0
        assert (ours, theirs) == (True, True)


def test_a_missing_store_is_said_to_be_missing_and_not_made(own: Database) -> None:
    own.vandalise("DROP SCHEMA reconciler CASCADE")

    assert not Store.exists(own.url, folder=HERE)
    with pytest.raises(StoreError, match="there is no store at postgresql://127"):
        opened(own.url, create=False)
    assert own.ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'reconciler'") == [(0,)]


def test_what_was_committed_is_on_disk_whatever_the_role_is_set_to(own: Database) -> None:
    own.admin.execute(f"ALTER DATABASE {own.name} SET synchronous_commit = off")
    with opened(own.url).writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    own.admin.execute(f"ALTER DATABASE {own.name} SET synchronous_commit = remote_apply")
    with opened(own.url).writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "remote_apply"


# --- what is wrong, in words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace(ESCAPED, "wr0ng-s3cret"), "the password is wrong"),
        (lambda url: url.replace(f":{ESCAPED}", ""), "the password is wrong"),
        (lambda url: url.replace("reconciler:", "nobody-known:"), "the password is wrong, or the role does not exist"),
        (lambda url: url.rpartition("/")[0] + "/missing", "there is no database of this name"),
        (lambda url: f"{url}?sslmode=require", "cannot be reached"),
        (lambda url: f"{url}?no_such_option=1", "cannot be used"),
        (lambda url: f"{url}?options=-csearch_path%3Dnowhere", "none of the schemas"),
        (lambda url: f"{url}?target_session_attrs=standby", "cannot be reached"),
        (lambda url: url.replace("127.0.0.1", "/nowhere"), "cannot be"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_the_password_is_not(
    database: Database, caplog: pytest.LogCaptureFixture, change: Callable[[str], str], words: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StoreError, match=words) as caught:
        opened(change(database.url))

    assert caught.value.remedy
    assert caught.value.exit_status == 1
    for secret in (PASSWORD, ESCAPED, "wr0ng-s3cret"):
        assert secret not in said(caught.value)
        assert secret not in caplog.text


def test_a_server_that_is_not_there_is_told(postgresql: Postgresql) -> None:
    url = postgresql.url("x").replace(str(postgresql.port), str(free_port()))

    with pytest.raises(StoreError, match="cannot be reached") as caught:
        Store.exists(url, folder=HERE)
    assert "the server runs" in caught.value.remedy
    assert PASSWORD not in said(caught.value)


def test_an_open_store_shows_no_password(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = opened(database.url)
    facts = Facts(store)

    shown = "".join(map(repr, (store, facts, store._backend, store._engine, store._engine.url))) + store.name
    assert PASSWORD not in shown + caplog.text
    assert ESCAPED not in shown + caplog.text
    with pytest.raises(StoreError, match="is no file"):
        _ = store.path


def test_a_role_without_rights_is_told_what_it_needs(own: Database, postgresql: Postgresql, role: str) -> None:
    with pytest.raises(StoreError, match="may not do that") as caught:
        opened(postgresql.url(own.name, role=role))
    own.vandalise("DROP SCHEMA reconciler CASCADE")
    with pytest.raises(StoreError, match="may not do that"):
        opened(postgresql.url(own.name, role=role))
    assert "AUTHORIZATION" in caught.value.remedy


def test_a_database_that_cannot_hold_every_name_is_refused(postgresql: Postgresql) -> None:
    plainly = "LOCALE_PROVIDER libc" if postgresql.modern else ""
    postgresql.run(f"CREATE DATABASE old OWNER reconciler ENCODING LATIN1 LOCALE 'C' {plainly} TEMPLATE template0")

    with pytest.raises(StoreError, match="is in LATIN1"):
        opened(postgresql.url("old"))


def test_a_standby_is_told_from_a_primary(own: Database) -> None:
    """A standby refuses what a server that is set to read only refuses, with the same code."""
    store = opened(own.url)
    write = "SET TRANSACTION READ ONLY; INSERT INTO projections VALUES ('x', 0)"
    with pytest.raises(StoreError, match=r"cannot be written.*standby"), store.writing() as connection:
        connection.exec_driver_sql(write)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("53100", "disk of its server is full"),
        ("53300", "no more connections"),
        ("57P01", "connection to it was lost"),
        ("XX001", "it is damaged"),
        ("40001", "in use by another process"),
        ("22003", "cannot be used: .*what the server says"),
    ],
)
def test_what_the_server_says_is_told_in_our_words(database: Database, code: str, words: str) -> None:
    store = opened(database.url)
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'what the server says' USING ERRCODE = '{code}'; END $$"

    def go_wrong() -> None:
        with store.writing() as connection:
            connection.exec_driver_sql("INSERT INTO projections VALUES ('x', 0)")
            connection.exec_driver_sql(raised)

    with pytest.raises(StoreError, match=words):
        go_wrong()
    assert database.ask("SELECT count(*) FROM reconciler.projections") == [(0,)]


def test_tables_that_have_disappeared_are_told(own: Database) -> None:
    store = opened(own.url)
    own.vandalise("DROP SCHEMA reconciler CASCADE")

    with pytest.raises(StoreError, match="have disappeared"), store.reading() as connection:
        connection.execute(text("SELECT * FROM people"))


def test_a_connection_that_is_cut_between_transactions_is_made_anew(database: Database) -> None:
    store = opened(database.url)
    cut(database)

    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM people")).scalar() == 0


def test_one_that_is_cut_in_the_middle_leaves_nothing_half_recorded(database: Database) -> None:
    facts = Facts(opened(database.url))
    event = parse_event({"id": "h", "type": "hired", "person": "E1", "effective_at": "2026-01-01"})

    def record() -> None:
        with facts.store.writing() as connection:
            connection.exec_driver_sql("INSERT INTO projections VALUES ('half', 0)")
            cut(database)
            connection.exec_driver_sql("INSERT INTO projections VALUES ('other half', 0)")

    with pytest.raises(StoreError, match="connection to it was lost") as caught:
        record()
    assert "run the same command again" in caught.value.remedy
    assert database.ask("SELECT count(*) FROM reconciler.projections") == [(0,)]
    record_events(facts, [event], source="api", now=NOON, actor="hr")
    assert facts.ledger.verify().entries == 1


def test_what_was_recorded_outlives_a_server_that_is_killed() -> None:
    with started() as server:
        database = server.create()
        facts = Facts(opened(database.url))
        event = parse_event({"id": "h", "type": "hired", "person": "E1", "effective_at": "2026-01-01"})
        record_events(facts, [event], source="api", now=NOON, actor="hr")
        database.admin.close()

        def half() -> None:
            with facts.store.writing() as connection:
                connection.exec_driver_sql("INSERT INTO projections VALUES ('half', 0)")
                stop(server.process, signal.SIGKILL)

        with pytest.raises(StoreError, match="connection to it was lost"):
            half()
        with pytest.raises(StoreError, match="cannot be reached"):
            facts.population()
        server.restart()
        assert [person.id for person in facts.population().people] == ["E1"]
        assert facts.ledger.verify().entries == 1


def cut(database: Database) -> None:
    """The administrator ends every connection to the store."""
    ended = (
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    )
    assert all(done for (done,) in database.ask(ended + "pg_backend_pid()"))


# --- doctor -----------------------------------------------------------------------------------------------------------


def test_a_store_of_ones_own_is_safe(database: Database) -> None:
    assert opened(database.url).check_safety() == []


def test_tables_that_others_can_use_are_a_problem(own: Database, role: str) -> None:
    store = opened(own.url)
    own.vandalise(f"GRANT USAGE ON SCHEMA reconciler TO {role}; GRANT SELECT (name) ON people TO {role}")
    found = store.check_safety()
    assert [(problem.code, problem.severity) for problem in found] == [("store-mode", "warning")]
    assert "the role `visitor` can read the tables" in found[0].message

    own.vandalise(f"GRANT DELETE ON ledger_entries TO {role}")
    found = store.check_safety()
    assert [problem.severity for problem in found] == ["error"]
    assert "can change the tables" in found[0].message

    own.vandalise("GRANT USAGE ON SCHEMA reconciler TO PUBLIC; GRANT SELECT ON people TO PUBLIC")
    found = store.check_safety()
    assert [problem.severity for problem in found] == ["error", "error"]
    assert any("every role (PUBLIC) can read" in problem.message for problem in found)
    assert all("reconciler" in problem.remedy for problem in found)
    own.vandalise(
        f"REVOKE ALL ON ALL TABLES IN SCHEMA reconciler FROM {role}; REVOKE ALL ON SCHEMA reconciler FROM {role}"
    )


def test_a_member_of_our_own_role_can_use_the_tables(own: Database, role: str) -> None:
    own.vandalise(f"GRANT reconciler TO {role}")
    found = opened(own.url).check_safety()
    own.vandalise(f"REVOKE reconciler FROM {role}")

    assert [(problem.code, problem.severity) for problem in found] == [("store-mode", "error")]


def test_signing_in_as_a_superuser_is_a_problem(own: Database, postgresql: Postgresql) -> None:
    store = opened(postgresql.url(own.name, role="admin"))

    found = {problem.code: problem for problem in store.check_safety()}
    assert set(found) == {"store-mode", "store-superuser"}
    assert "owns this schema" in found["store-superuser"].remedy


def test_a_server_elsewhere_has_to_be_reached_by_tls(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but loopback is reached here, so that loopback stands for elsewhere."""
    monkeypatch.setattr("reconciler.facts.postgresql._is_loopback", lambda _: False)
    found = opened(database.url).check_safety()

    assert [(problem.code, problem.severity) for problem in found] == [("store-tls", "error")]
    assert "sslmode=verify-full" in found[0].remedy


def test_the_queue_has_all_steps_of_the_installed_engine(database: Database) -> None:
    """Who takes a newer version of procrastinate adds a migration that takes the steps after the one that is noted."""
    steps = sorted(path.stem for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))

    noted = database.ask("SELECT obj_description('reconciler.procrastinate_jobs'::regclass)")

    assert noted == [(steps[-1],)]
    assert steps[-1] == "03.04.00_50_post_add_retry_failed_job_procedure"
