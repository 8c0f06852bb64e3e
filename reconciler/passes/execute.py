"""The acting half of a pass: recover what a dead run left, look, carry out what nothing holds, note what now agrees."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from pyroaring import BitMap

from reconciler.apply.context import RunContext
from reconciler.apply.intents import locator_keys
from reconciler.apply.journal import OpenIntent
from reconciler.apply.leases import alive, of_target, take, take_all
from reconciler.apply.run import RunReport, carry_out, together
from reconciler.apply.tables import Kind
from reconciler.apply.telling import Told, recovered
from reconciler.errors import Place
from reconciler.facts.days import instant_text
from reconciler.facts.ledger import NewEntry, chunks
from reconciler.logs import log
from reconciler.passes import standing
from reconciler.passes.last_pass import note_pass
from reconciler.passes.look import Look, chosen, look, out_of_collection
from reconciler.passes.memory import policy_entry
from reconciler.passes.orders import record_confirmed, standing_orders
from reconciler.passes.present import Present
from reconciler.passes.wiring import Wiring
from reconciler.plan.artefact import PlanFileError, SavedPlan, instant
from reconciler.plan.causes import Baseline
from reconciler.plan.linking import Links, attribute_of
from reconciler.plan.model import CauseKind, Change, Finding, Plan, content_digest
from reconciler.policy.model import EntitlementRef, Mode
from reconciler.targets import Observation, Op, OutcomeKind, Reading, Target, TargetError, entitlement_key

LYING_WINDOW = timedelta(days=7)
"""A target that is contradicted in several runs of so long is a finding."""

FOUGHT_OVER = 3
"""The same change in so many runs of that time: something else undoes it each time, and a reconciler that goes on
alone would go on for ever.
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one pass did. `report` is None where nothing was due; `missing` counts changes of a saved plan that are no
    longer due.
    """

    plan: Plan
    report: RunReport | None
    recovered: int
    missing: int = 0
    still_due: bool = False
    """Of a pass for one person: whether they should have anything yet, so that there may be more to do for them."""
    on_order: Sequence[Change] = ()
    """What a run before this one ordered from somebody who has not confirmed it: due, and not asked for again."""
    before: Applied | None = None
    """What a pass for one person took away first, before the whole pass over what concerns them."""

    @property
    def failed(self) -> bool:
        """Whether something is not as it should be although nothing holds it."""
        report = self.report
        broken = report is not None and bool(report.failed or report.ordered or report.contradicted)
        return broken or bool(self.on_order) or self.plan.incomplete

    @property
    def waiting(self) -> bool:
        """Whether somebody has to decide."""
        return bool(self.plan.held)


def apply_plan(
    wiring: Wiring,
    *,
    saved: SavedPlan | None = None,
    file: str = "",
    targets: Collection[str] = (),
    person: str | None = None,
    leavers_only: bool = False,
    leave_standing: bool = False,
    confirm: Callable[[Look], bool] = lambda _: True,
    looked: Callable[[Look], None] = lambda _: None,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
) -> Applied | None:
    """One whole pass, under the workspace's lock and the leases of its targets. None where `confirm`, shown the plan,
    said no.

    With `saved`, only those changes of the fresh plan are carried out that the saved one names; with `leavers_only`,
    only those of the leaver's lane. With `leave_standing`, a pass over everything that finds all in order says so to
    the next one (`reconciler.passes.standing`). `looked` is shown what the pass saw, whether or not anything is due.
    """
    with wiring.lease():
        names = [of_target(name) for name in chosen(wiring, targets)]
        wiring = wiring.under(*take_all(wiring.store, names, wiring.actor, wiring.clock()))
        if saved is not None:
            _check_saved(wiring, saved, file)
        repaired = recover(wiring)
        taken = standing.marks(wiring) if leave_standing else {}
        seen = look(wiring, targets=targets, person=person, progress=lambda what: progress(what, 0, 0))
        # What could not be read a moment ago may be what this plan goes by: its record comes first.
        repaired += _settle(wiring, _left_open(wiring, wiring.clock()), seen.observations)
        orders = standing_orders(wiring, seen.observations)
        record_confirmed(wiring, orders)
        seen = _with(seen, standing.missed(wiring, standing.recall(wiring), taken, seen)) if taken else seen
        wanted = [
            change
            for change in seen.plan.due
            if (saved is None or change.id in saved.change_ids) and (change.leaver or not leavers_only)
        ]
        on_order = [change for change in wanted if orders.stands(change)]
        due = [change for change in wanted if not orders.stands(change)]
        missing = len(saved.change_ids - {change.id for change in seen.plan.changes}) if saved else 0
        looked(seen)
        if not (targets or person or saved):
            note_pass(wiring.store, seen.plan)
        if due and not confirm(seen):
            return None
        _record_news(wiring, seen, due)
        present = Present(wiring, seen)
        report = run(wiring, seen, due, present, saved=saved, progress=progress) if due else None
        if not leavers_only:
            _note_agreement(wiring, seen, report, present.moved())
        if saved is None and (newcomers := _created(report)):
            report = _moved_in(wiring, report, newcomers, progress)
        if leave_standing and not (targets or person or saved or leavers_only):
            standing.leave(wiring, seen, taken)
        return Applied(seen.plan, report, repaired, missing, on_order=on_order)


def _record_news(wiring: Wiring, seen: Look, due: Sequence[Change]) -> None:
    """What this look taught, and the policy where something is done by it."""
    if news := [*(policy_entry(wiring) if due else ()), *learned(wiring, seen)]:
        wiring.record(news)


def _with(seen: Look, findings: Sequence[Finding]) -> Look:
    plan = replace(seen.plan, findings=(*seen.plan.findings, *findings))
    return replace(seen, made=replace(seen.made, plan=plan))


# --- accounts that this run created -----------------------------------------------------------------------------------


def _created(report: RunReport | None) -> Mapping[str, frozenset[str]]:
    """Target → the people who have an account there since this run."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in report.done if report else ():
        if each.change.op is Op.CREATE_ACCOUNT and each.outcome.kind.done:
            found[each.change.target].add(each.change.subject)
    return {target: frozenset(people) for target, people in found.items()}


