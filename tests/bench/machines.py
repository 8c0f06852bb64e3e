"""Several machines on one PostgreSQL that waits for the disk: how many events a second two services take durably from
eight clients, and how long an answer takes; and how many leavers a second 1, 2 and 4 workers let out, as the service
says that nobody is due any more. The directory is small: what is measured is the work, not the directory.

Every process runs on this machine, so that more workers than it has cores show what they cost, not what they bring.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.bench.leaving import percentile
from tests.bench.measuring import Measurement
from tests.servers import postgresql
from tests.service.conftest import company
from tests.service.office import Office, Service, days_ago, exited

LEAVERS, CLIENTS, REQUESTS = 200, 8, 40
WORKERS = (1, 2, 4)
PEOPLE = 1 + LEAVERS * len(WORKERS)


def moved(turn: int, batch: int) -> list[dict[str, object]]:
    """Somebody who is called otherwise, which changes nothing."""
    base = {"type": "attributes-changed", "effective_at": "2026-01-01", "data": {"name": f"员工{turn}"}}
    return [{**base, "id": f"name-{batch}-{turn}-{n}", "person": f"E{1 + (turn + n) % PEOPLE}"} for n in range(batch)]


def accepted(services: Sequence[Service], batch: int) -> tuple[float, list[float]]:
    """Events a second, and the seconds of every answer."""

    def send(turn: int) -> float:
        begun, told = time.perf_counter(), moved(turn, batch)
        while (answer := services[turn % len(services)].post(told)).status_code == 503:
            turn += 1  # whoever is told that the store is busy sends the same again
        if answer.status_code != 202:
            raise RuntimeError(answer.text)
        return time.perf_counter() - begun

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(send, range(CLIENTS * REQUESTS)))
    return CLIENTS * REQUESTS * batch / (time.perf_counter() - begun), answers


def settled(service: Service) -> None:
    """Until nobody is due any more."""
    while (said := service.ready())["due"] or not said["ready"]:
        time.sleep(0.02)


def let_out(office: Office, service: Service, workers: int, first: int) -> float:
    """Seconds until so many leavers, who are told of at once, have been let out."""
    with ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(office.working(f"worker-{number}"))
        settled(service)
        begun = time.perf_counter()
        answer = service.post([exited(f"E{first + n}") for n in range(LEAVERS)])
        if answer.status_code != 202:
            raise RuntimeError(answer.text)
        settled(service)
        return time.perf_counter() - begun


def measured(office: Office) -> None:
    """All the lines."""
    office.hire([f"E{n}" for n in range(1, PEOPLE + 1)], days_ago(30))
    office.settle()
    with office.beside("one", workers=0).serving() as one, office.beside("other", workers=0).serving() as other:
        for batch in (1, 10):
            rate, answers = accepted([one, other], batch)
            shares = {f"p{share}": round(percentile(answers, share / 100), 3) for share in (50, 95, 99)}
            size = f"{CLIENTS} clients, {CLIENTS * REQUESTS} requests of {batch}"
            tell("machines, events", size, **shares, events_per_second=round(rate))
        for turn, workers in enumerate(WORKERS):
            seconds = let_out(office, one, workers, 2 + turn * LEAVERS)
            rate = LEAVERS / seconds
            tell("machines, passes", f"{LEAVERS} leavers, {workers} workers", passes_per_second=round(rate, 1))


def tell(name: str, size: str, **figures: float) -> None:
    """One line."""
    line = {"name": name, "size": size, **figures, "load": os.getloadavg()[0], "cores": os.cpu_count()}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def room() -> Iterator[Measurement]:
    """Events taken by two services, and leavers let out by 1, 2 and 4 workers."""
    postgresql.required()
    with postgresql.started(durable=True) as server, tempfile.TemporaryDirectory() as name:
        database = server.create()
        database.admin.close()
        with company(Path(name), PEOPLE) as office:
            office.kept_in(database.url)
            measured(office)
    yield from ()
