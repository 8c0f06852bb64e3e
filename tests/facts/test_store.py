"""The store: its file, its transactions, and what it says when something is wrong."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reconciler.facts.projection import events_seen
from reconciler.facts.store import Store, StoreBusy, StoreError, StoreTooNew, metadata

URL = "sqlite:///state/reconciler.db"


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)

    assert store.path == tmp_path / "state" / "reconciler.db"
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert store.check_safety() == []


def test_the_files_beside_a_store_in_use_are_its_owners_alone(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)

    with store.writing() as connection:
        connection.execute(text("INSERT INTO projections VALUES ('x', 0)"))
        files = list(store.path.parent.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_store_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)
    store.path.chmod(0o640)

    assert [problem.code for problem in store.check_safety()] == ["store-mode"]


def test_every_transaction_is_durable_and_keeps_its_references(tmp_path: Path) -> None:
    with Store.open(URL, folder=tmp_path).writing() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_the_migrations_make_the_tables_that_are_declared(tmp_path: Path) -> None:
    assert events_seen.metadata is metadata
    mine = {"ledger_entries", "ledger_payloads", "subject_keys", "projections", "people", "evidence"}
    mine |= {"events_seen", "feed_rows", "feed_imports", "scim_users"}

    with Store.open(URL, folder=tmp_path).reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in mine}
        )
        differences = compare_metadata(context, metadata)

    assert [found for found in differences if getattr(found[1], "name", "") in mine] == []


def test_opening_again_changes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    Store.open(URL, folder=tmp_path)
    Store.open(URL, folder=tmp_path, create=False)

    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("alembic")] == []


def test_a_missing_store_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(URL, folder=tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_disappears_is_not_made_anew(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)
    store.path.unlink()

    with pytest.raises(StoreError, match="disappeared"), store.reading():
        pass


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://joe:secret@db/x",
        "postgresql://joe:secret@db:port/x",
        "mysql://h/x",
        "sqlite://",
        "sqlite:///:memory:",
        "nonsense",
        "sqlite:///x.db?mode=ro",
    ],
)
def test_other_stores_are_refused_without_their_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url, folder=tmp_path)

    assert "sqlite:///" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_store_that_was_put_back_is_the_one_that_is_read(tmp_path: Path) -> None:
    store, backup = Store.open(URL, folder=tmp_path), Store.open("sqlite:///backup.db", folder=tmp_path)
    with backup.writing() as connection:
        connection.execute(text("INSERT INTO projections VALUES ('from the backup', 0)"))
    backup.close()
    with store.writing() as connection:
        connection.execute(text("INSERT INTO projections VALUES ('lost', 0)"))
    backup.path.rename(store.path)
    for suffix in ("-wal", "-shm"):
        store.path.with_name(store.path.name + suffix).unlink()

    with store.reading() as connection:
        assert connection.execute(text("SELECT name FROM projections")).scalars().all() == ["from the backup"]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Store.open(URL, folder=tmp_path).writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreTooNew, match="9999"):
        Store.open(URL, folder=tmp_path)


def test_a_second_writer_is_told_to_wait(tmp_path: Path) -> None:
    first, second = (Store.open(URL, folder=tmp_path, busy_seconds=0.01) for _ in range(2))

    with first.writing(), second.reading(), pytest.raises(StoreBusy, match="in use"), second.writing():
        pass


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "reconciler.db").write_bytes(b"id,name\n" * 1000)

    with pytest.raises(StoreError, match="damaged, or is no store"):
        Store.open(URL, folder=tmp_path)


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)
    store.close()
    data = bytearray(store.path.read_bytes())
    data[100:4096] = b"\xff" * (4096 - 100)
    store.path.write_bytes(data)

    with pytest.raises(StoreError):
        Store.open(URL, folder=tmp_path)


def test_a_full_disk_is_told_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)

    def fill() -> None:
        with store.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
            for number in range(100):
                connection.execute(text("INSERT INTO projections VALUES (:name, 0)"), {"name": f"{number}" * 1000})

    with pytest.raises(StoreError, match="disk is full"):
        fill()

    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM projections")).scalar() == 0


def test_reading_cannot_write(tmp_path: Path) -> None:
    store = Store.open(URL, folder=tmp_path)

    with pytest.raises(StoreError, match="cannot be written"), store.reading() as connection:
        connection.execute(text("INSERT INTO projections VALUES ('x', 0)"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET actor = 'x'",
        "DELETE FROM ledger_entries",
        "DELETE FROM ledger_payloads",
        "UPDATE subject_keys SET key = x'00'",
        "DELETE FROM subject_keys",
        "INSERT OR REPLACE INTO ledger_entries SELECT * FROM ledger_entries",
        "INSERT OR REPLACE INTO ledger_payloads SELECT * FROM ledger_payloads",
        "INSERT OR REPLACE INTO subject_keys SELECT * FROM subject_keys",
    ],
)
def test_the_database_itself_refuses_to_rewrite_the_record(tmp_path: Path, statement: str) -> None:
    store = Store.open(URL, folder=tmp_path)
    with sqlite3.connect(store.path) as raw:
        raw.execute("INSERT INTO ledger_entries VALUES (1, 'a', 'b', 'c', 'd', NULL, 'e', 'f', 'g')")
        raw.execute("INSERT INTO ledger_payloads VALUES (1, '{}')")
        raw.execute("INSERT INTO subject_keys VALUES ('c', x'01')")
    raw.close()

    with pytest.raises(DBAPIError, match="append-only"), store.writing() as connection:
        connection.exec_driver_sql(statement)