def _moved_in(
    wiring: Wiring,
    first: RunReport | None,
    newcomers: Mapping[str, frozenset[str]],
    progress: Callable[[str, int, int], None],
) -> RunReport | None:
    """Another look, since only now there is an account to grant anything to; under the same guards, and for nobody
    else.
    """
    seen = look(wiring, targets=list(newcomers), progress=lambda what: progress(what, 0, 0))
    due = [each for each in seen.plan.due if each.op is Op.GRANT and each.person in newcomers[each.target]]
    if news := learned(wiring, seen):
        wiring.record(news)
    if not due:
        return first
    present = Present(wiring, seen)
    report = run(wiring, seen, due, present, progress=progress)
    _note_agreement(wiring, seen, report, present.moved())
    return together(first, report)


# --- before the run ---------------------------------------------------------------------------------------------------


def _check_saved(wiring: Wiring, saved: SavedPlan, file: str) -> None:
    place = Place(file)
    if saved.workspace != wiring.organization:
        text = f"this plan was made in another workspace ({saved.workspace}), this one is {wiring.organization}"
        raise PlanFileError(text, place=place, remedy="apply it where it was made")
    if saved.for_reading:
        text = "this plan was made with --at for another day: it is for reading"
        raise PlanFileError(text, place=place, remedy="make one for today: reconciler plan --out FILE")
    if saved.policy_digest != wiring.policy.digest:
        text = "the policy has changed since this plan was made"
        raise PlanFileError(
            text, place=place, remedy="make a new one and have it looked at: reconciler plan --out FILE"
        )
    with wiring.store.reading() as connection:
        run = wiring.journal.was_carried_out(connection, saved.digest, saved.made_at)
    if run:
        text = f"this plan was carried out already, by run {run}"
        raise PlanFileError(text, place=place, remedy="make a new one: reconciler plan --out FILE")


def recover(wiring: Wiring, only: str | None = None) -> int:
    """Record what became of the changes that dead runs intended, or only runs under this lease. Returns how many.

    Whoever holds the lock of full passes is the only one of these; a pass for a person is dead when its lease has
    ended, and that is taken over, so that it finds out should it wake up.
    """
    now = wiring.clock()
    intents = _left_open(wiring, now, only)
    if not intents:
        return 0
    for name in sorted({each.lease for each in intents} - {"", only}):
        take(wiring.store, name, wiring.actor, now).give_back(wiring.store, now)
    names = sorted({intent.target for intent in intents} & set(wiring.targets))
    looks = [partial(_what_is_there, wiring.targets[name].target, name, intents) for name in names]
    return _settle(wiring, intents, dict(zip(names, wiring.side_by_side(looks), strict=True)))


