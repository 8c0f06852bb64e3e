"""Clauses for how access is kept in bounds: lifecycle, separation, sponsors, guards, invariants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Constraint
from pydantic import field_validator

from reconciler.policy.document.clause import Clause
from reconciler.policy.model import Period
from reconciler.policy.values import (
    Count,
    Percent,
    PeriodText,
    Word,
    not_supported,
)


class PreboardingClause(Clause):
    """Hired, and the first assignment has not begun."""

    ceiling: Word
    """The highest class that such people may open."""
    opens: PeriodText = Period()
    """How long before its first day an assignment counts."""


class NoticeClause(Clause):
    """A resignation is submitted and not withdrawn: the step-down happens now, not on the last day."""

    ceiling: Word
    """The highest class that such people may open."""


class ExitedClause(Clause):
    """What happens to the accounts of those who have left. They have access to nothing, whatever stands here."""

    disable: Literal["immediately"] | None = None
    """Disable the accounts with the exit."""
    delete_after: PeriodText | None = None
    """How long after the exit accounts are deleted; never where this is left out."""


class LifecycleClause(Clause):
    """What each state of somebody's time here admits."""

    preboarding: PreboardingClause | None = None
    """Without it, such people may open nothing."""
    notice: NoticeClause | None = None
    """Without it, such people are as active."""
    exited: ExitedClause | None = None
    """Without it, accounts stay enabled, without access."""

    @field_validator("notice", mode="before")
    @classmethod
    def _one_notice(cls, value: object) -> object:
        if isinstance(value, list):
            raise not_supported("a list under `lifecycle.notice`")
        return value


class LimitClause(Clause):
    """A guard's numbers: it trips beyond `people`, or beyond 2 people and `percent` of those covered."""

    percent: Percent | None = None
    """The share of the people that a slice covers, 0 to 100."""
    people: Count | None = None
    """The number of distinct people within 24 hours."""


class DirectionsClause(Clause):
    """The limits in either direction."""

    revoke: LimitClause | None = None
    """For access taken away."""
    grant: LimitClause | None = None
    """For access given."""


class FeedClause(Clause):
    """When a feed of people is refused whole."""

    shrink_percent: Percent
    """The share of people by which a feed may shrink, 0 to 100."""


class GuardsClause(Clause):
    """What holds changes back until somebody decides. On by default; there is no switch that turns them off."""

    rules: DirectionsClause | None = None
    """For changes caused by policy or drift."""
    people: DirectionsClause | None = None
    """For changes caused by facts about people."""
    exits: LimitClause | None = None
    """For exits and lockouts, of everybody, in 24 hours."""
    feed: FeedClause | None = None
    """For feeds of people."""
    approvals: dict[Word, Annotated[int, Constraint(ge=0, le=100)]] | None = None
    """Level → how many people must approve grants of that class."""
    protected: list[Word] | None = None
    """Ids and service accounts whose changes are held until somebody approves them."""
