"""The process: killed, stopped, started twice, its target away for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.servers.fault_proxy import Disturbance, Fault, FaultProxy, Way, between
from tests.servers.slapd import started
from tests.service.conftest import PEOPLE
from tests.service.office import PATIENCE, Office, check_commands_beside, directory, exited, until

RENAMED = {
    "id": "c",
    "type": "attributes-changed",
    "person": "E2",
    "effective_at": "2026-01-01",
    "data": {"name": "张"},
}
"""There is nothing to do after it, and a whole pass to find that out."""


def test_killed_between_the_acknowledgement_and_the_pass_it_goes_on_at_the_next_start(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        assert service.post(exited("E1")).status_code == 202
        service.process.kill()  # the answer has come; the pass has hardly begun

    with office.serving() as service:
        until(lambda: not office.anywhere("E1"), "E1 out after the next start")
        service.until_ready()
        assert office.members("docs") == set(PEOPLE) - {"E1"}
    assert office.entries("exited") == 1


def test_killed_again_and_again_under_way_it_ends_as_one_quiet_pass_would(office: Office) -> None:
    leavers = PEOPLE[:4]
    for person in leavers:
        with office.serving() as service:
            assert service.post(exited(person)).status_code == 202
            service.process.kill()

    with office.serving() as service:
        service.until_ready()
        until(lambda: office.members("docs") == set(PEOPLE) - set(leavers), "all four out")
        assert office.members("algorithms") == set(PEOPLE) - set(leavers)
    assert office.entries("exited") == len(leavers)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_0_and_what_it_took_is_kept(office: Office, kind: signal.Signals) -> None:
    with office.serving() as service:
        assert service.post([exited(person) for person in PEOPLE[:3]]).status_code == 202
        assert service.end(kind) == 0
        assert all(each["event"] != "defect" for each in service.log())
    with office.serving():
        until(lambda: office.members("docs") == set(PEOPLE[3:]), "the three out, before the stop or after it")
    assert office.entries("exited") == 3


def test_a_second_service_on_one_store_is_refused_with_the_reason(office: Office) -> None:
    with office.serving() as service:
        second = office.command("serve")

        assert second.returncode == 1
        assert "another service is at work on" in second.stderr
        assert service.post(exited("E1")).status_code == 202
        assert service.end() == 0
    with office.serving() as service:  # and the next one is not
        service.until_ready()


def test_other_commands_work_beside_it(office: Office) -> None:
    check_commands_beside(office)


def test_a_target_that_is_away_for_a_while_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "directory.ldif").write_text(directory(len(PEOPLE)), "utf-8")
    (tmp_path / "office").mkdir()
    with started(tmp_path / "slapd", ldif=tmp_path / "directory.ldif") as slapd:
        office = Office.made(tmp_path / "office", slapd)
        office.hire(PEOPLE, "2026-01-01")
        office.settle()
    with office.serving() as service:
        assert service.post(exited("E1")).status_code == 202, "what is told is taken, whatever is away"
        until(lambda: [each for each in service.log() if each.get("failed")], "a pass that failed")
        said = service.ready()
        assert not said["ready"]
        assert said["due"] >= 1
        with started(tmp_path / "slapd", port=slapd.port) as again:
            office.slapd = again
            until(lambda: not office.anywhere("E1"), "E1 out once the directory is back")
            service.until_ready()
            assert service.end() == 0


def test_policies_that_do_not_pass_are_said_and_keep_no_leaver_in(office: Office) -> None:
    with office.serving() as service:
        service.until_ready()
        office.write_policy("algorithms: {classification: core,", "algorithms: {classification: kore,")
        assert service.post(exited("E1")).status_code == 202
        until(lambda: not office.anywhere("E1"), "E1 out by the policies that passed")
        assert [each["code"] for each in service.ready()["attention"]] == ["problems"]

        office.write_policy("classification: kore,", "classification: core,")
        until(lambda: not service.ready()["attention"], "nothing to see to")


def test_many_senders_at_once_and_everybody_is_out(office: Office) -> None:
    with office.serving() as service, ThreadPoolExecutor(6) as senders:
        answers = list(senders.map(lambda person: service.post(exited(person)), PEOPLE))

        assert [each.status_code for each in answers] == [202] * len(PEOPLE)
        until(lambda: not office.members("docs") | office.members("algorithms"), "all of them out")
    assert office.entries("exited") == len(PEOPLE)


def test_it_describes_itself(office_serving: tuple[Office, str]) -> None:
    _, url = office_serving

    document = requests.get(f"{url}/openapi.json", timeout=PATIENCE).json()

    answers = document["paths"]["/v1/events"]["post"]["responses"]
    assert {"202", "400", "401", "413", "422", "503"} <= set(answers)
    assert requests.get(f"{url}/docs", timeout=PATIENCE).status_code == 200
    assert requests.get(f"{url}/healthz", timeout=PATIENCE).json() == {"alive": True}
    assert requests.get(f"{url}/v1/nothing", timeout=PATIENCE).status_code == 404


def test_a_leaver_does_not_wait_for_a_full_run_of_somebody_else_and_the_rest_does(office: Office) -> None:
    now = datetime.now(UTC).isoformat()
    changed = {"id": "c", "type": "transferred", "person": "E2", "effective_at": now, "data": {"department": "sales"}}
    with office.serving() as service:
        service.until_ready()
        with office.workspace().facts().store.lease() as ours:
            assert ours
            assert service.post([changed, exited("E1")]).status_code == 202
            until(lambda: not office.anywhere("E1"), "E1 out while another run holds the workspace")
            assert service.ready()["due"] >= 1
            assert "E2" in office.members("docs"), "a move waits for the whole pass"
        until(lambda: not office.anywhere("E2"), "E2 out of what the old post gave")
        service.until_ready()


def children(process: int) -> list[int]:
    """The processes that this one has started."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(each) for found in lists for each in found.read_text("ascii").split()]


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


