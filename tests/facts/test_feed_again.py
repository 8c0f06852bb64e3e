"""The same feed a second time, people who leave and come back, and posts that end or change beside others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.facts.erasure import erase
from reconciler.facts.feed import confirm_import
from reconciler.policy.model import Guards, Limit
from tests.facts.conftest import World, person_row

row = person_row
COMPANY = [row(f"E{n}", name="王芳") for n in range(10)]

Cells = dict[str, str]
SECOND = {"assignment": "second"}
HISTORIES: dict[str, list[list[Cells]]] = {
    "returns in another assignment, beside much else": [
        [{"id": "E3"}, {"id": "E1", "ends_on": "2026-12-31", **SECOND}, {"id": "E2", "status": "active"}],
        [
            {"id": "E1", "status": "exited"},
            {"id": "e1"},
            {"id": "E2", "status": "exited"},
            {"id": "E3", "ends_on": "x"},
        ],
        [{"id": "E1", "starts_on": "2026-12-01"}, {"id": "e1", **SECOND}, {"id": "E2", "status": "exited"}],
        [{"id": "E1"}, {"id": "E2", "starts_on": "2026-12-01", "department": "hr", **SECOND}],
    ],
    "returns in another assignment": [
        [{"id": "E1", "status": "exited"}],
        [{"id": "E1", "starts_on": "2026-12-01", **SECOND}],
    ],
    "returns beside a new assignment": [
        [{"id": "E1", "status": "exited"}],
        [{"id": "E1", "department": "hr", **SECOND}, {"id": "E1", "starts_on": "2026-12-01"}],
    ],
    "one row says leave, the other one work": [
        [{"id": "E1", "status": "leave"}],
        [{"id": "E1", "status": "leave", "starts_on": "?", **SECOND}, {"id": "E1", "status": "active"}],
    ],
    "the rest leaves when a row is missing for good": [
        [{"id": "E1"}],
        [{"id": "E1", "status": "exited", **SECOND}],
        [{"id": "E1", "status": "exited", "ends_on": "2026-12-31", **SECOND}],
    ],
    "a bad row of a source that is new to the assignment": [
        [{"id": "E1", "status": "exited", "ends_on": "2026-12-31"}],
        [{"id": "E3"}],
        [{"id": "E1", "status": "leave", "starts_on": "?", "ends_on": "2026-06-30"}],
    ],
    "the same, still at work": [
        [{"id": "E1", "status": "exited", "ends_on": "2026-12-31"}],
        [{"id": "E3"}],
        [{"id": "E1", "status": "active", "starts_on": "?", "ends_on": "2026-06-30"}],
    ],
}


@pytest.mark.parametrize("exits", [Limit(100, 1000), Limit(10, 0)], ids=["free", "guarded"])
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_the_same_feed_again_is_nothing_new_after(world: World, history: list[list[Cells]], exits: Limit) -> None:
    world.guards = Guards(shrink_percent=60, exits=exits)
    for feed in history:
        world.feed(*feed)
        assert world.feed(*feed).nothing_new


def test_who_comes_back_later_is_out_until_then_and_their_other_posts_start_with_it(world: World) -> None:
    world.feed({"id": "E1", "status": "exited", "ends_on": "2026-06-30"})
    world.feed({"id": "E1", "starts_on": "2026-12-01", "status": "notice"}, {"id": "E1", "department": "hr", **SECOND})

    assert world.out("E1")
    assert world.person("E1").notice == ()
    world.now = datetime(2026, 12, 1, 1, tzinfo=UTC)
    world.feed({"id": "E1", "starts_on": "2026-12-01", "status": "notice"}, {"id": "E1", "department": "hr", **SECOND})
    assert not world.out("E1")
    assert world.post("E1") is not None
    assert world.post("E1", "second") == {"department": "hr"}
    assert len(world.person("E1").notice) == 1


def test_who_is_back_with_a_resignation_has_resigned(world: World) -> None:
    world.feed(row("E1", status="exited", ends_on="2026-06-30"))
    world.feed(row("E1", status="notice", starts_on="2026-07-01"))

    assert not world.out("E1")
    assert len(world.person("E1").notice) == 1


def test_a_side_post_that_is_over_brings_nobody_back(world: World) -> None:
    world.feed({"id": "E1"}, {"id": "E1", **SECOND})
    world.say("exited", "E1")
    world.feed({"id": "E1"}, {"id": "E1", "status": "exited", "starts_on": "2026-12-01", **SECOND})

    assert world.facts.ledger.head() > 0
    assert "rehired" not in world.kinds()


@pytest.mark.parametrize("cells", [{"department": "hr"}, {"starts_on": "2026-12-15"}, {"ends_on": "2027-06-30"}])
def test_what_changes_before_somebody_starts_counts(world: World, cells: Cells) -> None:
    coming = row("E1", status="preboarding", starts_on="2026-12-10")
    world.feed(coming)
    world.feed({**coming, **cells})
    expected = world.person("E1").assignments
    assert len(expected) == 1

    world.feed(row("E2", starts_on="2026-12-10") | cells, {**coming, **cells})
    assert [post.attributes for post in expected] == [post.attributes for post in world.person("E2").assignments]
    assert [(post.span.start, post.span.end) for post in expected] == [
        (post.span.start, post.span.end) for post in world.person("E2").assignments
    ]


def test_leave_lasts_as_long_as_a_row_says_so(world: World) -> None:
    both = row("E1", status="leave"), row("E1", status="leave", assignment="second")
    world.feed(*both)
    world.feed(row("E1"), both[1])
    assert world.person("E1").leave[0].end is None
    world.feed(row("E1"), row("E1", assignment="second"))
    assert world.person("E1").leave[0].end is not None


def test_a_side_post_that_ended_before_it_was_known_ends(world: World) -> None:
    world.feed({"id": "E1"}, {"id": "E1", "department": "hr", **SECOND})
    world.feed({"id": "E1"}, {"id": "E1", "department": "hr", "status": "exited", "ends_on": "2026-06-30", **SECOND})

    assert world.post("E1", "second") is None
    assert world.post("E1") is not None


def test_a_return_that_is_taken_back_is_an_exit(world: World) -> None:
    gone = row("E1", status="exited", ends_on="2026-06-30")
    world.feed(gone)
    world.feed(row("E1", starts_on="2026-07-01"))
    assert not world.out("E1")
    world.feed(gone)
    assert world.out("E1")


def test_the_day_of_an_exit_before_a_rehire_may_be_corrected(world: World) -> None:
    world.feed(row("E1", status="exited", ends_on="2026-06-30"))
    world.say("rehired", "E1", department="hr")
    world.feed(row("E1", status="exited", ends_on="2026-06-29"))

    assert not world.out("E1")


def test_who_leaves_and_comes_back_later_does_both(world: World) -> None:
    world.feed(row("E1"), row("E2"))
    world.feed(row("E1", status="exited", ends_on="2026-12-31"), row("E2"))
    back = row("E1", starts_on="2027-01-15", department="hr")
    world.feed(back, row("E2"))
    assert world.feed({**back, "department": "sales"}, row("E2")).nothing_new

    spans = [(post.attributes["department"], post.span.end) for post in world.person("E1").assignments]
    assert spans == [("rd/ai", datetime(2026, 12, 31, 16, tzinfo=UTC)), ("hr", None)]
    world.now = datetime(2027, 1, 10, tzinfo=UTC)
    assert world.out("E1")
    world.feed({**back, "department": "sales"}, row("E2"))
    world.now = datetime(2027, 1, 20, tzinfo=UTC)
    assert world.post("E1") == {"department": "sales", "post": "engineer"}


def test_a_transfer_is_told_from_other_changes_in_every_reading(world: World) -> None:
    world.feed(row("E1"), row("E2"))
    before = world.facts.ledger.head()
    world.feed(row("E1", department="sales"), row("E2", projects="falcon"))
    world.say("transferred", "E1", "2026-12-01", department="hr")
    expected = {"E1": [True, True, False], "E2": [False, False]}

    def marks(known_at: int | None = None) -> dict[str, list[bool]]:
        people = world.facts.population(known_at=known_at).people
        return {person.id: [post.transferred for post in person.assignments] for person in people}

    assert marks() == expected
    assert [post.transferred for post in world.person("E1").assignments] == expected["E1"]
    assert marks(before) == {"E1": [False], "E2": [False]}
    assert marks(world.facts.ledger.head() - 1) == {"E1": [True, False], "E2": [False, False]}
    with world.facts.store.writing() as connection:
        world.facts.ledger.rebuild(connection)
    assert marks() == expected


def test_the_employed_are_those_who_were_never_said_to_leave_or_are_back(world: World) -> None:
    world.feed(*COMPANY[:4], row("E9", assignment='"exited":'))
    world.say("exited", "E0")
    world.say("exited", "E1", "2027-03-01")
    world.say("exited", "E2")
    world.say("rehired", "E2", department="hr")
    world.say("exited", "E77")  # nobody by that id is known yet
    with world.facts.store.reading() as connection:
        assert world.facts.count_employed(connection) == 3


def test_whoever_was_erased_is_not_employed(world: World) -> None:
    world.feed(*COMPANY[:3], row("E9", ends_on="2026-11-01"))
    world.say("exited", "E0")
    erase(world.facts, "E0", "LEGAL-1", now=world.now + timedelta(days=1), actor="dpo")
    erase(world.facts, "E9", "LEGAL-2", now=world.now + timedelta(days=1), actor="dpo")  # whom no exit took away
    with world.facts.store.reading() as connection:
        assert world.facts.count_employed(connection) == 2


def _two_posts(count: int) -> list[Cells]:
    return [row(f"E{n}", assignment=name) for n in range(count) for name in ("", "second")]


def test_two_posts_that_end_in_one_feed_are_an_exit(world: World) -> None:
    world.guards = Guards(shrink_percent=60)
    world.feed(*_two_posts(5))
    ended = [{**cells, "ends_on": "2026-11-20"} for cells in _two_posts(5)]
    report = world.feed(*ended)

    assert len(report.waiting) == 5
    assert all(world.post(f"E{n}") or world.post(f"E{n}", "second") for n in range(5))
    assert world.feed(*ended).nothing_new


def test_a5_last_posts_whose_rows_are_lost_wait_as_exits_do(world: World) -> None:
    world.guards = Guards()
    over = {"assignment": "second", "ends_on": "2026-06-30"}
    people = [[row(f"E{n}"), row(f"E{n}", **over)] for n in range(5)]
    world.feed(*(cells for both in people for cells in both))
    lost = [second for _, second in people]
    world.feed(*lost)
    report = world.feed(*lost, row("E98"))

    assert [item.reason for item in report.waiting] == ["exits"] * 5
    assert all(world.post(f"E{n}") for n in range(5))
    assert world.feed(*lost, row("E98")).nothing_new
    confirm_import(world.facts, report.import_id, now=world.now, actor="boss")
    assert not any(world.post(f"E{n}") for n in range(5))


BEGUN_LATER = [{}, {"starts_on": "2026-12-15"}]
"""What an event of 10 December says of an assignment beside its department: it begins then, or yet later."""


@pytest.mark.parametrize("name", ["a", "z"])  # by its id the event stands before the feed's, or after them
@pytest.mark.parametrize("more", BEGUN_LATER)
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"department": "sales", "starts_on": ""}, [("sales", None)]),
        ({"ends_on": "2026-12-31", "starts_on": ""}, [("hr", "2026-12-31")]),
        ({"ends_on": "2026-12-01", "starts_on": ""}, []),
        ({"status": "exited", "starts_on": ""}, []),
        ({"starts_on": "2026-12-20"}, [("hr", None)]),
        ({"department": "sales", "starts_on": "2020-01-06"}, [("sales", None)]),
    ],
)
def test_a_row_changes_what_an_event_begins_later(
    world: World, name: str, more: Cells, cells: Cells, expected: list[tuple[str, str | None]]
) -> None:
    world.feed(*COMPANY[:3])
    begun = {"assignment": "second", "department": "hr", **more}
    world.tell({"id": name, "type": "assignment-added", "person": "E1", "effective_at": "2026-12-10", "data": begun})
    feed = [*COMPANY[:3], row("E1", **{**SECOND, "department": "hr", **cells})]

    world.feed(*feed)

    assert world.feed(*feed).nothing_new
    posts = [post for post in world.person("E1").assignments if post.name == "second"]
    final = [post for post in posts if post.span.end is None or post.span.end > datetime(2026, 12, 20, tzinfo=UTC)]
    ends = [post.span.end.date().isoformat() if post.span.end else None for post in final]
    assert list(zip([post.attributes["department"] for post in final], ends, strict=True)) == expected
    assert {post.attributes["department"] for post in posts} == {department for department, _ in expected}
    if cells.get("starts_on"):
        begins = datetime.fromisoformat(cells["starts_on"]) - timedelta(hours=8)
        assert posts[0].span.start == begins.replace(tzinfo=UTC)


def test_rows_about_what_an_event_begins_later_count_in_the_order_of_their_feeds(world: World) -> None:
    world.feed(*COMPANY[:3])
    begun = {"assignment": "second", "department": "hr"}
    world.tell({"id": "n", "type": "assignment-added", "person": "E1", "effective_at": "2026-12-10", "data": begun})
    for cells in ({"ends_on": "2027-01-31"}, {"ends_on": "2027-03-31"}, {"ends_on": "2027-02-28"}, {"post": "hr"}):
        said = {**SECOND, "post": "engineer", "starts_on": "", "ends_on": "2027-02-28", **cells}
        world.feed(*COMPANY[:3], row("E1", **said))
        (post,) = (post for post in world.person("E1").assignments if post.name == "second")
        assert post.span.end == datetime.fromisoformat(said["ends_on"]).replace(tzinfo=UTC) + timedelta(hours=16)
        assert post.attributes["post"] == said["post"]


def test_what_is_over_stays_over_though_an_event_begins_it_again_later(world: World) -> None:
    second = row("E1", **SECOND, department="hr")
    world.feed(*COMPANY[:3], second)
    world.say("assignment-ended", "E1", "2026-11-01", **SECOND)
    world.say("assignment-added", "E1", "2026-12-10", **SECOND, department="hr")
    feed = [*COMPANY[:3], {**second, "starts_on": "2021-03-01", "department": "sales"}]

    report = world.feed(*feed)

    assert [finding.kind for finding in report.findings] == ["not-reversed"]
    assert world.post("E1", "second") is None
    assert world.feed(*feed).nothing_new
    assert [post.attributes["department"] for post in world.person("E1").assignments if post.name == "second"] == [
        "hr",
        "sales",
    ]


def test_an_end_that_waits_ends_what_an_event_begins_later(world: World) -> None:
    world.guards = Guards()
    world.tell(
        *(
            {"id": f"z{n}", "type": "hired", "person": f"E{n}", "effective_at": "2026-12-10", "data": {"post": "hr"}}
            for n in range(5)
        )
    )
    feed = [row(f"E{n}", post="hr", starts_on="", ends_on="2026-11-20") for n in range(5)]
    report = world.feed(*feed)
    assert [item.reason for item in report.waiting] == ["exits"] * 5

    confirm_import(world.facts, report.import_id, now=world.now, actor="boss")

    assert not any(world.person(f"E{n}").assignments for n in range(5))
