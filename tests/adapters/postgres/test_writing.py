"""How it is done: by a connection that cannot write, by few statements, and safely whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from adapters.postgres.session import reading
from adapters.postgres.settings import endpoint_of, layout_of, postgres_settings
from adapters.postgres.writing import PostgresWriter
from reconciler.targets import Locator, OutcomeKind
from reconciler.testing.targets import (
    APPLIED,
    STALE,
    LabAccount,
    apply,
    grant,
    revoke,
)
from tests.adapters.postgres.conftest import MakePostgresLab
from tests.adapters.postgres.lab import (
    OWN,
    PASSWORD,
    SELECT,
    Objects,
    PostgresLab,
    context,
)

REFUSED, UNAVAILABLE = OutcomeKind.REFUSED, OutcomeKind.UNAVAILABLE
HOSTILE = "a\"b; DROP ROLE zhang; --\n'\\ %s {} 表. "


def test_f1_observing_happens_on_a_connection_that_cannot_write(lab: PostgresLab) -> None:
    endpoint = endpoint_of(postgres_settings(lab.settings, context()), context().folder)

    with reading(endpoint) as connection:
        [(mode,)] = connection.execute("SHOW transaction_read_only").fetchall()
        assert mode == "on"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute('GRANT "docs-readers" TO plain')
        connection.rollback()
    assert lab.members("docs-readers") == {"zhang", "smith"}


def statements(lab: PostgresLab, act: Callable[[], object]) -> int:
    """How many statements the server logs of our role while this happens."""
    log = lab.server.folder / "log"
    before = log.stat().st_size
    lab.run(f"ALTER ROLE {OWN} SET log_statement = 'all'")
    act()
    return log.read_bytes()[before:].count(b" execute ") + log.read_bytes()[before:].count(b" statement: ")


def test_f11_the_number_of_questions_does_not_depend_on_the_number_of_people(make: MakePostgresLab) -> None:
    counted = []
    for number in (3, 300):
        people = [LabAccount(f"u{each}", f"E{each}", "x") for each in range(number)]
        lab = make(people, {"all": [person.login for person in people]})
        objects = Objects(lab)
        locators: list[Locator] = [{"role": "all"}, SELECT, {"schema": "s", "privilege": "usage"}]
        steps = [revoke(lab, "all", person.login) for person in people]
        seen_ = statements(lab, lambda: objects.target.observe(locators))  # noqa: B023
        done = statements(lab, lambda: apply(lab, *steps))  # noqa: B023
        counted.append((seen_, done))
        assert lab.members("all") == set()
        objects.admin.close()

    assert counted[0] == counted[1]
    assert min(counted[0]) > 3


class Meddling(psycopg.Connection[tuple[Any, ...]]):
    """A connection that lets something happen before one of its statements."""

    before: str
    happens: Callable[[], object]
    countdown: int

    def execute(self, query: Any, *args: Any, **named: Any) -> Any:
        text = query if isinstance(query, str) else query.as_string(None)
        if text.lstrip().startswith(self.before):
            self.countdown -= 1
            if self.countdown == 0:
                self.happens()
        return super().execute(query, *args, **named)


@contextmanager
def meddled(lab: PostgresLab, before: str, happens: Callable[[], object], time: int = 1) -> Iterator[PostgresWriter]:
    """A writer, where this happens before its statement that begins so, the first or a later time."""
    named = {"host": "127.0.0.1", "port": lab.server.port, "user": OWN, "password": PASSWORD, "dbname": "postgres"}
    connection = Meddling.connect(autocommit=True, **named)  # type: ignore[arg-type]
    connection.before, connection.happens, connection.countdown = before, happens, time
    with connection:
        yield PostgresWriter(connection, layout_of(postgres_settings(lab.settings, context())))


def test_c3_a_name_that_goes_to_somebody_else_in_the_last_moment_undoes_what_was_said_of_it(lab: PostgresLab) -> None:
    def exchange() -> None:
        lab.run('ALTER ROLE smith RENAME TO married; CREATE ROLE smith LOGIN; GRANT "核心算法" TO smith')
        lab.run(f'GRANT "docs-readers" TO smith GRANTED BY {OWN}')

    steps = [grant(lab, "核心算法", "smith"), revoke(lab, "docs-readers", "smith"), grant(lab, "核心算法", "plain")]
    with meddled(lab, "REVOKE", exchange) as writer:
        results = writer.apply(steps[1:2])
    assert [outcome.kind for outcome in results] == [STALE]
    assert lab.members("docs-readers") == {"zhang", "smith", "married"}

    with meddled(lab, "GRANT", lambda: lab.run("ALTER ROLE plain RENAME TO simple")) as writer:
        results = writer.apply([steps[2]])
    assert [outcome.kind for outcome in results] == [REFUSED], "there is no role of that name to grant it to"
    assert apply(lab, *steps) == [APPLIED, APPLIED, APPLIED]
    assert lab.members("核心算法") == {"muller", "smith", "married", "simple"}


def test_a_role_dropped_and_made_again_under_its_name_in_the_last_moment_loses_nothing(lab: PostgresLab) -> None:
    def replace() -> None:
        lab.run("REVOKE ALL ON DATABASE postgres FROM smith; DROP ROLE smith; CREATE ROLE smith LOGIN")
        lab.run(f'GRANT "docs-readers" TO smith GRANTED BY {OWN}')

    with meddled(lab, "REVOKE", replace) as writer:
        results = writer.apply([revoke(lab, "docs-readers", "smith")])

    assert [outcome.kind for outcome in results] == [STALE]
    assert lab.members("docs-readers") == {"zhang", "smith"}


@pytest.mark.parametrize(("before", "time"), [("GRANT", 1), ("SELECT m.roleid", 2)])
def test_a_connection_that_breaks_half_way_is_no_success(lab: PostgresLab, before: str, time: int) -> None:
    """Before the statement, and when it is read back: not committed, so neither done nor said to be."""
    ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s"

    with meddled(lab, before, lambda: lab.admin.execute(ended, [OWN]), time) as writer:
        results = writer.apply([grant(lab, "docs-readers", "plain"), grant(lab, "核心算法", "plain")])

    assert [outcome.kind for outcome in results] == [UNAVAILABLE] * 2
    assert lab.members("docs-readers") == {"zhang", "smith"}


def test_a_connection_that_is_lost_leaves_the_rest_open_and_is_no_success(lab: PostgresLab) -> None:
    with lab.target.writer() as writer:
        ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s"
        assert lab.admin.execute(ended, [OWN]).fetchall() == [(True,)]
        results = writer.apply([grant(lab, "docs-readers", "plain"), grant(lab, "核心算法", "plain")])

    assert [outcome.kind for outcome in results] == [UNAVAILABLE] * 2
    assert lab.members("docs-readers") == {"zhang", "smith"}
