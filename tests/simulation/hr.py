"""HR, told at random: events in any order, twice, back-dated; evidence; and feeds full of what feeds are full of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from reconciler.errors import Place, ReconcilerError
from reconciler.facts.events import Event, parse_event
from reconciler.facts.feed import confirm_import, feed_columns, import_people
from reconciler.facts.recording import record_events
from reconciler.sources import Feed, Row
from tests.simulation.policies import Standing
from tests.simulation.world import PromiseBroken, World

DEPARTMENTS = ("rd", "rd/ai", "rd/ai", "sales", "hr", "", "moon")
POSTS = ("engineer", "lead", "clerk", "", "cook")


@dataclass
class HumanResources:
    """What HR believes, and what it has sent. The record is another matter."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    proofs: dict[str, list[str]] = field(default_factory=dict)
    told: int = 0
    waiting: str = ""
    last_feed: list[dict[str, str]] = field(default_factory=list)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def act(self, world: World, standing: Standing) -> None:
        """One thing happens."""
        acts: Sequence[Callable[[World, Standing], str]] = (
            self.hire, self.hire, self.move, self.wave, self.leave, self.leave, self.lifecycle, self.lifecycle,
            self.prove, self.prove, self.prove, self.disprove, self.again, self.feed, self.feed,
        )  # fmt: skip
        said = world.random.choice(acts)(world, standing)
        world.counts["events from HR"] += 1
        world.trace.add(f"HR: {said}")
        world.committed()

    def hire(self, world: World, standing: Standing) -> str:
        person = f"E{len(self.rows) + 1}"
        chance = world.random
        post = {"department": chance.choice(DEPARTMENTS), "post": chance.choice(POSTS)}
        starts = self._day(world, 0, 0, -30, 2, 9)
        self.rows[person] = {"id": person, **post, "starts_on": starts, "status": "active"}
        events = [self._event("hired", person, starts, post)]
        if chance.random() < 0.7:
            events += [self._proof(world, person, kind, -20) for kind in ("nda", "training", "check")]
        return self._record(world, standing, *events)

    def hire_briefly(self, world: World, standing: Standing) -> str:
        """Somebody comes whose proofs run out tomorrow."""
        person = f"E{len(self.rows) + 1}"
        post = {"department": "rd/ai", "post": "lead"}
        starts, ends = self._day(world, -30), self._day(world, 1)
        self.rows[person] = {"id": person, **post, "starts_on": starts, "status": "active"}
        proofs = [{"kind": kind, "valid_from": starts, "valid_until": ends} for kind in ("nda", "training", "check")]
        shown = [self._event("evidence-recorded", person, starts, proof) for proof in proofs]
        return self._record(world, standing, self._event("hired", person, starts, post), *shown)

    def move(self, world: World, standing: Standing) -> str:
        person, chance = self._somebody(world), world.random
        post = {"department": chance.choice(DEPARTMENTS), "post": chance.choice(POSTS)}
        kind = chance.choice(["transferred", "attributes-changed", "assignment-added", "assignment-ended"])
        if kind.startswith("assignment"):
            post["assignment"] = "second"
        elif chance.random() < 0.7:
            self.rows[person] |= post
        data = {"assignment": "second"} if kind == "assignment-ended" else post
        return self.tell(world, standing, kind, person, self._day(world, 0, -3, -40, 2), data)

    def wave(self, world: World, standing: Standing) -> str:
        """Two are moved at once, as in a transfer that somebody got wrong for many, a few at a time."""
        chance, today = world.random, self._day(world, 0)
        post = {"department": chance.choice(["rd", "rd/ai", "sales", "hr"]), "post": "engineer"}
        people = chance.sample(sorted(self.rows), min(2, len(self.rows)))
        return "; ".join(self.tell(world, standing, "transferred", each, today, post) for each in people)

    def leave(self, world: World, standing: Standing) -> str:
        person, chance = self._somebody(world), world.random
        if chance.random() < 0.6:
            self.rows[person]["status"] = "exited"
        day = self._day(world, 0, -1, -40, 1, 5)
        when = world.now.isoformat() if chance.random() < 0.4 else day
        return self.tell(world, standing, "exited", person, when, {}, confirmed=chance.random() < 0.5)

    def strike(self, world: World, standing: Standing, person: str) -> str:
        """Something happens to somebody to whom a run is just giving something."""
        now = world.now.isoformat()
        if self.proofs.get(person) and world.random.random() < 0.4:
            data = {"evidence": world.random.choice(self.proofs[person])}
            return self.tell(world, standing, "evidence-revoked", person, now, data)
        kind = world.random.choice(["exited", "locked-out", "resignation-submitted", "transferred"])
        data = {"locked-out": {"ref": "SEC-9"}, "transferred": {"department": "hr"}}.get(kind, {})
        return self.tell(world, standing, kind, person, now, data, confirmed=True)

    def lifecycle(self, world: World, standing: Standing) -> str:
        person, chance = self._somebody(world), world.random
        kind = chance.choice(
            ["leave-started", "leave-ended", "resignation-submitted", "resignation-withdrawn", "rehired", "locked-out",
             "unlocked"]
        )  # fmt: skip
        if kind == "rehired":
            self.rows[person]["status"] = "active"
        data = {"ref": "SEC-9"} if kind in ("locked-out", "unlocked") else {}
        confirmed = chance.random() < 0.5
        return self.tell(world, standing, kind, person, self._day(world, 0, 0, -5, 1), data, confirmed=confirmed)

    def prove(self, world: World, standing: Standing) -> str:
        kind = world.random.choice(["nda", "training", "check"])
        return self._record(world, standing, self._proof(world, self._somebody(world), kind, 0, -1, -170, -360, 2))

    def _proof(self, world: World, person: str, kind: str, *days: int) -> dict[str, Any]:
        chance, day = world.random, self._day(world, *days)
        data: dict[str, Any] = {"kind": kind, "valid_from": day}
        if chance.random() < 0.3:
            data["valid_until"] = max(day, self._day(world, 1, 2, 8, 9))
        if chance.random() < 0.1:
            data["result"] = "failed"
        self.proofs.setdefault(person, []).append(f"n{self.told + 1}")
        return self._event("evidence-recorded", person, day, data)

    def disprove(self, world: World, standing: Standing) -> str:
        person = self._somebody(world)
        if not self.proofs.get(person):
            return "nothing"
        data = {"evidence": world.random.choice(self.proofs[person])}
        return self.tell(world, standing, "evidence-revoked", person, self._day(world, 0, -3, 1), data)

    def again(self, world: World, standing: Standing) -> str:
        """Something is sent once more, as it was or with other content under the same id."""
        if not self.sent:
            return "nothing"
        event = dict(world.random.choice(self.sent))
        if world.random.random() < 0.3:
            event["effective_at"] = self._day(world, 0, -9)
        return self._record(world, standing, event)

    # --- feeds --------------------------------------------------------------------------------------------------------

    def feed(self, world: World, standing: Standing) -> str:
        chance = world.random
        what = chance.choice(
            ["whole", "whole", "truncated", "shrunk", "empty", "shifted", "exits", "broken row", "twice", "stale"]
        )
        rows = [dict(row) for row in self.rows.values()]
        rows = self._spoilt(world, what, rows)
        world.committed()
        before = world.head
        world.counts[f"feed: {what}"] += 1
        try:
            report = import_people(
                world.facts,
                _feed(rows, standing, broken=what == "broken row"),
                source="hr",
                attributes=standing.policy.attributes,
                guards=standing.policy.guards,
                now=world.now,
                actor="hr",
            )
        except ReconcilerError as error:
            world.committed()
            if world.head != before:
                raise PromiseBroken(f"a feed that was refused ({error}) left something on record") from error
            return f"feed ({what}): refused, {error.code}"
        self.waiting = report.import_id if report.held else ""
        self.last_feed = rows
        world.committed()
        self._nobody_left_by_absence(world, rows, before)
        return f"feed ({what}): {report.entries} entries, {len(report.waiting)} wait, {len(report.quarantined)} bad"

    def _spoilt(self, world: World, what: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
        chance = world.random
        if what == "truncated":
            return rows[: -chance.randrange(1, 3)]
        if what == "shrunk":
            return rows[: len(rows) // 2]
        if what == "empty":
            return []
        if what == "shifted":
            for row in rows:
                row["department"], row["post"], row["status"] = row["post"], row["status"], ""
        if what == "exits":
            for row in chance.sample(rows, chance.randrange(1, len(rows))):
                row["status"] = "exited"
        if what == "twice":
            rows += [dict(chance.choice(rows))]
        return self.last_feed or rows if what == "stale" else rows

    def _nobody_left_by_absence(self, world: World, rows: Sequence[Mapping[str, str]], before: int) -> None:
        """Whom a feed does not say to have left, it does not make leave."""
        said = {row["id"] for row in rows if row.get("status") == "exited"}
        query = "SELECT subject FROM ledger_entries WHERE seq > ? AND kind = 'exited'"
        left = {person for (person,) in world.rows(query, before)}
        if left - said:
            raise PromiseBroken(f"3: a feed that does not say so made {sorted(left - said)} leave")

    def confirm(self, world: World) -> str:
        """Somebody confirms the exits that wait."""
        if not self.waiting:
            return "nothing to confirm"
        waiting, self.waiting = self.waiting, ""
        try:
            report = confirm_import(world.facts, waiting, now=world.now, actor="boss")
        except ReconcilerError as error:
            return f"confirming: {error.code}"
        finally:
            world.committed()
        return f"confirmed: {', '.join(report.recorded)}"

    # --- telling ------------------------------------------------------------------------------------------------------

    def tell(
        self,
        world: World,
        standing: Standing,
        kind: str,
        person: str,
        when: str,
        data: Mapping[str, Any],
        *,
        confirmed: bool = False,
    ) -> str:
        return self._record(world, standing, self._event(kind, person, when, data, confirmed=confirmed))

    def _event(
        self, kind: str, person: str, when: str, data: Mapping[str, Any], *, confirmed: bool = False
    ) -> dict[str, Any]:
        self.told += 1
        event: dict[str, Any] = {
            "id": f"n{self.told}",
            "type": kind,
            "person": person,
            "effective_at": when,
            "data": dict(data),
        }
        if confirmed:
            event["confirmed"] = True
        self.sent.append(event)
        return event

    def _record(self, world: World, standing: Standing, *said: Mapping[str, Any]) -> str:
        """Send these together."""
        events: list[Event] = [parse_event(each) for each in said]
        results = record_events(
            world.facts,
            events,
            source="api",
            now=world.now,
            actor="hr",
            attributes=standing.policy.attributes,
            exits=standing.policy.guards.exits,
        )
        return "".join(
            f"{event.type} {event.person} {each['effective_at']} {dict(event.data)}: {result.outcome} "
            for event, each, result in zip(events, said, results, strict=True)
        )

    def _somebody(self, world: World) -> str:
        """Anybody; often a newcomer, to whom something is just being given."""
        everybody = list(self.rows)
        return world.random.choice(everybody[-2:] if world.random.random() < 0.35 else everybody)

    def _day(self, world: World, *offsets: int) -> str:
        today: date = world.now.astimezone(world.zone).date()
        return (today + timedelta(days=world.random.choice(offsets))).isoformat()


def _feed(rows: Sequence[Mapping[str, str]], standing: Standing, *, broken: bool) -> Feed:
    columns = feed_columns(standing.policy.attributes)
    made = [
        Row({name: row.get(name, "") for name in columns}, Place("hr.csv", number))
        for number, row in enumerate(rows, start=2)
    ]
    if broken:
        made[-1] = Row(made[-1].cells, made[-1].place, "the row has too few cells")
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()
    return Feed(columns, made, digest)
