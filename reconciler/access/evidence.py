"""Whether a person's evidence of a kind counts at a moment, until when, and if not, why and since when.

A record counts from `valid_from` until the first thing that stops it:

| stop | instant |
|---|---|
| expired | `valid_until`, otherwise `valid_from` + `valid_for`; `grace` extends either |
| superseded | the start of `superseded_on` for a version older than the kind's; without that date it never counts |
| revoked | the start of the revocation |
| failed | the `valid_from` of a failed record that is the same or later (a revoked failure cancels nothing) |
| before rehire | the rehire, unless the kind survives it |

Any record that counts is enough. `KindAt.counts` is the quick reading for whole populations, `KindAt.standing` the
telling one for a person; a property test holds them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from reconciler.access.days import add_period, around, day_start
from reconciler.access.model import EvidenceState
from reconciler.facts.model import EvidenceRecord
from reconciler.policy.model import EvidenceKind


@dataclass(frozen=True, slots=True)
class Standing:
    """How evidence of one kind stands for one person at a moment.

    Where it counts, `state` is None and `until` says when the best record stops (None: never, as far as is known).
    Otherwise `state` says why not, `since` the instant from which it has not counted, where known, `known_since` when
    that instant was recorded, and `entry` the ledger entry behind it (0: none).
    """

    kind: str
    state: EvidenceState | None
    until: datetime | None = None
    since: datetime | None = None
    known_since: datetime | None = None
    entry: int = 0

    @property
    def counts(self) -> bool:
        """Whether the evidence counts."""
        return self.state is None


class _Stop(NamedTuple):
    """One thing that ends a record's validity, past or to come."""

    instant: datetime
    state: EvidenceState
    entry: int
    known_since: datetime | None


