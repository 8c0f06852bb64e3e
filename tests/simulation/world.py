"""One simulated company: its systems, its record, its clock, and the reconcilers that come and die.

Everything that happens is drawn from one seeded stream, and written down in a trace: the same seed gives the same
trace, and the trace is all that a failure needs to be found again.
"""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from reconciler.apply.intents import spelled_out
from reconciler.apply.journal import Journal
from reconciler.apply.patience import Patience
from reconciler.apply.tables import Kind
from reconciler.facts.ledger import Entry
from reconciler.facts.model import Population
from reconciler.facts.people import FACT_KINDS, Facts
from reconciler.facts.store import Store
from reconciler.passes import ConfiguredTarget, Look, Wiring
from reconciler.targets import Observation, Op, Outcome, Step
from reconciler.workspace import RunInProgress
from tests.simulation.lockstep import Lockstep
from tests.simulation.policies import Standing
from tests.simulation.system import System, Written
from tests.simulation.target import Fate, Line, MemoryTarget

T = TypeVar("T")
ZONE = "Asia/Shanghai"
MEMBERSHIP = (Op.GRANT, Op.REVOKE)
MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)
STORE = "reconciler.db"
QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # folders of one's own are made below it


class PromiseBroken(AssertionError):
    """One of the promises does not hold."""


class Crash(BaseException):
    """The process is killed here."""


@dataclass(frozen=True)
class Weather:
    """How bad things are during a pass: chances at every seam. `bad` are the targets whose lines are not to be
    trusted; `cut` is the chance that one of their readings is cut short and nothing else happens to it. `dwell` is the
    chance that whoever is shown the plan says yes only after a day or two.
    """

    crash: float = 0.0
    line: float = 0.0
    meanwhile: float = 0.0
    jump: float = 0.0
    cut: float = 0.0
    dwell: float = 0.0
    bad: frozenset[str] = frozenset()


CALM = Weather()


class Trace:
    """What happened, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._digest = hashlib.sha256()

    def add(self, line: str) -> None:
        self.lines.append(line)
        self._digest.update(line.encode("utf-8", "surrogatepass") + b"\n")

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


@dataclass
class Process:
    """One life of a reconciler. `moments` are (ledger position, time) since it last did something that shows."""

    name: str
    world: World
    weather: Weather
    standing: Standing
    dead: bool = False
    overtaken: bool = False
    overtaken_and_looked: bool = False
    run: str = ""
    moments: list[tuple[int, datetime]] = field(default_factory=list)
    intents: dict[tuple[str, str, str, str], Mapping[str, Any]] = field(default_factory=dict)
    readings: dict[str, Mapping[str, bool]] = field(default_factory=dict)
    granted_on: set[str] = field(default_factory=set)
    disturbed: set[str] = field(default_factory=set)
    intending: bool = False
    gives_to: list[str] = field(default_factory=list)

    def plans(self, seen: Look) -> bool:
        """It has made a plan, and will carry it out."""
        self.gives_to = sorted({each.person for each in seen.plan.due if each.person and each.op is Op.GRANT})
        world = self.world
        if world.random.random() < self.weather.dwell:
            world.counts["plans slept over"] += 1
            world.pass_time(self, timedelta(days=world.random.choice([1, 2])), f"{self.name} is not told to go on")
        return True

    def seam(self, what: str, *, interruptible: bool = True) -> None:
        """Anything may happen here: it may die, others may go on first, time may pass."""
        self.world.seam(self, what, interruptible=interruptible)

    def shows(self) -> None:
        """It has done something that shows: whatever it knew before it has to ask again. (That it is about to do
        something is said after asking.)
        """
        if self.intending:
            self.intending = False
            return
        self.moments = [(self.world.head, self.world.now)]

    def noted(self, entries: Sequence[Entry]) -> None:
        """What it puts on record."""
        for entry in entries:
            said: Mapping[str, Any] = entry.payload
            self.world.trace.add(f"{self.name} records {entry.seq} {entry.kind} {entry.subject} {_essence(entry)}")
            if entry.kind == Kind.RUN_STARTED.value:
                self.run = str(said["run"])
            elif entry.kind == Kind.INTENDED.value:
                self.intending = True
                for change in spelled_out(said):
                    key = (change["op"], said["target"], change["account_key"], change["entitlement_key"])
                    self.intents[key] = {**change, "entry": entry.seq}
                    self._note_doubt(str(said["target"]), change)

    def _note_doubt(self, target: str, change: Mapping[str, Any]) -> None:
        """Who is in a group that was not read whole may have been in it all along: nobody can tell since when, not even
        whoever finds them in it where this one died.
        """
        key = change["entitlement_key"]
        if change["op"] in MEMBERSHIP and not self.readings.get(target, {}).get(key, False):
            self.world.doubts[target, change["op"], change["account_key"], key] += 1


def _essence(entry: Entry) -> str:
    """What an entry says, apart from what chance makes of it (keys and digests of keys)."""
    return hashlib.sha256(json.dumps(entry.payload, sort_keys=True, default=str).encode()).hexdigest()[:10]


class _NotingJournal(Journal):
    """The journal of one process, which is told what it puts on record."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def apply(self, connection: Connection, entries: Sequence[Entry]) -> None:
        self._process.noted(entries)
        super().apply(connection, entries)


