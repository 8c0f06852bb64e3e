"""Jobs in a process of their own: what they answer, raise and log, how they are stopped, and how they die."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from reconciler.errors import ReconcilerError
from reconciler.logs import log, shown
from reconciler.policy.model import Policy
from reconciler.service import aside
from reconciler.service.aside import Aside, JobLost
from reconciler.service.jobs import Stopping
from reconciler.service.premises import Premises
from reconciler.workspace import Workspace, WorkspaceError, now
from tests.service.office import PATIENCE, until

WORKSPACE = """\
format: reconciler.workspace/1
organization: 一家公司
timezone: Asia/Shanghai
policies: policies
"""
POLICY = "attributes: {department: {kind: tree}}\nclearances: [{public: {}}]\n"


# --- jobs ---------------------------------------------------------------------------------------------------------


def answers(premises: Premises, _stop: Event, value: object) -> tuple[int, object, str, str]:
    return os.getpid(), value, premises.actor.name, premises.standing().policy.digest


def refuses(_premises: Premises, _stop: Event) -> None:
    raise WorkspaceError("there is no such thing", remedy="name another one")


def breaks(_premises: Premises, _stop: Event) -> None:
    raise ZeroDivisionError("hunter2")


def dies(_premises: Premises, _stop: Event) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stops(_premises: Premises, stop: Event) -> None:
    log.info("waiting")
    if stop.wait(PATIENCE):
        raise Stopping("told to")


def shrugs(_premises: Premises, _stop: Event) -> str:
    for kind in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), kind)
    return "still here"


def knows_the_policies(premises: Premises, _stop: Event) -> bool:
    return premises.standing().problems is None


def jobs_under(policy: Policy) -> list[int]:
    return []


def counts_the_jobs_under_these_policies(premises: Premises, _stop: Event) -> int:
    jobs = premises.standing().policy.once(jobs_under)
    jobs.append(1)
    return len(jobs)


def lets_a_library_speak(_premises: Premises, _stop: Event) -> None:
    logging.getLogger("psycopg.pool").warning("hunter2")


# --- tests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def premises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Premises:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # where the jobs above are
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "policy.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "reconciler.yaml").write_text(WORKSPACE, "utf-8")
    workspace = Workspace.load(tmp_path / "reconciler.yaml")
    return Premises(workspace, workspace.facts(), workspace.actor())


@pytest.fixture
def beside(premises: Premises) -> Iterator[Aside]:
    with closing(Aside(premises)) as made:
        yield made


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_is_done_elsewhere_for_the_same_actor_under_the_same_policies(beside: Aside, premises: Premises) -> None:
    first = beside.do(answers, Event(), {"谁": now()})
    again = beside.do(answers, Event(), 2)

    assert first[0] != os.getpid()
    assert first[0] == again[0], "one process for what comes next"
    assert first[2:] == (premises.actor.name, premises.standing().policy.digest)
    assert again[1] == 2


def test_it_goes_by_the_policies_of_its_parent_whatever_stands_there_by_now(beside: Aside, premises: Premises) -> None:
    assert beside.do(knows_the_policies, Event())
    tree = premises.workspace.folder / "policies" / "policy.yaml"
    digest = premises.standing().policy.digest
    tree.write_text(POLICY + "rolls: {}\n", "utf-8")

    assert not beside.do(knows_the_policies, Event())
    assert beside.do(answers, Event(), 1)[3] == digest


def test_what_it_has_worked_out_about_the_policies_stays_until_there_are_others(
    beside: Aside, premises: Premises
) -> None:
    tree = premises.workspace.folder / "policies" / "policy.yaml"
    first, second = (beside.do(counts_the_jobs_under_these_policies, Event()) for _ in range(2))
    tree.write_text(POLICY + "# another day\n", "utf-8")
    after = beside.do(counts_the_jobs_under_these_policies, Event())
    with closing(Aside(premises)) as anew:
        other = anew.do(counts_the_jobs_under_these_policies, Event())

    assert (first, second, after, other) == (1, 2, 1, 1)


def test_what_it_raises_comes_here_with_its_code(beside: Aside) -> None:
    with pytest.raises(ReconcilerError, match="no such thing") as found:
        beside.do(refuses, Event())
    assert (found.value.code, found.value.remedy) == ("workspace", "name another one")

    with pytest.raises(ReconcilerError, match="ZeroDivisionError") as found:
        beside.do(breaks, Event())
    assert found.value.code == "defect"
    assert "hunter2" not in str(found.value)
    assert beside.do(answers, Event(), 1)[1] == 1


def test_what_it_logs_stands_in_the_log_of_its_parent(beside: Aside) -> None:
    stream = io.StringIO()
    stop = Event()
    with shown(stream, as_json=True):

        def stop_it_at_work() -> None:
            until(lambda: "waiting" in stream.getvalue(), "a line")
            stop.set()

        told = Thread(target=stop_it_at_work)
        told.start()
        with pytest.raises(Stopping):
            beside.do(stops, stop)
        told.join()
        with closing(Aside(beside.premises)) as other, pytest.raises(ReconcilerError):
            other.do(breaks, Event())

    waiting, defect = map(json.loads, stream.getvalue().splitlines())
    assert (waiting["event"], waiting["level"]) == ("waiting", "info")
    assert waiting["at"].endswith("Z")
    assert (defect["event"], defect["level"]) == ("defect", "error")
    assert "breaks" in str(defect), "where it happened"


def test_one_that_dies_is_told_and_another_goes_on(beside: Aside) -> None:
    first = beside.do(answers, Event(), 1)[0]
    with pytest.raises(JobLost, match="SIGKILL"):
        beside.do(dies, Event())

    assert not alive(first)
    assert beside.do(answers, Event(), 1)[0] != first


def test_one_that_dies_before_it_is_told_anything_is_told_too(beside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    start = aside._started

    def started(theirs: Connection) -> subprocess.Popen[bytes]:
        with monkeypatch.context() as there:
            there.setattr(sys, "executable", shutil.which("false"))
            process = start(theirs)
        process.wait(PATIENCE)
        return process

    with monkeypatch.context() as once:
        once.setattr(aside, "_started", started)
        with pytest.raises(JobLost, match="status 1"):
            beside.do(answers, Event(), 1)

    assert beside.do(answers, Event(), 1)[1] == 1


def test_what_a_library_logs_there_is_nobodys(beside: Aside, capfd: pytest.CaptureFixture[str]) -> None:
    beside.do(lets_a_library_speak, Event())
    assert "hunter2" not in capfd.readouterr().err


def test_signals_are_for_the_parent(beside: Aside) -> None:
    assert beside.do(shrugs, Event()) == "still here"


def test_it_ends_when_it_has_had_nothing_to_do_for_long(beside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    first: Any = beside.do(answers, Event(), 1)[0]
    beside.rest()
    assert beside.do(answers, Event(), 1)[0] == first

    monkeypatch.setattr(aside, "IDLE", 0.0)
    beside.rest()

    assert not alive(first)
    assert beside.do(answers, Event(), 1)[0] != first


def test_after_many_jobs_it_gives_its_memory_back(beside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MOST", 2)
    first, second, third = (beside.do(answers, Event(), n)[0] for n in range(3))

    assert first == second != third
    assert not alive(first)


def organization(premises: Premises, _stop: Event) -> str:
    return premises.workspace.spec.organization


def test_it_goes_by_the_workspace_file_as_its_parent_read_it(beside: Aside, premises: Premises) -> None:
    premises.workspace.path.write_text(WORKSPACE.replace("一家公司", "another"), "utf-8")

    assert beside.do(organization, Event()) == "一家公司"
