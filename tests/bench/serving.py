"""From an event that is posted to the service to the last revocation, as somebody else reads the directory: 200
leavers, one after the other, in a large directory; with the service at rest otherwise, and while 10,000 hires that were
told at once wait to be let in, and something to do for a whole pass is told every half second.

The clock starts before the request is signed and stops with the first answer of the directory that has the person in no
group. Further lines tell, at rest and in whole passes, how long a document system waits for a decision about people who
were not asked about before, and about one who was. The last one tells how many events a second are taken durably, and
how long an answer takes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import requests
from ldap3 import Connection, Server

from tests.bench.directory import GROUPS, PEOPLE, SUFFIX, dn
from tests.bench.leaving import company_beside_directory, percentile, prepared, program, teams
from tests.bench.measuring import Measurement
from tests.servers.slapd import PASSWORD, Slapd, free_port

LEAVERS, BATCHES, BATCH, HIRES = 200, 20, 500, 10_000
DECISIONS = 1000
KEY = b"0123456789abcdef0123456789abcdef"
PAUSE = 0.002
"""Seconds between two looks at the directory."""

SERVICE = """\
service:
  listen: "127.0.0.1:{port}"
  schedule: {{full_pass: "0 4 * * *"}}
  webhooks: {{bench: {{secret: "${{env:BENCH_SECRET}}"}}}}
