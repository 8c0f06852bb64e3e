"""Several services and workers on one store, on real servers: who is told, and who does it, need not be the same."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers import postgresql as postgresql_server
from tests.servers.fixtures import database, postgresql
from tests.servers.postgresql import Database
from tests.servers.slapd import started
from tests.service.conftest import PEOPLE, company
from tests.service.flood import UNGUARDED, flooded
from tests.service.office import Office, Service, check_commands_beside, days_ago, exited, until

__all__ = ["database", "postgresql"]


@pytest.fixture
def shared_office(fresh_office: Office, database: Database) -> Office:
    """Six researchers who have what they should have; their record is on a server."""
    fresh_office.kept_in(database.url)
    fresh_office.hire(PEOPLE, days_ago(30))
    fresh_office.settle()
    return fresh_office


def test_a_service_works_alone(shared_office: Office) -> None:
    with shared_office.serving() as service:
        service.until_ready()
        assert service.post(exited("E1")).status_code == 202

        until(lambda: not shared_office.anywhere("E1"), "E1 out")
        service.until_ready()
    assert shared_office.members("docs") == set(PEOPLE) - {"E1"}
    assert shared_office.entries("exited") == 1


def test_without_a_worker_it_takes_events_says_so_and_is_not_ready(shared_office: Office) -> None:
    idle = shared_office.beside("idle", workers=0)
    with idle.serving() as service:
        assert service.post(exited("E1")).status_code == 202
        assert "no-worker" in [each["code"] for each in service.ready()["reasons"]]
        assert service.ready()["due"] == len(PEOPLE), "all of whom something was told that no service has seen"
        assert shared_office.anywhere("E1")

        with shared_office.working():
            until(lambda: not shared_office.anywhere("E1"), "E1 out")
            service.until_ready()


def test_workers_die_under_a_flood_of_events_and_nothing_is_lost(tmp_path: Path, database: Database) -> None:
    """In full with RECONCILER_FLOOD=10000; the same with fewer events otherwise."""
    count = int(os.environ.get("RECONCILER_FLOOD", "480"))
    people = [f"E{n}" for n in range(1, 1 + min(200, max(24, count // 20)))]
    with company(tmp_path, len(people)) as office:
        office.kept_in(database.url)
        tree = office.folder / "policies" / "policy.yaml"
        tree.write_text(tree.read_text("utf-8").replace("guards: {", "guards: {" + UNGUARDED + ", "), "utf-8")
        office.hire(people, days_ago(30))
        office.settle()
        assert flooded(office, people, count).kills > 0


def doing(database: Database) -> list[str]:
    """The jobs that are under way."""
    rows = database.ask("SELECT task_name FROM reconciler.procrastinate_jobs WHERE status = 'doing'")
    return [name for (name,) in rows]


def test_what_a_killed_worker_was_doing_is_taken_over(shared_office: Office, database: Database) -> None:
    with shared_office.beside("idle", workers=0).serving() as service:
        with shared_office.working() as first:
            service.until_ready()
            shared_office.slapd.process.send_signal(signal.SIGSTOP)  # so that the pass is under way for a while
            try:
                assert service.post(exited("E1")).status_code == 202
                until(lambda: doing(database) == ["reconciler.person"], "the pass under way")
                first.process.send_signal(signal.SIGKILL)
            finally:
                shared_office.slapd.process.send_signal(signal.SIGCONT)
        assert doing(database) == ["reconciler.person"], "nobody knows yet that it has died"
        with shared_office.working("second"):
            until(lambda: not shared_office.anywhere("E1"), "E1 out, by the other one")
            service.until_ready()
    assert [each["event"] for each in service.log() if each["event"] == "work-taken-over"]
    assert shared_office.entries("exited") == 1


def test_the_watch_is_killed_and_another_one_sees_the_moment_come(shared_office: Office) -> None:
    """E1's last hour ends in a few seconds, and no event says so."""
    with shared_office.serving() as first:
        first.until_ready()
        with shared_office.working("second") as second:
            assert not taken_up(second)
            at = datetime.now(UTC) + timedelta(seconds=4)
            assert first.post(exited("E1", at=at)).status_code == 202
            first.until_ready()
            first.process.send_signal(signal.SIGKILL)
            assert shared_office.anywhere("E1")

            until(lambda: taken_up(second), "the other one is the watch")
            until(lambda: not shared_office.anywhere("E1"), "E1 out")
            assert datetime.now(UTC) >= at


