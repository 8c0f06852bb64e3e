"""Policy tests are run twice over, met or not met for the right reason, and what nothing tries is named."""

from __future__ import annotations

import pytest

from reconciler.access.coverage import Part
from reconciler.access.trial import TrialRun, run_trials
from reconciler.policy import load_policy

POLICY = """
attributes:
  post: {kind: one_of, values: [engineer, signer, guest]}
  projects: {kind: set}
  sponsor: {kind: person}
evidence:
  nda: {kind: agreement, version: 2, superseded_on: 2026-03-01}
  briefing: {kind: training, per: projects, valid_for: 1y}
clearances:
  - public: {}
  - internal: {requires: [nda]}
compartments:
  "project/{project}": {requires: [{briefing: "{project}"}]}
resources:
  handbook: {classification: public, access: {read: {ldap: {group: handbook}}}}
  code: {classification: internal, access: {read: {ldap: {group: code}}}}
  releases: {classification: public, access: {write: {ldap: {group: releases}}}}
  docs/{project}:
    classification: public
    compartments: ["project/{project}"]
    values: {falcon: {}}
    access: {read: {ldap: {group: "docs-{project}"}}}
roles:
  staff: {everyone: true, grants: {read: [handbook]}}
  engineer: {match: {post: engineer}, grants: {read: [code]}}
  signer: {match: {post: signer}, grants: {write: [releases]}}
  member: {for_each: {project: projects}, grants: {read: ["docs/{project}"]}}
exceptions:
  - {person: E9, grants: {read: [code]}, since: 2026-11-01, until: 2026-11-30, reason: audit}
separation: [{name: apart, roles: [engineer, signer]}]
sponsors: [{of: {post: guest}, by: sponsor, lapse: 7d}]
lifecycle:
  notice: {ceiling: public}
  transfer: {overlap: 7d, ceiling: internal}
tests:
"""
ENGINEER = "assignments: [{post: engineer}]"
MEMBER = "assignments: [{post: signer, projects: [falcon]}]"


def run(*tests: str) -> TrialRun:
    told = "".join(f"  - {{name: t{n}, on: 2026-11-24, {test}}}\n" for n, test in enumerate(tests))
    return run_trials(load_policy({"p.yaml": (POLICY + told).encode()}, revision="r"), "Asia/Shanghai")


