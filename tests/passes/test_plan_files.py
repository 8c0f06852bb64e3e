"""A saved plan makes a run smaller, never larger, and is carried out once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.passes import apply_plan
from reconciler.plan.artefact import PlanFileError, SavedPlan, plan_json, read_plan
from reconciler.workspace import RunInProgress, lease
from tests.passes.company import POLICY, Account, Company, of, settled_company


def saved(company: Company, **options: Any) -> SavedPlan:
    text = json.dumps(plan_json(company.look(**options).plan))
    return read_plan(text.encode(), "plan.json")


def with_leavers(folder: Path, count: int = 6) -> Company:
    company, _ = settled_company(folder, count)
    company.tell("exited", "E1", "2026-11-20")
    return company


def test_f3_the_same_saved_plan_twice_is_refused(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    plan = saved(company)
    company.apply(plan)
    company.put("docs", Account("u1"))  # so that the plan would have something to do again

    with pytest.raises(PlanFileError, match="carried out already, by run"):
        company.apply(plan)
    assert "u1" in company.members("docs")


def test_a_saved_plan_carries_out_what_it_names_and_nothing_new(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    plan = saved(company)
    company.pass_time(minutes=1)
    company.tell("exited", "E2", "2026-11-20")

    company.apply(plan)

    assert company.members("docs") == {"u2", "u3", "u4", "u5", "u6"}
    company.apply()
    assert company.members("docs") == {"u3", "u4", "u5", "u6"}


def test_changes_that_are_no_longer_due_are_counted_and_left_alone(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    plan = saved(company)
    company.tell("rehired", "E1", "2026-11-22", department="rd")
    company.tell("evidence-recorded", "E1", "2026-11-22", kind="nda", valid_from="2026-11-22")

    done = company.apply(plan)

    assert done.missing == 2
    assert done.report is None
    assert "u1" in company.members("docs")


def test_a_plan_made_under_another_policy_is_refused(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    plan = saved(company)
    company.policy(POLICY + "\n# a word\n")

    with pytest.raises(PlanFileError, match="policy has changed"):
        company.apply(plan)


def test_a_plan_of_another_workspace_is_refused(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    plan = saved(company)
    file = tmp_path / "reconciler.yaml"
    file.write_text(file.read_text("utf-8").replace("星河科技", "别的公司"), "utf-8")

    with pytest.raises(PlanFileError, match="another workspace"):
        company.apply(plan)


def test_a_plan_for_another_day_is_for_reading(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    later = company.now + timedelta(days=300)
    plan = company.look(at=later).plan
    assert of(plan.changes, "revoke"), "the trainings will have lapsed"

    with pytest.raises(PlanFileError, match="for reading"):
        company.apply(saved(company, at=later))
    with company.wiring(targets=()).store.reading() as connection:
        assert company.wiring(targets=()).journal.proposals(connection, plan.digest) == [], "it cannot be approved"


def test_two_runs_at_once_the_second_is_refused(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    wiring = company.wiring()
    with lease(wiring.store), pytest.raises(RunInProgress, match="another run is in progress"):
        apply_plan(wiring)
    assert "u1" in company.members("docs")

    apply_plan(wiring)
    assert "u1" not in company.members("docs")


def test_who_says_no_has_changed_nothing(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    before, head = (tmp_path / "directory.ldif").read_bytes(), company.wiring().ledger.head()

    assert apply_plan(company.wiring(), confirm=lambda _: False) is None

    assert (tmp_path / "directory.ldif").read_bytes() == before
    assert company.wiring().ledger.head() == head


def test_planning_changes_neither_targets_nor_the_record(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    head = company.wiring().ledger.head()

    assert company.look().plan.changes

    assert {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()} == files
    assert company.wiring().ledger.head() == head


def drop_a_change(data: dict[str, Any]) -> object:
    return data["changes"].pop()


def forge_an_id(data: dict[str, Any]) -> None:
    data["changes"][0]["id"] = "0" * 32


def forge_with_digest(data: dict[str, Any]) -> None:
    data["digest"] = "sha256:" + "0" * 64


def no_list(data: dict[str, Any]) -> None:
    data["changes"] = 5


def lone_surrogate(data: dict[str, Any]) -> None:
    data["changes"][0]["id"] = "\ud800"


def another_format(data: dict[str, Any]) -> None:
    data["format"] = "reconciler.plan/9"


@pytest.mark.parametrize(
    "edit", [drop_a_change, forge_an_id, forge_with_digest, no_list, lone_surrogate, another_format]
)
def test_an_edited_plan_file_is_refused(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    data: dict[str, Any] = plan_json(with_leavers(tmp_path).look().plan)
    edit(data)

    with pytest.raises(PlanFileError):
        read_plan(json.dumps(data).encode(), "plan.json")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"{", b"[" * 100_000, b"9" * 5000, b'{"format": 1}'])
def test_what_is_no_plan_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(PlanFileError):
        read_plan(content, "plan.json")


def test_a_change_that_was_edited_into_another_is_refused(tmp_path: Path) -> None:
    company = with_leavers(tmp_path)
    data: dict[str, Any] = plan_json(company.look().plan)
    data["changes"][0]["op"] = "grant" if data["changes"][0]["op"] == "revoke" else "revoke"

    with pytest.raises(PlanFileError, match="edited"):
        read_plan(json.dumps(data).encode(), "plan.json")


def test_a_file_that_says_a_change_is_not_held_is_not_believed(tmp_path: Path) -> None:
    """What is done comes from a fresh plan, whatever stands in the file beside the ids."""
    company, _ = settled_company(tmp_path, 9)
    company.policy(POLICY.replace("department: rd}", "department: rnd}"))
    data: dict[str, Any] = plan_json(company.look().plan)
    for change in data["changes"]:
        change["held"] = None

    company.apply(read_plan(json.dumps(data).encode(), "plan.json"))

    assert len(company.members("docs")) == 9


def test_a_held_change_in_a_saved_plan_stays_held(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 9)
    company.policy(POLICY.replace("department: rd}", "department: rnd}"))

    company.apply(saved(company))

    assert len(company.members("docs")) == 9


def test_narrowed_to_one_target_the_others_are_left_alone(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 6, "rd/ai")
    company.tell("exited", "E1", "2026-11-20")

    company.apply(targets=["vault"])

    assert "E1" not in company.readers()
    assert "u1" in company.members("docs")
