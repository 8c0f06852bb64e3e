"""The loop, under a clock that the test moves: what time alone changes, what is left after a stop, what failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from reconciler.passes.reconciled import recall
from reconciler.service.aside import Here
from reconciler.service.jobs import AheadOfAll, Stopping, WholePassed
from reconciler.service.loop import Loop
from reconciler.service.premises import Premises
from tests.service.conftest import PEOPLE
from tests.service.office import PATIENCE, Office, exited, until

MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)
"""10:00 in Shanghai."""

ENDS = datetime(2026, 11, 25, 16, tzinfo=UTC)
"""The training of 2025-11-26 ends with 2026-11-25 in Shanghai."""


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: datetime = MONDAY

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settled(fresh_office: Office, clock: Clock) -> Office:
    """Everybody's training ends on the same day, but that of the last one."""
    fresh_office.clock = clock
    clock.now = MONDAY - timedelta(days=30)  # what is known a week ahead needs nobody's word when it comes
    fresh_office.hire(PEOPLE[:-1], "2025-11-26")
    fresh_office.hire(PEOPLE[-1:], "2026-06-01")
    fresh_office.settle()
    clock.now = MONDAY
    assert fresh_office.members("algorithms") == set(PEOPLE)
    return fresh_office


def made(office: Office) -> Loop:
    workspace = office.workspace()
    return Loop(Premises(workspace, workspace.facts(), workspace.actor(), office.clock))


@contextmanager
def running(office: Office) -> Iterator[Loop]:
    """The loop, at rest after its first whole pass; stopped at the end, and everything came to rest."""
    loop = made(office)
    loop.take_up()
    loop.start()
    try:
        until(lambda: loop.state().due == 0 and loop.state().last_pass, "the first pass")
        yield loop
    finally:
        assert loop.stop()


def test_e2_e3_a_proof_that_runs_out_costs_its_access_at_that_instant(settled: Office, clock: Clock) -> None:
    with running(settled) as loop:
        clock.now = ENDS - timedelta(microseconds=1)
        loop.news()
        first = loop.state().last_pass
        until(lambda: loop.state().last_pass != first, "the scheduled pass of these days")
        assert settled.members("algorithms") == set(PEOPLE)

        clock.now = ENDS
        loop.news()

        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")
        assert settled.members("docs") == set(PEOPLE), "which asks for no training"


def test_e3_it_does_so_too_when_it_was_down_at_that_instant(settled: Office, clock: Clock) -> None:
    with running(settled):
        pass
    clock.now = ENDS + timedelta(minutes=5)

    with running(settled):
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")


def test_a_last_day_that_was_told_long_before_ends_the_access(settled: Office, clock: Clock) -> None:
    with running(settled) as loop:
        settled.tell({"id": "x", "type": "exited", "person": "E6", "effective_at": "2026-11-24"})
        loop.news()
        until(lambda: loop.state().due == 0, "nothing to do yet")
        assert settled.anywhere("E6")

        clock.now = datetime(2026, 11, 24, 16, tzinfo=UTC)
        loop.news()

        until(lambda: not settled.anywhere("E6"), "E6 out when the day is over")


def test_a_clock_that_is_set_back_and_forth_keeps_nobody_in(settled: Office, clock: Clock) -> None:
    with running(settled) as loop:
        clock.now = ENDS + timedelta(days=3)
        loop.news()
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "those whose training has ended out")
        until(lambda: loop.state().due == 0 and loop.state().last_pass == clock.now, "a whole pass")

        clock.now = MONDAY + timedelta(hours=1)
        loop.news()
        until(lambda: loop.state().last_pass == clock.now, "a whole pass by the clock as it is now")

        clock.now = ENDS + timedelta(seconds=1)
        loop.news()
        until(lambda: settled.members("algorithms") == {PEOPLE[-1]}, "out again at the same instant")


def test_a_clock_that_is_set_back_does_not_stop_the_schedule(settled: Office, clock: Clock) -> None:
    with running(settled) as loop:
        clock.now = MONDAY + timedelta(days=300)
        loop.news()
        until(lambda: loop.state().last_pass == clock.now, "the pass of that day")
        clock.now = MONDAY + timedelta(minutes=10)
        loop.news()
        until(lambda: loop.state().last_pass == clock.now, "one by the clock as it is now")
        group = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n"
        settled.slapd.modify(group + "delete: member\nmember: uid=e3,ou=people,dc=example,dc=com\n")

        clock.now = MONDAY + timedelta(minutes=30)
        loop.news()

        until(lambda: settled.members("docs") == set(PEOPLE), "E3 back by the next pass of the schedule")


