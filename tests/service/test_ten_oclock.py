"""Evidence that ends at an hour of the day, on the real thing: a service that is a process, and a directory.

The instants lie a few seconds ahead of the test, for a process reads the machine's own clock. What counts is what is on
record; how long anything took is not asked.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.apply.intents import spelled_out
from reconciler.facts.events import EVENT_KINDS
from reconciler.facts.ledger import Entry
from reconciler.passes.counted import Counted
from tests.service.conftest import PEOPLE
from tests.service.office import Office, Service, days_ago, until
from tests.service.test_loop import MONDAY, Clock, running

SHANGHAI, BERLIN = "Asia/Shanghai", "Europe/Berlin"
OTHERS = set(PEOPLE) - {"E1"}
LEADS = 3, 12, 48
"""Seconds in which what leads to the instant is told and done; where a machine takes longer, it is tried again."""

TICK = timedelta(microseconds=1)


@pytest.fixture
def office(request: pytest.FixtureRequest, fresh_office: Office) -> Office:
    """Six researchers who have what they should have, in a workspace of that timezone."""
    fresh_office.edit("timezone: Asia/Shanghai", f"timezone: {request.param}")
    fresh_office.hire(PEOPLE, days_ago(30))
    fresh_office.settle()
    assert fresh_office.members("algorithms") == set(PEOPLE)
    return fresh_office


def proof(name: str, end: str = "") -> dict[str, object]:
    """A training of E1 that ends then."""
    data = {"kind": "training", "valid_from": days_ago(10), "valid_until": end}
    said = {"id": name, "type": "evidence-recorded", "person": "E1", "effective_at": days_ago(10)}
    return {**said, "data": data}


def taken_back(name: str, when: str) -> dict[str, object]:
    """A training of E1 does not count from then on."""
    data = {"evidence": name, "reason": "replaced"}
    told = {"id": f"not-{name}", "type": "evidence-revoked", "person": "E1", "effective_at": when}
    return {**told, "data": data}


LONG_ONE_BACK = taken_back("training-E1", days_ago(1))


def local(end: datetime, office: Office) -> str:
    """As a clock on the wall shows it; no offset."""
    return end.astimezone(office.workspace().zone).replace(tzinfo=None).isoformat()


def with_offset(end: datetime, office: Office) -> str:
    return end.astimezone(office.workspace().zone).isoformat()


def in_utc(end: datetime, _: Office) -> str:
    return end.isoformat().replace("+00:00", "Z")


def soon(seconds: int) -> datetime:
    """An instant that is no whole minute and no whole day anywhere."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


# --- the ways in ------------------------------------------------------------------------------------------------------


def by_http(office: Office, service: Service, end: str, name: str) -> None:
    """One batch, so that E1 has a proof at all times until then."""
    told(service, proof(name, end), LONG_ONE_BACK)


