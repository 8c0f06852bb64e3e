"""`/metrics`: what a monitoring system reads (Prometheus' text format, or OpenMetrics to whoever asks for that).

Two sorts of numbers. What the record says is counted from it, and so it is the same in every process and equals what
the ledger says, whoever did the work (`reconciler.passes.counted`); so is what the last whole pass left. What a process
has seen itself, its requests and its passes, is its own (`reconciler.service.measures`). A scrape reads a few rows and
what is new on record: nothing of it grows with the number of people.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from itertools import accumulate

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from sqlalchemy import func, select

from reconciler import __version__
from reconciler.errors import ReconcilerError
from reconciler.facts.days import parse_instant
from reconciler.facts.ledger import ledger_entries
from reconciler.logs import log
from reconciler.passes.counted import Counted
from reconciler.passes.last_pass import LastPass, recall_pass
from reconciler.passes.operators import Actor
from reconciler.passes.reconciled import recall
from reconciler.passes.tally import BUCKETS, Lane, Tally
from reconciler.passes.tokens import Act
from reconciler.service.answers import described
from reconciler.service.callers import Callers
from reconciler.service.loop import LoopState, PassMaker
from reconciler.service.premises import Premises
from reconciler.workspace import Workspace

__all__ = ["Exposition", "metrics_router"]

METRICS = "metrics"
"""The thing that an access policy allows to `read`: ``p, prometheus, read, metrics`` opens nothing else."""

OPENMETRICS = "application/openmetrics-text"

GIT_EVERY = 60.0
"""Seconds for which what git says of checkpoints is good."""


class Exposition:
    """All that is shown. A collector of its own on the registry of what the process measures itself."""

    def __init__(self, premises: Premises, loop: PassMaker) -> None:
        self._premises = premises
        self._loop = loop
        self._counted = Counted(premises.facts.store)
        self._checkpoint = _Checkpoint(premises.workspace)
        self.registry = premises.measures.registry
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """For the registry. What cannot be told at this moment is left out."""
        build = InfoMetricFamily("reconciler_build", "The version that runs.")
        build.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield build
        yield _gauge("reconciler_clock_timestamp_seconds", "The clock of this process.", self._now())
        state = self._loop.state()
        yield from _of_loop(state)
        yield from self._told("store", lambda: self._of_record(state))
        yield from self._told("policies", self._of_policies)
        yield from self._told("checkpoint", self._checkpoint.collect)

    def describe(self) -> list[Metric]:
        """Nothing is asked of the store before somebody reads it."""
        return []

    def _told(self, what: str, tell: Callable[[], Iterator[Metric]]) -> Iterator[Metric]:
        """What it tells, all or nothing, and whether it could."""
        found, works = [], 1
        try:
            found = list(tell())
        except ReconcilerError as error:
            works = 0
            log.warning("not-measured", what=what, code=error.code)
        if what == "store":
            yield _gauge("reconciler_store_up", "Whether the record can be read.", works)
            text = "Whether the record could be written when that was last tried."
            yield _gauge("reconciler_store_writable", text, not self._premises.facts.store.unwritable)
        yield from found

    def _now(self) -> float:
        return self._premises.clock().timestamp()

    def _of_record(self, state: LoopState) -> Iterator[Metric]:
        store, c = self._premises.facts.store, ledger_entries.c
        with store.reading() as connection:
            head = connection.execute(select(func.max(c.seq))).scalar() or 0
            oldest = connection.execute(select(c.recorded_at).where(c.seq == state.oldest_leaver)).scalar()
        yield _gauge("reconciler_ledger_head_entry", "The newest entry on record.", head)
        come = recall(store)
        text = "Up to this entry all is reconciled, as the process that does the passes last noted it."
        yield _gauge("reconciler_reconciled_entry", text, come.entry if come else None)
        text = "When the last whole pass that ended well began to look."
        yield _gauge("reconciler_last_full_pass_timestamp_seconds", text, come.at.timestamp() if come else None)
        text = "When that was recorded by which the first of those came to leave who are not out yet."
        since = parse_instant(oldest).timestamp() if oldest is not None else None
        yield _gauge("reconciler_oldest_due_leaver_timestamp_seconds", text, since)
        yield from _of_last_pass(recall_pass(store))
        with self._counted.up_to_date() as tally:
            yield from list(_of_tally(tally))

    def _of_policies(self) -> Iterator[Metric]:
        standing = self._premises.standing()
        passes = GaugeMetricFamily("reconciler_policies_pass", "Whether the policy tree passes.")
        passes.add_metric([], float(standing.problems is None))
        yield passes
        accepted = InfoMetricFamily("reconciler_policy", "The policy that counts now: the last one that passed.")
        policy = standing.policy
        accepted.add_metric([], {"revision": policy.revision, "digest": policy.digest.removeprefix("sha256:")[:12]})
        yield accepted


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """A single number; None where there is none to tell now."""
    return GaugeMetricFamily(name, text, value=None if value is None else float(value))


def _of_loop(state: LoopState) -> Iterator[Metric]:
    text = "Whether all threads that do the passes are at work."
    yield _gauge("reconciler_loop_up", text, not state.dead)
    text = "Seconds since the loop last looked at the record and at the clock."
    yield _gauge("reconciler_loop_last_look_age_seconds", text, state.looked_ago)
    due = GaugeMetricFamily("reconciler_due_people", "People whose passes are not done yet.", labels=["lane"])
    due.add_metric([Lane.LEAVER.value], state.leavers)
    due.add_metric([Lane.OTHER.value], state.due - state.leavers)
    yield due


def _of_last_pass(last: LastPass | None) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "reconciler_target_up", "Whether the target could be read in the last whole pass.", labels=["target"]
    )
    for target, could in last.targets.items() if last else ():
        up.add_metric([target], float(could))
    held = GaugeMetricFamily(
        "reconciler_held_changes",
        "Changes that wait for a decision, by slice, in the last whole pass.",
        labels=["target", "direction", "class"],
    )
    for key, count in last.held.items() if last else ():
        held.add_metric(key, count)
    findings = GaugeMetricFamily("reconciler_findings", "Findings by kind in the last whole pass.", labels=["kind"])
    for kind, count in last.findings.items() if last else ():
        findings.add_metric([kind], count)
    yield from (up, held, findings)


def _of_tally(tally: Tally) -> Iterator[Metric]:
    text = "Up to this entry the record is counted: behind the head only while a long record is counted anew."
    yield _gauge("reconciler_ledger_counted_entry", text, tally.entry)
    entries = CounterMetricFamily("reconciler_ledger_entries", "Entries on record.", labels=["kind"])
    for kind, count in tally.entries.items():
        entries.add_metric([kind], count)
    yield entries
    changes = CounterMetricFamily(
        "reconciler_changes",
        "What became of changes, as often as it came onto the record.",
        labels=["target", "op", "outcome", "lane"],
    )
    for key, count in tally.changes.items():
        changes.add_metric(key, count)
    yield changes
    contradicted = CounterMetricFamily(
        "reconciler_contradictions",
        "Changes that a target confirmed, and reading it back did not show.",
        labels=["target", "op"],
    )
    for own, count in tally.contradicted.items():
        contradicted.add_metric(own, count)
    yield contradicted
    aside = CounterMetricFamily(
        "reconciler_target_set_aside", "Runs in which a target was given up.", labels=["target"]
    )
    for target, count in tally.set_aside.items():
        aside.add_metric([target], count)
    yield aside
    delays = HistogramMetricFamily(
        "reconciler_convergence_delay_seconds",
        "From a fact on record, and in force, to the outcome after which nothing is left of its work on a target.",
        labels=["target", "lane"],
    )
    bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
    for own, delay in tally.delays.items():
        delays.add_metric(own, list(zip(bounds, accumulate(delay.buckets), strict=True)), delay.seconds)
    yield delays


class _Checkpoint:
    """The newest checkpoint in the policy repository; asked for now and then, since it takes a process to tell."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._asked: float | None = None
        self._newest = (0, 0.0)

    def collect(self) -> Iterator[Metric]:
        """When it was made, and of which entry: 0 where there is none."""
        now = time.monotonic()
        if self._asked is None or now - self._asked > GIT_EVERY:
            self._asked, self._newest = now, self._found()
        entry, at = self._newest
        text = (
            "When the newest checkpoint in the policy repository was made, of a ledger that verified; 0: there is none."
        )
        yield _gauge("reconciler_checkpoint_timestamp_seconds", text, at)
        yield _gauge("reconciler_checkpoint_entry", "The entry that it attests.", entry)

    def _found(self) -> tuple[int, float]:
        newest, organization = (0, 0.0), self._workspace.spec.organization
        for _, text in self._workspace.repository().anchored():
            try:
                said = json.loads(text)
                if said["organization"] == organization:
                    newest = max(newest, (int(said["seq"]), parse_instant(said["made_at"]).timestamp()))
            except (ValueError, KeyError, TypeError):
                continue  # `ledger verify` says what is wrong with it
        return newest


def metrics_router(exposition: Exposition, callers: Callers, *, guarded: bool) -> APIRouter:
    """The route. `guarded`: only whoever brings a token reads it."""
    router = APIRouter(tags=["health"])

    def checked(actor: Actor = Depends(callers.actor)) -> None:  # noqa: B008  # as FastAPI wants it
        callers.check(actor, Act.READ, METRICS)

    @router.get(
        "/metrics",
        response_class=Response,
        dependencies=[Depends(checked)] if guarded else [],
        responses={
            200: {"content": {"text/plain": {}, OPENMETRICS: {}}},
            **(described(401, 403, 503) if guarded else {}),
        },
    )
    def metrics(request: Request) -> Response:
        """What a monitoring system reads."""
        # Ours are plain names: whatever else of the format somebody asks for makes no difference to them.
        wanted = OPENMETRICS if OPENMETRICS in request.headers.get("accept", "") else ""
        encode, kind = choose_encoder(wanted)
        return Response(encode(exposition.registry), media_type=kind)

    return router
