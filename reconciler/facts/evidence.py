"""Evidence from a file: each row is one proof, recorded once.

A row is known by (source, id) where it has an id, and by what it says where it has none; a bad row is quarantined
with its place, and the others go on. Columns: `EVIDENCE_COLUMNS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import Place, Problem
from reconciler.facts.days import parse_day, parse_end
from reconciler.facts.events import Event, EventError, EventType, parse_event
from reconciler.facts.ledger import canonical
from reconciler.facts.people import Facts
from reconciler.facts.recording import EventOutcome, record_events
from reconciler.sources import Feed, Row

EVIDENCE_COLUMNS = (
    "person", "evidence", "scope", "version", "valid_from", "valid_until", "result", "reference", "source", "id",
    "signer", "document", "course", "score",
)  # fmt: skip
REQUIRED_EVIDENCE_COLUMNS = ("person", "evidence", "valid_from")


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """What became of the rows: how many were recorded or known already, and which could not be taken."""

    recorded: int
    known: int
    quarantined: tuple[Problem, ...]


def import_evidence(
    facts: Facts, feed: Feed, *, source: str, kinds: Collection[str], now: datetime, actor: str
) -> EvidenceReport:
    """Record the proofs; `kinds` are those that the policy declares, `source` stands in where a row names none."""
    read = [read_evidence(row, source, kinds) for row in feed.rows]
    problems = [item for item in read if isinstance(item, Problem)]
    events = [item for item in read if not isinstance(item, Problem)]
    results = record_events(facts, [event for event, _ in events], source=source, now=now, actor=actor, known_only=True)
    for result, (_, place) in zip(results, events, strict=True):
        if (error := result.error) is not None:
            problems.append(Problem(error.code, error.message, place, error.remedy))
    outcomes = [result.outcome for result in results]
    return EvidenceReport(
        outcomes.count(EventOutcome.RECORDED),
        outcomes.count(EventOutcome.DUPLICATE),
        tuple(sorted(problems, key=lambda problem: problem.place)),
    )


def read_evidence(row: Row, source: str, kinds: Collection[str]) -> tuple[Event, Place] | Problem:
    """The event that a row says, or why it cannot be taken. Pure."""
    if row.problem:
        return Problem("evidence-row", row.problem, row.place, "correct the row at its source")
    try:
        return _event(row, source, kinds), row.place
    except (EventError, ValueError) as error:
        message = error.message if isinstance(error, EventError) else str(error)
        return Problem("evidence-row", message, row.place, "correct the row at its source")


def _event(row: Row, source: str, kinds: Collection[str]) -> Event:
    cells = {name: row.cells.get(name, "").strip() for name in EVIDENCE_COLUMNS}
    if cells["evidence"] not in kinds:
        known = ", ".join(sorted(kinds))
        raise ValueError(f"the policy has no evidence kind `{cells['evidence']}` (it has: {known})")
    if not cells["valid_from"]:
        raise ValueError("`valid_from` is blank: the day of the signature, check or training is needed")
    valid_from = parse_day(cells["valid_from"]).isoformat()
    data: dict[str, str | int] = {
        "kind": cells["evidence"],
        "scope": cells["scope"],
        "version": _version(cells["version"]),
        "valid_from": valid_from,
        "valid_until": parse_end(cells["valid_until"]).isoformat() if cells["valid_until"] else "",
        "result": cells["result"] or "passed",
        "reference": cells["reference"],
        **{name: cells[name] for name in ("signer", "document", "course", "score")},
    }
    data = {key: value for key, value in data.items() if value != ""}
    name = cells["id"] or _content_id(cells["person"], data)
    return parse_event(
        {
            "id": name,
            "type": EventType.EVIDENCE_RECORDED.value,
            "person": cells["person"],
            "effective_at": valid_from,
            "data": data,
            "source": cells["source"] or source,
        }
    )


def _version(text: str) -> int:
    if not text:
        return 1
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"`version` must be a whole number, not `{text}`")
    return int(text)


def _content_id(person: str, data: dict[str, str | int]) -> str:
    return "row:" + hashlib.sha256(canonical({"person": person, **data})).hexdigest()[:32]
