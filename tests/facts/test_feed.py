"""HR feeds: what a row means, what waits, and what a broken or stale file cannot do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from reconciler.errors import ReconcilerError
from reconciler.facts.feed import FeedHeld, ImportUnknown, confirm_import
from reconciler.facts.feed_state import feed_imports, feed_rows
from reconciler.facts.projection import events_seen
from reconciler.facts.stored import evidence_table, people_table
from reconciler.policy.model import Guards, Limit
from reconciler.sources import SourceError
from tests.facts.conftest import World, csv_bytes, person_row

row = person_row
COMPANY = [row(f"E{n}", name="王芳") for n in range(10)]


def test_new_people_are_hired_from_the_day_they_start(world: World) -> None:
    report = world.feed(row("E1"), row("E2", starts_on="2026年12月1日", status="preboarding"), row("E3", starts_on=""))

    assert (report.new, report.held, report.quarantined) == (3, False, ())
    assert world.person("E1").employed_since == datetime(2020, 1, 5, 16, tzinfo=UTC)
    assert world.post("E2") is None
    assert world.post("E3") == {"department": "rd/ai", "post": "engineer"}
    assert [world.person(person).number for person in ("E1", "E2", "E3")] == [0, 1, 2]


def test_statuses_of_new_people(world: World) -> None:
    world.feed(
        row("E1", status="notice"),
        row("E2", status="leave"),
        row("E3", status="exited", ends_on="2026-06-30"),
        row("E4", status="exited", starts_on=""),
    )

    assert world.kinds()[:-1] == [
        "hired",
        "resignation-submitted",
        "hired",
        "leave-started",
        "hired",
        "exited",
        "hired",
        "exited",
    ]
    assert len(world.person("E1").notice) == len(world.person("E2").leave) == 1
    assert world.out("E3")
    assert world.out("E4")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_same_people_in_another_encoding_add_nothing(world: World, encoding: str) -> None:
    world.feed(*COMPANY)
    report = world.feed_bytes(csv_bytes(COMPANY, encoding))

    assert (report.entries, report.nothing_new, report.unchanged) == (0, True, 10)


def test_other_spellings_of_the_same_add_nothing(world: World) -> None:
    world.feed(row("E1", projects="b;a", ends_on="2030-01-01"))
    report = world.feed(row("E1", projects=" a ；b;", starts_on="2020/1/6", ends_on="20300101"))

    assert report.nothing_new


def test_a_change_of_department_or_post_is_a_transfer(world: World) -> None:
    world.feed(row("E1"), row("E2"), row("E3"))
    report = world.feed(
        row("E1", department="sales"), row("E2", projects="falcon"), row("E3", name="李雷", ends_on="2027-01-31")
    )

    assert report.changed == 3
    assert world.kinds()[4:-1] == ["transferred", "attributes-changed", "attributes-changed"]
    assert world.post("E1") == {"department": "sales", "post": "engineer"}
    assert world.post("E2") == {"department": "rd/ai", "post": "engineer", "projects": "falcon"}
    assert world.person("E3").name == "李雷"
    assert world.person("E3").assignments[0].span.end == datetime(2027, 1, 31, 16, tzinfo=UTC)


def test_only_what_differs_from_the_last_feed_is_news(world: World) -> None:
    world.feed(*COMPANY)
    world.say("transferred", "E1", department="sales")
    world.say("exited", "E2")
    world.say("resignation-submitted", "E3")
    world.say("locked-out", "E4", ref="SEC-1")
    before = world.facts.population().people
    report = world.feed(*COMPANY)

    assert report.nothing_new
    assert world.facts.population().people == before
    assert world.post("E1") == {"department": "sales", "post": "engineer"}


@pytest.mark.parametrize("status", ["active", "leave"])
def test_a_feed_never_reverses_an_exit_or_a_notice(world: World, status: str) -> None:
    world.feed(row("E1", status="exited"), row("E2", status="notice"), *COMPANY[3:])
    report = world.feed(row("E1", status=status), row("E2", status="active"), *COMPANY[3:])

    assert world.out("E1")
    assert world.person("E2").notice[0].end is None
    assert [finding.kind for finding in report.findings] == ["not-reversed", "not-reversed"]
    world.say("resignation-withdrawn", "E2")
    world.say("rehired", "E1", department="hr")
    assert world.feed(row("E1", status="active"), row("E2", status="active"), *COMPANY[3:]).findings == ()
    assert world.person("E2").notice[0].end is not None
    assert not world.out("E1")


def test_an_assignment_that_starts_later_is_a_rehire(world: World) -> None:
    world.feed(row("E1", status="exited", ends_on="2026-06-30"), *COMPANY[2:])
    world.feed(row("E1", status="active", starts_on="2026-07-01"), *COMPANY[2:])

    assert not world.out("E1")
    assert world.person("E1").rehired
    assert world.post("E1") == {"department": "rd/ai", "post": "engineer"}


def test_absence_waits_until_somebody_decides(world: World) -> None:
    world.feed(*COMPANY)
    report = world.feed(*COMPANY[1:])

    assert [(item.person, item.reason) for item in report.waiting] == [("E0", "absent")]
    assert report.held
    assert not world.out("E0")
    again = world.feed(*COMPANY[1:])
    assert (again.nothing_new, again.held, again.import_id) == (True, True, report.import_id)
    confirmed = confirm_import(world.facts, report.import_id, now=world.now, actor="boss")
    assert confirmed.recorded == ("E0",)
    assert world.out("E0")
    after = world.feed(*COMPANY[1:])
    assert (after.nothing_new, after.held) == (True, False)
    assert [entry.actor for entry in world.facts.ledger.entries(kinds={"exited"})] == ["boss"]


def test_somebody_who_is_back_waits_no_longer(world: World) -> None:
    world.feed(*COMPANY)
    first = world.feed(*COMPANY[1:])
    second = world.feed(*COMPANY)

    assert not second.held
    with pytest.raises(ImportUnknown, match="newer feed"):
        confirm_import(world.facts, first.import_id, now=world.now, actor="boss")


def test_there_is_nothing_to_confirm_twice(world: World) -> None:
    world.feed(*COMPANY)
    report = world.feed(*COMPANY[1:])
    confirm_import(world.facts, report.import_id, now=world.now, actor="boss")

    for name in (report.import_id, "nonsense"):
        with pytest.raises(ImportUnknown):
            confirm_import(world.facts, name, now=world.now, actor="boss")


def test_a8_an_empty_feed_changes_nothing(world: World) -> None:
    world.feed(*COMPANY)
    before = world.kinds()

    with pytest.raises(FeedHeld, match="names nobody") as caught:
        world.feed_bytes(csv_bytes(COMPANY).splitlines(keepends=True)[0])
    assert caught.value.exit_status == 3
    with pytest.raises(SourceError):
        world.feed_bytes(b"")
    assert world.kinds() == before


@pytest.mark.parametrize("left", [1, 5, 8])
def test_a5_one_survivor_does_not_defeat_the_guard(world: World, left: int) -> None:
    world.guards = Guards(shrink_percent=10)
    world.feed(*COMPANY)
    before = world.kinds()

    with pytest.raises(FeedHeld, match=f"names {left} people, the last accepted one named 10"):
        world.feed(*COMPANY[:left])
    assert world.kinds() == before
    assert world.feed(*COMPANY[:9]).held


def test_a5_nine_of_nine_exits_wait_as_ten_of_ten_do(make_world: Callable[[], World]) -> None:
    for size in (3, 9, 10, 60):
        world = make_world()
        world.guards = Guards()
        people = [row(f"E{n}") for n in range(size)]
        world.feed(*people)
        report = world.feed(*({**person, "status": "exited"} for person in people))

        assert [item.reason for item in report.waiting] == ["exits"] * size
        assert not any(world.out(f"E{n}") for n in range(size))


def test_exits_beyond_the_guard_wait_and_the_rest_goes_on(world: World) -> None:
    world.guards = Guards(exits=Limit(20, 50))
    world.feed(*COMPANY)
    leavers = [{**person, "status": "exited", "department": "x"} for person in COMPANY[:3]]
    moved = {**COMPANY[4], "department": "sales"}
    report = world.feed(*leavers, COMPANY[3], moved, *COMPANY[5:], row("E99"))

    assert [item.person for item in report.waiting] == ["E0", "E1", "E2"]
    assert world.post("E4") == {"department": "sales", "post": "engineer"}
    assert world.post("E99") is not None
    assert world.feed(*leavers, COMPANY[3], moved, *COMPANY[5:], row("E99")).nothing_new
    confirm_import(world.facts, report.import_id, now=world.now, actor="boss")
    assert [world.out(f"E{n}") for n in range(4)] == [True, True, True, False]
    assert world.feed(*leavers, COMPANY[3], moved, *COMPANY[5:], row("E99")).nothing_new


def test_exits_add_up_over_a_day_whatever_their_channel(world: World) -> None:
    world.guards = Guards(exits=Limit(25, 50))
    world.feed(*COMPANY)
    world.say("exited", "E0")
    world.say("locked-out", "E1", ref="SEC-1")
    gone = {**COMPANY[2], "status": "exited"}

    assert [item.person for item in world.feed(*COMPANY[:2], gone, *COMPANY[3:]).waiting] == ["E2"]
    world.now = world.now.replace(day=26)
    assert world.feed(*COMPANY[:2], gone, *COMPANY[3:]).waiting == ()
    assert world.out("E2")


@pytest.mark.parametrize("cells", [{"ends_on": "2026-11-20"}, {"starts_on": "2027-01-01"}])
def test_a_shifted_date_column_is_an_exit_by_another_name(world: World, cells: dict[str, str]) -> None:
    world.guards = Guards()
    world.feed(*COMPANY)
    report = world.feed(*({**person, **cells} for person in COMPANY))

    assert len(report.waiting) == 10
    assert all(world.post(f"E{n}") for n in range(10))


def test_a_last_assignment_that_ends_earlier_ends(world: World) -> None:
    world.feed(*COMPANY)
    world.feed(*COMPANY[:9], {**COMPANY[9], "ends_on": "2026-11-20"})

    assert world.post("E9") is None


def test_a_bad_row_is_quarantined_and_its_person_keeps_the_last_good_state(world: World) -> None:
    world.feed(*COMPANY)
    bad = [
        {**COMPANY[0], "starts_on": "01/02/2026", "department": "x"},
        {**COMPANY[1], "status": "gone", "department": "x"},
    ]
    report = world.feed(*bad, *COMPANY[2:], {**COMPANY[2], "id": ""})

    assert [problem.place.line for problem in report.quarantined] == [2, 3, 12]
    assert "ambiguous" in report.quarantined[0].message
    assert report.nothing_new
    assert not report.held


def test_an_exit_counts_where_the_rest_of_the_row_cannot_be_read(world: World) -> None:
    world.feed(*COMPANY)
    bad = [
        {**COMPANY[0], "starts_on": "??", "status": "exited", "ends_on": "2026-11-20"},
        {**COMPANY[1], "starts_on": "??", "status": "notice"},
        {**COMPANY[2], "starts_on": "??", "ends_on": "2026-11-20"},
    ]
    report = world.feed(*bad, *COMPANY[3:])

    assert len(report.quarantined) == 3
    assert world.out("E0")
    assert world.person("E1").notice
    assert world.post("E2") is None


def test_of_a_row_with_too_many_cells_only_the_word_exited_is_believed(world: World) -> None:
    header = b"id,name,starts_on,ends_on,status\n"
    world.feed_bytes(header + b"E1,A,2020-01-01,,active\nE2,B,2020-01-01,,active\n")
    report = world.feed_bytes(header + b"E1,Smith, John,2020-01-01,,active\nE2,B,2020-01-01,,exited,x\n")

    assert len(report.quarantined) == 2
    assert world.post("E1") is not None
    assert world.out("E2")


def test_two_rows_for_one_assignment_count_for_nothing(world: World) -> None:
    world.feed(*COMPANY)
    report = world.feed(*COMPANY, {**COMPANY[0], "status": "exited", "department": "x"})

    assert {problem.code for problem in report.quarantined} == {"row-twice"}
    assert report.nothing_new


def test_c2_an_id_in_other_case_is_quarantined_and_its_person_not_absent(world: World) -> None:
    world.feed(*COMPANY)
    report = world.feed(*COMPANY[1:], row("e0", department="x"), row("New"), row("NEW"))

    assert [problem.code for problem in report.quarantined] == ["id-case", "id-case"]
    assert (report.new, report.held) == (1, False)


def test_a_missing_second_assignment_ends_after_two_feeds_without_it(world: World) -> None:
    second = row("E1", assignment="second", department="hr")
    world.feed(*COMPANY, second)
    world.feed(*COMPANY)
    world.feed(*COMPANY)
    assert world.post("E1", "second") is not None
    world.feed(*COMPANY, row("E98"))
    assert world.post("E1", "second") is None
    assert world.post("E1") is not None


def test_a_second_assignment_that_is_back_is_counted_anew(world: World) -> None:
    second = row("E1", assignment="second", department="hr")
    world.feed(*COMPANY, second)
    world.feed(*COMPANY)
    world.feed(*COMPANY, second)
    world.feed(*COMPANY, row("E98"))

    assert world.post("E1", "second") is not None


def test_an_undeclared_value_is_a_finding_and_the_row_counts(world: World) -> None:
    report = world.feed(row("E1", post="wizard"))

    assert [finding.kind for finding in report.findings] == ["undeclared-value"]
    assert world.post("E1") == {"department": "rd/ai", "post": "wizard"}


def test_a_column_that_is_lost_changes_nothing_and_is_said(world: World) -> None:
    world.feed(*COMPANY)
    report = world.feed(*({key: value for key, value in person.items() if key != "department"} for person in COMPANY))

    assert report.nothing_new
    assert [finding.text for finding in report.findings] == [
        "the column `department` is not in this feed; what it said stays as it was"
    ]


def test_columns_that_nothing_asks_about_are_said_once(world: World) -> None:
    report = world.feed(*({**person, "shoe_size": "42"} for person in COMPANY))

    assert [finding.kind for finding in report.findings] == ["columns-ignored"]


def test_a_person_known_from_elsewhere_is_compared_with_what_is_known(world: World) -> None:
    told = {"name": "王芳", "department": "rd/ai", "post": "engineer", "ends_on": "2027-06-30"}
    for person in ("E1", "E2"):
        world.say("hired", person, "2020-01-06", **told)
    report = world.feed(row("E1"), row("E2", department="sales"))

    assert (report.new, report.changed) == (0, 2)
    assert [entry.subject for entry in world.facts.ledger.entries(kinds={"transferred", "attributes-changed"})] == [
        "E2"
    ]
    assert world.person("E1").assignments[0].span.end is not None
    assert world.feed(row("E1"), row("E2", department="sales")).nothing_new


def test_the_next_feed_goes_on_from_any_feed(world: World) -> None:
    """Whatever was accepted once, accepting it again is nothing new, also after another feed in between."""
    other = [{**person, "department": "sales"} for person in COMPANY]
    for feed in (COMPANY, other, COMPANY, other):
        assert not world.feed(*feed).nothing_new
        assert world.feed(*feed).nothing_new
    assert world.post("E1") == {"department": "sales", "post": "engineer"}


def _tables(world: World) -> list[object]:
    with world.facts.store.reading() as connection:
        tables = (people_table, evidence_table, events_seen, feed_rows, feed_imports)
        return [sorted(map(tuple, connection.execute(select(table)))) for table in tables]


def test_rebuilding_gives_identical_rows(world: World) -> None:
    second = row("E1", assignment="second", department="hr")
    world.feed(*COMPANY, second)
    world.say("evidence-recorded", "E1", "2026-01-05", kind="nda", valid_from="2026-01-05")
    world.say("evidence-revoked", "E1", "2026-11-01", evidence="evidence-recorded-E1-2026-01-05")
    world.feed(*COMPANY[1:], {**COMPANY[0], "status": "notice"})
    report = world.feed(*COMPANY[1:8], row("E77", status="exited"))
    confirm_import(world.facts, report.import_id, now=world.now, actor="boss")
    before = _tables(world)
    with world.facts.store.writing() as connection:
        world.facts.ledger.rebuild(connection)

    assert _tables(world) == before
    assert world.facts.ledger.verify().entries == world.facts.ledger.head()


CUT_COMPANY = [
    row("E1", name="王芳", email="a@example.com"),
    row("E10", name="李雷", department="hr", assignment="main"),
    row("E10", name="李雷", assignment="second"),
    row("E100", name='引"号', status="notice"),
    row("E1000", name="换\n行", ends_on="2030-12-31"),
    row("E2", status="leave"),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_feed_that_is_cut_at_any_byte_loses_nobody_anything(world: World, encoding: str) -> None:
    world.guards = Guards(shrink_percent=100)
    world.feed(*CUT_COMPANY)
    before = [replace(person, last_entry=0) for person in world.facts.population().people]
    changed = [*CUT_COMPANY, row("E3", name="新")]
    whole = csv_bytes(changed, encoding)
    for length in range(0, len(whole), 1 if world.database is None else 19):
        try:
            world.feed_bytes(whole[:length])
        except (SourceError, FeedHeld):
            continue
        found = world.facts.population([person.id for person in before]).people
        assert [replace(person, last_entry=0) for person in found] == before, whole[:length]
        world.feed(*CUT_COMPANY)
    assert not {"exited", "assignment-ended", "resignation-withdrawn"} & set(world.kinds())
    assert world.facts.person("E3") is None or len(whole) == 0


CELLS = st.fixed_dictionaries(
    {"id": st.sampled_from(["E1", "E2", "E3", "e1", ""])},
    optional={
        "status": st.sampled_from(["active", "exited", "notice", "leave", "preboarding", "gone", ""]),
        "starts_on": st.sampled_from(["2020-01-01", "2026-12-01", "2027-01-01", "01/02/2026", ""]),
        "ends_on": st.sampled_from(["2026-06-30", "2026-12-31", "9999-12-31", "x", ""]),
        "assignment": st.sampled_from(["", "main", "second"]),
        "department": st.sampled_from(["rd", "hr", ""]),
        "name": st.sampled_from(["王芳", "李雷"]),
    },
)


FEEDS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=4)
GENERATING = settings(
    phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("make_world", ["sqlite"], indirect=True)
@settings(GENERATING, max_examples=150)
@given(FEEDS, st.booleans())
def test_no_feed_whatever_breaks_the_record_or_brings_anybody_back(
    make_world: Callable[[], World], feeds: list[list[dict[str, str]]], guarded: bool
) -> None:
    _take_whatever(make_world(), feeds, guarded)


@pytest.mark.parametrize("make_world", ["postgresql"], indirect=True)
@settings(GENERATING, max_examples=12)
@given(FEEDS, st.booleans())
def test_nor_does_it_on_a_server(
    make_world: Callable[[], World], feeds: list[list[dict[str, str]]], guarded: bool
) -> None:
    _take_whatever(make_world(), feeds, guarded)


def _take_whatever(world: World, feeds: list[list[dict[str, str]]], guarded: bool) -> None:
    world.guards = replace(world.guards, exits=Limit(10, 0)) if guarded else world.guards
    out: set[str] = set()
    for rows in feeds:
        try:
            world.feed(*rows)
            again = world.feed(*rows)
        except ReconcilerError:
            continue
        assert again.nothing_new
        back = {entry.subject for entry in world.facts.ledger.entries(kinds={"rehired"})}
        people = world.facts.population().people
        assert all(world.out(person) for person in out - back)
        out = {person.id for person in people if world.out(person.id)}
    before = _tables(world)
    with world.facts.store.writing() as connection:
        world.facts.ledger.rebuild(connection)
    assert _tables(world) == before
    world.facts.ledger.verify()