@pytest.mark.parametrize(
    "test",
    [
        f"{ENGINEER}, evidence: [nda], expect: {{can: [code:read, handbook:read], cannot: [releases:write]}}",
        f"{ENGINEER}, expect: {{withheld: {{code:read: [nda]}}}}",
        f"{ENGINEER}, evidence: [{{evidence: nda, version: 1}}], expect: {{cannot: [code:read]}}",
        f"{ENGINEER}, evidence: [{{evidence: nda, result: failed}}], expect: {{withheld: {{code:read: [nda]}}}}",
        f"{ENGINEER}, evidence: [nda], notice: 2026-11-20, expect: {{withheld: {{code:read: [notice]}}}}",
        f"{ENGINEER}, evidence: [nda], notice: 2026-11-25, expect: {{can: [code:read]}}",
        f"{ENGINEER}, exited: 2026-11-23, expect: {{cannot: [handbook:read]}}",
        f"{ENGINEER}, exited: 2026-11-24, expect: {{can: [handbook:read]}}",
        f"{ENGINEER}, locked_out: true, expect: {{withheld: {{handbook:read: [locked-out]}}}}",
        (
            "assignments: [{post: engineer}, {post: signer}], evidence: [nda], "
            "expect: {withheld: {code:read: [apart], releases:write: [apart]}, can: [handbook:read]}"
        ),
        (
            "assignments: [{post: engineer, until: 2026-11-20, transferred: true}, {post: signer, since: 2026-11-21}], "
            "evidence: [nda], expect: {withheld: {code:read: [apart]}}"
        ),
        (
            "assignments: [{post: engineer, until: 2026-11-10, transferred: true}, {since: 2026-11-11}], "
            "evidence: [nda], expect: {cannot: [code:read]}"
        ),
        f"{MEMBER}, expect: {{withheld: {{docs/falcon:read: ['briefing:falcon']}}}}",
        (
            "assignments: [{post: signer, projects: [falcon]}], evidence: [{evidence: briefing, scope: falcon}], "
            "expect: {can: [docs/falcon:read]}"
        ),
        'person: "E9", assignments: [{post: signer}], evidence: [nda], expect: {can: [code:read]}',
        "assignments: [{post: guest, sponsor: E7}], expect: {withheld: {handbook:read: [sponsor]}}",
        (
            "assignments: [{post: guest, sponsor: E7}], others: [{person: E7, assignments: [{post: engineer}]}], "
            "expect: {can: [handbook:read]}"
        ),
        "expect: {cannot: [handbook:read]}",
    ],
)
def test_what_is_expected_rightly_is_met(test: str) -> None:
    assert [result.text for result in run(test).results if not result.passed] == []


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (f"{ENGINEER}, expect: {{can: [code:read]}}", "cannot: nda is missing (level internal)"),
        (f"{ENGINEER}, evidence: [nda], expect: {{cannot: [code:read]}}", "can: assignment"),
        (f"{ENGINEER}, expect: {{can: [releases:write]}}", "role signer would give it"),
        (f"{ENGINEER}, evidence: [nda], expect: {{withheld: {{code:read: [nda]}}}}", "can, and is not withheld"),
        (f"{ENGINEER}, expect: {{withheld: {{releases:write: [nda]}}}}", "since nothing gives it"),
        (f"{ENGINEER}, notice: 2026-11-20, expect: {{withheld: {{code:read: [nda]}}}}", "also for notice"),
        (f"{ENGINEER}, expect: {{withheld: {{code:read: [nda, notice]}}}}", "not for notice"),
    ],
)
def test_what_is_not_met_says_what_came_out_and_why(test: str, told: str) -> None:
    (result,) = run(test).failed
    assert told in result.text


def untried(*tests: str) -> set[tuple[Part, str]]:
    return {(each.part, each.name) for each in run(*tests).coverage.untried}


def test_coverage_counts_what_a_passing_test_tries() -> None:
    nothing = untried("expect: {cannot: [handbook:read]}")
    assert nothing == {
        (Part.ROLE, "staff"),
        (Part.ROLE, "engineer"),
        (Part.ROLE, "signer"),
        (Part.ROLE, "member"),
        (Part.EXCEPTION, "E9 until 2026-11-30"),
        (Part.CLEARANCE, "internal"),
        (Part.COMPARTMENT, "project/falcon"),
        (Part.SEPARATION, "apart"),
    }
    member = "assignments: [{post: signer, projects: [falcon]}], "
    everything = untried(
        f"{ENGINEER}, evidence: [nda], expect: {{can: [code:read]}}",
        f"{ENGINEER}, expect: {{withheld: {{code:read: [nda]}}}}",
        "assignments: [{post: engineer}, {post: signer}], expect: {cannot: [releases:write]}",
        member + "evidence: [{evidence: briefing, scope: falcon}], expect: {can: [docs/falcon:read]}",
        member + "expect: {cannot: [docs/falcon:read]}",
        'person: "E9", assignments: [{post: signer}], evidence: [nda], expect: {can: [code:read]}',
    )
    assert everything == set()


def test_half_of_a_clearance_is_not_tried_and_failing_tests_try_nothing() -> None:
    half = run(f"{ENGINEER}, evidence: [nda], expect: {{can: [code:read]}}").coverage.untried
    assert [each.text for each in half if each.part is Part.CLEARANCE] == [
        "no test has somebody from whom it withholds"
    ]
    assert (Part.CLEARANCE, "internal") in untried(f"{ENGINEER}, expect: {{can: [code:read]}}")
