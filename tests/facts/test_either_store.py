"""What every kind of store promises: one writer, readers who see one state, all or nothing, whatever dies."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reconciler.facts.events import EventError, parse_event
from reconciler.facts.recording import record_events
from reconciler.facts.rows import read_row
from reconciler.facts.store import Store, StoreBusy, StoreError, StoreTooNew
from reconciler.sources import Row
from tests.facts.conftest import ATTRIBUTES, NOON, PLACE, World

NOTE = text("INSERT INTO projections VALUES (:name, 0)")
NOTES = text("SELECT name FROM projections")


SKIPPING = (
    "INSERT INTO ledger_entries SELECT seq + 9, recorded_at, kind, subject, actor, effective_at, payload_digest, "
    "previous, digest FROM ledger_entries"
)


def url(world: World) -> str:
    return world.database.url if world.database else "sqlite:///r.db"


def another(world: World, *, busy_seconds: float = 0.02) -> Store:
    """The same store, as another process opens it."""
    return Store.open(url(world), folder=world.folder, busy_seconds=busy_seconds)


def notes(store: Store) -> set[str]:
    with store.reading() as connection:
        return set(connection.execute(NOTES).scalars())


def note(store: Store, name: str) -> None:
    with store.writing() as connection:
        connection.execute(NOTE, {"name": name})


def test_a_second_writer_is_told_to_wait_and_readers_go_on(world: World) -> None:
    other = another(world)

    with world.facts.store.writing() as connection:
        connection.execute(NOTE, {"name": "under way"})
        assert notes(other) == set()
        with pytest.raises(StoreBusy, match="in use by another process"), other.writing():
            pass
    note(other, "after it")
    assert notes(other) == {"under way", "after it"}


def test_writers_take_turns_and_each_sees_what_the_one_before_it_wrote(world: World) -> None:
    stores = [another(world, busy_seconds=60) for _ in range(4)]

    def count(store: Store) -> None:
        for _ in range(5):
            with store.writing() as connection:
                seen = len(connection.execute(NOTES).all())
                connection.execute(NOTE, {"name": f"{seen:02}"})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, stores))
    assert notes(world.facts.store) == {f"{n:02}" for n in range(20)}


def test_threads_share_a_store(world: World) -> None:
    def hire(number: int) -> None:
        said = {"id": f"h{number}", "type": "hired", "person": f"E{number}", "effective_at": "2026-01-01"}
        record_events(world.facts, [parse_event(said)], source="api", now=NOON, actor="hr")
        assert world.facts.find_person(f"E{number}").number >= 0

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(hire, range(12)))
    assert world.facts.ledger.verify().entries == 12


def test_a_reader_sees_one_state_throughout(world: World) -> None:
    other = another(world)
    note(other, "before")

    with world.facts.store.reading() as connection:
        assert connection.execute(NOTES).scalars().all() == ["before"]
        note(other, "meanwhile")
        assert connection.execute(NOTES).scalars().all() == ["before"]
    assert notes(world.facts.store) == {"before", "meanwhile"}


def test_reading_cannot_write_and_writing_can_afterwards(world: World) -> None:
    store = world.facts.store
    with pytest.raises(StoreError, match="cannot be written"), store.reading() as connection:
        connection.execute(NOTE, {"name": "x"})
    note(store, "y")
    assert notes(store) == {"y"}


def in_a_child(work: Callable[[], None]) -> int:
    """Do it in a process that was forked from this one; its exit status, negative for a signal."""
    process = os.fork()
    if process == 0:
        status = 70
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_writer_that_is_killed_leaves_nothing_and_nobody_waits_for_it(world: World) -> None:
    store = world.facts.store
    note(store, "before")

    def die() -> None:
        with store.writing() as connection:
            connection.execute(NOTE, {"name": "half"})
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(die) == -signal.SIGKILL
    note(another(world, busy_seconds=60), "after")
    assert notes(store) == {"before", "after"}


def test_a_forked_process_has_connections_of_its_own(world: World) -> None:
    store = world.facts.store
    note(store, "before")

    def write() -> None:
        note(store, "child")
        store.close()

    assert in_a_child(write) == 0
    note(store, "parent")
    assert notes(store) == {"before", "child", "parent"}


def test_a_forgotten_store_leaves_no_connection_open(world: World) -> None:
    """What is left open is told as a warning, and warnings fail here."""
    store = another(world)
    note(store, "x")
    del store
    gc.collect()


def test_the_lease_is_one_holders_until_it_ends(world: World) -> None:
    store, other = world.facts.store, another(world)
    with store.lease() as ours:
        with other.lease() as theirs:
            assert (ours, theirs) == (True, False)
        note(other, "a lease keeps no writer out")
    with other.lease() as theirs:
        assert theirs


def test_the_lease_of_a_killed_process_is_free(world: World) -> None:
    store = world.facts.store

    def die() -> None:
        with store.lease() as ours:
            os.kill(os.getpid(), signal.SIGKILL if ours else signal.SIGTERM)

    assert in_a_child(die) == -signal.SIGKILL
    deadline = time.monotonic() + 60  # a server learns of it as soon as the system tells it
    while time.monotonic() < deadline:
        with store.lease() as ours:
            if ours:
                return
    pytest.fail("nobody can take the lease")


def test_a_store_of_a_newer_version_is_refused(world: World) -> None:
    with world.facts.store.writing() as connection:
        known = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreTooNew, match="9999") as caught:
        another(world)
    assert known in caught.value.message
    with world.facts.store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :known"), {"known": known})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET actor = 'x'",
        "DELETE FROM ledger_entries",
        "UPDATE subject_keys SET key = NULL",
        "DELETE FROM ledger_payloads",
        SKIPPING,
    ],
)
def test_the_database_itself_refuses_to_rewrite_the_record(world: World, statement: str) -> None:
    world.say("hired", "E1")

    with pytest.raises(IntegrityError, match="append-only"), world.facts.store.writing() as connection:
        connection.exec_driver_sql(statement)
    world.facts.ledger.verify()


def test_texts_are_kept_whatever_they_hold(world: World) -> None:
    strange = "王芳 O'Brien %s %(x)s :x \\ \t 𝔘 \x01"
    world.tell({"id": "1", "type": "hired", "person": "E1'%", "effective_at": "2026-01-01", "data": {"name": strange}})

    assert world.person("E1'%").name == strange
    world.facts.ledger.verify()


def test_a_nul_character_is_refused_before_any_store_sees_it() -> None:
    """PostgreSQL has no text with one, so that a record with one could be kept in one kind of store only."""
    said = {"id": "1", "type": "hired", "person": "E1", "effective_at": "2026-01-01", "data": {"name": "a\x00b"}}
    with pytest.raises(EventError, match="NUL"):
        parse_event(said)
    with pytest.raises(EventError, match="source"):
        parse_event({**said, "data": {}, "source": "h\x00"})
    row = read_row(Row({"id": "E2", "name": "王\x00芳", "status": "exited", "department": "rd\x00"}, PLACE), ATTRIBUTES)

    assert {problem.code for problem in row.problems} == {"row-value"}
    assert "NUL" in row.problems[0].message
    assert row.cells == {"status": "exited"}


def test_a_new_store_is_made_once_however_many_open_it(world: World) -> None:
    if world.database:
        world.database.vandalise("DROP SCHEMA reconciler CASCADE")
    else:
        world.facts.store.close()
        world.facts.store.path.unlink()
    together = threading.Barrier(4)

    def opened(_: int) -> Store:
        together.wait()
        return another(world, busy_seconds=60)

    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(opened, range(4)))
    note(stores[0], "x")
    assert all(notes(store) == {"x"} for store in stores)
