"""The reading half of a pass: observe every target over a connection that cannot write, and make the plan.

Looking changes nothing on any target. It remembers in the store which digests it showed, so that they can be approved.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from reconciler.access import evaluate
from reconciler.access.model import Desired
from reconciler.apply.journal import DisabledHere, Proposal
from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text
from reconciler.facts.model import Population
from reconciler.logs import log
from reconciler.passes.memory import LedgerMemory
from reconciler.passes.undo import standing_pins
from reconciler.passes.wiring import Wiring
from reconciler.plan.build import Made, make_plan
from reconciler.plan.causes import Baseline
from reconciler.plan.guards import with_digests
from reconciler.plan.model import Change, Plan, count_by_op
from reconciler.plan.situation import Situation, TargetView
from reconciler.policy.former import with_former
from reconciler.policy.model import EntitlementRef, Guards, Mode, Policy
from reconciler.targets import Locator, Observation, TargetError

WINDOW = timedelta(hours=24)
"""Guards count over all passes of so long, so that ten thousand small passes are one large change."""


class NothingKnown(ReconcilerError):
    """There is nobody to plan for, which is far more often a mistake than the truth."""

    code = "nobody-known"


class UnknownTarget(ReconcilerError):
    """A target was named that the workspace does not have."""

    code = "unknown-target"


@dataclass(frozen=True, slots=True)
class Look:
    """What a pass saw, and the plan that follows. Observations are None where a target could not be read.

    `everything` are the changes for everybody, of which the plan may show only one person's. `policy` has what was
    managed once and is listed no more, too.
    """

    policy: Policy
    made: Made
    population: Population
    desired: Desired
    observations: Mapping[str, Observation | None]
    everything: tuple[Change, ...]
    head: int
    """The record's newest entry when the targets were about to be read."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.made.plan


