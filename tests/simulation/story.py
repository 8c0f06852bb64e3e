"""One seed, from the founding of a company to the day on which everything has come to rest."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from reconciler.apply import one_target
from reconciler.errors import ReconcilerError
from reconciler.passes import Applied, Wiring, apply_plan, approve, look
from reconciler.passes.emergency import shut_out
from reconciler.passes.undo import undo
from reconciler.plan.artefact import SavedPlan, plan_json, read_plan
from reconciler.plan.model import CauseKind
from tests.simulation import hands
from tests.simulation.hr import HumanResources
from tests.simulation.policies import MANAGED, UNMANAGED, Draft, Standing, changed, drawn, standing
from tests.simulation.promises import Judge
from tests.simulation.system import Account, System
from tests.simulation.world import CALM, Crash, Process, PromiseBroken, Weather, World, copied, workshop

TEMPLATES = 12
"""So many companies are founded once for all seeds."""
HISTORIES = 0.3
"""How often an episode is one of those that go for one safety of the product."""
FOUNDING = 8
"""Every so many seeds one founds a company of its own."""


@dataclass(frozen=True)
class Told:
    """What became of a seed."""

    seed: int
    digest: str
    counts: Counter[str]
    lines: list[str]
    broken: str = ""


def play(seed: int) -> Told:
    """Go through the story of this seed. Never raises for a promise that is broken: `broken` says which."""
    story = Story.of(seed)
    broken = ""
    # Batches are small here; in half of the stories the next one is prepared while one is sent all the same.
    ahead = 1 if seed % 2 else one_target.AHEAD
    try:
        with patch.object(one_target, "AHEAD", ahead):
            story.told()
    except PromiseBroken as failure:
        broken = str(failure)
        story.world.trace.add(f"BROKEN {broken}")
    finally:
        story.world.close()
    story.world.counts["seams"] += story.world.seams
    return Told(seed, story.world.trace.digest, story.world.counts, story.world.trace.lines, broken)


def prepare(seed: int) -> None:
    """Make what the story of this seed begins with and shares with others."""
    if seed % FOUNDING:
        _template(seed % TEMPLATES)


class Story:
    """A company, and what happens to it."""

    def __init__(self, world: World, hr: HumanResources, draft: Draft) -> None:
        self.world = world
        self.hr = hr
        self.draft = draft
        self.judge = Judge(world)
        self.saved: SavedPlan | None = None
        world.meanwhile = self._meanwhile
        self._stand(draft)

    @classmethod
    def of(cls, seed: int) -> Story:
        """The company of this seed: one that was founded before, or a new one."""
        if seed % FOUNDING == 0:
            return founded(f"seed {seed}")
        made = _template(seed % TEMPLATES)
        world = World(f"story {seed}", copy.deepcopy(made.systems), made.record, made.now)
        return cls(world, copy.deepcopy(made.hr), made.draft)

    # --- the story ----------------------------------------------------------------------------------------------------

    def told(self) -> None:
        """All of it."""
        chance = self.world.random
        for _ in range(chance.choice([1, 2, 2, 3])):
            self._something_happens()
            self._episode()
        self._quiet_end()

    def _something_happens(self) -> None:
        chance, world = self.world.random, self.world
        for _ in range(chance.randrange(0, 5)):
            self.hr.act(world, self.standing)
        for _ in range(chance.choice([0, 1, 1, 2])):
            hands.act(world, self.hr.rows)
        if chance.random() < 0.3:
            what, draft = changed(chance, self.draft)
            self._stand(draft)
            world.counts[f"policy: {what}"] += 1
            world.trace.add(f"policy: {what}")
        days = chance.choice([0, 0, 0.1, 0.2, 1, 2, 8, 35])
        world.pass_time(None, timedelta(days=days), "nothing happens")
        if chance.random() < 0.5:
            self._somebody_decides()
        hands.provide(world, self.hr.rows) if chance.random() < 0.5 else None

    def _episode(self) -> None:
        chance, world = self.world.random, self.world
        if chance.random() < HISTORIES:
            chance.choice([self._drip, self._cut_short, self._slept_over])()
            return
        weather = _weather(chance)
        if chance.random() < 0.3:
            world.lost_locks = chance.random() < 0.6
            both = [self._a_pass(weather), self._a_pass(_weather(chance))]
            world.counts["two at once"] += 1
            world.lockstep.run(both)
            world.lost_locks = False
        else:
            self._a_pass(weather)()

    def _drip(self) -> None:
        """The same is done to two at a time, pass after pass within one day: none of them is large by itself."""
        chance, world = self.world.random, self.world
        world.counts["history: drip"] += 1
        system = world.systems["dir"]
        by_hand, group = chance.random() < 0.7, chance.choice(MANAGED["dir"])
        for _ in range(3):
            if by_hand:
                world.trace.add(f"by hand {system.name}: {hands.intrude(world, system, group)}")
            else:
                world.trace.add(f"HR: {self.hr.wave(world, self.standing)}")
                world.committed()
            self._pass(world.process(self.standing), "all", "")
            world.pass_time(None, timedelta(hours=2), "drop by drop")

    def _cut_short(self) -> None:
        """Somebody is where they should not be, and the target is read in part."""
        chance, world = self.world.random, self.world
        world.counts["history: cut short"] += 1
        name = chance.choice(sorted(MANAGED))
        group = chance.choice(MANAGED[name])
        world.trace.add(f"by hand {name}: {hands.intrude(world, world.systems[name], group)}")
        weather = Weather(cut=chance.choice([0.1, 0.3]), bad=frozenset({name}))
        self._pass(world.process(self.standing, weather), "all", "")

    def _slept_over(self) -> None:
        """Somebody comes for a day, and whoever is shown the plan says yes a day or two later."""
        world = self.world
        world.counts["history: slept over"] += 1
        world.trace.add(f"HR: {self.hr.hire_briefly(world, self.standing)}")
        world.committed()
        hands.provide(world, self.hr.rows)
        self._pass(world.process(self.standing, Weather(dwell=0.8)), "all", "")

    def _a_pass(self, weather: Weather) -> Callable[[], None]:
        chance, process = self.world.random, self.world.process(self.standing, weather)
        kind = chance.choice(["all", "all", "all", "all", "leavers", "saved", "person", "revoke"])
        person = chance.choice(list(self.hr.rows))

        def work() -> None:
            self._pass(process, kind, person)

        return work

    def _pass(self, process: Process, kind: str, person: str) -> Applied | None:
        """One pass, however it ends."""
        world = self.world
        world.counts["passes"] += 1
        world.trace.add(f"{process.name} begins a pass: {kind} {person if kind in ('person', 'revoke') else ''}")
        done: Applied | None = None
        began = world.head
        try:
            wiring = world.wiring(process)
            if kind == "revoke":
                done = shut_out(wiring, person, "lost a laptop").applied
            elif kind == "saved" and self.saved is not None:
                done = apply_plan(wiring, saved=self.saved, file="plan.json", confirm=process.plans)
            else:
                only = person if kind == "person" else None
                done = apply_plan(wiring, person=only, leavers_only=kind == "leavers", confirm=process.plans)
        except Crash:
            world.committed()
            self.judge.record_is_whole()
        except ReconcilerError as error:
            world.trace.add(f"{process.name} ends: {error.code}: {error}")
            world.counts[f"ended by {error.code}"] += 1
        else:
            self._ended(process, kind, done, began)
        return done

    def _ended(self, process: Process, kind: str, done: Applied | None, began: int) -> None:
        world = self.world
        if done is None:
            return
        world.trace.add(f"{process.name} ends: {len(done.plan.changes)} changes, {len(done.plan.held)} held")
        if kind in ("all", "leavers") and "*" not in process.disturbed and not process.overtaken:
            calm = world.systems.keys() - process.disturbed
            population = world.population_at(began)
            world.counts["undisturbed targets judged"] += len(calm)
            self.judge.out_of_everything(process, calm, population)

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _somebody_decides(self) -> None:
        chance, world = self.world.random, self.world
        what = chance.choice(["approve", "approve a slice", "confirm", "undo", "save"])
        world.counts[f"decision: {what}"] += 1
        if what == "confirm":
            world.trace.add(self.hr.confirm(world))
        elif what == "undo":
            runs = [run for (run,) in world.rows("SELECT run FROM runs ORDER BY entry")]
            if runs:
                self._deciding(lambda wiring: str(undo(wiring, chance.choice(runs), "it was wrong").run))
        else:
            self._approve(what)

    def _approve(self, what: str) -> bool:
        """Look, and approve all of it or a slice; or save the plan for later. Whether there was anything to approve."""
        chance, found = self.world.random, False

        def decided(wiring: Wiring) -> str:
            nonlocal found
            plan = look(wiring).plan
            digests = sorted({each.held.digest for each in plan.held if each.held and each.held.digest})
            if what == "save":
                self.saved = read_plan(json.dumps(plan_json(plan)).encode(), "plan.json")
                return f"saved {plan.digest[:20]}"
            if not plan.changes or (what == "approve a slice" and not digests):
                return "nothing to approve"
            found = True
            digest = plan.digest if what == "approve" else chance.choice(digests)
            approve(replace(wiring, actor="boss"), digest, "looked at")
            return f"approved {digest[:20]}"

        self._deciding(decided)
        return found

    def _deciding(self, decided: Callable[[Wiring], str]) -> None:
        world = self.world
        process = world.process(self.standing)
        try:
            world.trace.add(f"{process.name} {decided(world.wiring(process))}")
        except ReconcilerError as error:
            world.trace.add(f"{process.name} decides nothing: {error.code}")
        world.committed()

    def _meanwhile(self, process: Process) -> None:
        """While a reconciler is at work, others are, too."""
        chance = self.world.random
        if process.gives_to and chance.random() < 0.5:
            self.world.counts["somebody struck while given something"] += 1
            said = self.hr.strike(self.world, self.standing, chance.choice(process.gives_to))
            self.world.trace.add(f"HR: {said}")
        elif chance.random() < 0.6:
            self.hr.act(self.world, self.standing)
        else:
            hands.act(self.world, self.hr.rows)

    def _stand(self, draft: Draft) -> None:
        self.draft = draft
        self.standing: Standing = standing(draft)
        self.judge.standings[self.standing.policy.digest] = self.standing

    # --- the end ------------------------------------------------------------------------------------------------------

    def _quiet_end(self) -> None:
        """Faults are over. First nobody decides anything; then everything is approved, and approved again."""
        world = self.world
        hands.provide(world, self.hr.rows)
        done = self._calm_pass()
        for _ in range(6):
            if not self._all_approved(done):
                break
            done = self._calm_pass()
        left = self._left(done)
        self.judge.settled(self.standing, left)
        self.judge.record_agrees_with_logs()
        self.judge.record_is_whole()
        if world.random.random() < 0.2:
            world.counts["records made again"] += 1
            self.judge.rebuilds_the_same()

    def _all_approved(self, done: Applied | None) -> bool:
        """Approve all that this pass has left undone, apart from what an invariant holds. Whether another pass may have
        something to do: where something was undone, the rule gives it back once the undoing has been approved.
        """
        if done is None:
            return self._approve("approve")
        carried_out = {each.change.id for each in done.report.done if each.outcome.kind.done} if done.report else set()
        left = [each for each in done.plan.changes if each.id not in carried_out]
        if all(each.held and not each.held.digest for each in left):
            return any(each.cause.kind is CauseKind.UNDO for each in done.plan.changes)
        digest = done.plan.digest
        self._deciding(lambda wiring: approve(replace(wiring, actor="boss"), digest, "looked at").proposal.digest[:20])
        return True

    def _calm_pass(self) -> Applied | None:
        self.world.now += timedelta(minutes=1)
        return self._pass(self.world.process(self.standing, CALM), "all", "")

    def _left(self, done: Applied | None) -> set[tuple[str, str, str]]:
        """What no approval releases: changes that an invariant holds."""
        if done is None:
            return set()
        held = [each for each in done.plan.held if each.held and not each.held.digest]
        return {(each.target, f"group={each.locator['group']}", each.person or "") for each in held if each.locator}


def _weather(chance: Random) -> Weather:
    """What a pass is up against."""
    kind = chance.choice(["calm", "one bad line", "bad lines", "deadly", "busy", "a long night", "everything"])
    if kind == "calm":
        return CALM
    if kind == "one bad line":
        return Weather(line=chance.choice([0.05, 0.3, 0.8]), bad=frozenset({chance.choice(sorted(MANAGED))}))
    if kind == "bad lines":
        return Weather(line=chance.choice([0.05, 0.2]), bad=frozenset(MANAGED))
    if kind == "deadly":
        return Weather(crash=chance.choice([0.005, 0.02]), line=0.05, bad=frozenset(MANAGED))
    if kind == "a long night":
        return Weather(jump=0.05, meanwhile=0.01)
    if kind == "busy":
        return Weather(meanwhile=chance.choice([0.01, 0.05]), jump=chance.choice([0.0, 0.02, 0.05]))
    return Weather(crash=0.004, line=0.05, meanwhile=0.01, jump=0.005, bad=frozenset(MANAGED))


# --- founding ---------------------------------------------------------------------------------------------------------


def founded(seed: str) -> Story:
    """A company that has just come under management, and may or may not have been looked at as a whole."""
    systems = {name: System(name, implicit=name == "vault") for name in MANAGED}
    for name, system in systems.items():
        for group in (*MANAGED[name], UNMANAGED):
            system.add_group(group)
    systems["dir"].accounts["dir-own"] = Account("dir-own", "svc-reconciler", "svc-reconciler", "")
    world = World(seed, systems, workshop().blank)
    chance = world.random
    story = Story(world, HumanResources(), drawn(chance))
    for _ in range(chance.randrange(4, 10)):
        story.hr.hire(world, story.standing)
    hands.provide(world, story.hr.rows)
    systems["dir"].grant("dir-own", "docs", hands.WHO)
    for _ in range(chance.randrange(6)):
        hands.act(world, story.hr.rows)
    world.pass_time(None, timedelta(days=1), "founded")
    return story


@dataclass(frozen=True)
class Template:
    """A company to begin with: the systems as they stand, and a copy of its record."""

    record: Path
    systems: dict[str, System]
    hr: HumanResources
    draft: Draft
    now: datetime


@cache
def _template(number: int) -> Template:
    story = founded(f"template {number}")
    for _ in range(3):
        story._approve("approve")
        story._calm_pass()
    world = story.world
    world.pass_time(None, timedelta(days=2), "settled")
    world.close()
    for system in world.systems.values():
        system.now, system.told = System(system.name).now, System(system.name).told
    record = workshop().blank.with_name(f"template-{number}.db")
    copied(world.store.path, record)
    return Template(record, world.systems, story.hr, story.draft, world.now)
