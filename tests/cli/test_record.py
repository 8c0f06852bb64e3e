"""The ledger, changed behind the program's back: `ledger verify` fails and names the entry."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.cli.company import Company

TABLES = {
    "ledger_entries": ["recorded_at", "kind", "subject", "actor", "payload_digest", "previous", "digest"],
    "ledger_payloads": ["payload"],
}
CELLS = [(table, column) for table, columns in TABLES.items() for column in columns]


@pytest.fixture
def store(informed_company: Company) -> Iterator[tuple[Company, sqlite3.Connection]]:
    """The company and its open store, the guards of the ledger taken off."""
    with closing(sqlite3.connect(informed_company.store)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.commit()
        yield informed_company, connection


def flipped(text: str, position: int) -> str:
    """The text with one byte at this place turned into another letter or digit."""
    position %= len(text)
    return text[:position] + ("1" if text[position] != "1" else "2") + text[position + 1 :]


@pytest.mark.parametrize(("table", "column"), CELLS)
def test_one_altered_byte_is_found_and_its_entry_named(
    store: tuple[Company, sqlite3.Connection], table: str, column: str
) -> None:
    company, connection = store
    seq = 7 + CELLS.index((table, column)) * 31
    (old,) = connection.execute(f"SELECT {column} FROM {table} WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE seq = ?", (flipped(old, 5), seq))  # noqa: S608
    connection.commit()

    told = company.run("ledger", "verify", status=1)

    assert told.out == ""
    assert f"entry {seq}" in told.err
    assert "→" in told.err


def test_a_missing_and_a_moved_entry_are_found(store: tuple[Company, sqlite3.Connection]) -> None:
    company, connection = store
    connection.execute("UPDATE ledger_payloads SET seq = -1 WHERE seq = 40")
    connection.execute("UPDATE ledger_payloads SET seq = 40 WHERE seq = 41")
    connection.execute("UPDATE ledger_payloads SET seq = 41 WHERE seq = -1")
    connection.commit()
    assert "entry 40" in company.run("ledger", "verify", status=1).err

    connection.execute("DELETE FROM ledger_payloads WHERE seq = 12")
    connection.execute("DELETE FROM ledger_entries WHERE seq = 12")
    connection.commit()
    told = company.run("ledger", "verify", "--output", "json", status=1)
    assert "12" in json.loads(told.err)["error"]["message"]


def test_the_store_itself_refuses_to_rewrite(informed_company: Company) -> None:
    with closing(sqlite3.connect(informed_company.store)) as connection:
        for table in TABLES:
            with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                connection.execute(f"DELETE FROM {table} WHERE seq = 9")  # noqa: S608
            with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                connection.execute(f"UPDATE {table} SET seq = seq + 1000")  # noqa: S608
    informed_company.run("ledger", "verify")


def test_a_store_that_is_not_there_or_damaged_is_told(informed_company: Company) -> None:
    informed_company.store.write_bytes(b"this was a database" * 100)
    told = informed_company.run("ledger", "verify", status=1)
    assert "reconciler.db" in told.err
    assert "→" in told.err

    informed_company.store.unlink()
    told = informed_company.run("ledger", "verify", status=1)
    assert "reconciler.db" in told.err
    assert not informed_company.store.exists()


def test_a_pass_where_nothing_has_changed_is_spared(rolled_out: Company) -> None:
    company = rolled_out
    assert "in sync" in company.run("apply", "--if-changed").out
    spared = company.run("apply", "--if-changed", "--output", "json").json
    assert spared.keys() == {"unchanged_since", "until"}

    company.run("people", "event", "exited", "E1009", "--at", "2026-01-01")

    assert company.run("apply", "--if-changed", "--output", "json").json["done"]
    assert "leave FILE" in company.run("apply", "--if-changed", "--target", "vault", status=64).err