class SeamedStore(Store):
    """A real store with a seam before, inside the end of, and after each transaction of a process."""

    process: Process | None = None

    def of(self, process: Process) -> SeamedStore:
        """The same store, as this process has it open."""
        own = copy.copy(self)
        own.process = process
        return own

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        process = self.process
        if process is None:
            with super().writing() as connection:
                yield connection
            return
        process.seam("before a write")
        world = process.world
        process.overtaken_and_looked = process.overtaken
        world.holding += 1
        try:
            with super().writing() as connection:
                yield connection
                process.seam("before the commit", interruptible=False)
        finally:
            world.holding -= 1
        world.committed()
        world.lease_looked_at(process)
        process.shows()
        process.seam("after a write")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        process = self.process
        if process is not None and not process.world.holding:
            process.seam("before a read")
            process.overtaken_and_looked = process.overtaken
        with super().reading() as connection:
            yield connection


@dataclass(frozen=True)
class Workshop:
    """Where all the stories of one operating system's process are played, one after the other: a store that is opened
    once, since opening, migrating and preparing statements takes longer than a story.
    """

    store: SeamedStore
    blank: Path


_BELOW: list[str | None] = [QUICK]


def work_below(folder: str) -> None:
    """Where this process shall have its workshop; whoever says so removes the folder."""
    _BELOW[:] = [folder]


@cache
def workshop() -> Workshop:
    """The one of this process."""
    folder = Path(tempfile.mkdtemp(dir=_BELOW[0]))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = SeamedStore.open(f"sqlite:///{STORE}", folder=folder)
    blank = folder / "blank.db"
    copied(store.path, blank)
    return Workshop(store, blank)


def store_with(record: Path) -> SeamedStore:
    """The store, holding a copy of this record."""
    store = workshop().store
    copied(record, store.path)
    return store