"""


class Sender:
    """HR's system."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, *events: dict[str, object]) -> None:
        body = json.dumps(events).encode()
        stamp = str(int(time.time()))
        mark = base64.b64encode(hmac.new(KEY, f"m.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
        headers = {"webhook-id": "m", "webhook-timestamp": stamp, "webhook-signature": f"v1,{mark}"}
        # A connection of its own: one that is kept may be closed just when it is used again.
        answer = requests.post(f"{self.url}/v1/events", body, headers=headers, timeout=120)
        if answer.status_code != 202 or any(each["outcome"] != "recorded" for each in answer.json()["events"]):
            raise RuntimeError(answer.text[:2000])

    def due(self) -> int:
        said = requests.get(f"{self.url}/readyz", timeout=120).json()
        return int(said["due"]) if said["ready"] else -1

    def until_at_rest(self) -> None:
        while self.due():
            time.sleep(0.2)


def exit_of(number: int) -> dict[str, object]:
    """Somebody leaves now."""
    at = datetime.now(UTC).isoformat()
    person = f"E{number:06}"
    return {"id": f"exit-{person}", "type": "exited", "person": person, "effective_at": at, "confirmed": True}


def moved(number: int, turn: int) -> dict[str, object]:
    """Somebody is called otherwise: nothing to do, and a whole pass to find that out."""
    person = f"E{number:06}"
    told = {"id": f"name-{turn}", "type": "attributes-changed", "person": person, "effective_at": "2026-01-01"}
    return {**told, "data": {"name": f"员工{turn}"}}


def another_group(number: int, own: Sequence[int]) -> int:
    """One in which this person is not yet."""
    return next(group for step in range(GROUPS) if (group := (number + step) % GROUPS) not in own)


def hired(number: int, own: Sequence[int]) -> dict[str, object]:
    """Somebody begins who is in these groups already, and is to come into another one."""
    person = f"E{number:06}"
    told = {"id": f"hire-{person}", "type": "hired", "person": person, "effective_at": "2026-01-01"}
    return {**told, "data": {"team": [f"t{group}" for group in (*own, another_group(number, own))]}}


@contextmanager
def serving(folder: Path) -> Iterator[Sender]:
    """The service, at rest."""
    port = free_port()
    with (folder / "reconciler.yaml").open("a", encoding="utf-8") as stream:
        stream.write(SERVICE.format(port=port))
    environment = {**os.environ, "BENCH_SECRET": "whsec_" + base64.b64encode(KEY).decode()}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program(), "serve"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log
        )
    try:
        if process.stdout is None or b"Listening" not in process.stdout.readline():
            raise RuntimeError((folder / "log").read_text("utf-8"))
        sender = Sender(f"http://127.0.0.1:{port}")
        sender.until_at_rest()
        yield sender
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def whole_passes(url: str, newcomers: Sequence[int], groups: Sequence[Sequence[int]]) -> Iterator[None]:
    """All of these are hired, and then there is something for a whole pass to do meanwhile, again and again."""
    stop, queued = Event(), Event()

    def on_and_on() -> None:
        own, turn = Sender(url), 0
        try:
            for start in range(0, len(newcomers), BATCH):
                own.post(*(hired(number, groups[number]) for number in newcomers[start : start + BATCH]))
        finally:
            queued.set()
        while not stop.is_set():
            turn += 1
            own.post(moved(1, turn))
            stop.wait(0.5)

    thread = Thread(target=on_and_on)
    thread.start()
    queued.wait()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def one(sender: Sender, looking: Connection, number: int) -> float:
    """Seconds from the event to the directory without the person."""
    begun = time.perf_counter()
    sender.post(exit_of(number))
    while True:
        looking.search(f"ou=groups,{SUFFIX}", f"(member={dn(number)})", attributes=["1.1"])
        if not looking.entries:
            return time.perf_counter() - begun
        time.sleep(PAUSE)


class Door:
    """A document system."""

    def __init__(self, url: str, folder: Path) -> None:
        making = [program(), "token", "create", "--owner", "documents", "--act", "read"]
        token = subprocess.run(making, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
        self._url = f"{url}/access/v1/evaluation"
        self._session = requests.Session()
        self._session.headers["authorization"] = f"Bearer {token}"

    def ask(self, number: int) -> float:
        """Seconds for one decision."""
        said = {"subject": {"type": "person", "id": f"E{number:06}"}, "action": {"name": "read"}}
        begun = time.perf_counter()
        answer = self._session.post(self._url, json={**said, "resource": {"type": "document", "id": "r7"}}, timeout=120)
        took = time.perf_counter() - begun
        if answer.status_code != 200:
            raise RuntimeError(answer.text[:2000])
        return took

    def tell(self, when: str) -> None:
        """Two lines: people who were not asked about before, and one who was."""
        size = f"{DECISIONS} decisions, {PEOPLE} people"
        tell(f"service, decisions about others {when}", size, [self.ask(7 * n % PEOPLE) for n in range(DECISIONS)])
        tell(f"service, decisions about one {when}", size, [self.ask(7) for _ in range(DECISIONS)])


def passes_of(folder: Path) -> int:
    """How many plans over everybody the service has made so far."""
    lines = map(json.loads, (folder / "log").read_text("utf-8").splitlines())
    return sum(each["event"] == "plan-made" and each.get("people", 0) > PEOPLE / 2 for each in lines)


def still_out(looking: Connection, newcomers: Sequence[int], groups: Sequence[Sequence[int]]) -> int:
    """How many of these are not in the group yet that they are to come into."""
    looking.search(f"ou=groups,{SUFFIX}", "(objectClass=groupOfNames)", attributes=["cn", "member"])
    members = {str(entry["cn"]): frozenset(map(str, entry["member"].values)) for entry in looking.entries}
    return sum(dn(number) not in members[f"g{another_group(number, groups[number])}"] for number in newcomers)


def tell(name: str, size: str, seconds: Sequence[float], **more: object) -> None:
    """One line."""
    shares = {f"p{share}": round(percentile(seconds, share / 100), 3) for share in (50, 95, 99)}
    line = {"name": name, "size": size, **shares, "longest": round(max(seconds), 3), **more}
    print(json.dumps({**line, "load": os.getloadavg()[0]}, ensure_ascii=False), flush=True)


def measured(folder: Path, server: Slapd, newcomers: Sequence[int]) -> None:
    """All the lines."""
    groups = teams()
    chosen = [n for n in range(2, PEOPLE, 97) if groups[n]][: 2 * LEAVERS]
    size = f"{LEAVERS} leavers, directory of {PEOPLE} people and {GROUPS} groups"
    looking = Connection(Server("127.0.0.1", server.port), server.account("admin"), PASSWORD, auto_bind=True)
    with serving(folder) as sender:
        tell("service, at rest", size, [one(sender, looking, n) for n in chosen[:LEAVERS]])
        door = Door(sender.url, folder)
        door.tell("at rest")
        before = passes_of(folder)
        with whole_passes(sender.url, newcomers, groups):
            seconds = [one(sender, looking, n) for n in chosen[LEAVERS:]]
            door.tell("in whole passes")
            waiting = still_out(looking, newcomers, groups)
        told = {"whole_passes": passes_of(folder) - before, "hires": len(newcomers), "hires_left": waiting}
        tell("service, in whole passes", size, seconds, **told)
        sender.until_at_rest()
        answers = []
        for turn in range(BATCHES):
            begun = time.perf_counter()
            sender.post(*(moved(2 + n, 10_000 + turn * BATCH + n) for n in range(BATCH)))
            answers.append(time.perf_counter() - begun)
        rate = round(BATCHES * BATCH / sum(answers))
        tell("service, events", f"{BATCHES} batches of {BATCH}", answers, events_per_second=rate)


def room() -> Iterator[Measurement]:
    """Leavers by event, at rest and not; events a second."""
    with company_beside_directory() as (own, server):
        newcomers = [number for number in range(3, PEOPLE, 9) if (number - 2) % 97][:HIRES]
        prepared(own, frozenset(newcomers))
        measured(own, server, newcomers)
    yield from ()
