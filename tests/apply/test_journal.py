"""Entries become the same rows in whatever batches they come, and saying something twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply.journal import Journal
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import NewEntry
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.plan.guards import Approvals
from tests.servers.fixtures import new_store, postgresql

__all__ = ["new_store", "postgresql"]

NOW = datetime(2026, 11, 24, tzinfo=UTC)
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
        {"id": change, "subject": f"svc-{change}", "account": "", "account_key": f"k-{change}", "as": number // 2}
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
    approved("boss", "c1", "c2"),
    approved("ops", "c1"),
    effect("c1", "refused"),
    effect("c1", "applied"),
    effect("c3", "applied"),
    NewEntry(
        Kind.CONTRADICTED,
        "svc",
        "",
        {"effect": 8, "target": "dir", "entitlement_key": "group=docs", "op": "grant"},
    ),
    approved("deputy", "c1"),
    effect("c2", "already"),
    NewEntry(
        Kind.CONTRADICTED, "svc", "", {"effect": 9, "target": "dir", "entitlement_key": "", "op": "disable-account"}
    ),
    approved("boss", "d1", "d2"),
    intended("d1", "d2", "d3", "d4", run="dead"),
    intended("d1", "d2", "d3", "d4"),
    effects("applied", 16, but=["d4"]),
    effects("unavailable", 16, changes=["d4"]),
    NewEntry(
        Kind.CONTRADICTED,
        "svc-d2",
        "",
        {"effect": 17, "change": "d2", "target": "dir", "entitlement_key": "group=docs", "op": "grant"},
    ),
]


def facts(folder: Path, url: str) -> Facts:
    return Facts(Store.open(url, folder=folder), "UTC", [Journal()])


def rows(facts: Facts) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("account_links", "approvals", "intents", "effects", "baselines", "policies")
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


def test_what_the_rows_say(tmp_path: Path, new_store: Callable[[], str]) -> None:
    made, journal = facts(tmp_path, new_store()), Journal()
    with made.store.writing() as connection:
        made.ledger.append(connection, ENTRIES, NOW)
    with made.store.reading() as connection:
        assert journal.links(connection, "dir") == {"k1": "E2"}, "the last word counts"
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