def copied(source: Path, target: Path) -> None:
    """Copy one database into another, whoever has either of them open."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


class BadLine(Line):
    """The line of one process to one target, as bad as the weather."""

    def __init__(self, process: Process, system: System) -> None:
        self.process = process
        self.who = process.name
        self.system = system

    @property
    def late(self) -> bool:  # type: ignore[override]
        return self.process.overtaken

    def connecting(self) -> Fate:
        fate = self._fate("connecting", (Fate.DROPPED,))
        self.process.shows()
        return fate

    def page(self) -> Fate:
        return self._cut("a page", Fate.LOST) or self._fate("a page", (Fate.TWICE, Fate.LOST, Fate.LOST, Fate.DROPPED))

    def group(self) -> Fate:
        return self._cut("a group", Fate.PARTIAL) or self._fate(
            "a group", (Fate.PARTIAL, Fate.PARTIAL, Fate.FAILED, Fate.DROPPED)
        )

    def request(self, steps: Sequence[Step]) -> Fate:
        fate = self._fate("a request", (Fate.THROTTLED, Fate.DROPPED))
        process = self.process
        if process.overtaken_and_looked:
            raise PromiseBroken(f"{process.name} was overtaken, has looked at the record since, and sends all the same")
        return fate

    def step(self, step: Step) -> Fate:
        return self._fate(
            f"before {step.op} {step.account} {step.locator.get('group', '')}", (Fate.REFUSED, Fate.DROPPED)
        )

    def answer(self, steps: Sequence[Step], done: Sequence[Outcome]) -> Fate:
        fate = self._fate("an answer", (Fate.UNANSWERED,))
        self.process.shows()
        return fate

    def seen(self, target: str, observation: Observation, *, narrow: bool) -> None:
        if narrow:
            return
        whole = observation.accounts.reading.whole
        reads = {key: whole and read.reading.whole for key, read in observation.entitlements.items()}
        self.process.readings[target] = {"": whole, **reads}
        if not all(self.process.readings[target].values()):
            self.process.disturbed.add(target)

    def _cut(self, what: str, fate: Fate) -> Fate | None:
        """A reading that is cut short, and goes on."""
        weather, name, world = self.process.weather, self.system.name, self.process.world
        if not weather.cut or name not in weather.bad or world.random.random() >= weather.cut:
            return None
        return self._happens(what, fate)

    def _happens(self, what: str, fate: Fate) -> Fate:
        process, name, world = self.process, self.system.name, self.process.world
        world.counts[f"fault: {fate.value}"] += 1
        world.trace.add(f"{process.name} {name}: {what}: {fate.value}")
        process.disturbed.add(name)
        return fate

    def _fate(self, what: str, bad: Sequence[Fate]) -> Fate:
        process, name = self.process, self.system.name
        process.seam(f"{name}: {what}")
        world, weather = process.world, process.weather
        if name not in weather.bad or world.random.random() >= weather.line:
            return Fate.FINE
        if world.random.random() < 0.2:
            world.pass_time(process, timedelta(minutes=world.random.choice([1, 20, 300])), "slow")
            return Fate.FINE
        return self._happens(what, world.random.choice(bad))


class World:
    """The company. `meanwhile` is what others do at a seam, `judge` is told of every change that a process makes."""

    def __init__(self, seed: object, systems: Mapping[str, System], record: Path, now: datetime = MONDAY) -> None:
        """`record` is a copy of the record to begin with."""
        self.random = Random(f"{seed}")  # chance is the point
        self.trace = Trace()
        self.systems = dict(systems)
        self.now = now
        self.head = 0
        self.holding = 0
        self.token = -1
        self.counts: Counter[str] = Counter()
        self.doubts: Counter[tuple[str, ...]] = Counter()
        self.lockstep = Lockstep(self.random.randrange)
        self.meanwhile: Callable[[Process], None] = lambda _: None
        self.judge: Callable[[Process, System, Written], None] = lambda *_: None
        self.processes: dict[str, Process] = {}
        self.inside: list[Process] = []
        self.overlaps: list[datetime] = []
        self.lost_locks = False
        self.zone = ZoneInfo(ZONE)
        self.store = store_with(record)
        self.facts = Facts(self.store, ZONE, [Journal()])
        self._raw = sqlite3.connect(self.store.path, isolation_level=None, check_same_thread=False)
        self._known: dict[int, Population] = {}
        self.seams = 0
        for system in self.systems.values():
            system.now = lambda: self.now
            system.told = self._told_of(system)
        self.committed()

    def close(self) -> None:
        self._raw.close()

    # --- the record, read by other means ------------------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[Any]:
        """What a query finds, outside of every transaction of the product's."""
        with closing(self._raw.execute(query, values)) as cursor:
            return cursor.fetchall()

    def committed(self) -> None:
        """Something has come onto the record."""
        self.head = self.rows("SELECT coalesce(max(seq), 0) FROM ledger_entries")[0][0]

    def population_at(self, head: int) -> Population:
        """Everybody, as known at this position of the ledger."""
        marks = ",".join("?" * len(FACT_KINDS))
        query = f"SELECT coalesce(max(seq), 0) FROM ledger_entries WHERE seq <= ? AND kind IN ({marks})"  # noqa: S608
        last: int = self.rows(query, head, *sorted(FACT_KINDS))[0][0]
        if last not in self._known:
            newest = self.rows(query, self.head, *sorted(FACT_KINDS))[0][0]
            self._known[last] = self.facts.population(known_at=None if last == newest else last)
        return self._known[last]

    def lease_looked_at(self, process: Process) -> None:
        """Where the process has just taken the lease, whoever had it before is overtaken. (Not by a pass for a person,
        whose lease is another one.)
        """
        token = self.rows("SELECT coalesce(max(token), 0) FROM leases WHERE name LIKE 'target:%'")[0][0]
        if token != self.token:
            self.token = token
            for other in self.inside:
                other.overtaken = other is not process

    # --- time and chance ----------------------------------------------------------------------------------------------

    def clock(self, process: Process) -> datetime:
        """The process looks at its clock."""
        process.seam("the clock", interruptible=not self.holding)
        self.now += timedelta(milliseconds=5)
        return self.now

    def pass_time(self, process: Process | None, amount: timedelta, why: str) -> None:
        self.now += amount
        if process is not None:
            process.moments.append((self.head, self.now))
            for each in [process, *self.inside]:  # there is one clock: whoever else is at work has looked before it
                each.disturbed.add("*")
        self.counts["clock steps"] += 1
        self.trace.add(f"{why}: {amount.total_seconds():g} s pass: {self.now.isoformat()}")

    def seam(self, process: Process, what: str, *, interruptible: bool) -> None:
        """See `Process.seam`."""
        if process.dead:
            raise Crash
        self.seams += 1
        weather, chance = process.weather, self.random.random
        # To die between doing and saying is what a crash can do worst.
        worst = what.endswith((": an answer", ": a request")) or what == "before the commit"
        if weather.crash and chance() < weather.crash * (6 if worst else 1):
            process.dead = True
            self.counts["crashes"] += 1
            self.trace.add(f"{process.name} dies: {what}")
            raise Crash
        if interruptible and not self.holding:
            self._interrupted(process, what)
        moment = (self.head, self.now)
        if not process.moments or process.moments[-1] != moment:
            process.moments.append(moment)

    def _interrupted(self, process: Process, what: str) -> None:
        weather, chance = process.weather, self.random.random
        if weather.jump and chance() < weather.jump:
            steps = [timedelta(days=1), timedelta(hours=9), timedelta(minutes=3), -timedelta(seconds=20)]
            self.pass_time(process, self.random.choice(steps), f"{process.name} at {what}")
        if weather.meanwhile and chance() < weather.meanwhile * (4 if process.gives_to else 1):
            process.moments.append((self.head, self.now))
            for each in self.inside or [process]:
                each.disturbed.add("*")
            self.trace.add(f"{process.name} at {what}: meanwhile")
            self.meanwhile(process)
            self.committed()
        before = self.lockstep.moving
        self.lockstep.pause()
        if self.lockstep.moving != before:
            self.counts["switches"] += 1
        if process.dead:
            raise Crash

    # --- reconcilers --------------------------------------------------------------------------------------------------

    def process(self, standing: Standing, weather: Weather = CALM) -> Process:
        """A reconciler begins its life."""
        name = f"p{len(self.processes) + 1}"
        process = self.processes[name] = Process(name, self, weather, standing)
        process.shows()
        return process

    def wiring(self, process: Process, actor: str = "ops") -> Wiring:
        """All that the product needs to make a pass for this process."""
        journal = _NotingJournal(process)
        store = self.store.of(process)
        return Wiring(
            organization="simulated",
            policy=process.standing.policy,
            policy_files=process.standing.files,
            facts=Facts(store, ZONE, [journal]),
            journal=journal,
            targets={name: ConfiguredTarget(self.target(process, system)) for name, system in self.systems.items()},
            zone=self.zone,
            actor=actor,
            clock=lambda: self.clock(process),
            lease=lambda: self._lease(process),
            side_by_side=self._in_some_order,
            patience=Patience(
                attempts=3,
                silent_batches=2,
                wait=lambda seconds: self.pass_time(process, timedelta(seconds=seconds), "waiting"),
                jitter=lambda: 0.5,
            ),
        )

    def target(self, process: Process, system: System) -> MemoryTarget:
        own = frozenset({f"{system.name}-own"})
        return MemoryTarget(system, BadLine(process, system), own=own, batch_size=2 + len(system.name) % 2)

    def _in_some_order(self, works: Sequence[Callable[[], T]]) -> list[T]:
        order = list(range(len(works)))
        self.random.shuffle(order)
        results = {number: works[number]() for number in order}
        return [results[number] for number in range(len(works))]

    @contextmanager
    def _lease(self, process: Process) -> Iterator[None]:
        """The lock keeps a second one out, unless it was lost: then only the number under which it acts can."""
        if any(not each.dead for each in self.inside):
            if not self.lost_locks:
                raise RunInProgress("another run is in progress")
            self.counts["locks lost"] += 1
            self.overlaps.append(self.now)
            self.trace.add(f"{process.name} comes in although others are there")
        self.inside.append(process)
        process.seam("the lock")
        try:
            yield
        finally:
            self.inside.remove(process)

    def _told_of(self, system: System) -> Callable[[Written], None]:
        def told(written: Written) -> None:
            said = f"{written.op} {written.key or written.name} {written.group}".rstrip()
            self.trace.add(f"{written.who} {system.name}: {said}{' (late)' if written.late else ''}")
            if written.who in self.processes:
                self.counts["changes made"] += 1
                self.judge(self.processes[written.who], system, written)

        return told
