"""Many events at once, for several services and workers that die under way; and what must have become of them."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import requests

from reconciler.facts.events import EVENT_KINDS
from reconciler.passes import look
from tests.service.office import PATIENCE, Office, Service, until

CLIENTS = 8
BATCH = 10
"""Events of one request."""

UNGUARDED = "people: {revoke: {percent: 100, people: 100000}, grant: {percent: 100, people: 100000}}"
"""That so many move in an hour is meant here."""


@dataclass
class Told:
    """The events of the flood, and those that were acknowledged."""

    events: dict[str, list[dict[str, Any]]]
    acknowledged: list[str] = field(default_factory=list)

    @classmethod
    def about(cls, people: Sequence[str], count: int) -> Told:
        """So many events in all: everybody moves back and forth; at last some are researchers, some are not, and some
        have left.
        """
        each, begin = count // len(people), datetime.now(UTC) - timedelta(hours=2)
        return cls({person: list(_of(person, each, begin)) for person in people})

    def stays(self, person: str) -> bool:
        return _number(person) % 3 != 0

    def researches(self, person: str) -> bool:
        return _number(person) % 3 == 1


def _number(person: str) -> int:
    return int(person.removeprefix("E"))


def _of(person: str, count: int, begin: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        left = count - 1 - number
        at = (begin + timedelta(seconds=number)).isoformat()
        base = {"id": f"{person}-{number:05}", "person": person, "effective_at": at}
        if left == 0 and _number(person) % 3 == 0:
            yield {**base, "type": "exited", "confirmed": True}
            return
        department = "rd/ai" if (left + _number(person)) % 2 == 0 else "rd"
        if left == 0:
            department = "rd/ai" if _number(person) % 3 == 1 else "rd"
        yield {**base, "type": "transferred", "data": {"department": department}}


class Flood:
    """Sends the events with several clients, to several services, while workers are killed."""

    def __init__(self, told: Told, offices: Sequence[Office], seed: int = 0) -> None:
        self.told = told
        self.kills = 0
        self._offices = offices
        self._chance = random.Random(seed)
        self._at_work, self._begun, self._over = Event(), Event(), Event()

    def run(self, services: Sequence[Service], workers: Sequence[Callable[[], Service]]) -> None:
        """`workers` start one each. When it returns, everything was sent and acknowledged."""
        people = sorted(self.told.events, key=_number)
        with ThreadPoolExecutor(CLIENTS + 1 + len(workers)) as pool:
            killing = pool.submit(self._kill, workers, pool)
            mine = [people[client::CLIENTS] for client in range(CLIENTS)]
            sent = [pool.submit(self._send, some, services, client) for client, some in enumerate(mine)]
            try:
                for each in sent:
                    each.result()
            finally:
                self._over.set()
                self._begun.set()
            killing.result()

    def _send(self, people: Sequence[str], services: Sequence[Service], client: int) -> None:
        waiting = {person: list(self.told.events[person]) for person in people}
        turn = client
        self._at_work.wait()
        while any(waiting.values()):
            batch = [event for person in people for event in waiting[person][:1]][:BATCH]
            for event in batch:
                waiting[event["person"]].pop(0)
            people = [*people[len(batch) :], *people[: len(batch)]]
            self._post(services, turn, batch)
            turn += 1

    def _post(self, services: Sequence[Service], turn: int, batch: Sequence[dict[str, Any]]) -> None:
        """Until it is acknowledged; whoever is told 503 sends the same again."""
        answer: requests.Response | None = None
        while answer is None or answer.status_code == 503:
            answer = services[turn % len(services)].post(list(batch))
            turn += 1
        assert answer.status_code == 202, answer.text
        said = answer.json()["events"]
        assert all(each["outcome"] in ("recorded", "already") for each in said), said
        self.told.acknowledged += [each["id"] for each in said]
        self._begun.set()

    def _kill(self, workers: Sequence[Callable[[], Service]], pool: ThreadPoolExecutor) -> None:
        """As soon as something is acknowledged, and every second from then on, one at random of those that are at work;
        another takes its place, which takes a while.
        """
        running = [pool.submit(start) for start in workers]
        try:
            for each in running:
                each.result()
        finally:
            self._at_work.set()
        self._begun.wait()
        while True:
            if at_work := [number for number, worker in enumerate(running) if worker.done()]:
                one = self._chance.choice(at_work)
                worker = running[one].result()
                worker.process.send_signal(signal.SIGKILL)
                worker.process.wait(PATIENCE)
                running[one] = pool.submit(workers[one])
                self.kills += 1
            if self._over.wait(1.0):
                break
        for left in running:
            left.result()


def _check(office: Office, told: Told) -> None:
    """Every acknowledged event is on record once; the ledger verifies; the directory is as one undisturbed pass would
    leave it.
    """
    ledger = office.workspace().facts().ledger
    ledger.verify()
    sent = {str(event["id"]) for events in told.events.values() for event in events}
    found = Counter(str(entry.payload["id"]) for entry in ledger.entries(kinds=EVENT_KINDS))
    assert set(told.acknowledged) == sent
    assert {name: count for name, count in found.items() if name in sent and count != 1} == {}
    assert sent - found.keys() == set()
    assert office.members("docs") == {person for person in told.events if told.stays(person)}
    assert office.members("algorithms") == {person for person in told.events if told.researches(person)}
    assert look(office.wiring()).plan.changes == ()


def flooded(office: Office, people: Sequence[str], count: int) -> Flood:
    """The whole of it: two services, two workers, and the end."""
    told = Told.about(people, count)
    one, other = office.beside("one", workers=0), office.beside("other", workers=0)
    with ExitStack() as stack:
        services = [stack.enter_context(each.serving()) for each in (one, other)]
        flood = Flood(told, [one, other])
        names = [lambda n=n: stack.enter_context(office.working(f"worker-{n}")) for n in range(2)]
        flood.run(services, names)
        until(lambda: all(_settled(service) for service in services), "everything done", 900)
        _check(office, told)
    return flood


def _settled(service: Service) -> bool:
    said = service.ready()
    return bool(said["ready"]) and said["due"] == 0
