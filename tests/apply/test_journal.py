"""Entries become the same rows in whatever batches they come, and saying something twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from reconciler.apply.journal import Journal
from reconciler.apply.tables import Kind, intents
from reconciler.facts.ledger import NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.plan.guards import Approvals
from reconciler.policy.model import EntitlementRef
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DOCS = EntitlementRef("dir", "group=docs")
LATER = "2026-11-27T00:00:00.000000Z"


def effect(change: str, outcome: str, op: str = "grant", key: str = "group=docs") -> NewEntry:
    said: dict[str, Any] = {
        "run": "r1",
        "change": change,
        "op": op,
        "target": "dir",
        "entitlement_key": key,
        "slice": "dir/grant/core/rules",
        "outcome": outcome,
        "approved": False,
        "leaver": False,
        "holder": "service-account",
    }
    return NewEntry(Kind.EFFECT, "svc", "ops", said)


def intended(*changes: str, run: str = "r2") -> NewEntry:
    """Grants to service accounts, the first of which have a group in common."""
    shared = [
        {
            "holder": "service-account",
            "entitlement": f"cn={group}",
            "entitlement_key": f"group={group}",
            "locator": {"group": group},
            "permissions": [],
            "classification": "core",
            "cause": {"kind": "policy", "ref": "", "text": ""},
            "slice": "dir/grant/core/rules",
            "approved": False,
            "leaver": group == "exits",
        }
        for group in ("docs", "exits")
    ]
    own = [
        {
            "id": change,
            "subject": f"svc-{change}",
            "account": "",
            "account_key": f"k-{change}",
            "as": min(number // 2, 1),
        }
        for number, change in enumerate(changes)
    ]
    said: dict[str, Any] = {"run": run, "op": "grant", "target": "dir", "shared": shared, "changes": own}
    return NewEntry(Kind.INTENDED, f"run:{run}", "ops", said)


def effects(outcome: str, intended: int, **which: list[str]) -> NewEntry:
    said: dict[str, Any] = {"run": "r2", "op": "grant", "target": "dir", "outcome": outcome, "intended": intended}
    return NewEntry(Kind.EFFECTS, "run:r2", "ops", {**said, **which})


def approved(actor: str, *changes: str, author: str = "ops") -> NewEntry:
    said: dict[str, Any] = {
        "author": author,
        "expires_at": LATER,
        "policy_digest": "sha256:x",
        "change_ids": list(changes),
    }
    return NewEntry(Kind.APPROVED, "plan:p", actor, said)


ENTRIES = [
    NewEntry(Kind.POLICY_RECORDED, "policy", "ops", {"digest": "sha256:x", "files": {}}),
    NewEntry(Kind.POLICY_RECORDED, "policy", "ops", {"digest": "sha256:x", "files": {}}),
    NewEntry(Kind.ACCOUNT_LINKED, "E1", "ops", {"target": "dir", "account_key": "k1"}),
    NewEntry(Kind.ACCOUNT_LINKED, "E2", "ops", {"target": "dir", "account_key": "k1"}),
    NewEntry(Kind.ACCOUNTS_LINKED, "target:dir", "ops", {"target": "dir", "links": [["k1", "E3"], ["k2", "E2"]]}),
    approved("boss", "c1", "c2"),
    approved("ops", "c1"),
    effect("c1", "refused"),
    effect("c1", "applied"),
    effect("c3", "applied"),
    NewEntry(
        Kind.CONTRADICTED,
        "svc",
        "",
        {"effect": 9, "target": "dir", "entitlement_key": "group=docs", "op": "grant"},
    ),
    approved("deputy", "c1"),
    effect("c2", "already"),
    NewEntry(
        Kind.CONTRADICTED, "svc", "", {"effect": 10, "target": "dir", "entitlement_key": "", "op": "disable-account"}
    ),
    approved("boss", "d1", "d2"),
    intended("d1", "d2", "d3", "d4", run="dead"),
    intended("d1", "d2", "d3", "d4"),
    effects("applied", 17, but=["d4"]),
    effects("unavailable", 17, changes=["d4"]),
    NewEntry(
        Kind.CONTRADICTED,
        "svc-d2",
        "",
        {"effect": 18, "change": "d2", "target": "dir", "entitlement_key": "group=docs", "op": "grant"},
    ),
]


def facts(folder: Path, url: str) -> Facts:
    return Facts(Store.open(url, folder=folder), "UTC", [Journal()])


def rows(facts: Facts) -> dict[str, list[tuple[Any, ...]]]:
    tables = (
        *("account_links", "approvals", "batches", "open_batches", "intents", "batch_outcomes", "effects"),
        *("baselines", "policies"),
    )
    with facts.store.reading() as connection:
        return {
            table: sorted(tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}"))  # noqa: S608
            for table in tables
        }


@pytest.mark.parametrize("size", [1, 2, 3, 5, len(ENTRIES)])
def test_batches_make_no_difference(tmp_path: Path, new_store: Callable[[], str], size: int) -> None:
    one, other = facts(tmp_path / "one", new_store()), facts(tmp_path / "other", new_store())
    with one.store.writing() as connection:
        one.ledger.append(connection, ENTRIES, NOW)
    for start in range(0, len(ENTRIES), size):
        with other.store.writing() as connection:
            other.ledger.append(connection, ENTRIES[start : start + size], NOW)
    assert rows(one) == rows(other)
    with other.store.writing() as connection:
        other.ledger.rebuild(connection)
    assert rows(one) == rows(other)


def test_which_entry_closes_an_intent_depends_on_no_batch(tmp_path: Path, new_store: Callable[[], str]) -> None:
    first, second = effect("c1", "applied"), effect("c1", "refused")
    second = replace(second, payload={**second.payload, "run": "r2"})
    told = [intended("c1", run="r1"), intended("c1", run="r2"), first, second]
    one, other = facts(tmp_path / "one", new_store()), facts(tmp_path / "other", new_store())
    with one.store.writing() as connection:
        one.ledger.append(connection, told, NOW)
    for each in told:
        with other.store.writing() as connection:
            other.ledger.append(connection, [each], NOW)

    assert rows(one) == rows(other)
    with one.store.reading() as connection:
        closed = connection.execute(select(intents.c.entry, intents.c.outcome_entry).order_by(intents.c.entry)).all()
    assert [tuple(row) for row in closed] == [(1, 3), (2, 3)], "what one run did, the other had not begun alone"


def test_what_the_rows_say(tmp_path: Path, new_store: Callable[[], str]) -> None:
    made, journal = facts(tmp_path, new_store()), Journal()
    with made.store.writing() as connection:
        made.ledger.append(connection, ENTRIES, NOW)
    with made.store.reading() as connection:
        assert journal.links(connection, "dir") == {"k1": "E3", "k2": "E2"}, "the last word counts"
        assert journal.policy_entry(connection, "sha256:x") == 1, "recorded twice is recorded once"
        recent = journal.recent(connection, datetime(2026, 11, 23, tzinfo=UTC))
        assert recent == {"dir/grant/core/rules": {"svc-d1"}}, "the others were contradicted, or concern leavers"
        left_open = {(intent.run, intent.change_id): intent for intent in journal.open_intents(connection)}
        assert set(left_open) == {("dead", "d4"), ("r2", "d4")}, "one run did what the other had begun"
        assert left_open["r2", "d4"].change["locator"] == {"group": "exits"}
        assert sorted(ref.key for ref in journal.baselines(connection)) == ["group=docs", "group=exits"]
        left = journal.approvals(connection, NOW)
        assert left == Approvals(
            actors={"c1": frozenset({"boss", "ops", "deputy"}), "d2": frozenset({"boss"})},
            independent={"c1": frozenset({"boss", "deputy"}), "d2": frozenset({"boss"})},
        )
        assert journal.approvals(connection, datetime(2026, 11, 27, tzinfo=UTC)) == Approvals({}, {})


def test_what_is_open_is_found_by_one_look_at_what_was_done_since(tmp_path: Path) -> None:
    """A leaver waits for it, and a run of a million changes may be under way."""

    def steps(count: int) -> int:
        """How much the database does to find so many, after as many others were done."""
        made = facts(tmp_path / str(count), "sqlite:///s.db")
        opened, done = [f"o{n}" for n in range(count)], [f"d{n}" for n in range(count)]
        with made.store.writing() as connection:
            made.ledger.append(connection, [intended(*opened, run="dead"), intended(*done)], NOW)
            made.ledger.append(connection, [effects("applied", 2, but=[])], NOW)
        counted: list[None] = []
        with made.store.reading() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.set_progress_handler(lambda: counted.append(None), 10)
            assert len(Journal().open_intents(connection)) == count
            driver.set_progress_handler(None, 0)
        return len(counted)

    assert steps(400) < 3 * steps(200)


def test_what_is_open_under_one_lease_is_asked_for_by_itself(tmp_path: Path, new_store: Callable[[], str]) -> None:
    made, journal = facts(tmp_path, new_store()), Journal()
    said: dict[str, Any] = {"run": "own", "plan": "", "plan_made_at": "", "policy": "", "changes": 1, "seen": 0}
    started = NewEntry(Kind.RUN_STARTED, "run:own", "ops", {**said, "lease": "person E1"})
    with made.store.writing() as connection:
        made.ledger.append(connection, [started, intended("o1", run="own"), intended("o2")], NOW)
    with made.store.reading() as connection:
        assert {each.change_id for each in journal.open_intents(connection)} == {"o1", "o2"}
        assert {each.change_id for each in journal.open_intents(connection, "person E1")} == {"o1"}
        assert journal.open_intents(connection, "person E2") == []


def test_an_order_counts_for_the_guards_and_stands_until_the_next_word(
    tmp_path: Path, new_store: Callable[[], str]
) -> None:
    made, journal = facts(tmp_path, new_store()), Journal()

    def told(*entries: NewEntry) -> set[str]:
        with made.store.writing() as connection:
            made.ledger.append(connection, entries, NOW)
        with made.store.reading() as connection:
            return {order.change_id for order in journal.open_orders(connection, {DOCS})}

    assert told(intended("o1", "o2"), effects("ordered", 1, but=[])) == {"o1", "o2"}
    with made.store.reading() as connection:
        assert journal.recent(connection, datetime(2026, 11, 23, tzinfo=UTC)) == {
            "dir/grant/core/rules": {"svc-o1", "svc-o2"}
        }
        assert journal.open_intents(connection) == []
        assert {order.change["account_key"] for order in journal.open_orders(connection, {DOCS})} == {"k-o1", "k-o2"}
    assert told(effects("applied", 1, changes=["o1"])) == {"o2"}
    assert told(intended("o2", run="r3"), effects("stale", 4, but=[])) == set()