def taken_up(service: Service) -> bool:
    return any(each["event"] == "watch-taken-up" for each in service.log())


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_finishes_its_batch_and_ends_with_0(
    shared_office: Office, database: Database, kind: signal.Signals
) -> None:
    with shared_office.beside("idle", workers=0).serving() as service, shared_office.working() as worker:
        service.until_ready()
        shared_office.slapd.process.send_signal(signal.SIGSTOP)
        try:
            assert service.post(exited("E1")).status_code == 202
            until(lambda: doing(database), "the pass under way")
            worker.process.send_signal(kind)
        finally:
            shared_office.slapd.process.send_signal(signal.SIGCONT)
        assert worker.process.wait(60) == 0
        assert not shared_office.anywhere("E1"), "what had begun is finished"
        assert not doing(database)
        assert database.ask("SELECT count(*) FROM reconciler.open_batches") == [(0,)]
        assert all(each["event"] != "defect" for each in worker.log())
        until(lambda: [each["code"] for each in service.ready()["reasons"]] == ["no-worker"], "nobody works any more")


def test_a_target_that_is_away_for_a_while_is_asked_again(tmp_path: Path, database: Database) -> None:
    with company(tmp_path, len(PEOPLE)) as office:
        office.kept_in(database.url)
        office.hire(PEOPLE, days_ago(30))
        office.settle()
    with office.serving() as service:
        assert service.post(exited("E1")).status_code == 202, "what is told is taken, whatever is away"
        until(lambda: [each for each in service.log() if each.get("failed")], "a pass that failed")
        said = service.ready()
        assert not said["ready"]
        assert said["due"] >= 1
        with started(tmp_path / "slapd", port=office.slapd.port) as again:
            office.slapd = again
            until(lambda: not office.anywhere("E1"), "E1 out once the directory is back")
            service.until_ready()
            assert service.end() == 0


def test_while_the_database_is_gone_nothing_is_acknowledged_and_afterwards_all_goes_on(
    fresh_office: Office,
) -> None:
    postgresql_server.required()
    with postgresql_server.started() as server:
        made = server.create()
        made.admin.close()
        fresh_office.kept_in(made.url)
        fresh_office.hire(PEOPLE, days_ago(30))
        fresh_office.settle()
        with fresh_office.serving() as service:
            service.until_ready()
            postgresql_server.stop(server.process)

            refused = service.post(exited("E1", name="while-gone"))
            assert refused.status_code == 503
            assert refused.headers["Retry-After"]
            assert "store" in [each["code"] for each in service.ready()["reasons"]]

            server.restart()
            until(lambda: service.post(exited("E2")).status_code == 202, "events are taken again")
            until(lambda: not fresh_office.anywhere("E2"), "E2 out")
            service.until_ready()
            assert fresh_office.anywhere("E1"), "of whom nothing was acknowledged"
            assert fresh_office.entries("exited") == 1


def test_two_services_stand_side_by_side_and_say_the_same(shared_office: Office) -> None:
    with shared_office.serving() as one, shared_office.beside("other", workers=0).serving() as other:
        one.until_ready()
        assert one.post([exited(person) for person in PEOPLE[:3]]).status_code == 202
        assert other.post([exited(person) for person in PEOPLE[2:]]).status_code == 202
        until(lambda: not shared_office.members("docs") | shared_office.members("algorithms"), "all of them out")
        other.until_ready()
        one.until_ready()
    assert shared_office.entries("exited") == len(PEOPLE)


def test_other_commands_work_beside_it_and_their_facts_are_acted_on(shared_office: Office) -> None:
    check_commands_beside(shared_office)


def test_on_a_file_there_is_one_service_that_does_all_the_work(fresh_office: Office) -> None:
    fresh_office.hire(PEOPLE, days_ago(30))

    refused = fresh_office.command("worker")
    assert refused.returncode == 1
    assert "a worker needs a store that machines can share" in refused.stderr
    idle = fresh_office.beside("idle", workers=0).command("serve")
    assert idle.returncode == 1
    assert "`workers: 0` leaves all work to others" in idle.stderr
