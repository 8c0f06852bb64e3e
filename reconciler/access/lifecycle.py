"""Where a person stands at a moment, which of their assignments count then, and what their state admits.

| state | holds when |
|---|---|
| exited | HR said so (an `exited` span covers the moment), or there were assignments and all have ended |
| preboarding | not exited, and no assignment is active: the first (or next) is to come, or none is known |
| notice, leave | not exited, and a span of that name covers the moment |
| active | none of the above |

Someone hired of whom no assignment is known, and someone between two posts, is *preboarding*: it is the state that
admits least without saying that they left. `exited` ends notice and leave and so holds alone, as `active` does.

Of a state's rules, each assignment that counts takes the first whose match is not false of it; the lowest ceiling
across the assignments holds. `state_bound` says this for one person, `reconciler.access.gates` for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from reconciler.access.days import add_period
from reconciler.access.matching import matches
from reconciler.access.model import LifecycleState
from reconciler.facts.model import Assignment, Person, Span
from reconciler.policy.model import NOTHING, Attribute, Match, Overlap, Policy, StateRule

_EXITED = (LifecycleState.EXITED,)
ACTIVE_ALONE = (LifecycleState.ACTIVE,)
"""The states of almost everybody."""


class Stand(NamedTuple):
    """Where a person stands at a moment.

    `states` are all that hold, in the order of `LifecycleState`, never none. `assignments` are those that count: the
    active ones or, in preboarding, those that open soon enough. `overlapping` are those ended by a transfer that still
    give, up to the overlap's ceiling, and count for nothing else.
    """

    states: tuple[LifecycleState, ...]
    assignments: tuple[Assignment, ...]
    overlapping: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far around a moment assignments count: before they begin (`openings`: of a match, None for all, the last
    instant at which one may begin; the first that fits) and after a transfer ended them (`overlap`).
    """

    attributes: Mapping[str, Attribute]
    openings: tuple[tuple[Match | None, datetime], ...]
    overlap: Overlap | None
    zone: ZoneInfo


def horizon_of(policy: Policy, at: datetime, zone: ZoneInfo) -> Horizon:
    """The horizon around the moment."""
    lifecycle = policy.lifecycle
    openings = tuple((rule.match, add_period(at, rule.opens, zone)) for rule in lifecycle.preboarding)
    return Horizon(policy.attributes, openings, lifecycle.transfer, zone)


def stand_at(person: Person, at: datetime, horizon: Horizon) -> Stand:
    """Where the person stands; `horizon` is the moment's `horizon_of`."""
    active = tuple([assignment for assignment in person.assignments if assignment.span.covers(at)])
    overlapping = _overlapping(person, at, horizon) if horizon.overlap is not None and active else ()
    if _is_exited(person, at, active):
        return Stand(_EXITED, active, overlapping)
    if active and not person.notice and not person.leave:
        return Stand(ACTIVE_ALONE, active, overlapping)
    holds = {
        LifecycleState.PREBOARDING: not active,
        LifecycleState.NOTICE: covering(person.notice, at) is not None,
        LifecycleState.LEAVE: covering(person.leave, at) is not None,
    }
    states = tuple(state for state, held in holds.items() if held) or ACTIVE_ALONE
    return Stand(states, active or _opening(person, at, horizon), overlapping)


def employed_since(person: Person, at: datetime) -> datetime | None:
    """The latest rehire at or before the moment: evidence from before it is of another employment. None: no rehire.

    Someone hired, gone and hired again is asked about for any day, so the rehire that matters is the one before that
    day.
    """
    rehires = [span.end for span in person.exited if span.end is not None and span.end <= at]
    if person.rehired and person.employed_since is not None and person.employed_since <= at:
        rehires.append(person.employed_since)
    return max(rehires, default=None)


def covering(spans: Sequence[Span], at: datetime) -> Span | None:
    """The first of the spans that covers the moment."""
    return next((span for span in spans if span.covers(at)), None)


# --- what a state admits --------------------------------------------------------------------------------------------


class Bound(NamedTuple):
    """The highest class that a state admits (`NOTHING`: none; None: it bounds nothing), by which rule, and for which
    assignment that rule was found (None where nothing counts, or no rule says so).
    """

    ceiling: int | None
    rule: StateRule | None = None
    assignment: Assignment | None = None


