"""How far a service has come, and what it asks the record for, on either kind of store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.facts.events import parse_event
from reconciler.facts.ledger import read_told
from reconciler.facts.people import FACT_KINDS, Facts
from reconciler.facts.recording import record_events
from reconciler.facts.store import Store
from reconciler.passes.reconciled import Reconciled, note, recall
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


def test_the_last_note_counts_and_none_is_none(new_store: Callable[[], str], tmp_path: Path) -> None:
    store = Store.open(new_store(), folder=tmp_path)

    assert recall(store) is None
    note(store, Reconciled(7, NOW))
    note(store, Reconciled(9, NOW + timedelta(seconds=1.5)))

    assert recall(store) == Reconciled(9, NOW + timedelta(seconds=1.5))
    store.check_migrated()


def test_one_service_and_one_run_at_a_time_do_not_keep_each_other_out(
    new_store: Callable[[], str], tmp_path: Path
) -> None:
    url = new_store()
    one, other = Store.open(url, folder=tmp_path), Store.open(url, folder=tmp_path)

    with one.lease("service") as ours, other.lease("service") as theirs, other.lease() as run:
        assert (ours, theirs, run) == (True, False, True)
    with other.lease("service") as ours:
        assert ours


def test_it_is_told_who_what_and_where_since_then(new_store: Callable[[], str], tmp_path: Path) -> None:
    facts = Facts(Store.open(new_store(), folder=tmp_path))
    for number, kind in enumerate(("hired", "exited", "rehired")):
        event = {"id": f"{number}", "type": kind, "person": "员工/1", "effective_at": "2026-01-01"}
        record_events(facts, [parse_event(event)], source="t", now=NOW, actor="t")

    with facts.store.reading() as connection:
        head, told = read_told(connection, after=1, kinds=FACT_KINDS)
        assert read_told(connection, after=head, kinds=FACT_KINDS) == (head, [])

    assert head == 3
    assert told == [(2, "exited", "员工/1"), (3, "rehired", "员工/1")]
