"""Clauses for how access follows somebody's time here, and for the guards that hold changes back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Constraint
from pydantic import model_validator

from reconciler.policy.document.clause import Clause, OneOrMore
from reconciler.policy.model import Period
from reconciler.policy.values import (
    Count,
    MatchText,
    Percent,
    PeriodText,
    SomeTime,
    Word,
    mistake,
)


class PreboardingClause(Clause):
    """Hired, and the assignment has not begun."""

    match: MatchText | None = None
    """The assignments that it is about, or that it may be about as far as is known; all where this is left out."""
    ceiling: Word
    """The highest class that such people may open."""
    opens: PeriodText = Period()
    """How long before its first day an assignment counts."""


class NoticeClause(Clause):
    """A resignation is submitted and not withdrawn: the step-down happens now, not on the last day."""

    match: MatchText | None = None
    """The assignments that it is about, or that it may be about as far as is known; all where this is left out."""
    ceiling: Word
    """The highest class that such people may open."""


class LeaveClause(Clause):
    """Away for a time, such as parental leave."""

    match: MatchText | None = None
    """The assignments that it is about, or that it may be about as far as is known; all where this is left out."""
    ceiling: Word | None = None
    """The highest class that such people may open."""
    after: PeriodText = Period()
    """How long the leave has lasted when this begins; from its first day where this is left out."""
    suspend: bool = False
    """Give nothing, and disable the accounts until they are back."""

    @model_validator(mode="after")
    def _some_effect(self) -> LeaveClause:
        if self.suspend and self.ceiling is not None:
            raise mistake("contradiction", "`suspend: true` makes `ceiling` mean nothing", "keep one of the two")
        if not self.suspend and self.ceiling is None:
            raise mistake("missing", "it says nothing: `ceiling` is missing", "name one, or write `suspend: true`")
        return self


class TransferClause(Clause):
    """What an assignment still gives after a transfer has ended it, so that work can be handed over."""

    overlap: SomeTime
    """How long."""
    ceiling: Word
    """Up to which class."""


class ExitedClause(Clause):
    """What happens to the accounts of those who have left. They have access to nothing, whatever stands here."""

    disable: Literal["immediately"] | None = None
    """Disable the accounts with the exit."""
    delete_after: PeriodText | None = None
    """How long after the exit accounts are deleted; never where this is left out."""


class LifecycleClause(Clause):
    """What each state of somebody's time here admits. Of a list, the first rule that fits an assignment holds for it,
    and the lowest ceiling across the assignments."""

    preboarding: OneOrMore[PreboardingClause] | None = None
    """Without it, such people may open nothing."""
    notice: OneOrMore[NoticeClause] | None = None
    """Without it, such people are as active."""
    leave: OneOrMore[LeaveClause] | None = None
    """Without it, such people are as active."""
    transfer: TransferClause | None = None
    """Without it, an assignment gives nothing from the day after it ended."""
    exited: ExitedClause | None = None
    """Without it, accounts stay enabled, without access."""


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
