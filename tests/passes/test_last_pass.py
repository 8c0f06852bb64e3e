"""What the last whole pass left, as monitoring shows it, whoever made it."""

from __future__ import annotations

from reconciler.passes import apply_plan
from reconciler.passes.last_pass import recall_pass
from tests.service.conftest import PEOPLE, fresh_office, office  # noqa: F401  # fixtures
from tests.service.office import Office, days_ago


def test_a_pass_over_everything_notes_what_it_left_and_no_other_does(fresh_office: Office) -> None:  # noqa: F811
    office = fresh_office  # noqa: F811
    office.hire(PEOPLE, days_ago(30))
    store = office.workspace().facts().store
    assert recall_pass(store) is None
    apply_plan(office.wiring(), targets=["dir"])
    apply_plan(office.wiring(), person="E1")
    assert recall_pass(store) is None, "a part says nothing of the whole"

    done = office.command("apply", "--yes")  # and not the service alone
    assert done.returncode == 3, done.stderr
    last = recall_pass(store)
    assert last is not None
    assert sum(last.held.values()) == 2 * len(PEOPLE)
    assert {key[:2] for key in last.held} == {("dir", "grant")}
    assert last.targets == {"dir": True}
    office.slapd.process.kill()
    office.slapd.process.wait()
    office.command("apply", "--yes")
    last = recall_pass(store)
    assert last is not None
    assert last.targets == {"dir": False}
    assert last.findings["target-unavailable"] == 1
