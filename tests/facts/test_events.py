"""The vocabulary of events, and recording them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciler.facts.events import EventConflict, EventError, EventType, effective_instant, parse_event
from reconciler.facts.people import PersonUnknown
from reconciler.facts.recording import EventOutcome, record_events
from reconciler.policy.model import Limit
from tests.facts.conftest import ATTRIBUTES, World

SHANGHAI = ZoneInfo("Asia/Shanghai")


def event(
    kind: str, /, person: str = "E1", when: str = "2026-12-01", name: str = "hr-1", **data: Any
) -> dict[str, Any]:
    return {"id": name, "type": kind, "person": person, "effective_at": when, "data": data}


HIRED = event("hired", when="2026-01-05", name="hr-0", department="rd", post="engineer", name_="")
HIRED["data"] = {"department": "rd", "post": "engineer", "name": "王芳"}


def test_the_example_of_the_format_is_read() -> None:
    text = (
        '{"id": "hr-000123", "type": "transferred", "person": "E1001", '
        '"effective_at": "2026-12-01", "data": {"assignment": "main", "department": "sales"}}'
    )
    parsed = parse_event(text)

    assert parsed.type is EventType.TRANSFERRED
    assert parsed.effective_at == date(2026, 12, 1)
    assert not isinstance(parsed.effective_at, datetime)
    assert parsed.content() == json.loads(text)


@pytest.mark.parametrize(
    ("kind", "when", "instant"),
    [
        (EventType.EXITED, date(2026, 12, 1), datetime(2026, 12, 1, 16, tzinfo=UTC)),
        (EventType.EXITED, datetime.fromisoformat("2026-12-01T17:30"), datetime(2026, 12, 1, 9, 30, tzinfo=UTC)),
        (EventType.RESIGNATION_SUBMITTED, date(2026, 12, 1), datetime(2026, 11, 30, 16, tzinfo=UTC)),
        (EventType.HIRED, date(2026, 12, 1), datetime(2026, 11, 30, 16, tzinfo=UTC)),
        (EventType.EXITED, datetime(2026, 12, 1, 17, 30, tzinfo=UTC), datetime(2026, 12, 1, 17, 30, tzinfo=UTC)),
    ],
)
def test_an_exit_of_a_day_is_at_its_end_and_all_else_at_its_start(
    kind: EventType, when: date, instant: datetime
) -> None:
    assert effective_instant(kind, when, SHANGHAI) == instant


def proof_until(end: str) -> dict[str, Any]:
    return event("evidence-recorded", kind="nda", valid_from="2026-01-01", valid_until=end)


@pytest.mark.parametrize(
    ("end", "instant"),
    [
        ("2026-12-31", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("20261231", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("2026-12-31T10:00:00", datetime(2026, 12, 31, 2, tzinfo=UTC)),
        ("2026-12-31T10:00:00.25+01:00", datetime(2026, 12, 31, 9, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-12-31T00:00:00+08:00", datetime(2026, 12, 30, 16, tzinfo=UTC)),
        ("2025-12-31T12:00:00-12:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("9999-12-31", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("", None),
    ],
)
def test_a_proof_ends_with_a_day_or_at_a_moment(world: World, end: str, instant: datetime | None) -> None:
    world.tell(HIRED, proof_until(end))

    (record,) = world.facts.population().evidence["E1"]
    assert record.valid_until == instant


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("{", "not JSON"),
        ("[]", "event without id"),
        (event("hird"), "did you mean `hired`"),
        (event("exited", when="01/12/2026"), "neither a date"),
        (event("exited", when="2026-13-01"), "effective_at"),
        (event("exited", departement="x"), "does not take"),
        (event("locked-out"), "needs ref"),
        (event("hired", grade=6), "write it in quotes"),
        (event("hired", starts_on="2026-02-02", ends_on="2026-02-01"), "lies before"),
        (event("evidence-recorded", kind="nda"), "needs valid_from"),
        (event("evidence-recorded", kind="nda", valid_from="2026-01-01", result="ok"), "passed or failed"),
        (event("evidence-recorded", kind="nda", valid_from="2026-01-01", version=0), "version"),
        (event("evidence-recorded", kind="nda", valid_from="1.1.2026"), "must be a date"),
        (event("evidence-recorded", kind="nda", valid_from="2026-01-01T10:00:00"), "must be a date"),
        (proof_until("2026-01-05T00:00:00"), "must be a date like 2026-12-01 or a time"),
        (proof_until("2026-01-05 00:00"), "must be a date"),
        (proof_until("2026-01-05T25:00:00Z"), "must be a date"),
        (proof_until("2026-W10-1T10:00"), "must be a date"),
        (proof_until("1899-12-31T10:00"), "must be a date"),
        (proof_until("2025-12-31T23:59:59"), "lies before"),
        (proof_until("2025-12-30T23:59:59-12:00"), "lies before"),
        (event("hired", starts_on="2026-W10-1"), "must be a date"),
        (event("hired", starts_on="1899-12-31"), "must be a date"),
        (event("hired", starts_on="20260202", ends_on="2026-02-01"), "lies before"),
        (event("exited", when="0001-01-01"), "outside the years"),
        (event("exited", when="0001-01-01T00:00:00+08:00"), "outside the years"),
        (event("exited", when="9999-12-31T23:59:59-08:00"), "outside the years"),
        (event("exited", person=" "), "person"),
        (event("exited", person="E\n1"), "person"),
        ({**event("exited"), "extra": 1}, "extra"),
        ({**event("exited"), "confirmed": "yes"}, "confirmed"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(raw: Any, words: str) -> None:
    with pytest.raises(EventError, match=words):
        parse_event(raw)


def test_the_same_event_twice_is_one_event(world: World) -> None:
    first, second = world.tell(HIRED, HIRED)
    third = world.tell(HIRED)[0]

    assert [first.outcome, second.outcome, third.outcome] == ["recorded", "duplicate", "duplicate"]
    assert first.entry == second.entry == third.entry == 1
    assert world.kinds() == ["hired"]


def test_the_same_id_with_other_content_is_refused_and_reported(world: World) -> None:
    world.tell(HIRED)
    result = world.tell({**HIRED, "data": {"department": "sales"}})[0]

    assert result.outcome is EventOutcome.REFUSED
    assert isinstance(result.error, EventConflict)
    assert "ledger entry 1" in str(result.error)
    assert world.post("E1") == {"department": "rd", "post": "engineer"}


def test_the_same_id_of_another_source_is_another_event(world: World) -> None:
    world.tell(HIRED, event("leave-started", name="x"))
    results = world.tell({**event("exited", when="2026-11-01", name="x"), "source": "other"})

    assert results[0].outcome is EventOutcome.RECORDED


def test_nobody_becomes_known_but_by_hired(world: World) -> None:
    world.tell({**HIRED, "person": "E1007"})
    results = world.tell(event("exited", person="E1070"), event("rehired", person="E2", name="2"))

    assert [(result.outcome, result.waits) for result in results] == [("recorded", True)] * 2
    assert "nobody is known by the id `E1070`: did you mean E1007 (王芳)" in results[0].note
    assert [person.id for person in world.facts.population()] == ["E1007"]
    assert world.facts.waiting() == {"E1070": 1, "E2": 1}


def test_what_was_told_too_early_counts_once_somebody_is_hired(world: World) -> None:
    proof = {"kind": "nda", "valid_from": "2020-01-06"}
    world.tell(
        event("exited", person="E2", when="2026-11-20", name="1"),
        event("evidence-recorded", person="E2", when="2020-01-06", name="2", **proof),
        event("evidence-recorded", person="E3", when="2020-01-06", name="3", **proof),
    )
    entry = world.facts.ledger.head()
    (hired,) = world.tell({**HIRED, "person": "E2", "id": "4"})

    person = world.person("E2")
    assert not hired.waits
    assert [span.entry for span in person.exited] == [1]
    assert [record.entry for record in world.facts.population().evidence["E2"]] == [2]
    assert [known.id for known in world.facts.population()] == ["E2"]
    assert list(world.facts.population(known_at=entry)) == [], "before that nobody was known"
    assert world.facts.waiting() == {"E3": 1}


def test_where_only_known_people_count_what_would_wait_is_refused(world: World) -> None:
    told = parse_event(event("exited", person="E1070"))
    (result,) = record_events(world.facts, [told], source="x", now=world.now, actor="hr", known_only=True)

    assert "nobody is known by the id `E1070`" in str(result.error)
    assert world.kinds() == []


def test_c2_an_id_that_differs_only_in_case_is_nobody_new(world: World) -> None:
    world.tell(HIRED)
    results = world.tell(event("hired", person="e1"), event("exited", person="e1", name="2"))

    assert all("only in case" in str(result.error) for result in results)
    assert world.kinds() == ["hired"]


def test_a_known_person_is_not_hired_again(world: World) -> None:
    world.tell(HIRED)

    assert "known already" in str(world.tell(event("hired"))[0].error)


def test_an_attribute_that_no_policy_declares_is_refused(world: World) -> None:
    results = world.tell(event("hired", departmnt="rd"), HIRED, attributes=ATTRIBUTES)

    assert "did you mean `department`" in str(results[0].error)
    assert results[1].outcome is EventOutcome.RECORDED


def test_a_change_to_an_unknown_assignment_is_taken_with_a_note(world: World) -> None:
    world.tell(HIRED)
    result = world.tell(event("transferred", assignment="mian", department="sales", when="2026-11-01"))[0]

    assert "no assignment `mian`" in result.note
    assert world.post("E1") == {"department": "rd", "post": "engineer"}


def test_exits_beyond_the_guard_are_refused_until_they_are_confirmed(world: World) -> None:
    people = [f"E{n}" for n in range(10)]
    world.tell(*({**HIRED, "person": person, "id": person} for person in people))
    exits = [event("exited", person=person, when="2026-11-24", name=f"x{person}") for person in people[:3]]
    limit = Limit(20, 50)

    assert {result.outcome for result in world.tell(*exits, exits=limit)} == {"refused"}
    assert {result.outcome for result in world.tell(*exits[:2], exits=limit)} == {"recorded"}
    assert [result.outcome for result in world.tell(*exits, exits=limit)] == ["duplicate", "duplicate", "refused"]
    assert world.tell({**exits[2], "confirmed": True}, exits=limit)[0].outcome is EventOutcome.RECORDED


def test_a_rehire_the_day_after_the_exit_counts(world: World) -> None:
    world.tell(
        HIRED,
        event("exited", when="2026-06-30", name="2"),
        event("rehired", when="2026-07-01", name="3", department="hr"),
    )

    assert not world.out("E1")
    assert world.post("E1") == {"department": "hr"}
    assert world.person("E1").rehired


def test_questions_about_what_was_known_then(world: World) -> None:
    world.tell(HIRED)
    world.tell(event("evidence-recorded", when="2026-01-05", name="2", kind="nda", valid_from="2026-01-05"))
    world.tell(event("exited", when="2026-11-01", name="3"))

    assert world.facts.person("E1", known_at=2).exited == ()  # type: ignore[union-attr]
    assert world.facts.population(known_at=1).evidence == {}
    assert len(world.facts.population(["E1"], known_at=2).evidence["E1"]) == 1
    assert world.facts.population(known_at=3) == world.facts.population()
    assert world.facts.population(known_at=0).people == []


def test_evidence_is_revoked_by_its_id_or_reference(world: World) -> None:
    proof = {"kind": "nda", "valid_from": "2026-01-05", "valid_until": "2026-12-31", "reference": "DOC-7"}
    world.tell(HIRED, event("evidence-recorded", when="2026-01-05", name="proof-1", **proof))
    early = world.tell(event("evidence-revoked", when="2026-11-01", name="3", evidence="DOC-8"))[0]
    taken = world.tell(event("evidence-revoked", when="2026-11-01", name="4", evidence="DOC-7"))[0]
    record = world.facts.population().evidence["E1"][0]

    assert early.waits
    assert "did you mean `DOC-7`" in early.note
    assert record.revoked is not None
    assert record.revoked.entry == taken.entry
    assert record.valid_until == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert world.person("E1").last_entry == taken.entry


def test_a_wrong_id_is_answered_with_near_ones(world: World) -> None:
    world.tell({**HIRED, "person": "E1007"})

    with pytest.raises(PersonUnknown, match="E1007"):
        world.facts.find_person("E107")
    assert world.facts.suggest("王芳") == ["E1007 (王芳)"]
    assert world.facts.person("e1007") is None
