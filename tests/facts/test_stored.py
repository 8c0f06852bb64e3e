"""How people and proofs stand in the projection: what is written is what is read, and what is equal is one object."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import NullPool, create_engine, select

from reconciler.facts import store as store_module
from reconciler.facts.model import Assignment, EvidenceRecord, Person, Span
from reconciler.facts.people import Facts
from reconciler.facts.store import Store
from reconciler.facts.stored import (
    EVIDENCE_COLUMNS,
    PERSON_COLUMNS,
    Reading,
    evidence_row,
    evidence_table,
    many_objects,
    people_table,
    person_row,
)
from tests.bench.crowd_store import fill, person, proofs
from tests.facts.conftest import World

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31, 23)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
ENTRIES = st.integers(0, 2**53)
SPANS = st.builds(Span, st.none() | INSTANTS, st.none() | INSTANTS, ENTRIES, ENTRIES)
MANY = st.lists(SPANS, max_size=2).map(tuple)
POSTS = st.builds(Assignment, WORDS, st.dictionaries(WORDS, WORDS, max_size=3), SPANS, st.booleans())
PEOPLE = st.builds(
    Person,
    ENTRIES,
    WORDS,
    WORDS,
    WORDS,
    st.lists(POSTS, max_size=3).map(tuple),
    *[MANY] * 4,
    st.none() | INSTANTS,
    st.booleans(),
    ENTRIES,
)
PROOFS = st.builds(
    EvidenceRecord,
    ENTRIES,
    WORDS,
    WORDS,
    WORDS,
    st.integers(1, 9),
    INSTANTS,
    st.none() | INSTANTS,
    st.booleans(),
    WORDS,
    WORDS,
    INSTANTS,
    st.none() | SPANS,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PEOPLE, max_size=4))
def test_people_are_read_as_they_were_written(people: list[Person]) -> None:
    rows = [[person_row(one)[column.name] for column in PERSON_COLUMNS] for one in people]

    assert list(Reading().people(rows)) == people


@settings(max_examples=200, deadline=None)
@given(st.lists(PROOFS, max_size=4))
def test_proofs_are_read_as_they_were_written(records: list[EvidenceRecord]) -> None:
    rows = [[evidence_row(one)[column.name] for column in EVIDENCE_COLUMNS] for one in records]
    read = Reading().evidence(rows, [])

    assert read == {one.person: [other for other in records if other.person == one.person] for one in records}


def test_what_is_equal_is_one_object(tmp_path: Path) -> None:
    store = Store.open("sqlite:///r.db", folder=tmp_path)
    fill(store, 400)
    population = Facts(store).population()
    people = population.people

    assert list(people) == [person(n) for n in range(400)]
    assert {who: list(found) for who, found in population.evidence.items()} == {
        person(n).id: list(proofs(n)) for n in range(400)
    }
    records = [record for found in population.evidence.values() for record in found]
    assert len({id(record.person) for record in records} | {id(one.id) for one in people}) == 400
    instants = [record.valid_from for record in records] + [one.assignments[0].span.start for one in people]
    assert len({id(instant) for instant in instants}) == len(set(instants))
    values = [value for one in people for pair in one.assignments[0].attributes.items() for value in pair]
    assert len({id(value) for value in values}) == len(set(values))
    texts = {json.dumps(dict(one.assignments[0].attributes)) for one in people}
    assert len({id(one.assignments[0].attributes) for one in people}) == len(texts)


def test_a_few_people_are_read_as_among_all(tmp_path: Path) -> None:
    store = Store.open("sqlite:///r.db", folder=tmp_path)
    fill(store, 30)
    facts = Facts(store)
    some = facts.population(["E0000007", "E0000029", "nobody"])

    assert [one.id for one in some] == ["E0000007", "E0000029"]
    assert some.evidence == {one: facts.population().evidence[one] for one in ("E0000007", "E0000029")}


@pytest.mark.parametrize("working", [True, False])
def test_the_collector_works_again_afterwards(working: bool) -> None:
    before = gc.isenabled()
    (gc.enable if working else gc.disable)()
    try:
        with many_objects():
            assert not gc.isenabled()
        assert gc.isenabled() == working
    finally:
        (gc.enable if before else gc.disable)()


def _old_store(folder: Path) -> None:
    """A store as the version before this shape left it, with people and proofs in it."""
    engine = create_engine(f"sqlite:///{folder / 'r.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        config = Config(stdout=StringIO())
        config.set_main_option("script_location", str(Path(store_module.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql(
            "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?)",
            (
                *(0, "E1", "e1", "王芳", "", json.dumps(OLD_PERSON, ensure_ascii=False), 5),
                *(1, "E2", "e2", "", "", "{}", 6),
            ),
        )
        connection.exec_driver_sql("INSERT INTO evidence VALUES (?, ?, ?)", (5, "E1", json.dumps(OLD_PROOF)))


DAY = "2026-01-01T00:00:00.000000Z"
OLD_PERSON = {
    "assignments": [["main", {"department": "研发"}, DAY, None, 1, 0], ["second", {}, DAY, DAY, 2, 3]],
    "leave": [[DAY, None, 4, 0]],
    "employed_since": DAY,
    "rehired": True,
}
OLD_PROOF = [5, "nda", "", 3, DAY, None, False, "DOC-1", "hr", DAY, [DAY, None, 6, 0]]


def test_a_store_of_the_former_shape_is_converted(tmp_path: Path) -> None:
    _old_store(tmp_path)
    store = Store.open("sqlite:///r.db", folder=tmp_path)
    population = Facts(store).population()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    posts = (
        Assignment("main", {"department": "研发"}, Span(at, None, 1)),
        Assignment("second", {}, Span(at, at, 2, 3)),
    )
    first = Person(
        0, "E1", "王芳", "", posts, leave=(Span(at, None, 4),), employed_since=at, rehired=True, last_entry=5
    )
    proof = EvidenceRecord(5, "E1", "nda", "", 3, at, None, False, "DOC-1", "hr", at, Span(at, None, 6))

    assert list(population) == [first, Person(1, "E2", "", "", (), last_entry=6)]
    assert population.evidence == {"E1": [proof]}
    with store.reading() as connection:
        rows = [dict(row._mapping) for row in connection.execute(select(people_table).order_by(people_table.c.number))]
        assert rows == [person_row(one) for one in population]
        assert [dict(row._mapping) for row in connection.execute(select(evidence_table))] == [evidence_row(proof)]


def test_a_rebuilt_projection_is_the_same(make_world: Callable[[], World]) -> None:
    world = make_world()
    world.say("hired", "E1", "2020-01-06", department="研发", projects="b;a")
    world.say("evidence-recorded", "E1", "2026-01-05", kind="nda", valid_from="2026-01-05", reference="DOC-1")
    before = world.facts.population()
    with world.facts.store.writing() as connection:
        world.facts.ledger.rebuild(connection)

    assert world.facts.population() == before