def by_file(office: Office, service: Service, end: str, name: str) -> None:
    rows = [["person", "evidence", "valid_from", "valid_until", "id"], ["E1", "training", days_ago(10), end, name]]
    with (office.folder / "proofs.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    done = office.command("evidence", "import", "proofs.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    told(service, LONG_ONE_BACK)


def by_hand(office: Office, service: Service, end: str, name: str) -> None:
    options = ("--from", days_ago(10), "--until", end, "--id", name)
    done = office.command("evidence", "add", "E1", "training", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    told(service, LONG_ONE_BACK)


def by_taking_back(office: Office, service: Service, end: str, name: str) -> None:
    """A proof without an end that HR takes back from then on."""
    told(service, proof(name), LONG_ONE_BACK, taken_back(name, end))


def told(service: Service, *events: dict[str, object]) -> None:
    answer = service.post(events)
    assert {each["outcome"] for each in answer.json()["events"]} <= {"recorded", "already"}, answer.text


Way = Callable[[Office, Service, str, str], None]
Spelling = Callable[[datetime, Office], str]
WAYS = [
    (SHANGHAI, by_http, local),
    (SHANGHAI, by_http, with_offset),
    (SHANGHAI, by_file, local),
    (BERLIN, by_http, local),
    (BERLIN, by_hand, in_utc),
    (BERLIN, by_taking_back, with_offset),
]


# --- what is on record ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """A change that a target confirmed."""

    what: dict[str, Any]
    intended: Entry
    confirmed: Entry


def news_of(office: Office) -> int:
    """How much was told of people; what the service records of its own work is none."""
    return sum(1 for entry in office.workspace().facts().ledger.entries() if entry.kind in EVENT_KINDS)


def changes_after(office: Office, entry: int) -> list[Done]:
    """All changes on record after that entry; each was applied."""
    entries = list(office.workspace().facts().ledger.entries())
    found = []
    for intended in entries:
        if intended.kind == "intended" and intended.seq > entry:
            confirmed = next(each for each in entries if each.seq > intended.seq and each.kind in ("effect", "effects"))
            assert confirmed.payload["outcome"] == "applied"
            found += [Done(dict(change), intended, confirmed) for change in spelled_out(intended.payload)]
    return found


def check_record(office: Office, end: datetime, before: int, because: str) -> None:
    """E1's access went at the instant and no earlier, because of the last entry of that kind, and nobody else was
    touched.
    """
    facts = office.workspace().facts()
    (done,) = changes_after(office, before)
    assert (done.what["op"], done.what["subject"]) == ("revoke", "E1")
    assert done.what["permissions"] == ["algorithms:read"]
    assert done.intended.recorded_at >= end
    cause, said = done.what["cause"], max(each.seq for each in facts.ledger.entries(kinds={because}))
    assert (cause["kind"], cause["ref"]) == ("evidence", f"ledger:{said}")
    assert f"{end.astimezone(facts.zone):%Y-%m-%d %H:%M}" in cause["text"]
    assert office.members("algorithms") == OTHERS
    assert office.members("docs") == set(PEOPLE), "which asks for no training"


def check_answers(office: Office, end: datetime) -> None:
    """The commands say of both sides of the instant what became of it."""

    def holders(at: datetime) -> set[str]:
        told = office.command("who", "algorithms:read", "--at", at.isoformat(), "--output", "json")
        return {each["subject"] for each in json.loads(told.stdout)["allowed"]}

    def held(at: datetime) -> set[str]:
        told = office.command("access", "E1", "--at", at.isoformat(), "--output", "json")
        return {each["permission"] for each in json.loads(told.stdout)["allowed"]}

    assert holders(end - TICK) == set(PEOPLE)
    assert holders(end) == OTHERS
    assert held(end - TICK) == {"algorithms:read", "docs:read"}
    assert held(end) == {"docs:read"}


# --- the promise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("office", "way", "spelled"), WAYS, indirect=["office"])
def test_access_goes_at_the_hour_without_any_event(office: Office, way: Way, spelled: Spelling) -> None:
    with office.serving() as service:
        service.until_ready()
        end, before = told_in_time(office, service, way, spelled)
        news = news_of(office)

        until(lambda: "E1" not in office.members("algorithms"), "E1 out at the hour")
        service.until_ready()

    assert news_of(office) == news, "no event came"
    check_record(office, end, before, "evidence-revoked" if way is by_taking_back else "evidence-recorded")
    check_answers(office, end)


@pytest.mark.parametrize("office", [SHANGHAI, BERLIN], indirect=True)
def test_it_goes_too_where_the_service_was_down_at_the_hour(office: Office) -> None:
    end, before = told_and_stopped(office)
    news = news_of(office)
    until(lambda: datetime.now(UTC) >= end, "the hour")
    assert office.members("algorithms") == set(PEOPLE), "nobody was there to see it"

    with office.serving() as service:
        until(lambda: "E1" not in office.members("algorithms"), "E1 out at the start")
        service.until_ready()

    assert news_of(office) == news, "no event came"
    check_record(office, end, before, "evidence-recorded")
    check_answers(office, end)


def told_in_time(office: Office, service: Service, way: Way, spelled: Spelling) -> tuple[datetime, int]:
    """The instant, and the last entry on record when the service had done all that was told of it, and E1 was in."""
    for lead in LEADS:
        end = soon(lead)
        way(office, service, spelled(end, office), f"short-{lead}")
        service.until_ready()
        members, before = office.members("algorithms"), office.workspace().facts().ledger.head()
        if datetime.now(UTC) < end:
            assert members == set(PEOPLE), "not before the hour"
            return end, before
    raise AssertionError("the machine is too slow for this test")


def told_and_stopped(office: Office) -> tuple[datetime, int]:
    """The instant, and the last entry on record when the service that was told of it had stopped."""
    for lead in LEADS:
        with office.serving() as service:
            service.until_ready()
            end = soon(lead)
            by_http(office, service, with_offset(end, office), f"short-{lead}")
            service.until_ready()
            assert service.end() == 0
        before = office.workspace().facts().ledger.head()
        if datetime.now(UTC) < end:
            return end, before
    raise AssertionError("the machine is too slow for this test")


# --- the hour on the clock on the wall, under a clock that the test moves ---------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        (SHANGHAI, "2026-11-25", datetime(2026, 11, 25, 2, tzinfo=UTC)),
        (BERLIN, "2026-11-25", datetime(2026, 11, 25, 9, tzinfo=UTC)),
        (BERLIN, "2027-03-28", datetime(2027, 3, 28, 8, tzinfo=UTC)),  # the clocks went forward at two
    ],
)
def test_ten_oclock_is_that_of_the_workspace(fresh_office: Office, zone: str, day: str, instant: datetime) -> None:
    office, clock = fresh_office, Clock(MONDAY - timedelta(days=30))
    office.clock = clock
    office.edit("timezone: Asia/Shanghai", f"timezone: {zone}")
    office.hire(PEOPLE, "2026-06-01")
    office.settle()
    data = {"kind": "training", "valid_from": "2026-06-01", "valid_until": f"{day}T10:00:00"}
    office.tell({**proof("short"), "data": data}, taken_back("training-E1", "2026-07-01"))

    clock.now = MONDAY
    with running(office) as loop:
        clock.now = instant - TICK
        loop.news()
        until(lambda: loop.state().last_pass == clock.now, "the scheduled pass of these days")
        assert office.members("algorithms") == set(PEOPLE)

        clock.now = instant
        loop.news()
        until(lambda: office.members("algorithms") == OTHERS, "E1 out at ten")
        assert office.members("docs") == set(PEOPLE)
    with Counted(office.workspace().facts().store).up_to_date() as tally:
        assert tally.changes["dir", "revoke", "applied", "leaver"] == 1
        assert not tally.delays, "the proof was told long before, and did nothing late"
