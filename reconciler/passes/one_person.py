"""A pass for one person: reads that person's facts and accounts alone, and takes from them what the leaver's lane says.

It waits for nobody: neither for the lock of full passes nor for anything that somebody has to decide, except about who
is protected. What it cannot know from one person's facts (whether others' access would be enough, how many change in a
day) concerns nothing in that lane. How it keeps right beside a full pass stands in `reconciler.apply.leases`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from reconciler.access import Desired, LifecycleState, evaluate
from reconciler.access.sponsorship import people_needed
from reconciler.apply.leases import alive, of_person, take
from reconciler.apply.run import RunReport, together
from reconciler.facts.model import Person, Population
from reconciler.passes.execute import Applied, learned, recover, run
from reconciler.passes.look import Look, chosen, locators_of, proposals, view_of
from reconciler.passes.memory import LedgerMemory, policy_entry
from reconciler.passes.present import Present
from reconciler.passes.undo import standing_pins
from reconciler.passes.wiring import Wiring
from reconciler.plan.accounts import lockout_at
from reconciler.plan.build import Made, make_plan
from reconciler.plan.comparing import worth_comparing
from reconciler.plan.guards import Approvals, with_digests
from reconciler.plan.linking import attribute_of, folded
from reconciler.plan.model import CauseKind
from reconciler.plan.situation import Situation, TargetView
from reconciler.policy.former import with_former
from reconciler.policy.model import Policy
from reconciler.targets import Observation, Op, TargetError

POLLS, POLL_SECONDS = 100, 0.05
"""How long is waited for what becomes of what another run is about to give: whoever died says nothing."""


def let_out(
    wiring: Wiring,
    person: str,
    *,
    targets: Collection[str] = (),
    first: Callable[[], None] = lambda: None,
    confirm: Callable[[Look], bool] = lambda _: True,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
) -> Applied | None:
    """Take from the person what the leaver's lane says, on every target or these, beside whatever else is going on.
    `first` is called when the pass can be seen to be under way, before it looks at anything.

    None where `confirm`, shown the plan, said no. Raises `PersonUnknown`, and what `first` raises.
    """
    lane = _Lane(wiring, wiring.facts.find_person(person), chosen(wiring, targets), progress)
    with lane.held():
        first()
        return lane.carried_out(confirm)


def goes_on(seen: Look, person: str) -> bool:
    """Whether something may be due that is not in the lane. Of somebody who is out, the lane is all there is; of
    everybody else there may be something to give, or to take for a reason of its own (a move, a policy, a hand).
    """
    found = seen.population.by_id[person]
    out = found.number in seen.desired.states[LifecycleState.EXITED]
    return not out and lockout_at(found, seen.desired.at) is None


def under_way(wiring: Wiring, person: str) -> bool:
    """Whether such a pass is under way for the person, or has died so lately that nobody can tell."""
    with wiring.store.reading() as connection:
        return of_person(person) in alive(connection, wiring.clock())


class _Lane:
    """One such pass. Used once."""

    def __init__(
        self, wiring: Wiring, person: Person, targets: Sequence[str], progress: Callable[[str, int, int], None]
    ) -> None:
        self._wiring = wiring
        self._person = person
        self._targets = targets
        self._progress = progress

    @contextmanager
    def held(self) -> Iterator[None]:
        """Under the lease on the person, which is given back whatever happens."""
        wiring = self._wiring
        lease = take(wiring.store, of_person(self._person.id), wiring.actor, wiring.clock())
        self._wiring = wiring.under(lease)
        try:
            yield
        finally:
            lease.give_back(wiring.store, wiring.clock())

    def carried_out(self, confirm: Callable[[Look], bool]) -> Applied | None:
        """The pass itself, and again where another run has given something meanwhile."""
        repaired = recover(self._wiring, only=of_person(self._person.id))
        given = self._about_to_give()
        first = self._looked()
        if first.plan.due and not confirm(first):
            return None
        report = self._done(first)
        if given:
            self._wait_for(given)
            report = together(report, self._done(self._looked()))
        return Applied(first.plan, report, repaired, still_due=goes_on(first, self._person.id))

    # --- looking ------------------------------------------------------------------------------------------------------

    def _looked(self) -> Look:
        wiring, now = self._wiring, self._wiring.clock()
        self._progress(f"reading {self._person.id} on {', '.join(self._targets)}", 0, 0)
        with wiring.store.reading() as connection:
            unlisted = wiring.journal.managed_beyond(connection, wiring.policy)
        policy = with_former(wiring.policy, unlisted).once(_without_invariants)
        head = wiring.ledger.head()
        read = wiring.side_by_side([partial(_view, wiring, policy, name, self._person) for name in self._targets])
        views = {name: view for name, view in zip(self._targets, read, strict=True) if view is not None}
        population = self._with_others(policy, views)
        desired = evaluate(policy, population, now)
        observations = {name: view.observation for name, view in views.items()}
        made = make_plan(self._situation(policy, population, views, desired))
        made = self._lane_of(made, observations)
        if made.plan.held:
            with wiring.store.writing() as connection:
                wiring.journal.propose(connection, proposals(made.plan, wiring.actor))
        return Look(policy, made, population, desired, observations, made.plan.changes, head)

    def _with_others(self, policy: Policy, views: Mapping[str, TargetView]) -> Population:
        """The person, who answers for them, and those whose accounts match them, too."""
        owners = {owner for view in views.values() for owner in view.remembered.values()}
        return self._wiring.facts.population(people_needed(policy, [self._person]) | owners | {self._person.id})

    def _situation(
        self,
        policy: Policy,
        population: Population,
        views: Mapping[str, TargetView],
        desired: Desired,
    ) -> Situation:
        wiring, now = self._wiring, self._wiring.clock()
        compared = worth_comparing(policy, desired, {name: view.observation for name, view in views.items()})
        with wiring.store.reading() as connection:
            in_force = wiring.journal.guards_policy(connection)
            baselines = wiring.journal.baselines(connection, compared)
        memory = LedgerMemory(wiring)
        before = memory.policy(in_force) if in_force not in (None, policy.digest) else None
        guards = before.guards if before else None
        protected = policy.guards.protected | (guards.protected if guards else frozenset())
        approvals = Approvals({}, {})
        if self._person.id in protected:
            with wiring.store.reading() as connection:
                approvals = wiring.journal.approvals(connection, now)
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
            recent={},
            guards_in_force=guards,
            former=frozenset(policy.entitlements.keys() - wiring.policy.entitlements.keys()),
            pins=tuple(pin for pin in standing_pins(wiring) if pin.person == self._person.id),
            compared=compared,
        )

    def _lane_of(self, made: Made, observations: Mapping[str, Observation | None]) -> Made:
        """Without what is no business of the lane. Lockouts that a policy file brings are not either: whether there are
        as many as no day brings, only a full pass can tell. Nor are deletions, which are in no hurry: since when an
        account has been disabled is not looked up here.
        """
        plan, own = made.plan, self._person.id
        names = {account.name for seen in observations.values() if seen for account in seen.accounts.accounts}
        lane = [
            change
            for change in plan.changes
            if change.person == own
            and change.leaver
            and change.cause.kind is not CauseKind.POLICY
            and change.op is not Op.DELETE_ACCOUNT
        ]
        return replace(
            made,
            plan=replace(
                plan,
                changes=tuple(with_digests(lane, plan.policy_digest)),
                withheld=tuple(each for each in plan.withheld if each.subject == own),
                findings=tuple(each for each in plan.findings if each.subject in {own, *names}),
                observed=(),
            ),
        )

    # --- doing --------------------------------------------------------------------------------------------------------

    def _done(self, seen: Look) -> RunReport | None:
        wiring, due = self._wiring, seen.plan.due
        if news := [*(policy_entry(wiring) if due else ()), *learned(wiring, seen)]:
            wiring.record(news)
        if not due:
            return None
        lease = of_person(self._person.id)
        return run(wiring, seen, due, Present(wiring, seen), progress=self._progress, lease=lease)

    def _wait_for(self, given: frozenset[str]) -> None:
        """Until it is on record what became of these changes of other runs, or somebody has died over them."""
        wait = self._wiring.patience.wait or time.sleep
        for _ in range(POLLS):
            if not given & self._about_to_give():
                return
            wait(POLL_SECONDS)

    def _about_to_give(self) -> frozenset[str]:
        """The changes by which another run is about to give the person something."""
        with self._wiring.store.reading() as connection:
            return self._wiring.journal.about_to_give(connection, self._person.id)


def _without_invariants(policy: Policy) -> Policy:
    """They hold nothing in the lane."""
    return replace(policy, invariants=())


def _view(wiring: Wiring, policy: Policy, name: str, person: Person) -> TargetView | None:
    """What the target says about the person's accounts; None where there is none."""
    observation, error = None, ""
    owners: Mapping[str, str] = {}
    try:
        keys, owners = _keys(wiring, name, person)
        if not keys:
            return None
        observation = wiring.targets[name].target.observe(locators_of(policy, name), keys)
    except TargetError as failure:
        error = str(failure)
    return view_of(wiring, name, observation, error, owners)


def _keys(wiring: Wiring, name: str, person: Person) -> tuple[frozenset[str], dict[str, str]]:
    """The keys of the accounts that are the person's, or match them; and whose these are, as far as is remembered."""
    target = wiring.targets[name].target
    if target.describe().implicit_accounts:
        return frozenset({person.id}), {}
    values = {attribute: attribute_of(person, attribute) for attribute in target.match_attributes()}
    matching: frozenset[str] = frozenset()
    if all(values.values()):  # two blanks are not two equal names
        found = target.keys_matching(values)
        matching = frozenset(_matching(target.observe([]), values) if found is None else found)
    with wiring.store.reading() as connection:
        owners = wiring.journal.links_of(connection, name, person.id, matching)
    return matching | {key for key, owner in owners.items() if owner == person.id}, owners


def _matching(seen: Observation, values: Mapping[str, str]) -> Iterator[str]:
    wanted = {attribute: folded(value) for attribute, value in values.items()}
    for account in seen.accounts.accounts:
        if all(folded(account.match.get(attribute, "")) == value for attribute, value in wanted.items()):
            yield account.key
