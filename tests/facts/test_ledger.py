"""The ledger: a chain without gaps, in which any changed byte is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from reconciler.facts.ledger import GENESIS, Entry, LedgerBroken, NewEntry, header_digest
from tests.facts.conftest import NOON, World

HEADER = ("seq", "recorded_at", "kind", "subject", "actor", "effective_at", "payload_digest", "previous", "digest")
LAST_ENTRY = (("ledger_entries", "seq = 5"), ("ledger_payloads", "seq = 5"), ("subject_keys", "subject = 'E5'"))
COLUMNS = [
    *(("ledger_entries", name) for name in HEADER),
    ("ledger_payloads", "seq"),
    ("ledger_payloads", "payload"),
    ("subject_keys", "subject"),
    ("subject_keys", "key"),
]  # fmt: skip


def fill(world: World) -> None:
    entries = [
        NewEntry("note", f"E{n}", "王芳", {"text": "值" * n, "n": n, "none": None}, NOON if n % 2 else None)
        for n in range(1, 6)
    ]
    for entry in entries:
        with world.facts.store.writing() as connection:
            world.facts.ledger.append(connection, [entry], NOON)


def test_entries_are_numbered_and_chained(world: World) -> None:
    fill(world)
    entries = list(world.facts.ledger.entries())

    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in entries] == [GENESIS, *(entry.digest for entry in entries[:-1])]
    verified = world.facts.ledger.verify()
    assert (verified.entries, verified.head) == (5, entries[-1].digest)


def test_an_empty_ledger_verifies(world: World) -> None:
    assert world.facts.ledger.verify().head == GENESIS


def test_equal_payloads_of_two_people_have_different_digests(world: World) -> None:
    with world.facts.store.writing() as connection:
        one, two = world.facts.ledger.append(
            connection, [NewEntry("note", who, "a", {"x": 1}) for who in ("E1", "E2")], NOON
        )

    assert one.payload_digest != two.payload_digest


def _changed(value: object, how: int) -> object:
    """The value with one byte changed (the last, the first, or a bit of type)."""
    if isinstance(value, int):
        return value + 100
    if value is None:
        return "2026-11-24T04:00:00.000000Z"
    raw = value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    position = (len(raw) - 1, 0, len(raw) // 2)[how]
    changed = raw[:position] + bytes([raw[position] ^ 0x10]) + raw[position + 1 :]
    if isinstance(value, str):
        try:
            return changed.decode()
        except UnicodeDecodeError:
            return changed
    return changed


def _literal(world: World, value: object) -> str:
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'" if world.database else f"x'{value.hex()}'"
    return str(value) if isinstance(value, int) else "'{}'".format(str(value).replace("'", "''"))


@pytest.mark.parametrize("how", [0, 1, 2])
@pytest.mark.parametrize("row", [0, 2, 4])
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_one_changed_byte_in_any_column_is_found(world: World, table: str, column: str, row: int, how: int) -> None:
    fill(world)
    key = "subject" if table == "subject_keys" else "seq"
    with world.facts.store.reading() as connection:
        found = connection.exec_driver_sql(f"SELECT {key}, {column} FROM {table} ORDER BY 1").fetchall()  # noqa: S608

    which, value = found[row]
    changed = _changed(value, how)
    if world.database is not None and isinstance(changed, bytes) and isinstance(value, str):
        changed = changed.decode(errors="replace")  # PostgreSQL takes no text that is none
    world.vandalise(f"UPDATE {table} SET {column} = {_literal(world, changed)} WHERE {key} = {_literal(world, which)}")  # noqa: S608

    with pytest.raises(LedgerBroken) as caught:
        world.facts.ledger.verify()
    assert caught.value.seq == row + 1
    assert f"entry {row + 1}" in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "seq", "words"),
    [
        ("DELETE FROM ledger_entries WHERE seq = 3", 3, "missing"),
        ("DELETE FROM ledger_payloads WHERE seq = 3", 3, "payload is missing"),
        ("DELETE FROM subject_keys WHERE subject = 'E3'", 3, "key of its subject"),
        ("UPDATE ledger_entries SET effective_at = '' WHERE seq = 2", 2, "header was altered"),
        ("INSERT INTO ledger_payloads VALUES (6, '{}')", 6, "no entry"),
        ("INSERT INTO subject_keys SELECT 'E9', key FROM subject_keys WHERE subject = 'E1'", 0, "no entry"),
        (
            "; ".join(f"DELETE FROM {table} WHERE {key}" for table, key in LAST_ENTRY),  # noqa: S608
            4,
            "cut off",
        ),
    ],
)
def test_what_is_missing_or_strange_is_named(world: World, statement: str, seq: int, words: str) -> None:
    fill(world)
    world.vandalise(*statement.split("; "))

    with pytest.raises(LedgerBroken, match=words) as caught:
        world.facts.ledger.verify()
    assert caught.value.seq == seq


@pytest.mark.parametrize("make_world", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "seq", "words"),
    [
        ("UPDATE ledger_entries SET kind = x'ff' WHERE seq = 4", 4, "holds no text"),
        ("UPDATE ledger_entries SET kind = CAST(x'ff' AS TEXT) WHERE seq = 4", 4, "not UTF-8"),
        ("UPDATE ledger_payloads SET payload = CAST(x'ff' AS TEXT) WHERE seq = 2", 2, "not UTF-8"),
    ],
)
def test_a_text_that_is_none_is_named(world: World, statement: str, seq: int, words: str) -> None:
    fill(world)
    world.vandalise(statement)

    with pytest.raises(LedgerBroken, match=words) as caught:
        world.facts.ledger.verify()
    assert caught.value.seq == seq


def test_a_rewritten_entry_breaks_the_chain_after_it(world: World) -> None:
    fill(world)
    second = next(world.facts.ledger.entries(after=1))
    header: dict[str, str | int | None] = {
        "seq": 2, "recorded_at": "2026-11-24T04:00:00.000000Z", "kind": "forged", "subject": "E2", "actor": "王芳",
        "effective_at": None, "payload_digest": second.payload_digest, "previous": second.previous,
    }  # fmt: skip
    world.vandalise(f"UPDATE ledger_entries SET kind = 'forged', digest = '{header_digest(header)}' WHERE seq = 2")  # noqa: S608

    with pytest.raises(LedgerBroken, match="chain is broken") as caught:
        world.facts.ledger.verify()
    assert caught.value.seq == 3


def test_a_projection_ahead_of_the_record_is_found(world: World) -> None:
    fill(world)
    world.vandalise("UPDATE projections SET position = 6")

    with pytest.raises(LedgerBroken, match="cut off"):
        world.facts.ledger.verify()


def test_an_unreadable_time_is_a_finding_even_where_the_digest_fits(world: World) -> None:
    fill(world)
    first = next(world.facts.ledger.entries())
    header: dict[str, str | int | None] = {
        "seq": 1, "recorded_at": "yesterday", "kind": "note", "subject": "E1", "actor": "王芳", "effective_at": None,
        "payload_digest": first.payload_digest, "previous": GENESIS,
    }  # fmt: skip
    world.vandalise(
        "UPDATE ledger_entries SET recorded_at = 'yesterday', effective_at = NULL, "  # noqa: S608
        f"digest = '{header_digest(header)}' WHERE seq = 1"
    )

    with pytest.raises(LedgerBroken, match="a time cannot be read"):
        world.facts.ledger.verify()
    with pytest.raises(LedgerBroken):
        list(world.facts.ledger.entries())


@given(
    st.dictionaries(
        st.sampled_from(["seq", "kind", "subject", "effective_at"]), st.none() | st.integers(0, 2**53 - 1) | st.text()
    )
)
def test_the_header_is_written_as_rfc_8785_asks(header: dict[str, Any]) -> None:
    ours = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert ours.encode() == rfc8785.dumps(header)


def test_entries_can_be_asked_for_by_kind_and_subject(world: World) -> None:
    fill(world)

    assert [entry.seq for entry in world.facts.ledger.entries(after=1, kinds={"note"}, subject="E3")] == [3]
    assert list(world.facts.ledger.entries(kinds={"other"})) == []
    assert world.facts.ledger.head() == 5


class Counting:
    """A projection that remembers what it was given."""

    name = "counting"
    kinds = frozenset({"note"})

    def __init__(self) -> None:
        self.given: list[int] = []

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        self.given += [entry.seq for entry in entries]

    def clear(self, connection: Connection) -> None:
        self.given.clear()


def test_a_projection_is_given_its_kinds_and_rebuilt_from_them(make_world: Callable[[], World]) -> None:
    world, counting = make_world(), Counting()
    world.facts.ledger.projections += (counting,)
    with world.facts.store.writing() as connection:
        world.facts.ledger.append(
            connection, [NewEntry(kind, "E1", "a", {}) for kind in ("note", "other", "note")], NOON
        )
    given = list(counting.given)
    with world.facts.store.writing() as connection:
        world.facts.ledger.rebuild(connection)

    assert given == counting.given == [1, 3]


def test_nothing_is_appended_when_the_transaction_fails(world: World) -> None:
    def fail() -> None:
        with world.facts.store.writing() as connection:
            world.facts.ledger.append(connection, [NewEntry("note", "E1", "a", {})], NOON)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert world.facts.ledger.head() == 0
