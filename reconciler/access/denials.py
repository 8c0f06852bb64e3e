"""What withholds a permission from one person beside their clearance: lockouts, lifecycle states, lapsed sponsors.

Separation rules stand in `conflicts`, clearance in `clearance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.access.days import day_start, day_text, days_cover
from reconciler.access.lifecycle import covering, state_bound
from reconciler.access.model import Denial, DenialKind, LifecycleState
from reconciler.access.sponsors import END_DATE, SPONSOR, Lapse, endless, lapses
from reconciler.access.subject import Moment, PersonAt
from reconciler.errors import Place
from reconciler.facts.model import Assignment, Span
from reconciler.policy.model import NOTHING, Lockout, Policy, StateRule

_REMEDIES = {
    LifecycleState.PREBOARDING: "access follows when the first assignment begins",
    LifecycleState.NOTICE: "record resignation-withdrawn, if it was",
    LifecycleState.LEAVE: "record leave-ended",
    LifecycleState.EXITED: "record rehired, if they came back",
}


# --- lockouts -------------------------------------------------------------------------------------------------------


def lockouts_from_all(moment: Moment, who: PersonAt) -> Iterator[Denial]:
    """The lockouts that shut the person out of everything."""
    for span in who.person.lockouts:
        if span.covers(moment.at):
            yield Denial(
                kind=DenialKind.LOCKOUT,
                what="locked-out",
                text=f"locked out{_since(span, moment)} by an event",
                remedy="record unlocked, which somebody has to approve",
                entry=span.entry,
                since=span.start,
            )
    for lockout in _live(moment, who):
        if lockout.resources is None:
            yield _lockout_denial(lockout, moment)


def lockouts_from(resource: str, moment: Moment, who: PersonAt) -> Iterator[Denial]:
    """The lockouts that shut the person out of this resource in particular."""
    for lockout in _live(moment, who):
        if lockout.resources is not None and resource in lockout.resources:
            yield _lockout_denial(lockout, moment)


def _live(moment: Moment, who: PersonAt) -> Iterator[Lockout]:
    for lockout in moment.named.lockouts.get(who.person.id, ()):
        if days_cover(moment.at, lockout.since, None, moment.zone):
            yield lockout


def _lockout_denial(lockout: Lockout, moment: Moment) -> Denial:
    since = "" if lockout.since is None else f" since {lockout.since}"
    return Denial(
        kind=DenialKind.LOCKOUT,
        what=lockout.ref,
        text=f"locked out{since} by policy, reference {lockout.ref}",
        remedy="take the lockout out of the policy",
        place=lockout.place,
        since=None if lockout.since is None else day_start(lockout.since, moment.zone),
    )


# --- lifecycle ------------------------------------------------------------------------------------------------------


def lifecycle_denials(rank: int, moment: Moment, who: PersonAt) -> Iterator[Denial]:
    """The states of the person that do not admit a class of this rank."""
    for state in who.states:
        bound = state_bound(moment.policy, who.person, state, who.assignments, moment.at, moment.zone)
        if bound.ceiling is not None and bound.ceiling < rank:
            yield _lifecycle_denial(state, bound.ceiling, bound.rule, bound.assignment, moment, who)


def _lifecycle_denial(
    state: LifecycleState,
    ceiling: int,
    rule: StateRule | None,
    assignment: Assignment | None,
    moment: Moment,
    who: PersonAt,
) -> Denial:
    span = _state_span(state, moment, who)
    begins = _first_day(moment, who) if state is LifecycleState.PREBOARDING else _since(span, moment)
    narrowed = rule is not None and rule.match is not None and assignment is not None and len(who.assignments) > 1
    whose = f" for assignment {assignment.name}" if narrowed and assignment is not None else ""
    return Denial(
        kind=DenialKind.LIFECYCLE,
        what=state.value,
        text=f"{state.value}{begins}, which {_admits(ceiling, rule, moment.policy)}{whose}",
        remedy=_REMEDIES[state],
        place=rule.place if rule is not None else _state_place(state, moment.policy),
        entry=0 if span is None else span.entry,
        since=None if span is None else span.start,
    )


def _admits(ceiling: int, rule: StateRule | None, policy: Policy) -> str:
    if rule is not None and rule.suspend:
        return "suspends all access"
    return "gives nothing" if ceiling == NOTHING else f"admits up to {policy.levels[ceiling].name}"


def _state_span(state: LifecycleState, moment: Moment, who: PersonAt) -> Span | None:
    person = who.person
    match state:
        case LifecycleState.NOTICE:
            return covering(person.notice, moment.at)
        case LifecycleState.LEAVE:
            return covering(person.leave, moment.at)
        case LifecycleState.EXITED:
            return covering(person.exited, moment.at) or _after_last_assignment(person.assignments)
        case _:
            return None


def _after_last_assignment(assignments: Iterable[Assignment]) -> Span | None:
    """The exit that nobody spelled out: from the end of the last assignment, because of the entry that ended it."""
    spans = [assignment.span for assignment in assignments if assignment.span.end is not None]
    last = max(spans, key=lambda span: (span.end is not None, span.end), default=None)
    return None if last is None else Span(last.end, None, last.end_entry or last.entry)


def _first_day(moment: Moment, who: PersonAt) -> str:
    starts = [each.span.start for each in who.person.assignments if each.span.start is not None]
    coming = min((start for start in starts if start > moment.at), default=None)
    return " (no assignment is known)" if coming is None else f" until {day_text(coming, moment.zone)}"


def _state_place(state: LifecycleState, policy: Policy) -> Place | None:
    lifecycle = policy.lifecycle
    match state:
        case LifecycleState.PREBOARDING if lifecycle.preboarding:
            return lifecycle.preboarding[0].place
        case LifecycleState.EXITED:
            return lifecycle.exited_place
        case _:
            return None


def _since(span: Span | None, moment: Moment) -> str:
    return "" if span is None or span.start is None else f" since {day_text(span.start, moment.zone)}"


# --- sponsors -------------------------------------------------------------------------------------------------------


def sponsor_denials(moment: Moment, who: PersonAt) -> Iterator[Denial]:
    """The assignments for which nobody answers (any more)."""
    for lapse in lapses(moment, who):
        yield Denial(
            kind=DenialKind.LIFECYCLE,
            what=SPONSOR,
            text=f"assignment {lapse.assignment.name} needs a sponsor, and {_missing(lapse, moment)}",
            remedy=f"name a sponsor in {lapse.rule.by} who has an active assignment{_must(lapse)}",
            place=lapse.rule.place,
            entry=lapse.entry,
            since=lapse.since if lapse.since is not None and lapse.since <= moment.at else None,
        )


def end_denials(moment: Moment, who: PersonAt) -> Iterator[Denial]:
    """The assignments that need an end date and have none."""
    for rule, each in endless(moment, who):
        yield Denial(
            kind=DenialKind.LIFECYCLE,
            what=END_DATE,
            text=f"assignment {each.name} needs an end date, and none is on record",
            remedy=f"record ends_on for assignment {each.name}",
            place=rule.place,
            entry=each.span.entry,
            since=each.span.start if each.span.start is not None and each.span.start <= moment.at else None,
        )


def _missing(lapse: Lapse, moment: Moment) -> str:
    if not lapse.sponsor:
        return f"its {lapse.rule.by} names nobody"
    if not lapse.known:
        return f"nobody is known by the id {lapse.sponsor!r}"
    if lapse.ceased is None:
        return f"{lapse.sponsor} is none who may be one, or is not there"
    after = f", and {lapse.rule.lapse} have passed" if str(lapse.rule.lapse) != "0d" else ""
    return f"{lapse.sponsor} is none any more since {day_text(lapse.ceased, moment.zone)}{after}"


def _must(lapse: Lapse) -> str:
    return "" if lapse.rule.must is None else f" that meets `must` ({lapse.rule.place})"