def _left_open(wiring: Wiring, now: datetime, only: str | None = None) -> list[OpenIntent]:
    """What runs that are dead (or, under that lease alone, whatever runs) left without an outcome."""
    with wiring.store.reading() as connection:
        intents = wiring.journal.open_intents(connection, only)
        living = alive(connection, now) if only is None and intents else frozenset()
    intents = _with_memory(wiring, _with_matches(wiring, intents))
    return [each for each in intents if only is not None or each.lease not in living]


def _with_matches(wiring: Wiring, intents: list[OpenIntent]) -> list[OpenIntent]:
    """With what the accounts that were to be created are found by: that is said of people nowhere but in the facts."""
    created = {each.change["subject"] for each in intents if each.change["op"] == Op.CREATE_ACCOUNT.value}
    if not created:
        return intents
    known = wiring.facts.population(created).by_id

    def matched(intent: OpenIntent) -> OpenIntent:
        person = known.get(intent.change["subject"])
        if intent.change["op"] != Op.CREATE_ACCOUNT.value or person is None or intent.target not in wiring.targets:
            return intent
        attributes = wiring.targets[intent.target].target.match_attributes()
        match = {name: attribute_of(person, name) for name in attributes}
        return replace(intent, change={**intent.change, "match": match})

    return [matched(each) for each in intents]


def _with_memory(wiring: Wiring, intents: list[OpenIntent]) -> list[OpenIntent]:
    """With what the accounts that were to be deleted had, by the record: nothing else will say so any more."""
    deleted = [each for each in intents if each.change["op"] == Op.DELETE_ACCOUNT.value]
    if not deleted:
        return intents
    people = {each.change["subject"] for each in deleted}
    with wiring.store.reading() as connection:
        had = {name: wiring.journal.had(connection, name, people) for name in {each.target for each in deleted}}

    def remembered(intent: OpenIntent) -> OpenIntent:
        if intent.change["op"] != Op.DELETE_ACCOUNT.value:
            return intent
        own = had[intent.target].get(intent.change["subject"], ())
        return replace(intent, change={**intent.change, "had": sorted(own)})

    return [remembered(each) for each in intents]


def _settle(wiring: Wiring, intents: Sequence[OpenIntent], observations: Mapping[str, Observation | None]) -> int:
    """Record what these observations show of what is open still. Returns of how many changes."""
    entries = recovered(intents, observations)
    if entries:
        wiring.record(entries)
        log.warning("dead-run-recovered", runs=sorted({intent.run for intent in intents}), changes=len(entries))
    return len(entries)


def _what_is_there(target: Target, name: str, intents: Sequence[OpenIntent]) -> Observation | None:
    """What was intended is looked at, whether or not a policy still names it."""
    own = [intent.change for intent in intents if intent.target == name and intent.change.get("locator")]
    locators = list({change["entitlement_key"]: change["locator"] for change in own}.values())
    try:
        return target.observe(locators)
    except TargetError:
        return None  # what cannot be read now stays open for the next pass


def _liars(wiring: Wiring, report: RunReport) -> list[Finding]:
    """The targets that confirmed, in this run and in one before it, what reading them back did not show."""
    if not report.contradicted:
        return []
    with wiring.store.reading() as connection:
        runs = wiring.journal.contradicted_runs(connection, wiring.clock() - LYING_WINDOW)
    now = Counter(change.target for change in report.contradicted)
    return [
        Finding(
            "target-contradicts",
            target,
            target,
            f"in {runs[target]} runs of the last {LYING_WINDOW.days} days it confirmed changes that reading did not "
            f"show, {count} of them in this run: what it confirms cannot be relied on",
        )
        for target, count in sorted(now.items())
        if runs.get(target, 0) > 1
    ]


def _fought_over(wiring: Wiring, report: RunReport) -> list[Finding]:
    """What this run put right against somebody's hand, not for the first time."""
    drift = [each.change for each in report.done if each.change.cause.kind is CauseKind.DRIFT]
    if not drift:
        return []
    with wiring.store.reading() as connection:
        repeated = wiring.journal.repeated(connection, wiring.clock() - LYING_WINDOW, FOUGHT_OVER)
    return [
        Finding(
            "fought-over",
            change.target,
            change.subject or change.account,
            f"{change.op.value} {change.subject or change.account} {change.entitlement}: carried out in "
            f"{repeated[change.id]} runs of the last {LYING_WINDOW.days} days, and undone on {change.target} each "
            "time: find out by whom, and settle it there or in the policy",
        )
        for change in drift
        if change.id in repeated
    ]


FEW_LINKS = 100
"""So many new links on a target are put on record one by one, each of which can be erased by itself with what the
account was called. More are said together: by keys and ids alone, as a run's intents are.
"""