class KindAt:
    """One kind of evidence read at one moment, with what is the same for everybody worked out once."""

    def __init__(self, kind: EvidenceKind, at: datetime, zone: ZoneInfo) -> None:
        self.kind = kind
        self._at = at
        self._zone = zone
        self._superseded = None if kind.superseded_on is None else day_start(kind.superseded_on, zone)
        self._oldest = None if self._superseded is not None and at < self._superseded else kind.version
        # For starts within these, a calendar sum decides whether it ended before the moment; others are clear.
        grace = () if kind.grace is None else (kind.grace,)
        self._doubt_after_end = around(at, grace, zone) if grace else None
        self._doubt_after_start = None if kind.valid_for is None else around(at, (kind.valid_for, *grace), zone)
        # Many people share the day of a signature or a course, and calendar sums are slow.
        self._ends: dict[tuple[datetime, datetime | None], datetime | None] = {}

    def counts_alone(self, record: EvidenceRecord) -> bool:
        """Whether a passed record counts, of somebody without failed ones and without a rehire."""
        if record.valid_from > self._at or (record.revoked is not None and record.revoked.covers(self._at)):
            return False
        if self._oldest is not None and record.version < self._oldest:
            return False
        return self._lasts(record)

    def counts(self, records: Sequence[EvidenceRecord], rehired: datetime | None) -> bool:
        """Whether any of a person's records of this kind counts; `rehired` is their latest rehire, if any."""
        cancelled = self._cancelled_until(records)
        for record in records:
            if cancelled is not None and record.valid_from <= cancelled:
                continue
            if self._counts_since(record, rehired):
                return True
        return False

    def standing(self, records: Sequence[EvidenceRecord], rehired: datetime | None) -> Standing:
        """How a person's records of this kind stand, with the reason that tells most where none counts.

        That is the stop of the record that counted last; otherwise a failure; otherwise what is still to begin.
        """
        passed = [(record, self._first_stop(record, records, rehired)) for record in records if not record.failed]
        begun = [(record, stop) for record, stop in passed if record.valid_from <= self._at]
        live = [stop for _, stop in begun if stop is None or stop.instant > self._at]
        if live:
            return Standing(self.kind.name, None, until=_latest(live))
        ceased = [(record, stop) for record, stop in begun if stop is not None]
        if ceased:
            return self._ceased(max(ceased, key=_counted_last)[1])
        return self._never([record for record, _ in passed], records)

    def _counts_since(self, record: EvidenceRecord, rehired: datetime | None) -> bool:
        if record.failed:
            return False
        if rehired is not None and record.valid_from < rehired and not self.kind.survives_rehire:
            return False
        return self.counts_alone(record)

    def _lasts(self, record: EvidenceRecord) -> bool:
        """Whether the record has not expired; the sum is worked out only where it could come out either way."""
        start, doubt = record.valid_until, self._doubt_after_end
        if start is None:
            start, doubt = record.valid_from, self._doubt_after_start
        if doubt is None:
            return record.valid_until is None or self._at < record.valid_until
        if not doubt[0] <= start <= doubt[1]:
            return start > doubt[0]
        end = self._end(record)
        return end is None or self._at < end

    def _ceased(self, stop: _Stop) -> Standing:
        undated = stop.state is EvidenceState.SUPERSEDED and self._superseded is None
        since = None if undated else stop.instant
        return Standing(self.kind.name, stop.state, since=since, known_since=stop.known_since, entry=stop.entry)

    def _never(self, to_come: Sequence[EvidenceRecord], records: Sequence[EvidenceRecord]) -> Standing:
        failures = [r for r in records if r.failed and r.valid_from <= self._at and not self._is_revoked(r)]
        if failures:
            last = max(failures, key=lambda record: record.valid_from)
            return Standing(
                self.kind.name,
                EvidenceState.FAILED,
                since=last.valid_from,
                known_since=last.recorded_at,
                entry=last.entry,
            )
        if to_come:
            first = min(to_come, key=lambda record: record.valid_from)
            return Standing(self.kind.name, EvidenceState.NOT_YET_VALID, entry=first.entry, until=first.valid_from)
        return Standing(self.kind.name, EvidenceState.MISSING)

    def _first_stop(
        self, record: EvidenceRecord, records: Sequence[EvidenceRecord], rehired: datetime | None
    ) -> _Stop | None:
        return min(self._stops(record, records, rehired), key=lambda stop: stop.instant, default=None)

    def _stops(
        self, record: EvidenceRecord, records: Sequence[EvidenceRecord], rehired: datetime | None
    ) -> Iterator[_Stop]:
        end = self._end(record)
        if end is not None:
            yield _Stop(end, EvidenceState.EXPIRED, record.entry, record.recorded_at)
        if record.revoked is not None and not self._was_restored(record):
            yield _Stop(record.revoked.start or record.valid_from, EvidenceState.REVOKED, record.revoked.entry, None)
        if record.version < self.kind.version:
            yield _Stop(self._superseded or record.valid_from, EvidenceState.SUPERSEDED, record.entry, None)
        for other in records:
            if other.failed and other.valid_from >= record.valid_from and not self._is_revoked(other):
                yield _Stop(other.valid_from, EvidenceState.FAILED, other.entry, other.recorded_at)
        if rehired is not None and record.valid_from < rehired and not self.kind.survives_rehire:
            yield _Stop(rehired, EvidenceState.BEFORE_REHIRE, record.entry, None)

    def _cancelled_until(self, records: Sequence[EvidenceRecord]) -> datetime | None:
        latest = None
        for record in records:
            if not record.failed or record.valid_from > self._at or self._is_revoked(record):
                continue
            latest = record.valid_from if latest is None else max(latest, record.valid_from)
        return latest

    def _is_revoked(self, record: EvidenceRecord) -> bool:
        return record.revoked is not None and record.revoked.covers(self._at)

    def _was_restored(self, record: EvidenceRecord) -> bool:
        return record.revoked is not None and record.revoked.end is not None and record.revoked.end <= self._at

    def _end(self, record: EvidenceRecord) -> datetime | None:
        key = (record.valid_from, record.valid_until)
        try:
            return self._ends[key]
        except KeyError:
            return self._ends.setdefault(key, self._worked_out_end(record))

    def _worked_out_end(self, record: EvidenceRecord) -> datetime | None:
        end = record.valid_until
        if end is None and self.kind.valid_for is not None:
            end = add_period(record.valid_from, self.kind.valid_for, self._zone)
        if end is not None and self.kind.grace is not None:
            end = add_period(end, self.kind.grace, self._zone)
        return end


def kinds_at(kinds: Mapping[str, EvidenceKind], at: datetime, zone: ZoneInfo) -> dict[str, KindAt]:
    """Every kind of evidence, read at the moment."""
    return {name: KindAt(kind, at, zone) for name, kind in kinds.items()}


def by_kind(records: Sequence[EvidenceRecord]) -> dict[str, list[EvidenceRecord]]:
    """A person's records, grouped by their kind, each group in the order given."""
    groups: dict[str, list[EvidenceRecord]] = {}
    for record in records:
        groups.setdefault(record.kind, []).append(record)
    return groups


def _counted_last(ceased: tuple[EvidenceRecord, _Stop]) -> tuple[bool, datetime]:
    record, stop = ceased
    return stop.instant > record.valid_from, stop.instant


def _latest(stops: Sequence[_Stop | None]) -> datetime | None:
    return None if None in stops else max(stop.instant for stop in stops if stop is not None)
