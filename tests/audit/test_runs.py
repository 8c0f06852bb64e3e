"""Runs of the past, told from the record: whole, in pages, on either kind of store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply.journal import Journal
from reconciler.apply.tables import Kind
from reconciler.apply.telling import Told, finished, started
from reconciler.audit.runs import RunUnknown, effects_json, run_json, runs_json
from reconciler.facts.ledger import Ledger, NewEntry
from reconciler.facts.store import Store
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database

__all__ = ["database", "postgresql"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return Store.open("sqlite:///r.db", folder=tmp_path)
    own: Database = request.getfixturevalue("database")
    return Store.open(own.url, folder=tmp_path)


def record(store: Store, *entries: NewEntry) -> None:
    with store.writing() as connection:
        Ledger(store, [Journal()]).append(connection, entries, NOW)


def effect(run: str, change: str) -> NewEntry:
    payload: dict[str, Any] = {
        "run": run, "change": change, "op": "grant", "target": "dir", "entitlement_key": "docs",
        "slice": "dir/grant/core", "outcome": "applied", "approved": False, "leaver": False, "holder": "",
    }  # fmt: skip
    return NewEntry(Kind.EFFECT.value, "王芳", "it", payload)


def test_runs_are_told_newest_first_and_page_by_page(store: Store) -> None:
    for number in range(5):
        told = Told(f"r{number}", "sha256:plan", "2026-01-01", "sha256:policy", f"actor{number}")
        ended = [] if number == 4 else [finished(told.run, {"applied": number}, 0, {"dir": "gone"} if number else {})]
        record(store, started(number, told), *ended)

    with store.reading() as connection:
        first = runs_json(connection, 2)
        second = runs_json(connection, 9, before=int(str(first[-1]["ledger_seq"])))
        one = run_json(connection, "r3")
        with pytest.raises(RunUnknown, match="r9"):
            run_json(connection, "r9")

    assert [each["run"] for each in [*first, *second]] == ["r4", "r3", "r2", "r1", "r0"]
    assert (first[0]["ended_at"], first[0]["outcomes"], first[0]["changes"]) == (None, {}, 4)
    assert (one["actor"], one["outcomes"], one["set_aside"]) == ("actor3", {"applied": 3}, {"dir": "gone"})
    assert one == first[1]
    assert one["began_at"] == "2026-01-01T00:00:00Z"


def test_what_became_of_changes_is_told_in_order_without_a_gap_or_a_double(store: Store) -> None:
    record(store, *(effect("r", f"c{number}") for number in range(7)), effect("another", "c0"))

    with store.reading() as connection:
        whole = effects_json(connection, "r", 100)
        paged = list(effects_json(connection, "r", 3))
        while len(
            some := effects_json(connection, "r", 3, (int(str(paged[-1]["ledger_seq"])), str(paged[-1]["change"])))
        ):
            paged += some

    assert paged == whole
    assert [each["change"] for each in whole] == [f"c{number}" for number in range(7)]
    assert {each["subject"] for each in whole} == {"王芳"}
