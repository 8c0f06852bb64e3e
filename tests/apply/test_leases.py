"""A reconciler that slept while another one took over does nothing when it wakes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apply.leases import LASTS, Lease, RunSuperseded, alive, of_person, of_target, take
from reconciler.facts.store import Store
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DIR = of_target("dir")


@pytest.fixture
def store(tmp_path: Path, new_store: Callable[[], str]) -> Store:
    return Store.open(new_store(), folder=tmp_path)


@settings(max_examples=12, deadline=None)
@given(names=st.lists(st.sampled_from([DIR, of_person("E1"), of_person("E2")]), min_size=1, max_size=12))
def test_only_the_newest_of_each_name_may_act(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    store = Store.open("sqlite:///s.db", folder=tmp_path_factory.mktemp("store"))
    taken = [take(store, name, "ops", NOW) for name in names]

    newest = {lease.name: lease for lease in taken}
    for lease in taken:
        if newest[lease.name] == lease:
            lease.confirm(store, NOW)
        else:
            with pytest.raises(RunSuperseded):
                lease.confirm(store, NOW)
    for name in set(names):
        tokens = [lease.token for lease in taken if lease.name == name]
        assert tokens == sorted(set(tokens)), "the number only grows"


def test_who_took_over_is_said(store: Store) -> None:
    old = take(store, DIR, "night", NOW)
    take(store, DIR, "王芳", NOW)
    with pytest.raises(RunSuperseded, match=r"王芳, since 2026-11-24T00:00:00Z") as caught:
        old.confirm(store, NOW)
    assert "reconciler plan" in caught.value.remedy
    assert caught.value.exit_status == 1


def test_under_a_store_that_never_gave_it_a_lease_is_worth_nothing(store: Store) -> None:
    with pytest.raises(RunSuperseded):
        Lease(DIR, 1).confirm(store, NOW)


def test_a_lease_on_a_person_ends_by_itself_and_what_is_recorded_under_it_lets_it_last(store: Store) -> None:
    lease = take(store, of_person("E1"), "ops", NOW)
    almost, later = NOW + LASTS * 0.9, NOW + LASTS * 1.5
    with store.writing() as connection:
        lease.renew(connection, almost)
    lease.confirm(store, later)
    with pytest.raises(RunSuperseded, match="away for longer than 60 s"):
        lease.confirm(store, almost + LASTS)
    take(store, DIR, "ops", NOW).confirm(store, NOW + 1000 * LASTS)


def test_one_that_was_given_back_is_nobodys_and_the_next_number_is_larger(store: Store) -> None:
    first = take(store, of_person("E1"), "ops", NOW)
    first.give_back(store, NOW)
    with store.reading() as connection:
        assert alive(connection, NOW) == frozenset()
    with pytest.raises(RunSuperseded):
        first.confirm(store, NOW)

    second = take(store, of_person("E1"), "ops", NOW)
    assert second.token > first.token
    first.give_back(store, NOW)
    second.confirm(store, NOW)
    with store.reading() as connection:
        assert alive(connection, NOW) == {"person:E1"}