@contextmanager
def behind_a_proxy(office: Office) -> Iterator[FaultProxy]:
    """The office's directory is reached through a proxy from now on."""
    file = office.folder / "reconciler.yaml"
    with between(office.slapd.port) as proxy:
        file.write_text(file.read_text("utf-8").replace(f"ldap://127.0.0.1:{office.slapd.port}", proxy.url), "utf-8")
        yield proxy


def test_whole_passes_have_a_process_of_their_own_which_no_kill_leaves_behind(office: Office) -> None:
    with behind_a_proxy(office) as proxy, office.serving() as service:
        service.until_ready()
        (child,) = children(service.process.pid)
        proxy.disturb(Disturbance(Way.REQUEST, 0, Fault.SILENCE))
        office.tell(RENAMED)
        until(lambda: proxy.struck, "a pass that waits for an answer")
        service.process.kill()

        service.process.wait(PATIENCE)
        until(lambda: gone(child), "its child ended")
    with office.workspace().facts().store.lease() as ours:
        assert ours, "nobody holds the lock of whole passes"


def test_a_whole_pass_whose_process_is_killed_is_told_and_made_again(office: Office) -> None:
    with behind_a_proxy(office) as proxy, office.serving() as service:
        service.until_ready()
        (child,) = children(service.process.pid)
        proxy.disturb(Disturbance(Way.REQUEST, 0, Fault.SILENCE))
        group = "dn: cn=docs,ou=groups,dc=example,dc=com\nchangetype: modify\n"
        office.slapd.modify(group + "delete: member\nmember: uid=e3,ou=people,dc=example,dc=com\n")
        office.tell(RENAMED)
        until(lambda: proxy.struck, "a pass that waits for an answer")
        os.kill(child, signal.SIGKILL)

        until(lambda: office.members("docs") == set(PEOPLE), "another process made the pass")
        service.until_ready()
        (lost,) = [each for each in service.log() if each["event"] == "job-lost"]
        assert lost["how"] == "by signal SIGKILL"
        assert child not in children(service.process.pid)
