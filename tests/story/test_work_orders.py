"""A system without an interface, from the command line: orders are written once, count as not done until somebody
confirms them, and then stand on record with who did it and by what proof.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from adapters.work_order.folder import Folder
from reconciler.cli.main import main
from reconciler.passes.wiring import Wiring
from reconciler.testing.targets import LabAccount
from tests.adapters.paper_lab import PaperLab, line_of
from tests.cli.company import Company
from tests.story.dying import Countdown

WORKSPACE = """
format: reconciler.workspace/1
organization: Example
timezone: Asia/Shanghai
policies: policies/
store: sqlite:///state/reconciler.db
sources:
  hr: {type: csv, path: people.csv, feed: full}
targets:
  badges: {type: work-order, inventory: inventory.csv, orders: orders, match: {id: id}, timezone: Asia/Shanghai}
"""
POLICY = """
attributes:
  department: {kind: tree}
clearances:
  - public: {}
resources:
  lab:
    classification: public
    owner: {department: rd}
    access: {read: {badges: {entitlement: 实验室}}}
roles:
  working: {match: {department: rd}, grants: {read: [lab]}}
"""
PEOPLE = "id,name,department,starts_on,status\n" + "".join(
    f"E100{number},Person {number},{'rd' if number < 4 else 'sales'},2020-01-01,active\n" for number in range(1, 6)
)


class Building:
    """A company with one door, and the people who hand out its badges."""

    def __init__(self, folder: Path, inside: Sequence[str] = ("p1", "p2")) -> None:
        self.company = Company(folder)
        self.company.write("reconciler.yaml", WORKSPACE)
        self.company.write("policies/lab.yaml", POLICY)
        self.company.write("people.csv", PEOPLE)
        accounts = [LabAccount(f"p{number}", f"E100{number}", f"Person {number}") for number in range(1, 6)]
        self.lab = PaperLab(folder, accounts, {"实验室": list(inside)})
        self.company.run("people", "import")

    def event(self, kind: str, person: str, on: str = "2026-01-01", **data: str) -> None:
        told = {"id": f"hr-{kind}-{person}", "type": kind, "person": person, "effective_at": on, "data": data}
        self.company.write("events.jsonl", json.dumps(told) + "\n")
        self.company.run("people", "event", "--file", "events.jsonl")

    def apply(self, status: int = 0) -> Any:
        return self.company.run("apply", "--yes", "--output", "json", status=status).json

    def findings(self) -> list[tuple[str, str]]:
        found = self.company.plan()["findings"]
        return [(each["kind"], each["subject"]) for each in found if each["target"] == "badges"]

    def effects(self) -> list[Mapping[str, Any]]:
        self.company.run("ledger", "verify")
        lines = self.company.run("ledger", "export").out.splitlines()
        told = [json.loads(line) for line in lines]
        return [json.loads(each["payload"]) for each in told if each.get("entry", {}).get("kind") == "effect"]


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path)


def test_an_order_is_written_once_counts_as_not_done_and_is_on_record_when_it_is_done(building: Building) -> None:
    first = building.apply(status=4)
    assert first["outcomes"] == {"ordered": 1}
    [form] = building.lab.forms()
    text = form.read_bytes()
    assert [each["outcome"] for each in first["ordered"]] == ["ordered"]

    second = building.apply(status=4)
    assert (second["run"], second["on_order"]) == (None, [first["ordered"][0]["id"]])
    assert building.lab.forms() == [form]
    assert form.read_bytes() == text
    assert building.findings() == [("open-work-order", form.stem)]
    assert [effect["outcome"] for effect in building.effects()] == ["ordered"]

    building.lab.do(form)
    building.lab.acknowledge(form, by="Li Na", proof="TICKET-7")

    assert building.apply()["outcomes"] == {}
    assert building.company.plan()["changes"] == []
    ordered, done = building.effects()
    assert (done["outcome"], done["change"], done["run"]) == ("applied", ordered["change"], ordered["run"])
    assert done["detail"].startswith(f"{form.stem} was carried out by Li Na at 20")
    assert done["detail"].endswith("Z, proof: TICKET-7")
    assert building.apply()["outcomes"] == {}
    assert len(building.effects()) == 2


def test_what_was_confirmed_by_other_means_lies_there_no_more(building: Building) -> None:
    building.apply(status=4)
    [form] = building.lab.forms()
    copy = building.lab.acknowledge(form)
    form.write_bytes(copy.read_bytes())

    building.apply()

    assert building.lab.forms() == []


def test_what_a_person_is_told(building: Building) -> None:
    said = building.company.run("apply", "--yes", status=4).said

    number = building.lab.forms()[0].stem
    assert f"ordered: grant E1003 实验室 on badges: {number} is written" in said
    assert "→ 1 change ordered and not confirmed: whoever was asked carries it out and acknowledges it" in said
    again = building.company.run("apply", "--yes", status=4).said
    assert "on order: grant E1003 实验室 on badges" in again
    assert "→ 1 change ordered and not confirmed" in again
    assert f"open-work-order on badges: {number}, let p3 into 实验室: ordered" in building.company.run("plan").said


def test_the_order_for_somebody_who_leaves_is_withdrawn_and_replaced_by_an_urgent_one(building: Building) -> None:
    building.apply(status=4)
    [giving] = building.lab.forms()

    building.event("exited", "E1003")
    done = building.apply(status=4)

    assert [each["op"] for each in done["ordered"]] == ["revoke"]
    [taking] = building.lab.forms()
    text = taking.read_text("utf-8")
    assert "紧急 / URGENT" in text
    assert f"Order {giving.stem} is withdrawn: do not carry it out; if you have, undo it" in text
    withdrawn = (giving.parent.parent / "withdrawn" / giving.name).read_text("utf-8")
    assert withdrawn.startswith(f"工单 {giving.stem} 已撤回，请勿办理。见 {taking.stem}。")
    building.lab.carry_out()
    assert building.company.plan()["changes"] == []
    assert building.lab.members("实验室") == {"p1", "p2"}


def test_a_leaver_who_is_on_order_already_is_asked_for_once_more_as_urgent(building: Building) -> None:
    building.apply(status=4)
    building.lab.carry_out()
    building.apply()
    building.company.edit("people.csv", "E1002,Person 2,rd", "E1002,Person 2,sales")
    building.company.run("people", "import")
    building.apply(status=4)
    forms = {line_of(form.read_text("utf-8"), "account"): form for form in building.lab.forms()}
    assert "URGENT" not in forms["p2"].read_text("utf-8")

    building.event("exited", "E1002")
    done = building.apply(status=4)

    assert [each["detail"] for each in done["ordered"]] == [f"{forms['p2'].stem} is urgent now"]
    assert "紧急 / URGENT" in forms["p2"].read_text("utf-8")
    assert list(forms.values()) == building.lab.forms()
    assert building.apply(status=4)["ordered"] == []


def test_who_comes_back_before_the_order_is_done_gets_an_order_that_says_so(building: Building) -> None:
    building.event("exited", "E1002")
    building.apply(status=4)
    taking = next(form for form in building.lab.forms() if "please take away" in form.read_text("utf-8"))

    building.event("rehired", "E1002", on="2026-01-02", department="rd")
    building.apply(status=4)

    texts = [form.read_text("utf-8") for form in building.lab.forms()]
    assert {line_of(text, "account") for text in texts if "please give" in text} == {"p2", "p3"}
    assert any(f"Order {taking.stem} is withdrawn" in text for text in texts)
    building.lab.carry_out()
    assert building.company.plan()["changes"] == []
    assert building.lab.members("实验室") == {"p1", "p2", "p3"}


def test_one_person_is_shut_out_at_once_by_an_urgent_order(building: Building) -> None:
    building.company.run("revoke", "E1001", "--reason", "lost badge", status=4)

    [form] = building.lab.forms()
    assert "URGENT" in form.read_text("utf-8")
    building.company.run("revoke", "E1001", "--reason", "lost badge", status=4)
    assert building.lab.forms() == [form]


def test_what_was_confirmed_can_be_undone_by_another_order(building: Building) -> None:
    run = building.apply(status=4)["run"]
    building.company.run("undo", run, "--reason", "too early", status=1)
    building.lab.carry_out()
    building.apply()

    building.company.run("undo", run, "--reason", "too early")
    building.apply(status=4)

    [form] = building.lab.forms()
    assert "please take away" in form.read_text("utf-8")
    building.lab.carry_out()
    assert building.lab.members("实验室") == {"p1", "p2"}


def test_killed_at_any_instant_nothing_is_ordered_twice(tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    fresh = Building(tmp_path / "fresh", inside=["p1", "p4"])
    fresh.event("exited", "E1004")
    instant, died = 0, True
    while died:
        folder = tmp_path / str(instant)
        shutil.copytree(fresh.company.folder, folder)
        died = died_at(instant, folder)
        company = Company(folder)
        company.run("apply", "--yes", status=4)
        records = [json.loads(path.read_text("utf-8")) for path in (folder / "orders" / "records").glob("*.json")]
        assert sorted((each["op"], each["account"]) for each in records) == [
            ("grant", "p2"), ("grant", "p3"), ("revoke", "p4"),
        ]  # fmt: skip
        assert len(list((folder / "orders" / "open").glob("WO-*.txt"))) == 3
        company.run("ledger", "verify")
        shutil.rmtree(folder)
        instant += 1
    assert instant > 8


def died_at(instant: int, folder: Path) -> bool:
    """Run `apply` in a process of its own until that instant. False: it came to its end before."""
    process = os.fork()
    if process == 0:
        tick = Countdown(instant)
        os.chdir(folder)
        _run(tick)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 4
    return False


def _run(tick: Countdown) -> None:
    """In the child: the command, and nothing of the test's afterwards."""
    status = 70
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        sys.argv = ["reconciler", "apply", "--yes"]
        with ExitStack() as stack:
            stack.enter_context(patch.object(Wiring, "record", tick.around(Wiring.record)))
            stack.enter_context(patch.object(Folder, "show", tick.around(Folder.show)))
            stack.enter_context(patch.object(Folder, "_write", tick.after(Folder._write)))
            main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 70
    finally:
        os._exit(status)
