"""Of which day, and as known when: the two times of a question, and who said what an answer rests on."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.access import Explainer
from reconciler.audit.explained import cited
from reconciler.facts.events import parse_event
from reconciler.facts.ledger import NewEntry
from reconciler.facts.model import Population
from reconciler.facts.people import Facts
from reconciler.facts.recording import record_events
from reconciler.facts.store import Store
from reconciler.policy import load_policy
from reconciler.policy.model import Policy
from tests.cli.company import Company

PERSON = "E1010"
MATERIALS = "sales-materials:read"
ZONE = ZoneInfo("Asia/Shanghai")


def day(back: int) -> str:
    return (datetime.now(ZONE).date() - timedelta(days=back)).isoformat()


def answer(company: Company, *asked: str) -> Any:
    return company.run(*asked, "--output", "json").json


def permissions(company: Company, *asked: str) -> set[str]:
    return {one["permission"] for one in answer(company, "access", PERSON, *asked)["allowed"]}


# --- two times ------------------------------------------------------------------------------------------------------


def test_a_transfer_that_we_learn_of_late_changes_what_we_say_of_that_day_and_not_what_we_said(
    informed_company: Company,
) -> None:
    company = informed_company
    before, entry = permissions(company, "--at", day(5)), company.entries()
    assert MATERIALS not in before

    pairs = ("--set", "department=sales", "--set", "post=account-manager")
    company.run("people", "event", "transferred", PERSON, "--at", day(10), *pairs)

    assert MATERIALS in permissions(company)
    assert MATERIALS in permissions(company, "--at", day(5))
    assert permissions(company, "--at", day(5), "--as-known-at", str(entry)) == before
    assert MATERIALS not in permissions(company, "--at", day(11))
    assert company.run("can", PERSON, MATERIALS, "--as-known-at", f"entry:{entry}").out == "no\n"
    assert company.run("can", PERSON, MATERIALS, "--as-known-at", f"ledger:{entry + 1}").out == "yes\n"
    then = answer(company, "who", MATERIALS, "--as-known-at", str(entry))["allowed"]
    assert PERSON not in {one["subject"] for one in then}
    assert PERSON in {one["subject"] for one in answer(company, "who", MATERIALS)["allowed"]}


def test_the_two_times_stand_in_every_answer(informed_company: Company) -> None:
    company, today = informed_company, day(0)
    for command in (("why", PERSON, MATERIALS), ("can", PERSON, MATERIALS), ("access", PERSON), ("who", MATERIALS)):
        told = answer(company, *command, "--at", "2026-11-01", "--as-known-at", "entry:30")
        assert told["at"] == "2026-10-31T16:00:00Z"
        assert told["as_known_at"]["ledger_seq"] == 30
        assert told["as_known_at"]["moment"] <= datetime.now(UTC).isoformat()
        now = answer(company, *command)["as_known_at"]
        assert now == {"moment": None, "ledger_seq": company.entries()}
        if command[0] != "can":
            said = company.run(*command, "--at", "2026-11-01", "--as-known-at", today).out
            assert f"as of 2026-11-01 00:00; as known at the end of {today}, up to ledger entry" in said
            assert "as known" not in company.run(*command).out


def test_a_day_is_known_when_it_is_over_and_begins_when_it_is_asked_about(informed_company: Company) -> None:
    company = informed_company
    end = datetime.combine(datetime.now(ZONE).date() + timedelta(days=1), datetime.min.time(), ZONE)

    told = answer(company, "access", PERSON, "--as-known-at", day(0))["as_known_at"]

    assert datetime.fromisoformat(told["moment"]) == end
    assert told["ledger_seq"] == company.entries()


def test_somebody_who_became_known_later_was_nobody(informed_company: Company) -> None:
    company, entry = informed_company, informed_company.entries()
    pairs = ("--set", "department=sales", "--set", "post=account-manager")
    company.run("people", "event", "hired", "E2001", "--at", day(40), *pairs)

    for command in (("access", "E2001"), ("can", "E2001", "handbook:read"), ("why", "E2001", "handbook:read")):
        said = company.run(*command, "--at", day(1), "--as-known-at", str(entry), status=1).err
        assert "nobody was known by the id 'E2001'" in said
        assert f"they are known since ledger entry {entry + 1}, recorded {day(0)}" in said
    error = company.run("access", "E2001", "--as-known-at", day(1), "--output", "json", status=1).err
    assert '"code": "unknown-person"' in error
    assert "before the first ledger entry" in error
    company.run("access", "E2001", "--at", day(1))


def test_who_was_never_known_is_told_so_whenever(informed_company: Company) -> None:
    said = informed_company.run("access", "E10100", "--as-known-at", "entry:10", status=1).err

    assert "nobody is known by the id 'E10100'" in said
    assert "did you mean E1010" in said


def test_a_service_account_is_the_policys_and_known_whenever(informed_company: Company) -> None:
    assert "svc-backup" in informed_company.run("access", "svc-backup", "--as-known-at", "entry:1").out


@pytest.mark.parametrize(
    ("when", "status", "expected"),
    [
        ("9999999", 1, "there is no ledger entry 9999999"),
        ("entry:0", 1, "there is no ledger entry 0"),
        ("tomorrow", 64, "neither a day"),
        ("2099-01-01", 64, "is yet to come"),
        ("2099-01-01T09:30", 64, "is yet to come"),
        ("20990101", 64, "is yet to come"),
    ],
)
def test_times_at_which_nothing_can_have_been_known(
    informed_company: Company, when: str, status: int, expected: str
) -> None:
    assert expected in informed_company.run("access", PERSON, "--as-known-at", when, status=status).err


# --- who said so ----------------------------------------------------------------------------------------------------


def test_every_entry_that_an_answer_cites_says_who_recorded_it_and_when(informed_company: Company) -> None:
    company = informed_company
    subject = next(one["subject"] for one in answer(company, "who", "core-algorithms:read")["allowed"])

    for command in (("why", subject, "core-algorithms:read"), ("access", subject)):
        told = answer(company, *command)
        entries = {one["ledger_seq"]: one for one in told.pop("entries")}
        assert entries.keys() == set(_ledger_seqs(told))
        assert all(one["actor"] and one["recorded_at"].endswith("Z") for one in entries.values())
        said = company.run(*command).out
        assert set(map(int, re.findall(r"ledger:(\d+)", said))) == entries.keys()
        assert all(f"recorded {day(0)}" in line for line in said.partition("Who said so:")[2].splitlines() if line)


def _ledger_seqs(value: object, name: str = "") -> Iterator[int]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _ledger_seqs(one, "" if name == "as_known_at" else key)
    elif isinstance(value, list):
        for one in value:
            yield from _ledger_seqs(one)
    elif name == "ledger_seq" and isinstance(value, int):
        yield value


# --- whatever the history -------------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
POLICY = """
attributes: {post: {kind: one_of, values: [engineer, guest]}, sponsor: {kind: person}}
evidence: {nda: {kind: agreement, version: 1}, training: {kind: training, valid_for: 1mo}}
clearances: [{public: {}}, {internal: {requires: [nda]}}, {core: {requires: [training]}}]
resources:
  wiki: {classification: public, access: {read: {ldap: {group: wiki}}}}
  docs: {classification: internal, access: {read: {ldap: {group: docs}}}}
  core: {classification: core, access: {read: {ldap: {group: core}}}}
