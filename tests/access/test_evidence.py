"""When evidence counts, until when, and what is said where it does not: one test for each line of the fine print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pytest

from reconciler.access import EvidenceState
from reconciler.access.evidence import KindAt, Standing
from reconciler.facts.model import EvidenceRecord, Span
from reconciler.policy.model import EvidenceKind, Period
from tests.access.company import SHANGHAI, days, kind, local, record

AT = local(2026, 5, 4, 9)
YEAR = Period(years=1)


def stand(of: EvidenceKind, *records: EvidenceRecord, at: datetime = AT, rehired: datetime | None = None) -> Standing:
    """Both readings, which have to agree."""
    read = KindAt(of, at, SHANGHAI)
    standing = read.standing(records, rehired)
    assert read.counts(records, rehired) == standing.counts
    return standing


def nda(since: date, *, version: int = 1) -> EvidenceRecord:
    return record("E1", "nda", since, version=version)


def test_nothing_recorded_is_missing() -> None:
    assert stand(kind("nda")) == Standing("nda", EvidenceState.MISSING)


def test_a_record_counts_from_its_day_on() -> None:
    signed = nda(date(2026, 5, 4))

    before = stand(kind("nda"), signed, at=local(2026, 5, 3, 23, 59))
    assert (before.state, before.until) == (EvidenceState.NOT_YET_VALID, local(2026, 5, 4))
    assert stand(kind("nda"), signed, at=local(2026, 5, 4)).counts


class TestVersions:
    def test_an_older_version_counts_until_it_is_superseded(self) -> None:
        current = kind("nda", version=3, superseded_on=date(2026, 3, 1))
        old = nda(date(2025, 1, 1), version=1)

        assert stand(current, old, at=local(2026, 2, 28, 23, 59)) == Standing("nda", None, until=local(2026, 3, 1))
        after = stand(current, old, at=local(2026, 3, 1))
        assert (after.state, after.since) == (EvidenceState.SUPERSEDED, local(2026, 3, 1))

    def test_without_that_date_an_older_version_never_counts(self) -> None:
        standing = stand(kind("nda", version=2), nda(date(2025, 1, 1)))

        assert (standing.state, standing.since) == (EvidenceState.SUPERSEDED, None)

    def test_the_current_and_a_newer_version_count(self) -> None:
        current = kind("nda", version=2, superseded_on=date(2026, 3, 1))

        assert stand(current, nda(date(2025, 1, 1), version=2)).counts
        assert stand(current, nda(date(2025, 1, 1), version=9)).counts


class TestValidity:
    def test_valid_for_follows_the_calendar(self) -> None:
        monthly = kind("training", valid_for=Period(months=1))
        passed = record("E1", "training", date(2026, 1, 31))

        assert stand(monthly, passed, at=local(2026, 2, 27, 23, 59)).until == local(2026, 2, 28)
        assert stand(monthly, passed, at=local(2026, 2, 28)).state is EvidenceState.EXPIRED

    @pytest.mark.parametrize("until", [local(2026, 5, 1), local(2030, 1, 1)])
    def test_valid_until_beats_valid_for(self, until: datetime) -> None:
        passed = record("E1", "training", date(2026, 1, 1), valid_until=until)

        assert stand(kind("training", valid_for=YEAR), passed).counts == (until > AT)

    @pytest.mark.parametrize(
        ("valid_until", "valid_for"), [(local(2026, 5, 1), YEAR), (None, Period(months=4)), (local(2026, 5, 1), None)]
    )
    def test_grace_extends_either(self, valid_until: datetime | None, valid_for: Period | None) -> None:
        graced = kind("training", valid_for=valid_for, grace=Period(days=14))
        passed = record("E1", "training", date(2026, 1, 1), valid_until=valid_until)

        assert stand(graced, passed, at=local(2026, 5, 14, 23, 59)) == Standing("training", None, local(2026, 5, 15))
        assert stand(graced, passed, at=local(2026, 5, 15)).since == local(2026, 5, 15)

    def test_any_valid_record_is_enough_and_the_best_says_until_when(self) -> None:
        yearly = kind("training", valid_for=YEAR)
        records = [record("E1", "training", date(year, 7, 1)) for year in (2023, 2025, 2024)]

        assert stand(yearly, *records).until == local(2026, 7, 1)

    def test_e2_of_two_adjacent_expired_records_neither_survives(self) -> None:
        yearly = kind("training", valid_for=YEAR)
        records = [record("E1", "training", date(2024, 1, day), entry=day) for day in (1, 2, 3)]

        standing = stand(yearly, *records)

        assert (standing.state, standing.since, standing.entry) == (EvidenceState.EXPIRED, local(2025, 1, 3), 3)

    def test_an_expiry_known_long_ahead_can_be_told_from_a_surprise(self) -> None:
        late = record("E1", "training", date(2025, 5, 1), recorded_at=local(2026, 4, 30), entry=77)

        standing = stand(kind("training", valid_for=YEAR), late)

        assert standing.since == local(2026, 5, 1)
        assert standing.known_since == local(2026, 4, 30)
        assert standing.entry == 77


class TestFailure:
    passed = record("E1", "check", date(2026, 1, 10), entry=1)

    @pytest.mark.parametrize(("day", "cancels"), [(9, False), (10, True), (11, True)])
    def test_a_failure_cancels_what_is_as_old_or_older(self, day: int, cancels: bool) -> None:
        failed = record("E1", "check", date(2026, 1, day), failed=True, entry=2)

        assert stand(kind("check"), self.passed, failed).counts is not cancels
        assert stand(kind("check"), failed, self.passed).counts is not cancels

    def test_a_failure_counts_from_its_own_day(self) -> None:
        failed = record("E1", "check", date(2026, 6, 1), failed=True, entry=2)

        assert stand(kind("check"), self.passed, failed).until == local(2026, 6, 1)

    def test_a_failure_does_not_lapse(self) -> None:
        """Otherwise waiting would repair it for a record that says itself how long it holds."""
        passed = record("E1", "check", date(2020, 1, 1), valid_until=local(2030, 1, 1))
        failed = record("E1", "check", date(2020, 6, 1), failed=True, entry=2)

        standing = stand(kind("check", valid_for=YEAR), passed, failed)

        assert (standing.state, standing.since, standing.entry) == (EvidenceState.FAILED, local(2020, 6, 1), 2)

    def test_a_revoked_failure_cancels_nothing(self) -> None:
        failed = record("E1", "check", date(2026, 2, 1), failed=True, revoked=days(date(2026, 3, 1), None))

        assert stand(kind("check"), self.passed, failed).counts
        assert not stand(kind("check"), self.passed, failed, at=local(2026, 2, 15)).counts

    def test_a_failure_alone_is_said_to_be_one(self) -> None:
        failed = record("E1", "check", date(2026, 2, 1), failed=True, entry=2)

        standing = stand(kind("check"), failed)

        assert (standing.state, standing.since, standing.entry) == (EvidenceState.FAILED, local(2026, 2, 1), 2)


class TestRevocation:
    def test_a_revoked_record_counts_until_then(self) -> None:
        revoked = record("E1", "nda", date(2026, 1, 1), revoked=Span(local(2026, 5, 4, 8), None, 55))

        assert stand(kind("nda"), revoked, at=local(2026, 5, 4, 7, 59)).until == local(2026, 5, 4, 8)
        standing = stand(kind("nda"), revoked)
        assert (standing.state, standing.since, standing.entry) == (EvidenceState.REVOKED, local(2026, 5, 4, 8), 55)

    def test_what_stopped_a_record_first_is_what_is_said(self) -> None:
        revoked = record("E1", "nda", date(2025, 1, 1), revoked=days(date(2026, 5, 1), None))

        assert stand(kind("nda", valid_for=YEAR), revoked).state is EvidenceState.EXPIRED


class TestRehire:
    old = record("E1", "nda", date(2024, 1, 1))

    def test_evidence_from_before_a_rehire_does_not_count(self) -> None:
        rehired = local(2026, 1, 1)

        standing = stand(kind("nda"), self.old, rehired=rehired)

        assert (standing.state, standing.since) == (EvidenceState.BEFORE_REHIRE, rehired)
        assert stand(kind("nda"), nda(date(2026, 1, 1)), rehired=rehired).counts

    def test_unless_its_kind_survives_it(self) -> None:
        assert stand(kind("nda", survives_rehire=True), self.old, rehired=local(2026, 1, 1)).counts


def test_the_record_that_counted_last_is_the_one_told_of() -> None:
    yearly = kind("nda", version=2, valid_for=YEAR)
    records: Sequence[EvidenceRecord] = (
        record("E1", "nda", date(2026, 4, 1), version=1, entry=1),  # never counted
        record("E1", "nda", date(2025, 3, 1), version=2, entry=2),  # counted until March
        record("E1", "nda", date(2026, 9, 1), version=2, entry=3),  # still to come
    )

    standing = stand(yearly, *records)

    assert (standing.state, standing.since, standing.entry) == (EvidenceState.EXPIRED, local(2026, 3, 1), 2)