def learned(wiring: Wiring, seen: Look) -> list[NewEntry]:
    """The links between accounts and people that were found in this look, for the record."""
    entries = []
    for target, links in seen.made.links.items():
        if len(links.learned) > FEW_LINKS:
            for some in chunks(links.learned.items(), LINKS_AT_ONCE):
                payload = {"target": target, "links": some}
                entries.append(NewEntry(Kind.ACCOUNTS_LINKED.value, f"target:{target}", wiring.actor, payload))
            continue
        observation = seen.observations[target]
        accounts = observation.accounts.accounts if observation and links.learned else ()
        names = {account.key: account.name for account in accounts if account.key in links.learned}
        for key, person in links.learned.items():
            own = {"target": target, "account_key": key, "account": names.get(key, key)}
            entries.append(NewEntry(Kind.ACCOUNT_LINKED.value, person, wiring.actor, own))
    return entries


LINKS_AT_ONCE = 10_000


# --- the run ----------------------------------------------------------------------------------------------------------


def run(
    wiring: Wiring,
    seen: Look,
    due: Sequence[Change],
    present: Present,
    *,
    saved: SavedPlan | None = None,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    lease: str = "",
) -> RunReport:
    """Carry these changes of the plan out. `lease` names the one that a pass for a person acts under."""
    plan = seen.plan
    made_at = saved.made_at if saved else instant(plan.made_at) or ""
    digest = saved.digest if saved else plan.digest
    name = content_digest([digest, instant_text(plan.made_at), wiring.ledger.head()])[7:19]
    held = len(plan.held)
    context = RunContext(
        told=Told(name, digest, made_at, plan.policy_digest, wiring.actor, seen.head, lease),
        targets={name: configured.target for name, configured in wiring.targets.items()},
        recorder=wiring,
        no_longer_wanted=present.no_longer_wanted,
        progress=lambda done, failed: progress(_under_way(held, failed), done, len(due)),
        still_ours=wiring.still_ours,
        done_by_others=partial(_done_by_others, wiring, name),
        patience=wiring.patience,
        side_by_side=wiring.side_by_side,
    )
    with out_of_collection():
        report = carry_out(_remembering(wiring, seen, due), context)
    report.findings += [*_liars(wiring, report), *_fought_over(wiring, report)]
    return report


def _remembering(wiring: Wiring, seen: Look, due: Sequence[Change]) -> Sequence[Change]:
    """The changes, those that delete an account with what it had by the record and by what was just read."""
    deleted: dict[str, list[Change]] = defaultdict(list)
    for change in due:
        if change.op is Op.DELETE_ACCOUNT:
            deleted[change.target].append(change)
    if not deleted:
        return due
    had: dict[str, Collection[str]] = {}
    with wiring.store.reading() as connection:
        for target, own in deleted.items():
            known = wiring.journal.had(connection, target, {change.subject for change in own})
            shown = _holding(seen.observations[target], {change.account_key for change in own})
            had |= {each.id: {*known.get(each.subject, ()), *shown.get(each.account_key, ())} for each in own}
    return [replace(change, had=tuple(sorted(had[change.id]))) if change.id in had else change for change in due]