roles:
  staff: {everyone: true, grants: {read: [wiki, docs]}}
  engineer: {match: {post: engineer}, grants: {read: [core]}}
sponsors: [{of: {post: guest}, by: sponsor, must: {post: engineer}, lapse: 7d, ends: required}]
lifecycle: {notice: {ceiling: internal}, transfer: {overlap: 14d, ceiling: core}}
"""


def policy() -> Policy:
    return load_policy({"policy.yaml": POLICY.encode()}, revision="")


PEOPLE = ("E1", "E2", "张三")
days_around = st.integers(-40, 40).map(lambda n: (NOON + timedelta(days=n)).date().isoformat())
facts_of_hr = st.fixed_dictionaries(
    {},
    optional={
        "post": st.sampled_from(["engineer", "guest"]),
        "sponsor": st.sampled_from(PEOPLE),
        "ends_on": days_around,
    },
)
proofs = st.fixed_dictionaries({"kind": st.sampled_from(["nda", "training"]), "valid_from": days_around})
told = st.tuples(st.sampled_from(["hired", "rehired", "transferred", "attributes-changed"]), facts_of_hr)
plain = st.tuples(
    st.sampled_from(["exited", "resignation-submitted", "resignation-withdrawn", "leave-started", "leave-ended"]),
    st.just(dict[str, str]()),
)
shut = st.tuples(st.just("locked-out"), st.just({"ref": "SEC-1"}))
news = st.tuples(
    st.sampled_from(PEOPLE),
    told | st.tuples(st.just("evidence-recorded"), proofs) | plain | shut,
    days_around,
    st.integers(-30, 600),
)


@contextmanager
def a_record() -> Iterator[Facts]:
    with tempfile.TemporaryDirectory() as folder:
        yield Facts(Store.open("sqlite:///facts.db", folder=Path(folder)), "Asia/Shanghai")


def fill(facts: Facts, history: Sequence[Any]) -> None:
    """Record one by one; the clock goes on, and now and then steps back."""
    now = NOON
    for index, (person, (kind, data), effective, minutes) in enumerate(history):
        now += timedelta(minutes=minutes)
        raw = {"id": f"n{index}", "type": kind, "person": person, "effective_at": effective, "data": data}
        record_events(facts, [parse_event(raw)], source="hr", now=now, actor=f"hr-{index}")


def copy(facts: Facts, other: Facts, until: int) -> None:
    for entry in facts.ledger.entries():
        if entry.seq <= until:
            new = NewEntry(entry.kind, entry.subject, entry.actor, entry.payload, entry.effective_at)
            with other.store.writing() as connection:
                other.ledger.append(connection, [new], entry.recorded_at)


def explained(rules: Policy, population: Population, at: datetime) -> list[Any]:
    explainer = Explainer(rules, population, at)
    return [explainer.explain(person.id, each) for person in population for each in rules.permissions()]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(news, min_size=3, max_size=14), st.integers(0, 14), st.integers(-30, 30))
def test_as_known_at_an_entry_answers_as_a_ledger_that_ends_there(history: list[Any], until: int, ahead: int) -> None:
    rules, at = policy(), NOON + timedelta(days=ahead)
    with a_record() as facts, a_record() as truncated:
        fill(facts, history)
        entry = min(until, facts.ledger.head())
        copy(facts, truncated, entry)
        then = facts.population(known_at=entry)

        assert then == truncated.population()
        for person in then:
            assert facts.population([person.id], entry) == truncated.population([person.id])
        answers = explained(rules, then, at)
        assert answers == explained(rules, truncated.population(), at)
        assert max((seq for each in answers for seq in cited(each)), default=0) <= entry


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(news, min_size=1, max_size=10), st.integers(-60, 3000))
def test_what_was_known_at_a_moment_ends_with_the_last_entry_recorded_by_then(history: list[Any], after: int) -> None:
    moment = NOON + timedelta(minutes=after)
    with a_record() as facts:
        fill(facts, history)
        recorded = [(entry.seq, entry.recorded_at) for entry in facts.ledger.entries()]

        assert facts.known_at(moment) == max((seq for seq, at in recorded if at <= moment), default=0)


def test_a_clock_that_ran_ahead_takes_nothing_from_what_was_known_after_it(informed_company: Company) -> None:
    """The order of the ledger is the order of knowing: the third entry was there before the fourth."""
    with sqlite3.connect(informed_company.store) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE ledger_entries SET recorded_at = '2099-01-01T00:00:00.000000Z' WHERE seq = 3")

    found = answer(informed_company, "access", "E1003", "--as-known-at", day(0))

    assert found["as_known_at"]["ledger_seq"] > 3
    assert found["allowed"]
