"""Separation, sponsors, limits of exceptions, invariants, retirements: what bounds what roles give."""

from __future__ import annotations

import pytest

from reconciler.policy import check_policy, load_policy
from reconciler.policy.model import (
    Compare,
    EntitlementRef,
    Equals,
    ExceptionLimit,
    InvariantKind,
    Period,
    Permission,
    Policy,
)
from tests.policy.company import RESOURCES, ROLES, WORDS, errors, problems

READ, WRITE, CORE = Permission("basic-docs", "read"), Permission("basic-docs", "write"), Permission("核心算法", "read")
HANDBOOK = Permission("handbook", "read")

FAMILY = """\
resources:
  project-docs/{project}:
    classification: internal
    values: {falcon: {}, phoenix: {classification: confidential}}
    access:
      read: {corp-ldap: {group: "prj-{project}-readers"}}
      write: {corp-ldap: {group: "prj-{project}-writers"}}
  empty/{project}:
    classification: internal
    values: {}
    access:
      read: {corp-ldap: {group: "empty-{project}"}}
"""


def loaded(text: str, **others: str) -> Policy:
    """The policy of the company's words, resources and roles with this text."""
    files = {"words": WORDS, "resources": RESOURCES, "roles": ROLES, "a": text, **others}
    return load_policy({f"{name}.yaml": content.encode() for name, content in files.items()}, revision="")


def told(text: str, **others: str) -> list[str]:
    """The errors of a text beside the company's words, resources and roles: place, code."""
    return [f"{one.place.line}:{one.place.column} {one.code}" for one in errors(text, roles=ROLES, **others)]


# --- separation -------------------------------------------------------------------------------------------------------


def test_roles_can_be_kept_apart() -> None:
    (one,) = loaded("separation: [{name: 分离, roles: [engineer, staff]}]").separations

    assert (one.name, one.roles, one.between, one.withhold) == ("分离", ("engineer", "staff"), (), True)
    assert str(one.place) == "a.yaml:1:14"


def test_lists_of_permissions_can_be_kept_apart() -> None:
    text = (
        "separation: [{name: wall, between: [['basic-docs:*'], ['核心算法:read', 'handbook:*']], on_conflict: report}]"
    )

    (one,) = loaded(text).separations

    assert one.between == (frozenset({READ, WRITE}), frozenset({CORE, HANDBOOK}))
    assert one.withhold is False


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("project-docs/falcon:read", {"project-docs/falcon:read"}),
        ("project-docs/falcon:*", {"project-docs/falcon:read", "project-docs/falcon:write"}),
        ("project-docs/{project}:read", {"project-docs/falcon:read", "project-docs/phoenix:read"}),
        ("project-docs/*:write", {"project-docs/falcon:write", "project-docs/phoenix:write"}),
        ("empty/{project}:read", set()),
        ("empty/*:*", set()),
    ],
)
def test_a_pattern_names_one_or_many(pattern: str, named: set[str]) -> None:
    (one,) = loaded(f'invariants: [{{at_most: 3, permission: "{pattern}"}}]', family=FAMILY).invariants

    assert set(map(str, one.permissions)) == named
    assert one.pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "code", "remedy"),
    [
        ("handbok:read", "empty-pattern", "did you mean `handbook`?"),
        ("basic-docs:raed", "empty-pattern", "did you mean `read`?"),
        ("basic-docs:admin", "empty-pattern", "`read`, `write`"),
        ("project-docs/falkon:read", "empty-pattern", "did you mean `project-docs/falcon`?"),
        ("projekt-docs/*:read", "empty-pattern", "did you mean `project-docs/*`?"),
        ("project-docs/*:admin", "empty-pattern", "`read`, `write`"),
        ("wholly-else:read", "empty-pattern", "`handbook`, `basic-docs`"),
        ("empty/*:write", "empty-pattern", "possible here: `read`"),
        ("handbook", "pattern", "write `resource:action`"),
        ("*:read", "pattern", "write `resource:action`"),
        ("*", "pattern", "write `resource:action`"),
        ("hand*:read", "pattern", "write `resource:action`"),
        ("handbook:re*", "pattern", "write `resource:action`"),
        (":read", "pattern", ""),
        ("handbook:", "pattern", ""),
    ],
)
def test_a_pattern_that_names_nothing_is_an_error(pattern: str, code: str, remedy: str) -> None:
    (problem,) = errors(f'invariants: [{{at_most: 3, permission: "{pattern}"}}]', family=FAMILY)

    assert (problem.code, str(problem.place)) == (code, "a.yaml:1:39")
    assert remedy in problem.remedy


