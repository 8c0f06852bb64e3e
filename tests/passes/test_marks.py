"""Who is due, on record: whatever comes in between, nobody is lost; and who is done is due no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from reconciler.facts.store import Store
from reconciler.passes import marks
from reconciler.passes.agenda import EVERYBODY
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database

__all__ = ["database", "postgresql"]

PEOPLE = "abc"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), st.sampled_from(PEOPLE), st.booleans()),
        st.tuples(st.just("begin"), st.sampled_from(PEOPLE)),
        st.tuples(st.just("end"), st.sampled_from(PEOPLE), st.booleans(), st.booleans()),
        st.tuples(st.just("begin whole")),
        st.tuples(st.just("end whole"), st.booleans()),
        st.tuples(st.just("everything")),
    ),
    max_size=40,
)


@dataclass
class Model:
    """What was marked, by number; what a pass that began later and ended well has seen of it."""

    made: int = 0
    entries: dict[int, str] = field(default_factory=dict)
    for_the_lane: set[int] = field(default_factory=set)
    for_the_whole: set[int] = field(default_factory=set)
    passes: dict[str, tuple[marks.Begun, int]] = field(default_factory=dict)
    whole: tuple[marks.Begun, int] | None = None

    def of(self, person: str) -> set[int]:
        return {number for number, about in self.entries.items() if about == person}

    def step(self, connection: Connection, step: tuple[Any, ...]) -> None:
        getattr(self, step[0].replace(" ", "_"))(connection, *step[1:])

    def mark(self, connection: Connection, person: str, leaving: bool) -> None:
        self.made += 1
        self.entries[self.made] = person
        self.for_the_lane.add(self.made)
        marks.mark(connection, {person: marks.Reason(self.made, leaving=leaving)})

    def everything(self, connection: Connection) -> None:
        self.made += 1
        self.entries[self.made] = EVERYBODY
        self.for_the_whole.add(self.made)
        marks.mark(connection, {EVERYBODY: marks.Reason(self.made)})

    def begin(self, connection: Connection, person: str) -> None:
        if person not in self.passes and (begun := marks.begin(connection, person)) is not None:
            self.passes[person] = begun, self.made

    def end(self, connection: Connection, person: str, well: bool, goes_on: bool) -> None:
        if person not in self.passes:
            return
        begun, seen = self.passes.pop(person)
        if not well:
            marks.failed(connection, person, "away")
            return
        again = marks.passed(connection, person, begun, goes_on=goes_on)
        done = {number for number in self.of(person) & self.for_the_lane if number <= seen}
        self.for_the_lane -= done
        if goes_on:
            self.for_the_whole |= done
        assert (again is not None) == bool(self.of(person) & self.for_the_lane)

    def begin_whole(self, connection: Connection) -> None:
        begun = marks.begin_whole(connection)
        assert begun is not None or not self.for_the_whole
        if self.whole is None and begun is not None:
            self.whole = begun, self.made

    def end_whole(self, connection: Connection, well: bool) -> None:
        if self.whole is None:
            return
        (begun, seen), self.whole = self.whole, None
        if not well:
            marks.failed(connection, EVERYBODY, "away")
            return
        more = marks.whole_passed(connection, begun)
        self.for_the_lane = {number for number in self.for_the_lane if number > seen}
        self.for_the_whole = {number for number in self.for_the_whole if number > seen}
        assert more or not self.for_the_whole

    def check(self, connection: Connection) -> None:
        """Nobody is lost, and nothing is said to be reconciled that is not."""
        due = {row.person for row in connection.exec_driver_sql("SELECT person FROM due")}
        open_ = self.for_the_lane | self.for_the_whole
        assert {self.entries[number] for number in open_} <= due
        lowest = connection.exec_driver_sql("SELECT min(first) FROM due WHERE first > 0").scalar()
        assert not open_ or (lowest is not None and lowest <= min(open_))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(steps=STEPS)
@example(steps=[("mark", "a", False), ("begin", "a"), ("mark", "a", False), ("end", "a", True, True), ("begin whole",)])
def test_nobody_is_lost_whatever_comes_in_between_and_all_come_to_an_end(
    database: Database, tmp_path: Path, steps: list[tuple[Any, ...]]
) -> None:
    store, model = Store.open(database.url, folder=tmp_path), Model()
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM due")
        for step in steps:
            model.step(connection, step)
            model.check(connection)
        for person in PEOPLE:
            model.end(connection, person, True, True)
            model.begin(connection, person)
            model.end(connection, person, True, False)
        model.end_whole(connection, True)
        model.begin_whole(connection)
        model.end_whole(connection, True)
        assert marks.backlog(connection).people == 0
        assert not marks.whole_due(connection)
    store.close()
