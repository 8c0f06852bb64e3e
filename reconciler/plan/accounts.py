"""Changes to accounts themselves: disabling who has left, is suspended or locked out, enabling who is back, deleting
after the retention, orphans.

Only what a run of ours disabled is enabled again: whoever else disabled an account had a reason that we do not know.

A target that cannot do what the policy asks yields a finding, never a change that would fail in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.days import add_period
from reconciler.access.model import Desired, LifecycleState
from reconciler.facts.model import Person, Span
from reconciler.plan.linking import NOBODY, Links
from reconciler.plan.model import Cause, CauseKind, Change, Finding
from reconciler.policy.model import Policy
from reconciler.targets import ObservedAccount, Op

_MOST_NAMED = 5
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
    disabled_here: Mapping[str, datetime] = field(default_factory=dict)
    """Keys of the accounts that a run of ours disabled, and that none has enabled since; and when it did."""
    sessions_left: Collection[str] = frozenset()
    """Keys of those among them whose sessions no run of ours has ended since."""
    sessions_live_on: str = ""
    """What stays open of an account that is disabled here, where sessions cannot be ended."""
    having: BitMap = field(default_factory=BitMap)
    """The people who should have something on this target."""


def account_changes(needs: AccountNeeds) -> tuple[list[Change], list[Finding]]:
    """The account operations that are due, and what this target cannot do."""
    changes: list[Change] = []
    findings: list[Finding] = []
    for each in [*_leavers(needs), *_locked_out(needs), *_suspended(needs), *_returned(needs), *_orphans(needs)]:
        (changes if isinstance(each, Change) else findings).append(each)  # type: ignore[arg-type]
    return changes, [*findings, *_open_sessions(needs, changes)]


def _open_sessions(needs: AccountNeeds, changes: Iterable[Change]) -> Iterator[Finding]:
    """That what is open stays open: who reads "disabled" takes it for "out"."""
    shut = sorted({change.subject for change in changes if change.op is Op.DISABLE_ACCOUNT})
    if shut and needs.sessions_live_on and Op.END_SESSIONS not in needs.ops:
        more = f" and {len(shut) - _MOST_NAMED} more" if len(shut) > _MOST_NAMED else ""
        text = f"disabling ends no session of {', '.join(shut[:_MOST_NAMED])}{more}: {needs.sessions_live_on}"
        subject = shut[0] if len(shut) == 1 else needs.target  # a pass for one person tells what is of that person
        yield Finding("sessions-live-on", needs.target, subject, text)


def lockout_at(person: Person, at: datetime) -> Span | None:
    """The lockout by an event in which the person is at the moment: it disables accounts."""
    return next((span for span in person.lockouts if span.covers(at)), None)


def is_shut_out(person: Person, policy: Policy, at: datetime, zone: ZoneInfo) -> bool:
    """Whether the person may open nothing at the moment, by an event or by the policy: they get no account back."""
    if lockout_at(person, at) is not None:
        return True
    today = at.astimezone(zone).date()
    own = (each for each in policy.lockouts if each.person == person.id and each.resources is None)
    return any(each.since is None or each.since <= today for each in own)


def _leavers(needs: AccountNeeds) -> Iterator[Change | Finding]:
    if not needs.policy.lifecycle.disable_exited or needs.implicit:
        return
    for number in needs.desired.states[LifecycleState.EXITED]:
        for position in needs.links.positions_of(number):
            person, account = needs.people[number], needs.accounts[position]
            cause = Cause(CauseKind.PERSON, f"ledger:{_left(person, needs)[0]}", f"{person.id} has left")
            yield from _shutting(needs, account, cause, person.id)
            if _retention_over(person, account, needs):
                yield from _deletion(needs, account, cause, person.id)


def _locked_out(needs: AccountNeeds) -> Iterator[Change | Finding]:
    """Who is locked out by an event: taking their groups away ends no session, and some doors ask for none."""
    out = needs.desired.states[LifecycleState.EXITED] | needs.desired.suspended
    if needs.implicit:
        return
    for person in needs.people.values():
        span = lockout_at(person, needs.desired.at)
        if span is not None and person.number not in out:
            cause = Cause(CauseKind.PERSON, f"ledger:{span.entry}", f"{person.id} is locked out")
            for account in _accounts_of(person.number, needs):
                yield from _shutting(needs, account, cause, person.id)


# --- there and back again ---------------------------------------------------------------------------------------------


def _suspended(needs: AccountNeeds) -> Iterator[Change | Finding]:
    done = needs.desired.states[LifecycleState.EXITED] if needs.policy.lifecycle.disable_exited else BitMap()
    for number in needs.desired.suspended - done if not needs.implicit else ():
        person = needs.people[number]
        span = next((span for span in reversed(person.leave) if span.covers(needs.desired.at)), None)
        ref = f"ledger:{span.entry if span else person.last_entry}"
        cause = Cause(CauseKind.PERSON, ref, f"{person.id} is on a leave that suspends the account")
        for account in _accounts_of(number, needs):
            yield from _shutting(needs, account, cause, person.id)


def _returned(needs: AccountNeeds) -> Iterator[Change | Finding]:
    """Disabled accounts of people who are there."""
    if needs.implicit:
        return
    out = [needs.desired.states[state] for state in (LifecycleState.EXITED, LifecycleState.PREBOARDING)]
    away = needs.desired.suspended.union(*out)
    for position, account in enumerate(needs.accounts):
        number = NOBODY if account.enabled else needs.links.person_at[position]
        if number == NOBODY or number in away or _stays_out(needs.people[number], needs):
            continue
        person = needs.people[number]
        if account.key not in needs.disabled_here:
            yield from _disabled_by_others(needs, account, person)
        elif position not in needs.links.doubtful:
            yield from _enabling(needs, account, person)


def _enabling(needs: AccountNeeds, account: ObservedAccount, person: Person) -> Iterator[Change | Finding]:
    if Op.ENABLE_ACCOUNT in needs.ops:
        cause = Cause(CauseKind.PERSON, f"ledger:{_came_back(person, needs)}", f"{person.id} is back")
        yield replace(_change(Op.ENABLE_ACCOUNT, needs, account, cause, person.id), leaver=False)
    else:
        text = f"{account.name} stays disabled although {person.id} is back: {needs.target} cannot enable accounts"
        yield Finding("cannot-enable", needs.target, account.name, text)


def _disabled_by_others(needs: AccountNeeds, account: ObservedAccount, person: Person) -> Iterator[Finding]:
    if person.number in needs.having:
        text = (
            f"{account.name} is disabled, and not from here, although {person.id} should have access on "
            f"{needs.target}: it is left disabled"
        )
        yield Finding("disabled-account", needs.target, account.name, text)


def _came_back(person: Person, needs: AccountNeeds) -> int:
    """The ledger entry that ended the last exit, leave or lockout."""
    spans = (*person.exited, *person.leave, *person.lockouts)
    over = [span for span in spans if span.end is not None and span.end <= needs.desired.at]
    last = max(over, key=lambda span: span.end or needs.desired.at, default=None)
    return (last.end_entry or last.entry) if last else person.last_entry


def _stays_out(person: Person, needs: AccountNeeds) -> bool:
    return is_shut_out(person, needs.policy, needs.desired.at, needs.zone)


def _accounts_of(number: int, needs: AccountNeeds) -> list[ObservedAccount]:
    return [needs.accounts[position] for position in needs.links.positions_of(number)]


# --- single operations ------------------------------------------------------------------------------------------------


def _shutting(
    needs: AccountNeeds, account: ObservedAccount, cause: Cause, person: str | None
) -> Iterator[Change | Finding]:
    """Disable it; where that is done, end what is still open (a session may outlive its account)."""
    if account.enabled:
        yield from _disabling(needs, account, cause, person)
    elif account.key in needs.sessions_left and Op.END_SESSIONS in needs.ops:
        yield _change(Op.END_SESSIONS, needs, account, cause, person)


def _disabling(
    needs: AccountNeeds, account: ObservedAccount, cause: Cause, person: str | None
) -> Iterator[Change | Finding]:
    if Op.DISABLE_ACCOUNT not in needs.ops:
        who = cause.text if person else "it belongs to nobody"
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


def _retention_over(person: Person, account: ObservedAccount, needs: AccountNeeds) -> bool:
    """Whether the person has been out for so long, and the account disabled: what was shut a moment ago, because the
    news came late, may yet turn out to be needed.
    """
    period, left = needs.policy.lifecycle.delete_after, _left(person, needs)[1]
    if period is None or left is None or (account.enabled and Op.DISABLE_ACCOUNT in needs.ops):
        return False
    since = max(left, needs.disabled_here.get(account.key, left))
    return add_period(since, period, needs.zone) <= needs.desired.at


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