def test_who_names_a_broken_resource_in_a_pattern_is_not_wrong() -> None:
    broken = "resources: {x/{p}: {classification: 3}, y: 7}"
    text = "invariants: [{at_most: 1, permission: 'y:read'}, {at_most: 1, permission: 'x/a:read'}]"

    assert {one.place.file for one in errors(text, broken=broken)} == {"broken.yaml"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("separation: [{roles: [engineer, staff]}]", "1:14 missing"),
        ("separation: [{name: x}]", "1:14 missing"),
        ("separation: [{name: x, roles: [engineer]}]", "1:14 value"),
        ("separation: [{name: x, between: [['basic-docs:*']]}]", "1:14 value"),
        ("separation: [{name: x, roles: [staff, engineer], between: [[a:b], [c:d]]}]", "1:14 contradiction"),
        ("separation: [{name: x, roles: [staff, enginer]}]", "1:39 unknown-role"),
        ("separation: [{name: x, roles: [staff, staff]}]", "1:39 duplicate-value"),
        ("separation: [{name: x, roles: [staff, engineer], on_conflict: warn}]", "1:63 value"),
        ("separation: [{name: x, between: [['basic-docs:*'], []]}]", "1:52 empty"),
        ("separation: [{name: x, between: [['basic-docs:*'], ['basic-docs:read']]}]", "1:52 overlapping-separation"),
        (
            "separation: [{name: x, roles: [staff, engineer]}, {name: x, roles: [staff, owner]}]",
            "1:58 duplicate-name",
        ),
        ("separation: [{name: x, roles: [engineer, senior-engineer]}]", "1:24 always-conflicts"),
        ("separation: [{name: x, between: [['basic-docs:write'], ['核心算法:*']]}]", "1:24 always-conflicts"),
    ],
)
def test_mistakes_in_separation(text: str, where: str) -> None:
    assert told(text) == [where]


def test_a_role_that_is_made_of_two_that_are_kept_apart_is_refused_and_what_follows_is_not_told() -> None:
    text = (
        "roles:\n  a: {match: {post: it}}\n  b: {match: {post: engineer}}\n"
        "  both: {inherits: [a, b], everyone: true}\n  more: {inherits: [both], everyone: true}\n"
        "separation:\n  - {name: x, roles: [a, b]}\n"
    )

    (problem,) = errors(text)

    assert (problem.code, problem.place.line) == ("always-conflicts", 7)
    assert "`both` is always in conflict: it is made of `a` and `b`" in problem.message


def test_with_report_a_role_in_conflict_with_itself_is_only_a_warning() -> None:
    text = "separation: [{name: x, roles: [engineer, senior-engineer], on_conflict: report}]"

    assert [(one.code, one.severity) for one in problems(text, roles=ROLES) if one.code == "always-conflicts"] == [
        ("always-conflicts", "warning")
    ]


# --- sponsors ---------------------------------------------------------------------------------------------------------


def test_a_sponsor_rule() -> None:
    text = "sponsors: [{of: {employment: contractor}, by: sponsor, must: {employment: employee}, lapse: 14d}]"

    (rule,) = loaded(text).sponsors

    assert isinstance(rule.of, Compare)
    assert isinstance(rule.must, Compare)
    assert (rule.by, rule.must.test, rule.lapse) == ("sponsor", Equals(frozenset({"employee"})), Period(days=14))


def test_a_sponsor_rule_without_more_lapses_at_once_and_takes_anybody() -> None:
    (rule,) = loaded("sponsors: [{of: {employment: contractor}, by: sponsor}]").sponsors

    assert (rule.must, rule.lapse, rule.ends) == (None, Period(), False)


