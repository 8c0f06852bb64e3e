"""What one process of several does, under a clock that the test moves: time, schedules, and who is due on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
import yaml

from reconciler.facts.store import Store
from reconciler.passes import marks, work
from reconciler.passes.due import CROWD
from reconciler.passes.reconciled import recall
from reconciler.service.aside import Here
from reconciler.service.crew import Crew
from reconciler.service.duties import Duties
from reconciler.service.errands import Errands
from reconciler.service.premises import Premises
from reconciler.service.watch import FULL_PASS, Watch
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database
from tests.service.conftest import PEOPLE
from tests.service.office import Office, exited, until
from tests.service.test_loop import ENDS, MONDAY, Clock, clock

__all__ = ["clock", "database", "postgresql"]


@pytest.fixture
def settled(fresh_office: Office, database: Database, clock: Clock) -> Office:
    """Everybody's training ends on the same day, but that of the last one."""
    fresh_office.kept_in(database.url)
    fresh_office.clock = clock
    clock.now = MONDAY - timedelta(days=30)  # what is known a week ahead needs nobody's word when it comes
    fresh_office.hire(PEOPLE[:-1], "2025-11-26")
    fresh_office.hire(PEOPLE[-1:], "2026-06-01")
    fresh_office.settle()
    clock.now = MONDAY
    return fresh_office


def premises(office: Office) -> Premises:
    workspace = office.workspace()
    return Premises(workspace, workspace.facts(), workspace.actor(), office.clock)


@contextmanager
def running(office: Office, workers: int = 1) -> Iterator[Crew]:
    """A crew at rest after the first whole pass; stopped at the end, and everything came to rest."""
    crew = Crew(premises(office), workers)
    crew.take_up()
    crew.start()
    try:
        until(lambda: crew.state().due == 0 and crew.state().last_pass and not asked(office), "the first pass")
        yield crew
    finally:
        assert crew.stop()


def store(office: Office) -> Store:
    return office.workspace().facts().store


def asked(office: Office) -> bool:
    """Whether a whole pass waits or is under way."""
    with store(office).reading() as connection:
        return work.whole_asked(connection)


def quiet(office: Office) -> Office:
    """The same, without a schedule that could come first."""
    return office.beside("quiet", schedule={"full_pass": "0 0 1 1 *"})


def test_the_watch_asks_for_those_about_whom_time_changes_an_answer_at_that_instant(
    settled: Office, clock: Clock
) -> None:
    watch = Watch(premises(quiet(settled)))
    watch.take_up()
    drain(store(settled))
    clock.now = ENDS - timedelta(microseconds=1)
    assert watch.look() == pytest.approx(1e-6)
    assert jobs_of(store(settled)) == []

    clock.now = ENDS
    watch.look()
    assert sorted(jobs_of(store(settled))) == [*(("leavers", f"leaver:{p}") for p in PEOPLE[:-1]), ("others", "whole")]
    drain(store(settled))
    watch.look()
    assert jobs_of(store(settled)) == [], "a moment comes once"


def test_the_watch_learns_of_moments_that_are_told_later(settled: Office, clock: Clock) -> None:
    watch = Watch(premises(quiet(settled)))
    watch.take_up()
    settled.tell({"id": "x", "type": "exited", "person": "E6", "effective_at": "2026-11-23T10:17:30+08:00"})
    settled.tell(exited("E5", at=MONDAY))
    drain(store(settled))
    watch.look()
    assert jobs_of(store(settled)) == [], "for what holds when it is told, a pass is asked for already"

    clock.now = datetime(2026, 11, 23, 2, 17, 30, tzinfo=UTC)
    watch.look()
    assert jobs_of(store(settled)) == [("leavers", "leaver:E6"), ("others", "whole")]


def test_e2_e3_a_proof_that_runs_out_costs_its_access_at_that_instant(settled: Office, clock: Clock) -> None:
    with running(quiet(settled)):
        clock.now = ENDS
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")
        assert settled.members("docs") == set(PEOPLE), "which asks for no training"


def test_e3_it_does_so_too_when_nobody_was_there_at_that_instant(settled: Office, clock: Clock) -> None:
    with running(settled):
        pass
    clock.now = ENDS + timedelta(minutes=5)

    with running(quiet(settled)):
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")


def test_a_last_day_that_was_told_before_ends_the_access(settled: Office, clock: Clock) -> None:
    with running(quiet(settled)) as crew:
        settled.tell({"id": "x", "type": "exited", "person": "E6", "effective_at": "2026-11-24"})
        until(lambda: crew.state().due == 0, "nothing to do yet")
        assert settled.anywhere("E6")
        come = recall(store(settled))
        assert come is not None
        assert come.entry == premises(settled).facts.ledger.head(), "all of it was seen by a pass that ended well"

        clock.now = datetime(2026, 11, 24, 16, tzinfo=UTC)
        until(lambda: not settled.anywhere("E6"), "E6 out when the day is over")


