"""What a pass did, as data, and what a person should do next: on the command line and over HTTP."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from reconciler.apply.run import Done
from reconciler.passes.execute import Applied
from reconciler.plan.artefact import plan_json
from reconciler.plan.model import Change, Held, Plan
from reconciler.targets import OutcomeKind

__all__ = ["applied_json", "held_json", "to_do"]


def applied_json(done: Applied) -> dict[str, object]:
    """A run as data."""
    report = done.report
    told: dict[str, object] = {
        "format": "reconciler.run/1",
        "run": report.run if report else None,
        "plan": plan_json(done.plan),
        "outcomes": report.counts() if report else {},
        "done": _counts_json(report.done) if report else [],
        "failed": [_done_json(each) for each in report.failed] if report else [],
        "ordered": [_done_json(each) for each in report.ordered] if report else [],
        "on_order": [change.id for change in done.on_order],
        "stale": [_done_json(each) for each in report.stale] if report else [],
        "contradicted": [change.id for change in report.contradicted] if report else [],
        "set_aside": dict(report.set_aside) if report else {},
        "findings": [asdict(finding) for finding in report.findings] if report else [],
        "recovered": done.recovered,
        "no_longer_due": done.missing,
        "held": len(done.plan.held),
        "held_slices": held_json(done.plan),
        "to_do": list(to_do(done)),
    }
    return told if done.before is None else {**told, "before": applied_json(done.before)}


def _counts_json(done: Sequence[Done]) -> list[dict[str, object]]:
    counts = Counter((each.change.target, each.change.op.value, each.outcome.kind.value) for each in done)
    return [
        {"target": target, "op": op, "outcome": outcome, "count": count}
        for (target, op, outcome), count in sorted(counts.items())
    ]


def held_json(plan: Plan) -> list[dict[str, object]]:
    """What a plan holds, slice by slice, each with the digest that releases it."""
    return [
        {
            "slice": held.slice,
            "guard": held.guard,
            "digest": held.digest or None,
            "changes": len(changes),
            "people": len({change.subject for change in changes}),
            "text": held.text,
        }
        for held, changes in _by_slice(plan)
    ]


def _by_slice(plan: Plan) -> Iterator[tuple[Held, list[Change]]]:
    slices: dict[tuple[str, str, str], list[Change]] = defaultdict(list)
    for change in plan.held:
        if change.held:
            slices[change.held.slice, change.held.guard, change.held.digest].append(change)
    for changes in slices.values():
        if changes[0].held:
            yield changes[0].held, changes


def _done_json(each: Done) -> dict[str, object]:
    change = each.change
    return {
        "id": change.id,
        "op": change.op.value,
        "target": change.target,
        "account": change.account,
        "entitlement": change.entitlement,
        "outcome": each.outcome.kind.value,
        "detail": each.outcome.detail,
    }


def to_do(done: Applied) -> Iterator[str]:
    """What a person should do next, where anything is left to do."""
    report = done.report
    kinds = Counter(each.outcome.kind for each in report.done) if report else Counter[OutcomeKind]()
    if count := kinds[OutcomeKind.REFUSED]:
        yield f"{_changes(count)} refused by the target: see to what it says above, then run `reconciler apply` again"
    if count := kinds[OutcomeKind.UNAVAILABLE]:
        yield f"{_changes(count)} without an answer: once the target answers, run `reconciler apply` again"
    if count := kinds[OutcomeKind.ORDERED] + len(done.on_order):
        yield f"{_changes(count)} ordered and not confirmed: whoever was asked carries it out and acknowledges it"
    if report and report.contradicted:
        yield f"{_changes(len(report.contradicted))} confirmed and not there: ask whoever runs the target"
    if any(seen.error for seen in done.plan.targets.values()):
        yield "a target could not be read: `reconciler doctor` says what is wrong with it"
    if count := kinds[OutcomeKind.STALE]:
        yield f"{_changes(count)} overtaken by something else: `reconciler plan` shows what is due now"
    if any(change.held and not change.held.digest for change in done.plan.held):
        yield "what no approval releases waits for the policy or the facts to change"


def _changes(count: int) -> str:
    return f"{count} change{'' if count == 1 else 's'}"
