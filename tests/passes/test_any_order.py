"""Whatever order the news arrives in, however often, and whoever looks meanwhile: the end is the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.facts.events import Event, parse_event
from reconciler.facts.model import Person
from reconciler.facts.recording import EventOutcome, record_events
from tests.passes.company import QUICK, Company, staff

PEOPLE = ("E1", "E2", "E3")
DAYS = [f"2026-11-{day:02}" for day in range(1, 29)]


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    """Making a store takes longer than a whole example."""
    made = tempfile.TemporaryDirectory(dir=QUICK)
    company = Company(Path(made.name))
    company.directory(staff(3), {"docs": staff(3), "algorithms": staff(1)})
    company.hire("E4")
    return made


def company_in(folder: Path) -> Company:
    shutil.copytree(_template().name, folder, dirs_exist_ok=True)
    return Company(folder, made=True, people=["E4"])


def event(name: str, kind: str, person: str, day: str, data: Mapping[str, Any]) -> Event:
    told = {"id": name, "type": kind, "person": person, "effective_at": day, "data": dict(data)}
    return parse_event({**told, "confirmed": kind == "unlocked"})


STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["transferred", "attributes-changed"]),
        st.fixed_dictionaries({"department": st.sampled_from(["rd", "rd/ai", "sales"])}),
    ),
    st.tuples(st.just("assignment-added"), st.just({"assignment": "second", "department": "rd/ai"})),
    st.tuples(st.just("assignment-ended"), st.just({"assignment": "second"})),
    st.tuples(
        st.sampled_from(
            ["leave-started", "leave-ended", "resignation-submitted", "resignation-withdrawn", "exited", "rehired"]
        ),
        st.just({}),
    ),
    st.tuples(st.sampled_from(["locked-out", "unlocked"]), st.just({"ref": "SEC-1"})),
    st.tuples(
        st.just("evidence-recorded"),
        st.fixed_dictionaries({"kind": st.sampled_from(["nda", "training"]), "valid_from": st.sampled_from(DAYS)}),
    ),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """What happened to three people, each hired once; some of their proofs are revoked."""
    happened = [event(f"hire-{who}", "hired", who, draw(st.sampled_from(DAYS)), {"department": "rd"}) for who in PEOPLE]
    for number in range(draw(st.integers(2, 10))):
        (kind, data), who = draw(STEPS), draw(st.sampled_from(PEOPLE))
        name = f"n{number:02}"
        happened.append(event(name, kind, who, draw(st.sampled_from(DAYS)), data))
        if kind == "evidence-recorded" and draw(st.booleans()):
            revoked = {"evidence": name}
            happened.append(event(f"r{number:02}", "evidence-revoked", who, draw(st.sampled_from(DAYS)), revoked))
    return happened


def essence(person: Person) -> Person:
    """A person apart from the numbers of ledger entries and of people, which depend on who was told of first."""

    def bare(value: Any) -> Any:
        return replace(value, entry=0, end_entry=0)

    posts = tuple(replace(post, span=bare(post.span)) for post in person.assignments)
    spans: dict[str, Any] = {
        name: tuple(map(bare, getattr(person, name))) for name in ("notice", "leave", "exited", "lockouts")
    }
    return replace(person, number=0, last_entry=0, assignments=posts, **spans)


def state(company: Company) -> tuple[object, ...]:
    """What is known of everybody, what follows from it, and that the record is whole."""
    seen = company.look()
    people = {person.id: essence(person) for person in seen.population}
    evidence = {
        person: sorted(
            (
                (one.kind, one.valid_from, one.valid_until, one.failed, one.revoked.start if one.revoked else None)
                for one in records
            ),
            key=repr,
        )
        for person, records in seen.population.evidence.items()
    }
    company.wiring(targets=()).ledger.verify()
    return people, evidence, seen.plan.digest, {change.id for change in seen.plan.changes}


def told(company: Company, deliveries: Sequence[Sequence[Event]], looks: Sequence[bool]) -> tuple[object, ...]:
    for events, looks_now in zip(deliveries, looks, strict=True):
        facts = company.wiring(targets=()).facts
        results = record_events(facts, events, source="api", now=company.now, actor="hr")
        assert not [result for result in results if result.outcome is EventOutcome.REFUSED]
        company.now += timedelta(seconds=1)
        if looks_now:
            company.look()
    return state(company)


def sliced(draw: st.DataObject, events: Sequence[Event]) -> list[Sequence[Event]]:
    """The events in deliveries of one or more."""
    borders = sorted(draw.draw(st.sets(st.integers(1, len(events)), max_size=4)) | {len(events)})
    return [events[start:end] for start, end in zip([0, *borders], borders, strict=False)]


@settings(max_examples=30, deadline=None)
@given(st.data(), histories())
def test_any_order_and_repetition_with_plans_in_between_ends_in_the_same_state(
    data: st.DataObject, happened: list[Event]
) -> None:
    again = data.draw(st.lists(st.sampled_from(happened), max_size=5))
    shuffled = sliced(data, data.draw(st.permutations([*happened, *again])))
    looks = data.draw(st.lists(st.booleans(), min_size=len(shuffled), max_size=len(shuffled)))
    with tempfile.TemporaryDirectory(dir=QUICK) as one, tempfile.TemporaryDirectory(dir=QUICK) as other:
        end = company_in(Path(other))
        end.now += timedelta(seconds=len(shuffled) - 1)

        straight, scrambled = told(end, [happened], [False]), told(company_in(Path(one)), shuffled, looks)

    assert scrambled == straight