def look(
    wiring: Wiring,
    *,
    at: datetime | None = None,
    targets: Collection[str] = (),
    person: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Look:
    """Observe and plan, as of now or of another moment (then only for reading).

    `targets` limits it to these targets, `person` to the changes of one person. Raises `NothingKnown` without any
    people.
    """
    now, begun = wiring.clock(), time.perf_counter()
    progress("reading the facts")
    with without_collecting():
        population = wiring.facts.population()
    if not population.people:
        text = "no people are known yet, and an empty company would mean that everybody loses everything"
        raise NothingKnown(text, remedy="bring them in first: reconciler people import")
    names = chosen(wiring, targets)
    with wiring.store.reading() as connection:
        baselines = wiring.journal.baselines(connection)
    # What was managed under earlier policies and is listed no more: its last members are to be removed, too.
    policy = with_former(wiring.policy, baselines)
    progress(f"{len(population.people)} people; reading {', '.join(names)}")
    head = wiring.ledger.head()
    read = wiring.side_by_side([partial(_view, wiring, policy, name, progress) for name in names])
    views = dict(zip(names, read, strict=True))
    observations = {name: view.observation for name, view in views.items()}
    progress("comparing")
    with without_collecting():
        desired = evaluate(policy, population, at or now)
        made = make_plan(_situation(wiring, policy, baselines, population, desired, views, now))
    everything = made.plan.changes
    _tell(made.plan, time.perf_counter() - begun)
    if person is not None:
        made = replace(made, plan=_only(made.plan, population, person))
    if at is None:
        with wiring.store.writing() as connection:
            wiring.journal.propose(connection, proposals(made.plan, wiring.actor))
    return Look(policy, made, population, desired, observations, everything, head)


@contextmanager
def without_collecting() -> Iterator[None]:
    """Nearly everything that a plan is made of stays until it is done: looking for garbage meanwhile takes half of the
    time and finds none.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def out_of_collection() -> Iterator[None]:
    """What there is by now, a plan of a million changes perhaps, stays until the run has ended: it is not looked
    through for garbage again and again.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def chosen(wiring: Wiring, targets: Collection[str]) -> list[str]:
    """The names of these targets, or of all. Raises `UnknownTarget`."""
    for name in targets:
        if name not in wiring.targets:
            known = ", ".join(sorted(wiring.targets)) or "none"
            raise UnknownTarget(f"there is no target {name!r} in this workspace", remedy=f"it has: {known}")
    return sorted(targets or wiring.targets)


def _tell(plan: Plan, seconds: float) -> None:
    for name, seen in plan.targets.items():
        if seen.error:
            log.warning("target-unreadable", target=name)
    counts = {"held": len(plan.held), "withheld": len(plan.withheld), "findings": len(plan.findings)}
    log.info("plan-made", changes=count_by_op(plan.changes), people=plan.people, **counts, seconds=round(seconds, 3))


def _view(wiring: Wiring, policy: Policy, name: str, progress: Callable[[str], None]) -> TargetView:
    observation, error = None, ""
    try:
        observation = wiring.targets[name].target.observe(locators_of(policy, name))
        read = f"{len(observation.accounts.accounts)} accounts and {len(observation.entitlements)} entitlements"
        progress(f"{name}: {read} read")
    except TargetError as failure:
        error = str(failure)
    with wiring.store.reading() as connection:
        remembered = wiring.journal.links(connection, name)
        some_disabled = observation is not None and not all(each.enabled for each in observation.accounts.accounts)
        disabled = wiring.journal.disabled_here(connection, name) if some_disabled else DisabledHere()
    view = view_of(wiring, name, observation, error, remembered)
    return replace(view, disabled_here=disabled.accounts, sessions_left=disabled.sessions_left)


def locators_of(policy: Policy, target: str) -> list[Locator]:
    """How the policy names what it manages on the target."""
    return [entry.locator for ref, entry in policy.entitlements.items() if ref.target == target]


def view_of(
    wiring: Wiring, name: str, observation: Observation | None, error: str, remembered: Mapping[str, str]
) -> TargetView:
    """What was read of a target, with how the workspace treats it."""
    configured = wiring.targets[name]
    return TargetView(
        capabilities=configured.target.describe(),
        match_attributes=configured.target.match_attributes(),
        creation_attributes=configured.target.creation_attributes(),
        creation_problem=configured.target.creation_problem,
        observation=observation,
        error=error,
        revoke_foreign=configured.revoke_foreign,
        disable_orphans=configured.disable_orphans,
        remembered=remembered,
    )


def _situation(
    wiring: Wiring,
    policy: Policy,
    baselines: Mapping[EntitlementRef, Baseline],
    population: Population,
    desired: Desired,
    views: Mapping[str, TargetView],
    now: datetime,
) -> Situation:
    additive = [ref for ref, entitlement in policy.entitlements.items() if entitlement.mode is Mode.ADDITIVE]
    with wiring.store.reading() as connection:
        approvals = wiring.journal.approvals(connection, now)
        recent = wiring.journal.recent(connection, now - WINDOW)
        in_force = wiring.journal.guards_policy(connection)
        granted_here = wiring.journal.granted_here(connection, additive)
    memory = LedgerMemory(wiring)
    loosened = in_force is not None and in_force != policy.digest
    before = memory.policy(in_force) if in_force is not None and loosened else None
    return Situation(
        made_at=now,
        workspace=wiring.organization,
        policy=policy,
        population=population,
        desired=desired,
        targets=views,
        memory=memory,
        baselines=baselines,
        approvals=approvals,
        recent=recent,
        # A policy that this version cannot read any more guards with the numbers that nobody has to write down.
        guards_in_force=(before.guards if before else Guards()) if loosened else None,
        policy_in_force=before,
        granted_here=granted_here,
        former=frozenset(policy.entitlements.keys() - wiring.policy.entitlements.keys()),
        pins=standing_pins(wiring),
    )


def _only(plan: Plan, population: Population, person: str) -> Plan:
    """The part of a plan that concerns one person; guards have seen the whole."""
    if person not in population.by_id:
        raise NothingKnown(f"no person {person!r} is known", remedy="give the id as HR spells it")
    own = [change for change in plan.changes if change.person == person]
    return replace(
        plan,
        changes=tuple(with_digests(own, plan.policy_digest)),
        withheld=tuple(each for each in plan.withheld if each.subject == person),
        findings=tuple(each for each in plan.findings if each.subject == person),
        observed=tuple(change for change in plan.observed if change.person == person),
    )


def proposals(plan: Plan, author: str) -> list[Proposal]:
    """What the digests of this plan stand for: all that it holds, and each held slice."""
    slices: dict[str, list[str]] = defaultdict(list)
    titles = {}
    for change in plan.held:
        if change.held and change.held.digest:
            slices[change.held.digest].append(change.id)
            titles[change.held.digest] = f"{change.held.slice} ({change.held.guard})"
    whole = plan.digest
    slices[whole] = [change.id for change in plan.changes]
    titles[whole] = "the whole plan"
    made_at = instant_text(plan.made_at)
    return [
        Proposal(digest, whole, plan.policy_digest, author, made_at, tuple(ids), titles[digest])
        for digest, ids in slices.items()
        if ids
    ]
