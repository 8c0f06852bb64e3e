"""A reconciler that slept while another one took over does nothing when it wakes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apply.leases import EVERYTHING, Lease, RunSuperseded, take
from reconciler.facts.store import Store
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, new_store: Callable[[], str]) -> Store:
    return Store.open(new_store(), folder=tmp_path)


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.sampled_from([EVERYTHING, "person:E1", "person:E2"]), min_size=1, max_size=12))
def test_only_the_newest_of_each_name_may_act(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    store = Store.open("sqlite:///s.db", folder=tmp_path_factory.mktemp("store"))
    taken = [take(store, name, "ops", NOW) for name in names]

    newest = {lease.name: lease for lease in taken}
    for lease in taken:
        if newest[lease.name] == lease:
            lease.confirm(store)
        else:
            with pytest.raises(RunSuperseded):
                lease.confirm(store)
    for name in set(names):
        tokens = [lease.token for lease in taken if lease.name == name]
        assert tokens == sorted(set(tokens)), "the number only grows"


def test_who_took_over_is_said(store: Store) -> None:
    old = take(store, EVERYTHING, "night", NOW)
    take(store, EVERYTHING, "王芳", NOW)
    with pytest.raises(RunSuperseded, match=r"王芳, since 2026-11-24T00:00:00Z") as caught:
        old.confirm(store)
    assert "reconciler plan" in caught.value.remedy
    assert caught.value.exit_status == 1


def test_under_a_store_that_never_gave_it_a_lease_is_worth_nothing(store: Store) -> None:
    with pytest.raises(RunSuperseded):
        Lease(EVERYTHING, 1).confirm(store)