def state_bound(
    policy: Policy,
    person: Person,
    state: LifecycleState,
    assignments: Sequence[Assignment],
    at: datetime,
    zone: ZoneInfo,
) -> Bound:
    """What the state admits for the person, whose assignments that count are given: the lowest across them.

    Without any, it is the lowest of all the state's rules.
    """
    if state is LifecycleState.ACTIVE:
        return Bound(None)
    rules = rules_of(policy, state)
    if not rules:
        return _unnamed(state)
    if assignments:
        bounds = [_assignment_bound(rules, each, person, state, at, zone, policy.attributes) for each in assignments]
    else:
        bounds = [Bound(rule_ceiling(rule), rule) for rule in rules if _has_begun(rule, person, state, at, zone)]
    return min(bounds, key=_height, default=Bound(None))


def rules_of(policy: Policy, state: LifecycleState) -> tuple[StateRule, ...]:
    """The rules of a state, none for the states that take none."""
    match state:
        case LifecycleState.PREBOARDING:
            return policy.lifecycle.preboarding
        case LifecycleState.NOTICE:
            return policy.lifecycle.notice
        case LifecycleState.LEAVE:
            return policy.lifecycle.leave
        case LifecycleState.ACTIVE | LifecycleState.EXITED:
            return ()


def rule_ceiling(rule: StateRule) -> int | None:
    """The rule's ceiling; one that suspends admits nothing."""
    return NOTHING if rule.suspend else rule.ceiling


def unbounded(state: LifecycleState) -> int | None:
    """What a state admits where no rule of it fits: in preboarding, or once exited, nothing."""
    return NOTHING if state in (LifecycleState.PREBOARDING, LifecycleState.EXITED) else None


def leave_start(person: Person, at: datetime) -> datetime | None:
    """When the leave that covers the moment began, the first of several; None where that is not known."""
    starts = [span.start for span in person.leave if span.covers(at)]
    known = [start for start in starts if start is not None]
    return min(known) if known and len(known) == len(starts) else None


def leave_reached(start: datetime | None, rule: StateRule, at: datetime, zone: ZoneInfo) -> bool:
    """Whether a leave that began then has lasted long enough for the rule; one without a known start has."""
    return start is None or add_period(start, rule.after, zone) <= at


def _unnamed(state: LifecycleState) -> Bound:
    return Bound(unbounded(state))


def _assignment_bound(
    rules: Sequence[StateRule],
    assignment: Assignment,
    person: Person,
    state: LifecycleState,
    at: datetime,
    zone: ZoneInfo,
    attributes: Mapping[str, Attribute],
) -> Bound:
    for rule in rules:
        if rule.match is None or matches(rule.match, assignment.attributes, attributes) is not False:
            begun = _has_begun(rule, person, state, at, zone)
            return Bound(rule_ceiling(rule) if begun else None, rule, assignment)
    return Bound(unbounded(state), None, assignment)


def _has_begun(rule: StateRule, person: Person, state: LifecycleState, at: datetime, zone: ZoneInfo) -> bool:
    return state is not LifecycleState.LEAVE or leave_reached(leave_start(person, at), rule, at, zone)


def _height(bound: Bound) -> tuple[bool, int]:
    return bound.ceiling is None, bound.ceiling or 0


# --- which assignments count ----------------------------------------------------------------------------------------


def _is_exited(person: Person, at: datetime, active: Sequence[Assignment]) -> bool:
    if person.exited and covering(person.exited, at) is not None:
        return True
    if active or not person.assignments:
        return False
    return all(assignment.span.end is not None and assignment.span.end <= at for assignment in person.assignments)


def _opening(person: Person, at: datetime, horizon: Horizon) -> tuple[Assignment, ...]:
    return tuple(assignment for assignment in person.assignments if _opens(assignment, at, horizon))


def _opens(assignment: Assignment, at: datetime, horizon: Horizon) -> bool:
    span = assignment.span
    if span.start is None or not at < span.start or not (span.end is None or span.start < span.end):
        return False
    for match, latest in horizon.openings:
        if match is None or matches(match, assignment.attributes, horizon.attributes) is not False:
            return span.start <= latest
    return False


def _overlapping(person: Person, at: datetime, horizon: Horizon) -> tuple[Assignment, ...]:
    return tuple([each for each in person.assignments if each.transferred and _still_gives(each.span, at, horizon)])


def _still_gives(span: Span, at: datetime, horizon: Horizon) -> bool:
    if horizon.overlap is None or span.end is None or at < span.end:
        return False
    return (span.start is None or span.start < span.end) and at < add_period(
        span.end, horizon.overlap.lasts, horizon.zone
    )