def test_what_was_recorded_while_it_was_down_is_done_at_the_start(settled: Office) -> None:
    with running(settled):
        pass
    before = recall(settled.wiring(targets=()).store)
    settled.tell(exited("E1", at=MONDAY))

    with running(settled):
        until(lambda: not settled.anywhere("E1"), "E1 out")
    after = recall(settled.wiring(targets=()).store)
    assert before is not None
    assert after is not None
    assert after.entry > before.entry


def test_a_position_that_is_lost_costs_a_whole_pass_and_nothing_else(settled: Office) -> None:
    with running(settled):
        pass
    settled.tell(exited("E1", at=MONDAY))
    with settled.wiring(targets=()).store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM reconciled")

    with running(settled):
        until(lambda: not settled.anywhere("E1"), "E1 out")


def test_full_passes_come_by_the_schedule_and_put_right_what_a_hand_did(settled: Office, clock: Clock) -> None:
    with running(settled) as loop:
        group = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n"
        settled.slapd.modify(group + "delete: member\nmember: uid=e3,ou=people,dc=example,dc=com\n")
        clock.now = MONDAY + timedelta(minutes=29, seconds=59)
        loop.news()
        assert settled.members("docs") == set(PEOPLE) - {"E3"}

        clock.now = MONDAY + timedelta(minutes=30)
        loop.news()

        until(lambda: settled.members("docs") == set(PEOPLE), "E3 back by the pass of half past")


def test_a_policy_tree_that_does_not_pass_keeps_no_leaver_in(settled: Office) -> None:
    tree = settled.folder / "policies" / "policy.yaml"
    with running(settled) as loop:
        tree.write_text(tree.read_text("utf-8") + "rolls: {}\n", "utf-8")
        settled.tell(exited("E1", at=MONDAY))
        loop.news()
        until(lambda: not settled.anywhere("E1"), "E1 out by the last policies that passed")

        tree.rename(tree.with_name("away"))
        settled.tell(exited("E2", at=MONDAY))
        loop.news()
        until(lambda: not settled.anywhere("E2"), "E2 out while there are no policies at all")
        assert settled.anywhere("E3")


def test_a_policy_tree_is_compiled_once_and_again_when_it_has_changed(settled: Office) -> None:
    workspace = settled.workspace()
    premises = Premises(workspace, workspace.facts(), workspace.actor(), settled.clock)
    first = premises.standing()
    tree = settled.folder / "policies" / "policy.yaml"
    tree.write_bytes(tree.read_bytes())

    assert premises.standing() is first
    assert premises.wired(first).targets["dir"].target is not premises.wired(first).targets["dir"].target
    tree.write_text(tree.read_text("utf-8").replace("classification: core", "classification: internal"), "utf-8")
    assert premises.standing().policy.digest != first.policy.digest


def test_an_approval_is_carried_out_without_a_further_word(settled: Office, clock: Clock) -> None:
    """What a guard holds waits for somebody, also here, and then waits for nobody."""
    tree = settled.folder / "policies" / "policy.yaml"
    with running(settled) as loop:
        tree.write_text(tree.read_text("utf-8").replace("match: {department: rd/ai}", "match: {department: rd/x}"))
        clock.now += timedelta(minutes=30)
        loop.news()
        until(lambda: loop.state().last_pass == clock.now, "the pass of half past")
        assert settled.members("algorithms") == set(PEOPLE), "it would empty the group, and is held"

        shown = settled.command("plan", "--output", "json")
        digest = json.loads(shown.stdout)["digest"]
        assert settled.command("approve", digest, "--reason", "it is meant so").returncode == 0
        loop.news()

        until(lambda: not settled.members("algorithms"), "the approved slice")


class Slow(Here):
    """Whole passes that take until they are stopped."""

    def __init__(self, premises: Premises) -> None:
        super().__init__(premises)
        self.begun = Event()
        self.looked = False

    def pass_whole(self, stop: Event, *, plans_ahead: bool = True) -> WholePassed:
        self.begun.set()
        assert stop.wait(PATIENCE)
        raise Stopping(f"told to, {plans_ahead}")

    def look_ahead(self, since: datetime, stop: Event) -> AheadOfAll:
        self.looked = True
        return super().look_ahead(since, stop)


def test_a_stop_in_the_first_whole_pass_begins_no_other_work(settled: Office) -> None:
    workspace = settled.workspace()
    premises = Premises(workspace, workspace.facts(), workspace.actor(), settled.clock)
    slow = Slow(premises)
    loop = Loop(premises, slow)
    loop.take_up()
    loop.start()
    assert slow.begun.wait(PATIENCE)

    assert loop.stop()

    assert not slow.looked, "what time brings is much work in a large company, and the next start does it"
