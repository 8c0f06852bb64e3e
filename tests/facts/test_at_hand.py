"""What is kept at hand of the record: never older than what the record says, whoever wrote it."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from reconciler.facts import at_hand
from reconciler.facts.at_hand import AtHand
from reconciler.facts.ledger import Ledger, NewEntry, ledger_entries
from reconciler.facts.store import Store
from tests.facts.conftest import World
from tests.facts.test_either_store import another

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECTS = ("a", "b", "c", "d")


def opened(folder: Path) -> Store:
    return Store.open("sqlite:///s.db", folder=folder)


def tell(store: Store, *subjects: str) -> None:
    with store.writing() as connection:
        Ledger(store).append(connection, [NewEntry("k", subject, "me", {}) for subject in subjects], NOW)


def count(subjects: Collection[str]) -> object:
    """How many entries there are about these: something that rests on them."""

    def made(connection: Connection) -> tuple[int, Collection[str]]:
        asked = select(func.count()).where(ledger_entries.c.subject.in_(sorted(subjects)))
        return int(connection.execute(asked).scalar_one()), subjects

    return made


class Counted:
    """What is asked for, and how often it had to be read."""

    def __init__(self, store: Store) -> None:
        self.hand = AtHand(store)
        self.read = 0

    def ask(self, *subjects: str) -> int:
        def made(connection: Connection) -> tuple[int, Collection[str]]:
            self.read += 1
            return count(subjects)(connection)  # type: ignore[operator,no-any-return]

        with self.hand.glance() as seen:
            return seen.get(subjects, made)


def test_it_is_read_once_while_nothing_new_is_told_of_what_it_rests_on(world: World) -> None:
    store, counted = another(world), Counted(world.facts.store)
    tell(store, "a")

    assert [counted.ask("a"), counted.ask("a")] == [1, 1]
    tell(store, "b", "c")
    assert (counted.ask("a"), counted.read) == (1, 1)
    tell(store, "b", "a")
    assert (counted.ask("a"), counted.read) == (2, 2)
    assert (counted.ask("a", "b"), counted.ask("a", "b"), counted.read) == (4, 4, 3)
    tell(store, "b")
    assert (counted.ask("a", "b"), counted.ask("a"), counted.read) == (5, 2, 4)


def test_what_there_is_not_drives_out_nothing_that_there_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_hand, "MOST", 2)
    counted = Counted(world.facts.store)
    tell(world.facts.store, "a")
    assert counted.ask("a") == 1
    with counted.hand.glance() as seen:
        assert [seen.get(number, lambda _: (None, ())) for number in range(5)] == [None] * 5
    assert (counted.ask("a"), counted.read) == (1, 1)


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sets(st.sampled_from(SUBJECTS), min_size=1).map(lambda each: ("tell", sorted(each)))
        | st.sets(st.sampled_from(SUBJECTS), min_size=1).map(lambda each: ("ask", sorted(each))),
        max_size=30,
    ),
    st.sampled_from([1, 2, 100]),
    st.sampled_from([2, 3, 100]),
)
def test_whatever_is_told_and_asked_the_answer_is_that_of_the_record(
    tmp_path: Path, steps: list[tuple[str, list[str]]], most: int, many: int
) -> None:
    for left in tmp_path.glob("s.db*"):
        left.unlink()
    store, counted = opened(tmp_path), Counted(opened(tmp_path))
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_hand, "MOST", most)
        patch.setattr(at_hand, "MANY", many)
        patch.setattr(at_hand, "_SINCE", at_hand._SINCE.limit(many))
        for what, subjects in steps:
            if what == "tell":
                tell(store, *subjects)
                told += subjects
            else:
                assert counted.ask(*subjects) == sum(each in subjects for each in told)
                assert len(counted.hand._values) <= most
                resting = set().union(*(subjects for _, subjects in counted.hand._values.values()))
                assert counted.hand._resting.keys() == resting


def test_a_look_that_began_before_others_news_sees_what_was_so_and_teaches_nobody(world: World) -> None:
    store, counted = another(world), Counted(world.facts.store)
    tell(store, "a")
    with counted.hand.glance() as early:
        tell(store, "a")
        assert counted.ask("a") == 2
        assert early.get(("a",), count(["a"])) == 1  # type: ignore[arg-type]
        assert early.seq == 1
    assert counted.ask("a") == 2


def test_a_record_that_was_put_back_is_another_one(tmp_path: Path) -> None:
    store = opened(tmp_path)
    tell(store, "a")
    with store.reading() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint")  # type: ignore[union-attr]
    store.close()
    shutil.copy(tmp_path / "s.db", tmp_path / "backup")
    counted = Counted(opened(tmp_path))
    tell(opened(tmp_path), "a", "a")
    assert counted.ask("a") == 3
    for left in tmp_path.glob("s.db*"):
        left.unlink()
    shutil.copy(tmp_path / "backup", tmp_path / "s.db")

    assert counted.ask("a") == 1, "an older one"
    tell(opened(tmp_path), "b", "b")
    assert counted.ask("a") == 1, "as long, and not the same"
    tell(opened(tmp_path), "b")
    assert counted.ask("a") == 1, "longer, and not the same"
    assert (counted.ask("a"), counted.ask("a", "b")) == (1, 4)