def _holding(observation: Observation | None, accounts: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Account key → the entitlements in which these accounts were read, whole or in part."""
    if observation is None:
        return {}
    keys = {at: each.key for at, each in enumerate(observation.accounts.accounts) if each.key in accounts}
    positions, found = BitMap(keys), defaultdict(list)
    for entitlement, read in observation.entitlements.items():
        for position in (read.members | read.partial) & positions:
            found[keys[position]].append(entitlement)
    return found


def _done_by_others(wiring: Wiring, run: str, changes: Sequence[Change]) -> frozenset[str]:
    with wiring.store.reading() as connection:
        return wiring.journal.done_by_others(connection, run, [change.id for change in changes])


def _under_way(held: int, failed: int) -> str:
    more = [f"{count} {what}" for count, what in ((held, "held"), (failed, "failed")) if count]
    return ", ".join(["carrying out", *more])


# --- after the run ----------------------------------------------------------------------------------------------------


def _note_agreement(wiring: Wiring, seen: Look, report: RunReport | None, moved: Collection[str]) -> None:
    """Put on record what is in place and desired now, so that tomorrow's changes can be told from drift. About whom
    there has been news since the look, a pass of their own may have changed what was seen: nothing is said of them.
    """
    silent = BitMap([seen.population.by_id[person].number for person in moved if person in seen.population.by_id])
    with wiring.store.reading() as connection:
        baselines = wiring.journal.baselines(connection)
    entries = []
    for target, links in seen.made.links.items():
        observation = seen.observations[target]
        if observation is not None:
            entries += _agreement(wiring, seen, target, links, observation, baselines, report, silent)
    if entries:
        wiring.record([*policy_entry(wiring), *entries])


def _agreement(
    wiring: Wiring,
    seen: Look,
    target: str,
    links: Links,
    observation: Observation,
    baselines: Mapping[EntitlementRef, Baseline],
    report: RunReport | None,
    silent: BitMap,
) -> list[NewEntry]:
    undone = _undone(seen.everything, report)
    facts = max((person.last_entry for person in seen.population), default=0)
    settled: list[str] = []
    adopted: dict[str, list[str]] = {}
    dropped: dict[str, list[str]] = {}
    services: dict[str, list[str]] = {}
    ids = {person.number: person.id for person in seen.population}
    moved, ops = _moved(report), wiring.targets[target].target.describe().ops
    linked = links.people_in(BitMap(range(len(observation.accounts.accounts))))
    for ref, entitlement in seen.policy.entitlements.items():
        if entitlement.mode is Mode.OBSERVE:
            continue  # what is only watched has not come under management
        read = observation.entitlements.get(ref.key)
        if ref.target != target or read is None or read.reading is Reading.FAILED:
            continue
        known = baselines.get(ref) or Baseline(BitMap(), frozenset(), "", 0, settled=False)
        after = _after(seen, links.people_in(read.members), moved.get(ref, ()))
        desired = seen.desired.members[ref]
        if new := (desired & after) - known.members - silent:
            adopted[ref.key] = [ids[number] for number in new]
        whole = read.reading.whole and observation.accounts.reading.whole
        if whole and (gone := known.members - after - desired - silent):
            dropped[ref.key] = [ids[number] for number in gone if number in ids]
        wanted = seen.desired.service_members.get(ref, frozenset()) & set(links.service_at.values())
        if ref not in undone and whole and not _beyond(ops, desired & linked, after):
            if wanted != known.services:
                services[ref.key] = sorted(wanted)
            if not known.settled or (known.policy_digest, known.ledger_seq) != (wiring.policy.digest, facts):
                settled.append(ref.key)
    if not (settled or adopted or dropped or services):
        return []
    payload: dict[str, Any] = {
        "target": target,
        "policy": wiring.policy.digest,
        "facts": facts,
        "settled": settled,
        "adopted": adopted,
        "dropped": dropped,
        "services": services,
    }
    return [NewEntry(Kind.CONVERGED.value, f"target:{target}", wiring.actor, payload)]


def _beyond(ops: Collection[Op], desired: BitMap, after: BitMap) -> bool:
    """Whether somebody should still get or lose it, and the target cannot do that: then there was no change to do."""
    return bool((Op.REVOKE not in ops and after - desired) or (Op.GRANT not in ops and desired - after))


def _undone(changes: Sequence[Change], report: RunReport | None) -> frozenset[EntitlementRef]:
    """The entitlements on which some change is not done, that of somebody whom a narrow plan leaves out included."""
    done = {each.change.id for each in report.done if each.outcome.kind in _DONE} if report else set()
    done -= {change.id for change in report.contradicted} if report else set()
    return frozenset(
        EntitlementRef(change.target, entitlement_key(change.locator)) for change in changes if change.id not in done
    )


def _moved(report: RunReport | None) -> Mapping[EntitlementRef, Sequence[Change]]:
    """Entitlement → the changes of people that are done."""
    moved: dict[tuple[str, str], list[Change]] = defaultdict(list)
    key_of = locator_keys()
    for each in report.done if report else ():
        change = each.change
        if change.person and each.outcome.kind in _DONE and change.op in (Op.GRANT, Op.REVOKE):
            moved[change.target, key_of(change)].append(change)
    return {EntitlementRef(*key): changes for key, changes in moved.items()}


def _after(seen: Look, before: BitMap, moved: Iterable[Change]) -> BitMap:
    """Who is in an entitlement after the run, by what was seen before it and by its outcomes."""
    known = seen.population.by_id
    after = BitMap(before)
    for op, alike in groupby(moved, key=attrgetter("op")):
        numbers = BitMap([known[change.person or ""].number for change in alike])
        after = after | numbers if op is Op.GRANT else after - numbers
    return after


_DONE = frozenset(kind for kind in OutcomeKind if kind.done)
