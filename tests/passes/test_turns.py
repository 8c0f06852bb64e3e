"""A turn of a schedule is taken once, whoever shares the store; by a clock that was wrong it is not taken for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.facts.store import Store
from reconciler.passes.turns import take_turn
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

TURN = datetime(2026, 12, 1, 2, 30, tzinfo=UTC)
LATER = TURN + timedelta(minutes=1)


@pytest.fixture
def store(new_store: Callable[[], str], tmp_path: Path) -> Store:
    return Store.open(new_store(), folder=tmp_path)


def test_of_many_one_takes_a_turn(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: take_turn(store, "import 人事", TURN, LATER), range(8)))

    assert sorted(taken) == [False] * 7 + [True]
    assert take_turn(store, "checkpoint", TURN, LATER), "another schedule is another one's"
    assert take_turn(store, "import 人事", TURN + timedelta(days=1), LATER + timedelta(days=1))
    assert not take_turn(store, "import 人事", TURN, LATER + timedelta(days=1)), "an older one is over"


def test_a_clock_that_was_ahead_stands_in_nobodys_way(store: Store) -> None:
    assert take_turn(store, "checkpoint", TURN + timedelta(days=300), LATER + timedelta(days=300))

    assert take_turn(store, "checkpoint", TURN, LATER)
    assert not take_turn(store, "checkpoint", TURN, LATER)
