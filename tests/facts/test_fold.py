"""What events add up to: the same whatever their order and number."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.facts.days import day_start
from reconciler.facts.events import EVIDENCE_KINDS, PERSON_KINDS, effective_instant
from reconciler.facts.fold import PersonEvent, fold, fold_evidence
from reconciler.facts.ledger import Json
from reconciler.facts.model import Person, Span

ZONE = ZoneInfo("Asia/Shanghai")
START = date(2026, 1, 1)


def at(day: str) -> datetime:
    return day_start(date.fromisoformat(day), ZONE)


def told(seq: int, kind: str, when: str, /, **data: Json) -> PersonEvent:
    instant = effective_instant(kind, date.fromisoformat(when), ZONE)
    return PersonEvent(seq, kind, instant, datetime(2026, 1, 1, tzinfo=UTC), "hr", f"e{seq:03}", True, data)


def folded(*events: PersonEvent) -> Person:
    return fold(0, "E1", events, ZONE)


DAYS = st.integers(0, 12).map(lambda n: (START + timedelta(days=n)).isoformat())


@st.composite
def person_events(draw: st.DrawFn) -> list[PersonEvent]:
    events = [told(1, "hired", draw(DAYS), assignment="main", department="rd", name="王芳")]
    for seq in range(2, draw(st.integers(2, 12))):
        kind = draw(st.sampled_from(sorted(PERSON_KINDS)))
        data: dict[str, Json] = {}
        if kind in ("hired", "rehired", "assignment-added", "assignment-ended", "transferred", "attributes-changed"):
            data["assignment"] = draw(st.sampled_from(["main", "second"]))
        if "assignment" in data and kind != "assignment-ended":
            data |= draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "starts_on": DAYS,
                        "ends_on": DAYS,
                        "department": st.sampled_from(["rd", "hr", ""]),
                        "name": st.just("李雷"),
                    },
                )
            )
        if kind in ("locked-out", "unlocked"):
            data["ref"] = draw(st.sampled_from(["SEC-1", "SEC-2"]))
        events.append(told(seq, kind, draw(DAYS), **data))
    return events


@settings(max_examples=300, deadline=None)
@given(st.data(), person_events())
def test_any_order_and_any_repetition_give_the_same_person(data: st.DataObject, events: list[PersonEvent]) -> None:
    again = data.draw(st.lists(st.sampled_from(events)))
    shuffled = data.draw(st.permutations([*events, *again]))

    assert folded(*shuffled) == folded(*events)


@settings(max_examples=300, deadline=None)
@given(person_events())
def test_spans_are_never_empty_and_one_assignment_never_overlaps_itself(events: list[PersonEvent]) -> None:
    person = folded(*events)
    spans = [post.span for post in person.assignments]
    spans += [*person.notice, *person.leave, *person.exited, *person.lockouts]

    assert all(span.start is not None and (span.end is None or span.start < span.end) for span in spans)
    for name in {post.name for post in person.assignments}:
        mine = [post.span for post in person.assignments if post.name == name]
        for one, next_one in pairwise(mine):
            assert one.end is not None
            assert next_one.start is not None
            assert one.end <= next_one.start


@settings(max_examples=200, deadline=None)
@given(person_events())
def test_nobody_comes_back_but_by_a_rehire(events: list[PersonEvent]) -> None:
    exits = [event for event in events if event.kind == "exited"]
    person = folded(*(event for event in events if event.kind != "rehired"))

    assert bool(exits) == bool(person.exited)
    if exits:
        assert person.exited[-1].end is None
        assert person.exited[0].start == min(event.effective_at for event in exits)


def test_a_transfer_ends_one_stretch_and_starts_another_with_what_stays() -> None:
    person = folded(
        told(1, "hired", "2026-01-01", department="rd", post="engineer"),
        told(2, "transferred", "2026-03-01", department="sales"),
    )

    assert [(dict(post.attributes), post.span) for post in person.assignments] == [
        ({"department": "rd", "post": "engineer"}, Span(at("2026-01-01"), at("2026-03-01"), 1, 2)),
        ({"department": "sales", "post": "engineer"}, Span(at("2026-03-01"), None, 2)),
    ]


def moved(*events: PersonEvent) -> list[bool]:
    return [post.transferred for post in folded(*events).assignments]


HIRED = told(1, "hired", "2026-01-01", department="rd", post="engineer")


def test_only_what_a_transfer_ended_is_followed_by_an_overlap() -> None:
    gone = {"department": "sales"}

    assert moved(HIRED, told(2, "transferred", "2026-03-01", department="sales")) == [True, False]
    assert moved(HIRED, told(2, "attributes-changed", "2026-03-01", department="sales")) == [False, False]
    assert moved(HIRED, told(2, "transferred", "2026-03-01", department="rd")) == [False]
    assert moved(HIRED, told(2, "transferred", "2026-03-01", ends_on="2026-06-30")) == [False]
    assert moved(HIRED, told(2, "assignment-ended", "2026-03-01")) == [False]
    assert moved(HIRED, told(2, "exited", "2026-03-01")) == [False]
    assert moved(HIRED, told(2, "assignment-added", "2026-03-01", department="sales")) == [False, False]
    assert moved(HIRED, told(2, "rehired", "2026-03-01", department="sales")) == [False, False]
    assert moved(HIRED, told(2, "transferred", "2026-03-01", starts_on="2026-04-01", **gone)) == [False, False]


def test_a_transfer_that_an_end_at_the_same_instant_undoes_leaves_no_overlap() -> None:
    transfer = told(2, "transferred", "2026-03-01", department="sales")

    assert moved(HIRED, transfer, told(3, "assignment-ended", "2026-03-01")) == [False]
    assert moved(HIRED, transfer, told(3, "exited", "2026-02-28")) == [False]
    assert moved(HIRED, transfer, told(3, "assignment-added", "2026-03-01", department="hr")) == [False, False]
    assert moved(HIRED, transfer, told(3, "assignment-added", "2026-02-01", department="hr")) == [False, True, False]


def test_what_came_of_a_transfer_may_change_and_end_later() -> None:
    transfer = told(2, "transferred", "2026-03-01", department="sales")

    assert moved(HIRED, transfer, told(3, "attributes-changed", "2026-03-01", post="manager")) == [True, False]
    assert moved(HIRED, transfer, told(3, "attributes-changed", "2026-04-01", post="manager")) == [True, False, False]
    assert moved(HIRED, transfer, told(3, "exited", "2026-04-30")) == [True, False]
    assert moved(HIRED, transfer, told(3, "transferred", "2026-04-01", department="hr")) == [True, True, False]


@settings(max_examples=300, deadline=None)
@given(person_events())
def test_a_transferred_assignment_ends_with_a_transfer_and_goes_on_as_another(events: list[PersonEvent]) -> None:
    person = folded(*events)
    kinds = {event.seq: (event.kind, event.effective_at) for event in events}
    for post in person.assignments:
        if post.transferred:
            assert kinds[post.span.end_entry] == ("transferred", post.span.end)
            assert any(other.name == post.name and other.span.start == post.span.end for other in person.assignments)
    assert not any(post.transferred for post in folded(*(e for e in events if e.kind != "transferred")).assignments)


def test_a_post_that_never_ran_cuts_nothing() -> None:
    never = told(1, "hired", "2026-03-01", ends_on="2026-02-01")
    begun = told(2, "assignment-added", "2026-03-05", department="rd")
    earlier = told(3, "attributes-changed", "2026-03-06", starts_on="2026-01-01")

    assert [post.span for post in folded(never, begun, earlier).assignments] == [Span(at("2026-01-01"), None, 2)]


def test_a_post_to_come_that_turns_out_to_run_already_runs_since_the_last_one_ended() -> None:
    postponed = told(2, "attributes-changed", "2026-02-01", starts_on="2026-05-01")
    since = told(3, "attributes-changed", "2026-02-10", starts_on="2025-12-01")

    assert [post.span.start for post in folded(HIRED, postponed, since).assignments] == [
        at("2026-01-01"),
        at("2026-02-01"),
    ]
    assert folded(HIRED, postponed, since).assignments[-1].span.end is None


def test_ends_on_includes_its_day() -> None:
    person = folded(told(1, "hired", "2026-01-01", ends_on="2026-06-30"))

    assert person.assignments[0].span.end == at("2026-07-01")


def test_someone_hired_for_later_starts_later() -> None:
    person = folded(told(1, "hired", "2026-05-01", department="rd"))

    assert person.assignments[0].span == Span(at("2026-05-01"), None, 1)
    assert person.employed_since == at("2026-05-01")


def test_an_exit_ends_everything_and_a_rehire_starts_anew() -> None:
    person = folded(
        told(1, "hired", "2026-01-01", department="rd"),
        told(2, "assignment-added", "2026-01-01", assignment="second", department="hr"),
        told(3, "resignation-submitted", "2026-02-01"),
        told(4, "exited", "2026-02-28"),
        told(5, "rehired", "2026-03-01", department="legal"),
    )

    assert [(post.name, post.attributes["department"], post.span.end) for post in person.assignments] == [
        ("main", "rd", at("2026-03-01")),
        ("second", "hr", at("2026-03-01")),
        ("main", "legal", None),
    ]
    assert person.notice == (Span(at("2026-02-01"), at("2026-03-01"), 3, 4),)
    assert person.exited == ()
    assert (person.rehired, person.employed_since) == (True, at("2026-03-01"))


def test_a_contract_that_is_renewed_in_time_has_no_gap() -> None:
    person = folded(
        told(1, "hired", "2026-01-01", ends_on="2026-06-30", department="rd"),
        told(2, "attributes-changed", "2026-06-15", starts_on="2026-07-01", ends_on="2026-12-31"),
    )

    assert [post.span for post in person.assignments] == [Span(at("2026-01-01"), at("2027-01-01"), 1, 2)]


def test_an_ended_assignment_does_not_go_on_by_a_change_alone() -> None:
    hired = told(1, "hired", "2026-01-01", ends_on="2026-06-30", department="rd")
    longer = told(2, "attributes-changed", "2026-07-15", ends_on="2026-12-31")
    again = told(3, "attributes-changed", "2026-07-16", starts_on="2026-08-01", ends_on="2026-12-31")

    assert len(folded(hired, longer).assignments) == 1
    assert folded(hired, longer, again).assignments[1].span == Span(at("2026-08-01"), at("2027-01-01"), 3)


def test_an_exit_at_the_very_time_of_a_rehire_comes_last() -> None:
    noon = datetime(2026, 3, 1, 4, tzinfo=UTC)
    events = [
        told(1, "hired", "2026-01-01"),
        PersonEvent(2, "exited", noon, noon, "hr", "a", False, {}),
        PersonEvent(3, "rehired", noon, noon, "hr", "z", False, {}),
    ]

    assert folded(*events).exited == (Span(noon, None, 2),)


def test_a_lockout_ends_by_its_reference_or_all_at_once() -> None:
    events = [
        told(1, "hired", "2026-01-01"),
        told(2, "locked-out", "2026-02-01", ref="A"),
        told(3, "locked-out", "2026-02-01", ref="B"),
    ]

    assert [span.end for span in folded(*events, told(4, "unlocked", "2026-03-01", ref="A")).lockouts] == [
        at("2026-03-01"),
        None,
    ]
    assert [span.end for span in folded(*events, told(4, "unlocked", "2026-03-01")).lockouts] == [at("2026-03-01")] * 2


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_evidence_and_its_revocation_come_in_any_order(data: st.DataObject) -> None:
    events = [
        told(
            seq,
            "evidence-recorded",
            "2026-01-01",
            kind="nda",
            valid_from="2026-01-01",
            reference=f"DOC-{seq}",
            version=2,
        )
        for seq in (1, 2)
    ] + [
        told(3, "evidence-revoked", "2026-02-01", evidence="DOC-1"),
        told(4, "evidence-revoked", "2026-02-02", evidence="e002"),
    ]
    records = fold_evidence("E1", data.draw(st.permutations(events)), ZONE)

    assert {event.kind for event in events} == EVIDENCE_KINDS
    assert [(record.entry, record.revoked) for record in records] == [
        (1, Span(at("2026-02-01"), None, 3)),
        (2, Span(at("2026-02-02"), None, 4)),
    ]
