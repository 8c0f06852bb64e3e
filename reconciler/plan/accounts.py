"""Changes to accounts themselves: disabling who has left, deleting after the retention, orphans.

A target that cannot do what the policy asks yields a finding, never a change that would fail in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from reconciler.access.days import add_period
from reconciler.access.model import Desired, LifecycleState
from reconciler.facts.model import Person
from reconciler.plan.linking import Links
from reconciler.plan.model import Cause, CauseKind, Change, Finding
from reconciler.policy.model import Policy
from reconciler.targets import ObservedAccount, Op

ACCOUNTS_CLASS = "accounts"
"""Account operations are a class of their own for the guards."""


@dataclass(frozen=True, slots=True)
class AccountNeeds:
    """What deciding about the accounts of one target takes."""

    target: str
    accounts: Sequence[ObservedAccount]
    links: Links
    people: Mapping[int, Person]
    policy: Policy
    desired: Desired
    zone: ZoneInfo
    ops: Collection[Op]
    disable_orphans: bool
    implicit: bool


def account_changes(needs: AccountNeeds) -> tuple[list[Change], list[Finding]]:
    """The account operations that are due, and what this target cannot do."""
    changes: list[Change] = []
    findings: list[Finding] = []
    for each in [*_leavers(needs), *_orphans(needs)]:
        (changes if isinstance(each, Change) else findings).append(each)  # type: ignore[arg-type]
    return changes, findings


def _leavers(needs: AccountNeeds) -> Iterator[Change | Finding]:
    if not needs.policy.lifecycle.disable_exited or needs.implicit:
        return
    exited = needs.desired.states[LifecycleState.EXITED]
    for number in sorted(needs.links.positions_of):
        if number not in exited:
            continue
        person = needs.people[number]
        for position in needs.links.positions_of[number]:
            account = needs.accounts[position]
            cause = Cause(CauseKind.PERSON, f"ledger:{_left(person, needs)[0]}", f"{person.id} has left")
            if account.enabled:
                yield from _disabling(needs, account, cause, person.id)
            if _retention_over(person, needs):
                yield from _deletion(needs, account, cause, person.id)


def _disabling(
    needs: AccountNeeds, account: ObservedAccount, cause: Cause, person: str | None
) -> Iterator[Change | Finding]:
    if Op.DISABLE_ACCOUNT not in needs.ops:
        who = f"{person} has left" if person else "it belongs to nobody"
        text = f"{account.name} stays enabled although {who}: {needs.target} is not configured to disable accounts"
        yield Finding("cannot-disable", needs.target, account.name, text)
        return
    yield _change(Op.DISABLE_ACCOUNT, needs, account, cause, person)
    if Op.END_SESSIONS in needs.ops:
        yield _change(Op.END_SESSIONS, needs, account, cause, person)


def _deletion(needs: AccountNeeds, account: ObservedAccount, cause: Cause, person: str) -> Iterator[Change | Finding]:
    if Op.DELETE_ACCOUNT in needs.ops:
        yield _change(Op.DELETE_ACCOUNT, needs, account, cause, person)
    else:
        text = f"{account.name} should be deleted by now: {needs.target} is not configured to delete accounts"
        yield Finding("cannot-delete", needs.target, account.name, text)


def _orphans(needs: AccountNeeds) -> Iterator[Change | Finding]:
    for position in needs.links.orphans:
        account = needs.accounts[position]
        text = f"{account.name} matches no person and no declared service account"
        yield Finding("orphan-account", needs.target, account.name, text)
        if needs.disable_orphans and account.enabled and not needs.implicit:
            cause = Cause(CauseKind.DRIFT, "", "orphans: disable")
            yield from _disabling(needs, account, cause, None)


def _left(person: Person, needs: AccountNeeds) -> tuple[int, datetime | None]:
    """The ledger entry behind the exit, and the instant from which the person is out."""
    for span in reversed(person.exited):
        if span.covers(needs.desired.at):
            return span.entry, span.start
    ends = [assignment.span for assignment in person.assignments if assignment.span.end is not None]
    last = max(ends, key=lambda span: span.end or needs.desired.at, default=None)
    return (last.end_entry or last.entry, last.end) if last else (person.last_entry, None)


def _retention_over(person: Person, needs: AccountNeeds) -> bool:
    period = needs.policy.lifecycle.delete_after
    since = _left(person, needs)[1]
    return period is not None and since is not None and add_period(since, period, needs.zone) <= needs.desired.at


def _change(op: Op, needs: AccountNeeds, account: ObservedAccount, cause: Cause, person: str | None) -> Change:
    return Change(
        op=op,
        target=needs.target,
        account=account.name,
        account_key=account.key,
        person=person,
        service_account=None,
        entitlement="",
        locator={},
        permissions=(),
        classification=ACCOUNTS_CLASS,
        class_rank=len(needs.policy.levels),
        cause=cause,
        saw="enabled" if account.enabled else "disabled",
        leaver=cause.kind is CauseKind.PERSON,
    )
