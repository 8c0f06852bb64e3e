"""What a provider said to a change, and what that means for a step whose effect is not there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adapters.api.trouble import Trouble
from adapters.scim.session import Answer
from reconciler.targets import Outcome, OutcomeKind

__all__ = ["Kind", "Reply", "lost", "outcome_of", "reply_of", "unanswered"]


class Kind(StrEnum):
    """What a provider said to a change."""

    DONE = "done"
    MOVED = "moved"
    """What is to be changed has another version by now."""
    GONE = "gone"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Reply:
    """What it said, and in how many seconds it may be asked again, where it says so."""

    kind: Kind
    words: str = ""
    wait: float | None = None
    version: str = ""
    status: int = 0


def reply_of(answer: Answer) -> Reply:
    """By its status."""
    kinds = {404: Kind.GONE, 412: Kind.MOVED}
    kind = Kind.DONE if answer.done else kinds.get(answer.status, Kind.REFUSED)
    if answer.status in (0, 429) or (answer.status >= 500 and answer.status != 501):
        kind = Kind.UNANSWERED
    return Reply(kind, answer.words, version=answer.version, status=answer.status)


def unanswered(trouble: Trouble) -> Reply:
    """Where no answer came, or none that says what became of it."""
    kind = Kind.UNANSWERED if trouble.passing or trouble.status is None else Kind.REFUSED
    return Reply(kind, trouble.said, trouble.wait, status=trouble.status or 0)


def outcome_of(reply: Reply) -> Outcome:
    """Of a step whose effect is not there."""
    match reply.kind:
        case Kind.UNANSWERED:
            return Outcome(OutcomeKind.UNAVAILABLE, reply.words, reply.wait)
        case Kind.MOVED:
            words = "somebody else changes it all the time, or it does not take its own versions: see `without: [etag]`"
            return Outcome(OutcomeKind.UNAVAILABLE, words)
        case Kind.DONE:
            words = "it said that it was done, and nothing has changed; see docs/scim.md for `dialect`"
            return Outcome(OutcomeKind.REFUSED, words)
        case _:
            return Outcome(OutcomeKind.REFUSED, reply.words)


def lost(trouble: Trouble, *, sent: bool) -> Outcome:
    """Of a step about which the provider cannot be asked; `sent`: it may have happened all the same."""
    kind = OutcomeKind.UNAVAILABLE if trouble.passing or sent else OutcomeKind.REFUSED
    return Outcome(kind, trouble.said, trouble.wait)
