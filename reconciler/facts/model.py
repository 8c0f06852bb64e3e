"""What is known about people, as values: assignments, lifecycle spans and evidence, each leading back to a ledger
entry.

Folding events into these values is `reconciler.facts.fold`; what they allow is `reconciler.access`. Nothing here
reads a clock: a `Person` holds for all times, and whoever asks brings the moment. Intervals are half-open instants in
UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` (included; None: ever since) until `end` (excluded; None: for good), because of ledger entry
    `entry`.

    `end_entry` is the entry that says when it ends, 0 where none does or the same one does.
    """

    start: datetime | None
    end: datetime | None
    entry: int
    end_entry: int = 0

    def covers(self, at: datetime) -> bool:
        """Whether the moment lies inside."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One post that a person holds, while its attributes stay the same: a change of attributes starts another one.

    `attributes` are as HR sent them: attribute → text; a blank is absent. A set's values are separated by ``;``.
    """

    name: str
    attributes: Mapping[str, str]
    span: Span
    transferred: bool = False
    """It ended at `span.end` because a `transferred` event began another: only such an ending is followed by an
    overlap.
    """


@dataclass(frozen=True, slots=True)
class Person:
    """A human being known by a stable id, and all that is known of them for any moment.

    `number` is the dense integer that bitmaps use, given once and never re-used. `employed_since` is the start of the
    current employment (the last hire or rehire): evidence from before does not count unless its kind says so.
    """

    number: int
    id: str
    name: str
    email: str
    assignments: tuple[Assignment, ...]
    notice: tuple[Span, ...] = ()
    leave: tuple[Span, ...] = ()
    exited: tuple[Span, ...] = ()
    """When they were out by word of HR: from the exit until a rehire, if any."""
    lockouts: tuple[Span, ...] = ()
    employed_since: datetime | None = None
    rehired: bool = False
    last_entry: int = 0
    """The newest ledger entry about the person (events and evidence)."""


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """A dated proof about a person, as recorded.

    `valid_until` is an instant, excluded, or None where the record does not say; then the kind's `valid_for` counts.
    """

    entry: int
    person: str
    kind: str
    scope: str
    version: int
    valid_from: datetime
    valid_until: datetime | None
    failed: bool
    reference: str
    source: str
    recorded_at: datetime
    revoked: Span | None = None
    """From when it was revoked, with the entry that says so."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a fact comes from: the ledger entry, of which kind and about whom, who recorded it and when."""

    entry: int
    kind: str
    subject: str
    recorded_at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Population:
    """The people asked about, as the ledger knew them at `ledger_seq`."""

    people: Sequence[Person]
    evidence: Mapping[str, Sequence[EvidenceRecord]]
    """Person id → records, in the order of the ledger."""
    ledger_seq: int
    timezone: str = "UTC"
    """The workspace's timezone (IANA name): what a whole day means."""
    by_id: Mapping[str, Person] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {person.id: person for person in self.people})

    def __iter__(self) -> Iterator[Person]:
        return iter(self.people)
