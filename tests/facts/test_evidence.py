"""Evidence from a file."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.csv import CsvSource
from reconciler.facts.evidence import EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS, EvidenceReport, import_evidence
from reconciler.sources import SourceContext
from tests.facts.conftest import PLACE, World, csv_bytes

KINDS = {"nda", "background-check"}


def proof(person: str = "E1", **cells: str) -> dict[str, str]:
    row = {"person": person, "evidence": "nda", "version": "", "valid_from": "2026-01-05", "valid_until": ""}
    return {**row, "result": "", "reference": "", "source": "", "id": "", **cells}


def take(world: World, *rows: dict[str, str]) -> EvidenceReport:
    (world.folder / "evidence.csv").write_bytes(csv_bytes(rows))
    source = CsvSource(SourceContext("evidence", world.folder, PLACE), {"path": "evidence.csv"})
    feed = source.read(EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS)
    return import_evidence(world.facts, feed, source="evidence", kinds=KINDS, now=world.now, actor="legal")


@pytest.fixture
def known(world: World) -> World:
    for person in ("E1", "E2"):
        world.say("hired", person, "2026-01-05")
    return world


def test_a_proof_is_recorded_as_it_stands(known: World) -> None:
    report = take(
        known, proof(version="3", valid_until="2026年12月31日", reference="DOC-7", source="esign", result="failed")
    )
    record = known.facts.population().evidence["E1"][0]

    assert (report.recorded, report.known, report.quarantined) == (1, 0, ())
    assert (record.kind, record.version, record.reference, record.source, record.failed) == (
        "nda",
        3,
        "DOC-7",
        "esign",
        True,
    )
    assert record.valid_from == datetime(2026, 1, 4, 16, tzinfo=UTC)
    assert record.valid_until == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert (record.entry, record.recorded_at, known.person("E1").last_entry) == (3, known.now, 3)


@pytest.mark.parametrize(
    "spelled",
    [
        "2026-12-31 10:00",
        "2026/12/31 10:00:00",
        "2026年12月31日 10:00",
        "2026-12-31T10:00:00+08:00",
        "2026-12-31T02:00Z",
    ],
)
def test_a_proof_keeps_the_hour_at_which_it_ends(known: World, spelled: str) -> None:
    report = take(known, proof(valid_until=spelled), proof("E2", valid_until="2026-12-31 00:00:00"))

    assert report.recorded == 2
    evidence = known.facts.population().evidence
    assert evidence["E1"][0].valid_until == datetime(2026, 12, 31, 2, tzinfo=UTC)
    assert evidence["E2"][0].valid_until == datetime(2026, 12, 31, 16, tzinfo=UTC), "a day, as spreadsheets write it"


def test_the_same_file_again_adds_nothing(known: World) -> None:
    rows = [proof(), proof("E2", id="x-1"), proof(evidence="background-check", valid_from="2026/2/1")]
    take(known, *rows)
    report = take(known, *rows, {**rows[2], "valid_from": "2026-02-01"})

    assert (report.recorded, report.known) == (0, 4)
    assert len(known.kinds()) == 5


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"evidence": "ndaa"}, "no evidence kind `ndaa`"),
        ({"person": "E9"}, "nobody is known"),
        ({"person": ""}, "person"),
        ({"valid_from": ""}, "`valid_from` is blank"),
        ({"valid_from": "01/02/2026"}, "ambiguous"),
        ({"valid_from": "2026-01-05 10:00"}, "is not a date"),
        ({"valid_until": "2025-01-01"}, "lies before"),
        ({"valid_until": "2026-12-31 10:61"}, "no clock shows"),
        ({"result": "maybe"}, "passed or failed"),
        ({"version": "two"}, "whole number"),
        ({"version": "0"}, "whole number"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_others_go_on(known: World, cells: dict[str, str], words: str) -> None:
    report = take(known, {**proof(), **cells}, proof("E2"))

    assert (report.recorded, len(report.quarantined)) == (1, 1)
    assert words in report.quarantined[0].message
    assert report.quarantined[0].place.line == 2


def test_a_known_id_with_other_content_is_refused(known: World) -> None:
    take(known, proof(id="x-1"))
    report = take(known, proof(id="x-1", version="2"))

    assert [problem.code for problem in report.quarantined] == ["event-conflict"]
    assert [record.version for record in known.facts.population().evidence["E1"]] == [1]


def test_a_cut_last_row_is_quarantined(known: World) -> None:
    (known.folder / "evidence.csv").write_bytes(csv_bytes([proof(), proof("E2")])[:-1])
    source = CsvSource(SourceContext("evidence", known.folder, PLACE), {"path": "evidence.csv"})
    report = import_evidence(
        known.facts, source.read(EVIDENCE_COLUMNS, ()), source="e", kinds=KINDS, now=known.now, actor="a"
    )

    assert (report.recorded, len(report.quarantined)) == (1, 1)