def test_a_clock_that_is_set_back_and_forth_keeps_nobody_in(settled: Office, clock: Clock) -> None:
    with running(settled) as crew:
        clock.now = ENDS + timedelta(days=3)
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")
        until(lambda: crew.state().due == 0 and crew.state().last_pass == clock.now, "a whole pass")

        clock.now = MONDAY + timedelta(hours=1)
        until(lambda: crew.state().last_pass == clock.now, "a whole pass by the clock as it is now")

        clock.now = ENDS + timedelta(seconds=1)
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "out again at the same instant")


def test_a_turn_of_a_schedule_comes_once_however_many_watch(settled: Office, clock: Clock) -> None:
    """Two that take themselves for the watch: one has lost its lease and does not know yet."""
    watches = [Watch(premises(settled)) for _ in range(2)]
    for watch in watches:
        watch.take_up()
    for turn in range(1, 4):
        clock.now = MONDAY + timedelta(minutes=30 * turn)
        asked_for = []
        for watch in [*watches, *watches]:
            drain(store(settled))
            watch.look()
            asked_for += jobs_of(store(settled))
        assert asked_for == [("others", "whole")]
        with store(settled).reading() as connection:
            assert work.claimed(connection, FULL_PASS) == clock.now


def test_a_turn_that_nobody_saw_is_made_up_for_once(settled: Office, clock: Clock) -> None:
    watch = Watch(premises(settled))
    watch.take_up()
    clock.now = MONDAY + timedelta(minutes=30)
    watch.look()
    clock.now = MONDAY + timedelta(hours=9, minutes=10)

    after = Watch(premises(settled))
    after.take_up()
    asked_for = []
    for _ in range(2):
        drain(store(settled))
        after.look()
        asked_for += jobs_of(store(settled))

    assert asked_for == [("others", "whole")]
    with store(settled).reading() as connection:
        assert work.claimed(connection, FULL_PASS) == MONDAY + timedelta(hours=9)


def test_full_passes_come_by_the_schedule_and_put_right_what_a_hand_did(settled: Office, clock: Clock) -> None:
    with running(settled), running(settled):
        group = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n"
        settled.slapd.modify(group + "delete: member\nmember: uid=e3,ou=people,dc=example,dc=com\n")
        clock.now = MONDAY + timedelta(minutes=30)

        until(lambda: settled.members("docs") == set(PEOPLE), "E3 back by the pass of half past")


def test_whoever_wants_a_whole_pass_gets_one(settled: Office) -> None:
    with running(quiet(settled)) as crew:
        group = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n"
        settled.slapd.modify(group + "delete: member\nmember: uid=e3,ou=people,dc=example,dc=com\n")
        crew.want_whole()

        until(lambda: settled.members("docs") == set(PEOPLE), "E3 back")


def test_a_whole_pass_that_is_wanted_while_the_store_cannot_be_written_comes_afterwards(settled: Office) -> None:
    group = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n"
    with running(quiet(settled)) as crew:
        with store(settled).writing():
            settled.slapd.modify(group + "delete: member\nmember: uid=e3,ou=people,dc=example,dc=com\n")
            crew.want_whole()
            assert settled.members("docs") != set(PEOPLE)

        until(lambda: settled.members("docs") == set(PEOPLE), "E3 back")


def test_how_long_a_whole_pass_took_is_known_to_all(settled: Office) -> None:
    """Whoever asks the directories what a hand has changed makes passes rest by it."""
    with running(quiet(settled)) as crew, running(quiet(settled), workers=0) as idle:
        until(lambda: idle.state().whole_took, "a pass that the other one made")
        assert idle.state().whole_took == crew.state().whole_took


def test_what_keeps_an_import_from_going_well_is_said_by_all_until_one_has_done_it(settled: Office) -> None:
    file = settled.folder / settled.file
    said = yaml.safe_load(file.read_text("utf-8"))
    said["sources"] = {"hr": {"type": "csv", "path": "people.csv", "feed": "full"}}
    said["service"]["schedule"] = {"imports": {"hr": "0 0 1 1 *"}}
    file.write_text(yaml.safe_dump(said, allow_unicode=True), "utf-8")
    one, other, late = (errands(settled) for _ in range(3))

    one.start()
    until(lambda: one.attention, "there is no people.csv")
    assert one.attention["import hr"].code == "source"
    assert other.attention == late.attention == one.attention

    rows = "".join(f"{person},人,rd/ai,2020-01-01,active\n" for person in PEOPLE)
    (settled.folder / "people.csv").write_text("id,name,department,starts_on,status\n" + rows, "utf-8")
    other.start()  # and takes what comes at a start
    until(lambda: not other.attention, "the import")
    assert not one.attention
    for each in (one, other):
        each.stop()


def errands(office: Office) -> Errands:
    """Those of one process."""
    own = premises(office)
    return Errands(own, Here(own), lambda: None, lambda: None)


def test_the_next_one_takes_over_when_the_watch_has_gone(settled: Office, clock: Clock) -> None:
    with running(quiet(settled)) as other, running(quiet(settled), workers=0) as first:
        held = [crew for crew in (first, other) if crew.watches]
        assert len(held) == 1, "one of them is the watch"
        assert held[0].stop()
        left = other if held[0] is first else first
        until(lambda: left.watches, "the other one is")

        clock.now = ENDS
        if left is first:  # which has no worker
            with running(settled):
                until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")
        else:
            until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")


