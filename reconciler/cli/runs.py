"""How a run is told: what was done, what is held and why, what failed and what to do; as text and as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.text import Text

from reconciler.apply.run import Done, RunReport
from reconciler.cli.endings import Exit
from reconciler.passes import Applied
from reconciler.plan.artefact import plan_json
from reconciler.plan.model import Change, Held, Plan
from reconciler.plan.reading import held_lines, summary_line
from reconciler.targets import Op, OutcomeKind

_DONE = {
    Op.DISABLE_ACCOUNT: "disabled",
    Op.END_SESSIONS: "sessions ended",
    Op.REVOKE: "revoked",
    Op.DELETE_ACCOUNT: "deleted",
    Op.CREATE_ACCOUNT: "created",
    Op.ENABLE_ACCOUNT: "enabled",
    Op.GRANT: "granted",
}


def applied_status(done: Applied) -> Exit:
    """What a run ends the command with."""
    if done.failed or (done.before is not None and done.before.failed):
        every = done.plan.targets and all(seen.error for seen in done.plan.targets.values())
        return Exit.ERROR if every else Exit.FAILED
    return Exit.HELD if done.waiting else Exit.DONE


# --- as data ----------------------------------------------------------------------------------------------------------


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
        "held_slices": _held_json(done.plan),
        "to_do": list(_to_do(done)),
    }
    return told if done.before is None else {**told, "before": applied_json(done.before)}


def _counts_json(done: Sequence[Done]) -> list[dict[str, object]]:
    counts = Counter((each.change.target, each.change.op.value, each.outcome.kind.value) for each in done)
    return [
        {"target": target, "op": op, "outcome": outcome, "count": count}
        for (target, op, outcome), count in sorted(counts.items())
    ]


def _held_json(plan: Plan) -> list[dict[str, object]]:
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


# --- as a person reads it ---------------------------------------------------------------------------------------------


def applied_lines(done: Applied) -> list[Text]:
    """A run as a person reads it."""
    lines = [] if done.before is None or done.before.report is None else _report_lines(done.before.report)
    if done.recovered:
        text = f"A run before this one could not say what became of {done.recovered} of its changes: now on record."
        lines.append(Text(text, style="yellow"))
    if done.report is not None:
        lines += _report_lines(done.report)
    for change in done.on_order:
        what = f"{change.op.value} {change.subject} {change.entitlement} on {change.target}"
        lines.append(Text(f"  on order: {what}", style="yellow"))
    if done.missing:
        lines.append(Text(f"{done.missing} changes of the saved plan are no longer due and were left alone.", "yellow"))
    for name, seen in done.plan.targets.items():
        if seen.error:
            lines.append(Text(f"{name} could not be read: {seen.error}", style="red"))
    unread = [finding for finding in done.plan.findings if finding.kind == "unread-entitlement"]
    lines += [Text(f"{finding.target}, {finding.subject}: {finding.text}", style="red") for finding in unread]
    if done.report is None and not done.plan.changes and not done.plan.incomplete:
        lines.append(summary_line(done.plan))
    elif done.report is None:
        lines.append(Text("Nothing was carried out.", style="bold"))
    # Not the plan as a whole: what was carried out is in it, and is not to be approved for another time.
    lines += held_lines(done.plan, whole=False)
    lines += [Text(f"→ {text}", style="cyan") for text in _to_do(done)]
    return lines


def _report_lines(report: RunReport) -> list[Text]:
    tried = [each for each in report.failed if each.entry]  # what was not tried is told once, with its target
    lines = [_done_line(each, "red") for each in tried]
    lines += [_done_line(each, "yellow") for each in [*report.ordered, *report.stale]]
    for change in report.contradicted:
        what = f"{change.op.value} {change.subject} {change.entitlement} on {change.target}"
        lines.append(Text(f"  not so: {what}: the target confirmed it, and reading it back shows otherwise", "red"))
    lines += [Text(f"{finding.target}: {finding.text} [{finding.kind}]", "red") for finding in report.findings]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.counts().items()))
    if report.contradicted:
        counts += f", of which {len(report.contradicted)} do not show"
    seen = "" if len(report.ordered) == len(report.done) else ", read back"
    lines.append(Text(f"Run {report.run}: {counts}{seen}", style="bold"))
    return [*lines, *_by_target(report.done)]


def _by_target(done: Sequence[Done]) -> Iterator[Text]:
    """What was done on each target, in the order in which it was."""
    for target in dict.fromkeys(each.change.target for each in done):
        own = Counter(each.change.op for each in done if each.change.target == target and each.outcome.kind.done)
        if own:
            yield Text(f"  {target}: " + ", ".join(f"{own[op]} {_DONE[op]}" for op in Op if own[op]), style="green")


def _done_line(each: Done, style: str) -> Text:
    change = each.change
    what = f"{change.op.value} {change.subject} {change.entitlement} on {change.target}"
    return Text(f"  {each.outcome.kind.value}: {what}: {each.outcome.detail}", style=style)


def _to_do(done: Applied) -> Iterator[str]:
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
