"""Accounts: disabled for who is out or suspended, enabled for who is back, and only where a run of ours disabled it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.access import evaluate
from reconciler.facts.model import Assignment, Person, Population, Span
from reconciler.plan import Plan, Situation, TargetView, make_plan
from reconciler.plan.guards import Approvals
from reconciler.policy import load_policy
from reconciler.policy.model import Policy
from reconciler.targets import (
    AccountsRead,
    BitMap,
    Capabilities,
    EntitlementRead,
    Observation,
    ObservedAccount,
    Op,
    Reading,
)
from tests.plan.test_building import NOW, START, NoMemory

TEXT = b"""
attributes: {department: {kind: tree}}
clearances: [{public: {}}]
resources:
  docs: {classification: public, access: {read: {dir: {group: docs}}}}
roles:
  everybody: {match: {department: rd}, grants: {read: [docs]}}
lifecycle: {leave: {suspend: true}, exited: {disable: immediately}}
"""
POLICY = load_policy({"p.yaml": TEXT}, revision="r1")
RETAINING = load_policy({"p.yaml": TEXT.replace(b"immediately}", b"immediately, delete_after: 90d}")}, revision="r2")
ALL = frozenset({Op.GRANT, Op.REVOKE, Op.DISABLE_ACCOUNT, Op.ENABLE_ACCOUNT})
BEFORE, LATER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
AWAY, BACK = Span(BEFORE, None, 7), Span(BEFORE, LATER, 7, 9)


def person(number: int = 0, department: str = "rd", **spans: tuple[Span, ...]) -> Person:
    post = Assignment("main", {"department": department}, Span(START, None, 1))
    return replace(Person(number, f"E{number}", "", "", (post,), employed_since=START), **spans)  # type: ignore[arg-type]


def plan(
    *people: Person,
    enabled: bool = True,
    ours: bool = True,
    ops: frozenset[Op] = ALL,
    inside: bool = True,
    since: datetime = BEFORE,
    policy: Policy = POLICY,
    live_on: str = "",
) -> Plan:
    population = Population(people, {}, 10)
    accounts = [ObservedAccount(f"k{p.number}", f"uid=u{p.number}", "", {"id": p.id}, enabled) for p in people]
    members = BitMap(range(len(people))) if inside else BitMap()
    reads = {"group=docs": EntitlementRead("group=docs", "docs", Reading.COMPLETE, members)}
    seen = Observation(NOW, AccountsRead(Reading.COMPLETE, accounts), reads)
    here = dict.fromkeys((account.key for account in accounts), since) if ours else {}
    view = TargetView(Capabilities(ops, sessions_live_on=live_on), ("id",), seen, disabled_here=here)
    desired = evaluate(policy, population, NOW)
    return make_plan(
        Situation(NOW, "w", policy, population, desired, {"dir": view}, NoMemory(), {}, Approvals({}, {}), {})
    ).plan


def ended(*people: Person, left: bool, ops: frozenset[Op] = ALL | {Op.END_SESSIONS}) -> Plan:
    """The plan about disabled accounts, whose sessions are left open or were ended."""
    population = Population(people, {}, 10)
    accounts = [ObservedAccount(f"k{p.number}", f"uid=u{p.number}", "", {"id": p.id}, enabled=False) for p in people]
    seen = Observation(NOW, AccountsRead(Reading.COMPLETE, accounts), {})
    here = dict.fromkeys((account.key for account in accounts), BEFORE)
    open_still = frozenset(here) if left else frozenset[str]()
    view = TargetView(Capabilities(ops), ("id",), seen, disabled_here=here, sessions_left=open_still)
    desired = evaluate(POLICY, population, NOW)
    return make_plan(
        Situation(NOW, "w", POLICY, population, desired, {"dir": view}, NoMemory(), {}, Approvals({}, {}), {})
    ).plan


def ops(made: Plan) -> list[Op]:
    return [change.op for change in made.changes]


def kinds(made: Plan) -> list[str]:
    return [finding.kind for finding in made.findings]


def test_a_leave_that_suspends_disables_and_revokes_in_the_leavers_lane() -> None:
    made = plan(person(leave=(AWAY,)))
    assert ops(made) == [Op.DISABLE_ACCOUNT, Op.REVOKE]
    assert {change.leaver for change in made.changes} == {True}
    assert {change.cause.ref for change in made.changes} == {"ledger:7"}
    assert made.held == ()


def test_who_is_suspended_already_is_not_disabled_twice_nor_enabled() -> None:
    assert ops(plan(person(leave=(AWAY,)), enabled=False, inside=False)) == []


@pytest.mark.parametrize("who", [person(leave=(BACK,)), person(exited=(BACK,))])
def test_who_is_back_gets_the_account_back_that_was_disabled_from_here(who: Person) -> None:
    made = plan(who, enabled=False)
    assert [(change.op, change.cause.ref, change.leaver) for change in made.changes] == [
        (Op.ENABLE_ACCOUNT, "ledger:9", False)
    ]


def test_what_somebody_else_disabled_stays_so_and_is_said() -> None:
    made = plan(person(leave=(BACK,)), enabled=False, ours=False)
    assert ops(made) == []
    assert kinds(made) == ["disabled-account"]


def test_a_disabled_account_of_somebody_without_access_is_nobodys_business() -> None:
    made = plan(person(department="hr"), enabled=False, ours=False, inside=False)
    assert (ops(made), kinds(made)) == ([], [])


def test_a_target_that_cannot_enable_says_so() -> None:
    made = plan(person(leave=(BACK,)), enabled=False, ops=ALL - {Op.ENABLE_ACCOUNT})
    assert (ops(made), kinds(made)) == ([], ["cannot-enable"])


def test_a_target_that_cannot_disable_says_why_it_should() -> None:
    made = plan(person(leave=(AWAY,)), ops=ALL - {Op.DISABLE_ACCOUNT})
    assert (ops(made), kinds(made)) == ([Op.REVOKE], ["cannot-disable"])
    assert "leave that suspends" in made.findings[0].text


def test_who_is_locked_out_gets_no_account_back() -> None:
    made = plan(person(leave=(BACK,), lockouts=(AWAY,)), enabled=False, inside=False)
    assert (ops(made), kinds(made)) == ([], [])


def test_f12_that_open_sessions_live_on_is_said_where_they_cannot_be_ended() -> None:
    away = [person(number, leave=(AWAY,)) for number in range(7)]
    words = "connections stay until they are closed"

    [finding] = plan(*away, live_on=words).findings
    assert (finding.kind, finding.target) == ("sessions-live-on", "dir")
    assert finding.text == f"disabling ends no session of E0, E1, E2, E3, E4 and 2 more: {words}"
    assert plan(*away, live_on=words, ops=ALL | {Op.END_SESSIONS}).findings == ()
    assert [each.subject for each in plan(away[3], live_on=words).findings] == ["E3"]
    assert plan(*away, live_on=words, enabled=False).findings == ()
    assert plan(*away).findings == ()


DELETING = ALL | {Op.DELETE_ACCOUNT}
LONG_AGO = datetime(2026, 8, 1, tzinfo=UTC)
"""More than the retention ago."""
GONE = Span(LONG_AGO, None, 7)


def deletion(person: Person, **how: Any) -> list[Op]:
    return ops(plan(person, ops=how.pop("ops", DELETING), policy=RETAINING, inside=False, **how))


def test_who_is_out_and_disabled_for_the_whole_retention_is_deleted_once_somebody_decides() -> None:
    made = plan(person(exited=(GONE,)), enabled=False, since=LONG_AGO, ops=DELETING, policy=RETAINING, inside=False)
    [change] = made.changes
    assert change.op is Op.DELETE_ACCOUNT
    assert change.held is not None
    assert "always waits for a decision" in change.held.text


def test_late_news_disables_and_deletes_nobody_before_the_retention_has_passed_since() -> None:
    assert deletion(person(exited=(GONE,))) == [Op.DISABLE_ACCOUNT]
    assert deletion(person(exited=(GONE,)), enabled=False, since=BEFORE) == []
    assert deletion(person(exited=(AWAY,)), enabled=False, since=LONG_AGO) == []
    assert deletion(person(exited=(GONE,)), enabled=False, ours=False) == [Op.DELETE_ACCOUNT]


def test_where_nothing_can_be_disabled_the_exit_alone_counts() -> None:
    assert deletion(person(exited=(GONE,)), ours=False, ops=DELETING - {Op.DISABLE_ACCOUNT}) == [Op.DELETE_ACCOUNT]


spans = st.sampled_from([(), (AWAY,), (BACK,)])


@given(st.lists(st.tuples(spans, spans, spans), min_size=1, max_size=5), st.booleans(), st.booleans(), st.booleans())
def test_only_our_own_disabling_is_undone_and_only_for_who_is_there(
    drawn: list[tuple[tuple[Span, ...], ...]], enabled: bool, ours: bool, inside: bool
) -> None:
    people = [person(n, leave=away, exited=out, lockouts=locked) for n, (away, out, locked) in enumerate(drawn)]
    made = plan(*people, enabled=enabled, ours=ours, inside=inside)
    by_id = {each.id: each for each in people}
    for change in made.changes:
        who = by_id[change.person or ""]
        out = AWAY in who.leave or AWAY in who.exited
        if change.op is Op.ENABLE_ACCOUNT:
            assert ours
            assert not enabled
            assert not out
            assert AWAY not in who.lockouts
        if change.op is Op.DISABLE_ACCOUNT:
            assert enabled
            assert out or AWAY in who.lockouts


OUT = [person(exited=(AWAY,)), person(leave=(AWAY,)), person(lockouts=(AWAY,))]


@pytest.mark.parametrize("out", OUT, ids=["exited", "suspended", "locked out"])
def test_f12_an_account_that_is_disabled_while_its_sessions_live_on_is_not_done(out: Person) -> None:
    """The run that disabled it died, or got no answer, before the sessions were ended."""
    assert ops(ended(out, left=True)) == [Op.END_SESSIONS]
    assert ops(ended(out, left=False)) == []
    assert ops(ended(out, left=True, ops=ALL)) == []
    assert {change.leaver for change in ended(out, left=True).changes} == {True}