def test_what_a_fact_asks_for_is_asked_for_with_the_fact_or_not_at_all(settled: Office) -> None:
    facts = premises(settled).facts
    drain(facts.store)
    with suppress(ZeroDivisionError), facts.store.writing() as connection:
        work.mark_and_ask(connection, {"E1": marks.Reason(7, leaving=True)})
        raise ZeroDivisionError
    assert jobs_of(facts.store) == []

    settled.tell(exited("E1", at=MONDAY))
    settled.tell(exited("E2", at=MONDAY), {**exited("E1", at=MONDAY), "id": "again"})
    assert jobs_of(facts.store) == [("leavers", "leaver:E1"), ("leavers", "leaver:E2")], "E1's is there already"


def test_no_other_job_of_a_person_absorbs_or_delays_their_leaving(settled: Office) -> None:
    facts = premises(settled).facts
    drain(facts.store)
    settled.tell({"id": "m", "type": "transferred", "person": "E1", "effective_at": "2026-11-20"})
    with facts.store.writing() as connection:
        work.ask_again(connection, "E1", MONDAY + timedelta(days=3000), attempt=3, leaving=True)
    settled.tell(exited("E1", at=MONDAY))

    assert fetched(facts.store, "leavers") == "leaver:E1"
    assert fetched(facts.store, "others") == "person:E1"
    assert fetched(facts.store, "leavers") is None, "what is tried again waits for its time, and for the other one"


def test_a_crowd_goes_to_one_whole_pass_and_a_leaver_never_does(settled: Office) -> None:
    facts = premises(settled).facts
    drain(facts.store)
    crowd = {f"N{n}": marks.Reason(1) for n in range(CROWD + 50)}
    leavers = {f"L{n}": marks.Reason(1, leaving=True) for n in range(CROWD + 50)}
    with facts.store.writing() as connection:
        marked = work.mark_and_ask(connection, {**crowd, **leavers})

    assert (len(marked.leavers), len(marked.others), marked.whole) == (len(leavers), CROWD, True)
    locks = [lock for _, lock in jobs_of(facts.store)]
    assert sum(lock.startswith("leaver:") for lock in locks) == len(leavers)
    assert sum(lock.startswith("person:") for lock in locks) == CROWD
    assert locks.count("whole") == 1


def test_a_job_that_is_lost_costs_a_look_of_the_watch(settled: Office) -> None:
    with running(settled) as crew:
        with store(settled).writing() as connection:
            marks.mark(connection, {"E1": marks.Reason(leaving=True)})  # nobody asked for the job
        until(lambda: crew.state().due == 0, "the pass that nobody asked for")


def drain(kept: Store) -> None:
    with kept.writing() as connection:
        connection.exec_driver_sql("DELETE FROM procrastinate_jobs")
        connection.exec_driver_sql("DELETE FROM due")


def jobs_of(kept: Store) -> list[tuple[str, str]]:
    with kept.reading() as connection:
        rows = connection.exec_driver_sql("SELECT queue_name, queueing_lock FROM procrastinate_jobs ORDER BY id").all()
    return [(row.queue_name, row.queueing_lock) for row in rows]


def fetched(kept: Store, queue: str) -> str | None:
    """What the engine would give a worker of this queue."""
    with kept.writing() as connection:
        question = "SELECT queueing_lock FROM procrastinate_fetch_job_v2(ARRAY[%(queue)s]::varchar[], NULL)"
        found: str | None = connection.exec_driver_sql(question, {"queue": queue}).scalar_one()
        return found


def test_a_machine_whose_clock_is_behind_the_others_keeps_nobody_in(settled: Office, clock: Clock) -> None:
    """E1's exit takes effect at a moment that has not come yet where the pass is made."""
    office = quiet(settled)
    behind = Clock(MONDAY - timedelta(seconds=2))

    class Passing(Event):
        def wait(self, timeout: float | None = None) -> bool:
            behind.now += timedelta(seconds=timeout or 0.0)
            return False

    settled.tell(exited("E1", at=MONDAY - timedelta(milliseconds=1)))
    late = replace(premises(office), clock=behind)
    duties = Duties(late, Here(late), Passing())
    duties.person("E1", attempt=0)

    assert not settled.anywhere("E1")


def test_after_a_failure_the_next_whole_pass_is_the_one_that_is_tried_again(settled: Office) -> None:
    kept = store(settled)
    drain(kept)
    with kept.writing() as connection:
        work.ask_for(connection, {}, whole=True)
        work.ask_for(connection, {"E1": False}, whole=True)
    assert jobs_of(kept) == [("others", "whole"), ("others", "person:E1")]
    drain(kept)

    with kept.writing() as connection:
        work.ask_again(connection, "", MONDAY, attempt=3)
        work.ask_for(connection, {"E1": True}, whole=True)
    assert jobs_of(kept) == [("others", "whole-again"), ("leavers", "leaver:E1")]
