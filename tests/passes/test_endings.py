"""What was managed once: a project that is listed no more, a group that is retired, a declaration that is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.passes import Applied, apply_plan
from reconciler.passes.one_person import let_out
from reconciler.workspace import Workspace
from tests.passes.company import POLICY, Account, Company, of, settled_company, staff

PROJECTS = """
attributes:
  department: {kind: tree}
  projects: {kind: set}
clearances: [{public: {}}]
resources:
  project-docs/{project}:
    classification: public
    values: {falcon: {}, phoenix: {}}
    access: {read: {dir: {group: "prj-{project}"}}}
roles:
  member: {for_each: {project: projects}, grants: {read: ["project-docs/{project}"]}}
"""
WITHOUT = PROJECTS.replace("phoenix: {}", "").replace("falcon: {}, ", "falcon: {}")
RETIRED = POLICY.replace(
    "algorithms: {classification: core, access: {read: {dir: {group: algorithms}, ",
    "algorithms: {classification: core, access: {read: {",
)


@pytest.fixture
def projects(company: Company) -> Company:
    """Two people in phoenix, one of them in falcon, everything in place."""
    company.policy(PROJECTS)
    company.tell_all(
        [
            ("hired", "E1", "2026-01-01", {"department": "rd", "projects": "falcon;phoenix"}),
            ("hired", "E2", "2026-01-01", {"department": "rd", "projects": "phoenix"}),
        ]
    )
    company.directory(staff(2), {"prj-falcon": [], "prj-phoenix": []})
    company.apply()
    company.pass_time(days=2)
    assert company.members("prj-phoenix") == {"u1", "u2"}
    return company


def findings(done: Applied) -> list[str]:
    return sorted(finding.kind for finding in done.plan.findings)


def test_the_last_member_of_a_project_that_is_listed_no_more_is_removed(projects: Company) -> None:
    projects.policy(WITHOUT)

    done = projects.apply()

    assert of(done.plan.changes, "revoke") == {("E1", "project-docs/phoenix:read"), ("E2", "project-docs/phoenix:read")}
    assert {change.cause.kind.value for change in done.plan.changes} == {"policy"}
    assert projects.members("prj-phoenix") == set()
    assert projects.members("prj-falcon") == {"u1"}
    assert findings(done) == ["unlisted-value", "unlisted-value"]


def test_a_leaver_is_let_out_of_a_project_that_is_listed_no_more_and_nobody_else_is(projects: Company) -> None:
    projects.policy(WITHOUT)
    projects.tell("exited", "E1", "2026-11-24")

    done = let_out(projects.wiring(), "E1")

    assert done is not None
    assert not done.failed
    assert len(done.plan.due) == 2
    assert (projects.members("prj-falcon"), projects.members("prj-phoenix")) == (set(), {"u2"})


def test_an_ended_project_that_somebody_fills_again_is_emptied_again(projects: Company) -> None:
    projects.policy(WITHOUT)
    projects.apply()
    projects.put("prj-phoenix", Account("u2"))

    done = projects.apply()

    assert {change.cause.kind.value for change in done.plan.changes} == {"drift"}
    assert projects.members("prj-phoenix") == set()


def test_nothing_is_wrong_with_the_group_of_an_ended_project_being_gone(projects: Company) -> None:
    projects.policy(WITHOUT)
    projects.apply()
    projects.directory(staff(2), {"prj-falcon": [staff(1)[0]]})

    done = projects.apply()

    assert not done.plan.incomplete
    assert not done.failed
    assert "unread-entitlement" not in findings(done)


def test_a_project_on_its_last_day_keeps_its_members_and_loses_them_the_day_after(projects: Company) -> None:
    projects.policy(PROJECTS.replace("phoenix: {}", "phoenix: {until: 2026-11-30}"))
    assert projects.apply().plan.changes == ()
    projects.pass_time(days=10)

    done = projects.apply()

    assert {(change.cause.kind.value, change.cause.text) for change in done.plan.changes} == {
        ("time", "project-docs/phoenix ended on 2026-11-30")
    }
    assert projects.members("prj-phoenix") == set()


def test_emptying_an_ended_project_of_some_size_waits_for_a_word(company: Company) -> None:
    company.policy(PROJECTS)
    company.tell_all(
        [("hired", f"E{n}", "2026-01-01", {"department": "rd", "projects": "phoenix"}) for n in range(1, 5)]
    )
    company.directory(staff(4), {"prj-falcon": [], "prj-phoenix": []})
    company.settle()
    company.policy(WITHOUT)

    plan = company.apply().plan

    assert {change.held.guard for change in plan.held if change.held} == {"empties"}
    company.approve(plan.digest)
    company.apply()
    assert company.members("prj-phoenix") == set()


def retired(members: str) -> str:
    return (
        RETIRED
        + f"""
retired:
  - {{target: dir, entitlement: {{group: algorithms}}, members: {members}, reason: the vault has taken over}}
"""
    )


def test_a_retired_group_that_keeps_its_members_is_left_in_peace(tmp_path: Path) -> None:
    company, accounts = settled_company(tmp_path, 2, "rd/ai")
    company.policy(retired("keep"))

    done = company.apply()

    assert (done.plan.changes, done.plan.findings) == ((), ())
    assert company.members("algorithms") == {account.uid for account in accounts}


def test_a_retired_group_whose_members_go_is_emptied(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 2, "rd/ai")
    company.policy(retired("revoke"))

    done = company.apply()

    assert of(done.plan.changes) == {("E1", ""), ("E2", "")}
    assert {change.cause.kind.value for change in done.plan.changes} == {"policy"}
    assert company.members("algorithms") == set()
    assert company.readers() == {"E1", "E2"}
    assert done.plan.findings == ()


def test_a_group_that_nobody_retired_waits_with_a_finding(tmp_path: Path) -> None:
    company, _ = settled_company(tmp_path, 2, "rd/ai")
    company.policy(RETIRED)

    done = company.apply()

    assert done.plan.changes == ()
    assert findings(done) == ["undeclared-entitlement"]
    assert "retired" in done.plan.findings[0].text


def test_while_the_policies_do_not_pass_leavers_leave_ended_projects_too(projects: Company) -> None:
    """The last policies that passed are used, and what was managed before them is known under them as well."""
    projects.policy(WITHOUT)
    projects.apply()
    projects.put("prj-phoenix", Account("u1"))
    projects.tell("exited", "E1", "2026-11-24")
    projects.policy("roles: [not a mapping]")
    workspace = Workspace.load(projects.folder / "reconciler.yaml")
    standing = workspace.standing_policy()
    assert standing.problems is not None
    wiring = replace(workspace.wire(standing=standing), clock=lambda: projects.now)

    apply_plan(wiring, leavers_only=True)

    assert projects.members("prj-phoenix") == projects.members("prj-falcon") == set()
