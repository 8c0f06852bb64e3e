"""A store in which every effect had a row of its own answers as before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, select

from reconciler.apply.journal import Journal
from reconciler.apply.tables import OPEN, PROJECTED, batches, intents
from reconciler.facts import store as store_module
from reconciler.facts.store import Store, metadata
from reconciler.policy.model import EntitlementRef

AT = "2026-11-24T00:00:00.000000Z"
SLICE = "dir/grant/core/rules"


def former_store(folder: Path) -> Store:
    """As the version before left it: a run granted to two, deleted an account, and died over a third grant."""
    engine = create_engine(f"sqlite:///{folder / 'r.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(store_module.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0013")
        for number, (change, entry, op, subject, key, outcome) in enumerate(
            [
                ("c1", 5, "grant", "E1", "group=docs", 6),
                ("c2", 5, "grant", "E2", "group=docs", 6),
                ("c3", 5, "grant", "E3", "group=docs", None),
                ("c4", 7, "delete-account", "E4", "", 8),
            ]
        ):
            connection.exec_driver_sql(
                "INSERT INTO intents (run, change_id, entry, target, op, subject, holder, account_key, "
                "entitlement_key, slice, counts, outcome_entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ("r1", change, entry, "dir", op, subject, "person", f"k{number + 1}", key, SLICE, True, outcome),
            )
            if outcome is not None:
                connection.exec_driver_sql(
                    "INSERT INTO effects (entry, change_id, run, op, target, entitlement_key, subject, slice, "
                    "outcome, recorded_at, counts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (outcome, change, "r1", op, "dir", key, subject, SLICE, "applied", AT, True),
                )
        for key, person in (("k1", "E1"), ("k4", "E4")):
            connection.exec_driver_sql("INSERT INTO account_links VALUES (?, ?, ?, ?)", ("dir", key, person, 2))
    return Store.open("sqlite:///r.db", folder=folder)


def test_it_answers_as_before(tmp_path: Path) -> None:
    store, journal, docs = former_store(tmp_path), Journal(), EntitlementRef("dir", "group=docs")

    with store.reading() as connection:
        assert journal.recent(connection, datetime(2026, 11, 23, tzinfo=UTC)) == {SLICE: {"E1", "E2", "E3", "E4"}}
        assert journal.granted_here(connection, [docs]) == {docs: {"E1", "E2"}}
        assert journal.links(connection, "dir") == {"k1": "E1"}, "what was deleted is nobody's any more"
        assert journal.had(connection, "dir", ["E1", "E3"]) == {"E1": {"group=docs"}}
        assert journal.about_to_give(connection, "E3") == {"c3"}
        assert connection.execute(select(intents.c.change_id).where(OPEN)).scalars().all() == ["c3"]
        assert sorted(tuple(row) for row in connection.execute(select(batches))) == [
            (5, "r1", "dir", "grant", None),
            (7, "r1", "dir", "delete-account", None),
        ]


def test_the_tables_are_those_that_are_declared(tmp_path: Path) -> None:
    mine = {table.name for table in PROJECTED}
    with former_store(tmp_path).reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in mine}
        )
        differences = compare_metadata(context, metadata)

    assert [each for each in differences if any(f"table=<{name}>" in repr(each) for name in mine)] == []
