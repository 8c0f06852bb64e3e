"""Leaving SQLite for PostgreSQL, and back: the whole record, byte for byte, or nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from reconciler.facts.copying import NOT_COPIED, CopyRefused, copy_store
from reconciler.facts.ledger import LedgerBroken
from reconciler.facts.store import Store, metadata
from reconciler.workspace import Workspace
from tests.cli.company import Company
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import ESCAPED, PASSWORD, Database

__all__ = ["database", "postgresql"]

BACK = "sqlite:///state/back.db"


@pytest.fixture
def one(rolled_out: Company) -> Company:
    """After the first roll-out, the password of a server at hand."""
    return rolled_out.having(STORE_PASSWORD=PASSWORD)


def url_of(database: Database) -> str:
    """As it stands in a workspace file."""
    return database.url.replace(ESCAPED, "${env:STORE_PASSWORD}")


def move(company: Company, line: str) -> None:
    """What the command says is to be done."""
    written = (company.folder / company.file).read_text("utf-8").splitlines()
    company.write(company.file, "\n".join([*(each for each in written if not each.startswith("store:")), line, ""]))


def answers(company: Company) -> list[object]:
    """What somebody may open, who may open something, and since when; all as of one moment."""
    at = ("--at", "2026-11-02T12:00+08:00", "--output", "json")
    return [company.run(*question, *at).json for question in (("access", "E1036"), ("who", "basic-docs:read"))]


def rows(store: Store) -> dict[str, list[str]]:
    """Every row of every table that belongs to the record, in an order of its own."""
    with store.reading() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(table.select()))
            for table in metadata.sorted_tables
            if table.name not in NOT_COPIED
        }


def test_there_and_back_every_row_and_every_answer_is_the_same(one: Company, database: Database) -> None:
    verified = one.run("ledger", "verify", "--output", "json").json
    before = answers(one)
    first = rows(Store.open("sqlite:///state/reconciler.db", folder=one.folder, create=False))

    said = one.run("store", "copy", url_of(database)).out
    assert f'store: "{url_of(database)}"' in said
    assert PASSWORD not in said
    move(one, said.splitlines()[-1])
    assert one.run("ledger", "verify", "--output", "json").json == verified
    assert rows(Store.open(database.url, folder=one.folder)) == first
    assert answers(one) == before
    assert one.plan()["changes"] == []

    back = one.run("store", "copy", BACK, "--output", "json").json
    assert (back["entries"], back["head"]) == (verified["entries"], verified["head"])
    move(one, f'store: "{BACK}"')
    assert rows(Store.open(BACK, folder=one.folder)) == rows(Store.open(database.url, folder=one.folder))
    assert one.run("ledger", "verify", "--output", "json").json == verified


def test_every_table_of_the_store_is_copied_or_named_as_not(one: Company) -> None:
    found = set(inspect(create_engine(f"sqlite:///{one.store}")).get_table_names())

    assert found - {"alembic_version"} == set(metadata.tables)


def test_a_store_that_is_not_empty_is_left_alone(one: Company, database: Database) -> None:
    one.run("store", "copy", url_of(database))

    refused = one.run("store", "copy", url_of(database), status=1).said
    assert "is not empty" in refused
    itself = one.run("store", "copy", "sqlite:///state/reconciler.db", status=1).said
    assert "is not copied now" in itself or "is not empty" in itself


def test_a_password_in_clear_text_is_refused(one: Company, database: Database) -> None:
    refused = one.run("store", "copy", database.url, status=1).said

    assert "holds a password in clear text" in refused
    assert PASSWORD not in refused
    assert ESCAPED not in refused


@contextmanager
def held(store: Store, name: str) -> Iterator[None]:
    with store.lease(name) as ours:
        assert ours
        yield


@pytest.mark.parametrize("name", ["lease", "service", "watch"])
@pytest.mark.parametrize("which", ["source", "target"])
def test_nothing_is_copied_while_somebody_is_at_work(one: Company, database: Database, name: str, which: str) -> None:
    source = Store.open("sqlite:///state/reconciler.db", folder=one.folder, create=False)
    target = Store.open(database.url, folder=one.folder)
    with held({"source": source, "target": target}[which], name):
        assert "is not copied now" in one.run("store", "copy", url_of(database), status=1).said

    one.run("store", "copy", url_of(database))


def ended(source: Store, target: Store, after: int) -> bool:
    """Copy, and break off after so many steps. Whether there were fewer."""
    steps = iter(range(after))

    def step(_what: str, _done: int, _all: int) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt

    try:
        copy_store(source, target, step)
    except KeyboardInterrupt:
        return False
    return True


def test_interrupted_at_any_table_nothing_is_there_and_the_next_try_succeeds(
    one: Company, database: Database, tmp_path: Path
) -> None:
    source = Store.open("sqlite:///state/reconciler.db", folder=one.folder, create=False)
    target = Store.open(database.url, folder=tmp_path)
    interrupted = 0
    while not ended(source, target, after=interrupted * 4):
        assert not any(rows(target).values())
        interrupted += 1

    assert interrupted > 4
    assert rows(target) == rows(source)


def test_killed_it_leaves_nothing_and_can_be_begun_again(one: Company, database: Database) -> None:
    process = one.start("store", "copy", url_of(database))
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'permission-reconciler'"
    while database.admin.execute(busy, [database.name]).fetchall() != [(0,)]:
        pass  # the server has not noticed yet that it is gone
    (count,) = database.ask("SELECT count(*) FROM reconciler.ledger_entries")[0]
    if count == 0:
        one.run("store", "copy", url_of(database))
    assert rows(Store.open(database.url, folder=one.folder)) == rows(
        Workspace.load(one.folder / one.file).facts().store
    )


def test_a_row_that_does_not_arrive_as_it_was_undoes_all_of_it(one: Company, database: Database) -> None:
    database.admin.execute("SET search_path = reconciler")
    database.admin.execute(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || 'x'; "
        "RETURN NEW; END $$; CREATE TRIGGER spoil BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION spoil()"
    )
    try:
        source = Store.open("sqlite:///state/reconciler.db", folder=one.folder, create=False)
        target = Store.open(database.url, folder=one.folder)
        with pytest.raises(CopyRefused, match="people is not the same"):
            copy_store(source, target)
        assert not any(rows(target).values())
    finally:
        database.admin.execute("DROP TRIGGER spoil ON people; DROP FUNCTION spoil()")


def test_a_record_that_does_not_verify_is_not_carried_on(one: Company, database: Database) -> None:
    with create_engine(f"sqlite:///{one.store}").begin() as connection:
        for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        (seq, payload) = connection.execute(text("SELECT seq, payload FROM ledger_payloads LIMIT 1")).one()
        changed = json.dumps({**json.loads(payload), "x": 1})
        connection.execute(text("UPDATE ledger_payloads SET payload = :p WHERE seq = :s"), {"p": changed, "s": seq})
    source = Store.open("sqlite:///state/reconciler.db", folder=one.folder, create=False)

    with pytest.raises(LedgerBroken):
        copy_store(source, Store.open(database.url, folder=one.folder))