def test_a_sponsor_rule_can_ask_for_an_end_as_well() -> None:
    (rule,) = loaded("sponsors: [{of: {employment: contractor}, by: sponsor, ends: required}]").sponsors

    assert rule.ends


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("sponsors: [{by: sponsor}]", "1:12 missing"),
        ("sponsors: [{of: {employment: contractor}}]", "1:12 missing"),
        ("sponsors: [{of: {employment: contractor}, by: sponser}]", "1:47 unknown-attribute"),
        ("sponsors: [{of: {employment: contractor}, by: post}]", "1:47 attribute-kind"),
        ("sponsors: [{of: {employment: contractr}, by: sponsor}]", "1:30 unknown-value"),
        ("sponsors: [{of: {}, by: sponsor}]", "1:17 empty-match"),
        ("sponsors: [{of: {post: it}, by: sponsor, must: {pst: it}}]", "1:49 unknown-attribute"),
        ("sponsors: [{of: {post: it}, by: sponsor, ends: optional}]", "1:48 value"),
        ("sponsors: [{of: {post: it}, by: sponsor, ends: true}]", "1:48 value"),
        ("sponsors: [{of: {post: it}, by: sponsor, end: required}]", "1:42 unknown-key"),
    ],
)
def test_mistakes_in_sponsor_rules(text: str, where: str) -> None:
    assert told(text) == [where]


# --- limits of exceptions ---------------------------------------------------------------------------------------------

LIMITS = "exception_limits: {internal: {max: 90d, approvers: 1}, core: {max: 1mo}}\n"


def test_limits_are_by_rank() -> None:
    policy = loaded(LIMITS)

    assert {rank: (one.longest, one.approvers) for rank, one in policy.exception_limits.items()} == {
        1: (Period(days=90), 1),
        3: (Period(months=1), 0),
    }
    assert isinstance(policy.exception_limits[1], ExceptionLimit)


def exception(resource: str, since: str, until: str, approvers: str = "'E2'") -> str:
    begins = f"since: {since}, " if since else ""
    approved = f", approved_by: [{approvers}]" if approvers else ""
    grants = f"grants: {{read: [{resource}]}}"
    return f"exceptions:\n  - {{person: 'E1', reason: x, {grants}, {begins}until: {until}{approved}}}\n"


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (exception("basic-docs", "2026-01-01", "2026-03-31"), True),  # 90 days, both included
        (exception("basic-docs", "2026-01-01", "2026-04-01"), False),
        (exception("核心算法", "2026-02-01", "2026-02-28"), True),  # a calendar month
        (exception("核心算法", "2026-02-01", "2026-03-01"), False),
        (exception("核心算法", "2026-01-31", "2026-02-27"), True),  # 31 January + 1 month = the last of February
        (exception("核心算法", "2026-01-31", "2026-02-28"), False),
        (exception("handbook", "", "2036-01-01", ""), True),  # no limit at or below its class
        (exception("basic-docs", "", "2026-03-31"), False),  # nobody can tell how long it lasts
        (exception("basic-docs", "2026-01-01", "2026-03-31", ""), False),  # one must approve
        (exception("核心算法", "2026-02-01", "2026-02-28", ""), True),  # the limit of its own class asks for none
        (exception("basic-docs, 核心算法", "2026-02-01", "2026-02-28", ""), False),  # each class by its own limit
    ],
)
def test_an_exception_keeps_to_the_limit_for_its_class(text: str, fine: bool) -> None:
    assert [one.code for one in errors(LIMITS + text)] == ([] if fine else ["exception-limit"])


def test_the_message_says_the_last_day_that_would_do() -> None:
    (problem,) = errors(LIMITS + exception("核心算法", "2026-02-01", "2027-01-01"))

    assert problem.remedy == "write `until: 2026-02-28`, or an earlier day"
    assert "longer than 1mo, the most for `core`" in problem.message


def test_the_same_approver_twice_and_the_person_themselves_count_for_nothing() -> None:
    limits = "exception_limits: {internal: {approvers: 2}}\n"

    assert [one.code for one in errors(limits + exception("basic-docs", "", "2026-03-31", "'E2', 'E2'"))] == [
        "exception-limit"
    ]
    assert not errors(limits + exception("basic-docs", "", "2026-03-31", "'E2', 'E3'"))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("exception_limits: {intern: {max: 1d}}", "1:20 unknown-clearance"),
        ("exception_limits: {internal: {}}", "1:20 empty"),
        ("exception_limits: {internal: {max: 0d}}", "1:36 period"),
        ("exception_limits: {internal: {approvers: 0}}", "1:42 range"),
        ("exception_limits: {internal: {max: 14}}", "1:36 period"),
    ],
)
def test_mistakes_in_limits(text: str, where: str) -> None:
    assert told(text) == [where]


