"""Where a person stands at a moment, which of their assignments count then, and what their state admits.

| state | holds when |
|---|---|
| exited | HR said so (an `exited` span covers the moment), or there were assignments and all have ended |
| preboarding | not exited, and no assignment is active: the first (or next) is to come, or none is known |
| notice, leave | not exited, and a span of that name covers the moment |
| active | none of the above |

Someone hired of whom no assignment is known, and someone between two posts, is *preboarding*: it is the state that
admits least without saying that they left. `exited` ends notice and leave and so holds alone, as `active` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from reconciler.access.days import add_period
from reconciler.access.model import LifecycleState
from reconciler.facts.model import Assignment, Person, Span
from reconciler.policy.model import NOTHING, Lifecycle, StateRule

_EXITED = (LifecycleState.EXITED,)
_ACTIVE = (LifecycleState.ACTIVE,)


class Stand(NamedTuple):
    """Where a person stands at a moment.

    `states` are all that hold, in the order of `LifecycleState`, never none. `assignments` are those that roles and
    clearance look at: the active ones or, in preboarding, those that open soon enough.
    """

    states: tuple[LifecycleState, ...]
    assignments: tuple[Assignment, ...]


def stand_at(person: Person, at: datetime, horizon: datetime) -> Stand:
    """Where the person stands; `horizon` is the moment's `opening_horizon`."""
    active = tuple([assignment for assignment in person.assignments if assignment.span.covers(at)])
    if _is_exited(person, at, active):
        return Stand(_EXITED, active)
    if active and not person.notice and not person.leave:
        return Stand(_ACTIVE, active)
    holds = {
        LifecycleState.PREBOARDING: not active,
        LifecycleState.NOTICE: covering(person.notice, at) is not None,
        LifecycleState.LEAVE: covering(person.leave, at) is not None,
    }
    states = tuple(state for state, held in holds.items() if held) or _ACTIVE
    return Stand(states, active or _opening(person, at, horizon))


def opening_horizon(lifecycle: Lifecycle, at: datetime, zone: ZoneInfo) -> datetime:
    """The last instant at which an assignment may begin and count for someone who is preboarding at the moment."""
    return max((add_period(at, rule.opens, zone) for rule in lifecycle.preboarding), default=at)


def state_ceiling(lifecycle: Lifecycle, state: LifecycleState) -> int | None:
    """The highest class that one state admits, `NOTHING`, or None where it bounds nothing."""
    match state:
        case LifecycleState.EXITED:
            return NOTHING
        case LifecycleState.PREBOARDING:
            return _lowest(lifecycle.preboarding) if lifecycle.preboarding else NOTHING
        case LifecycleState.NOTICE:
            return _lowest(lifecycle.notice)
        case LifecycleState.LEAVE | LifecycleState.ACTIVE:
            return None


def _lowest(rules: Sequence[StateRule]) -> int | None:
    return min((rule.ceiling for rule in rules if rule.ceiling is not None), default=None)


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


def _is_exited(person: Person, at: datetime, active: Sequence[Assignment]) -> bool:
    if covering(person.exited, at) is not None:
        return True
    if active or not person.assignments:
        return False
    return all(assignment.span.end is not None and assignment.span.end <= at for assignment in person.assignments)


def _opening(person: Person, at: datetime, horizon: datetime) -> tuple[Assignment, ...]:
    return tuple(assignment for assignment in person.assignments if _opens(assignment.span, at, horizon))


def _opens(span: Span, at: datetime, horizon: datetime) -> bool:
    if span.start is None or not at < span.start <= horizon:
        return False
    return span.end is None or span.start < span.end