def test_a_limit_for_a_level_that_is_broken_is_no_crash() -> None:
    words = WORDS.replace("requires: [{any_of", "requires: [{any_off")
    files = {"words": words, "resources": RESOURCES, "a": LIMITS + exception("核心算法", "2026-02-01", "2027-01-01")}

    _, found = check_policy({name: text.encode() for name, text in files.items()})

    assert "words" in {one.place.file for one in found}


# --- invariants -------------------------------------------------------------------------------------------------------


def test_invariants() -> None:
    text = (
        "invariants:\n"
        '  - {never: {match: {employment: contractor}, permission: "核心算法:*"}}\n'
        '  - {at_least: 2, permission: "basic-docs:*"}\n'
        '  - {at_most: 0, permission: "handbook:read"}\n'
    )

    never, least, most = loaded(text).invariants

    assert (never.kind, never.permissions, never.pattern) == (InvariantKind.NEVER, (CORE,), "核心算法:*")
    assert never.match is not None
    assert (least.kind, least.permissions, least.count) == (InvariantKind.AT_LEAST, (READ, WRITE), 2)
    assert (most.kind, most.permissions, most.count) == (InvariantKind.AT_MOST, (HANDBOOK,), 0)
    assert str(most.place) == "a.yaml:4:5"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("invariants: [{}]", "1:14 missing"),
        ("invariants: [{permission: 'handbook:read'}]", "1:14 missing"),
        ("invariants: [{at_least: 2}]", "1:14 missing"),
        ("invariants: [{at_least: 0, permission: 'handbook:read'}]", "1:25 range"),
        ("invariants: [{at_least: 1, at_most: 2, permission: 'handbook:read'}]", "1:14 contradiction"),
        ("invariants: [{never: {match: {post: it}}}]", "1:15 missing"),
        ("invariants: [{never: {permission: 'handbook:read'}}]", "1:15 missing"),
        ("invariants: [{never: {match: {post: pilot}, permission: 'handbook:read'}}]", "1:37 unknown-value"),
        (
            "invariants: [{at_least: 3, permission: 'handbook:read'}, {at_most: 2, permission: 'handbook:*'}]",
            "1:58 contradiction",
        ),
    ],
)
def test_mistakes_in_invariants(text: str, where: str) -> None:
    assert told(text) == [where]


def test_as_many_at_least_as_at_most_is_fine() -> None:
    assert not told("invariants: [{at_least: 2, permission: 'handbook:*'}, {at_most: 2, permission: 'handbook:*'}]")


# --- retired ----------------------------------------------------------------------------------------------------------


def retired(group: str, members: str = "revoke") -> str:
    return f"{{target: corp-ldap, entitlement: {{group: {group}}}, members: {members}, reason: Ended}}"


def test_what_is_retired_with_revoke_stays_among_the_entitlements_and_carries_nothing() -> None:
    policy = loaded(f"retired: [{retired('old')}, {retired('older', 'keep')}]")
    old, older = EntitlementRef("corp-ldap", "group=old"), EntitlementRef("corp-ldap", "group=older")

    assert policy.retired.keys() == {old, older}
    assert (policy.retired[old].revoke, policy.retired[older].revoke) == (True, False)
    assert (policy.entitlements[old].permissions, policy.entitlements[old].classification) == ((), 3)
    assert policy.entitlements[old].locator == {"group": "old"}
    assert older not in policy.entitlements


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"retired: [{retired('docs-readers')}]", "1:31 retired-in-use"),
        (f"retired: [{retired('prj-falcon-readers')}]", "1:31 retired-in-use"),
        (f"retired: [{retired('x')}, {retired('x', 'keep')}]", "1:109 duplicate-name"),
        (f"retired: [{retired('x', 'forget')}]", "1:65 value"),
        ("retired: [{target: corp-ldap, members: keep, reason: x}]", "1:11 missing"),
        ("retired: [{target: corp-ldap, entitlement: {}, members: keep, reason: x}]", "1:44 empty"),
        ("retired: [{target: corp-ldap, entitlement: {group: x}, members: keep, reason: ' '}]", "1:79 empty"),
        ("retired: {}", "1:10 type"),
    ],
)
def test_mistakes_in_retirements(text: str, where: str) -> None:
    assert told(text, family=FAMILY) == [where]


def test_c2_retiring_another_spelling_of_a_group_in_use_is_reported() -> None:
    """Where the target takes names in any case, everybody would be removed from a group in use."""
    assert "similar-entitlements" in {one.code for one in problems(f"retired: [{retired('Docs-Readers')}]")}
