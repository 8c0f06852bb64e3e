"""How a run reads for a person: what was done, what is held and why, what failed and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.text import Text

from reconciler.apply.run import Done, RunReport
from reconciler.cli.endings import Exit
from reconciler.passes import Applied
from reconciler.passes.applied import to_do
from reconciler.plan.model import Change
from reconciler.plan.reading import held_lines, summary_line
from reconciler.targets import Op

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
        lines.append(Text(f"  on order: {_what(change)}", style="yellow"))
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
    lines += [Text(f"→ {text}", style="cyan") for text in to_do(done)]
    return lines


def _report_lines(report: RunReport) -> list[Text]:
    tried = [each for each in report.failed if each.entry]  # what was not tried is told once, with its target
    lines = [_done_line(each, "red") for each in tried]
    lines += [_done_line(each, "yellow") for each in [*report.ordered, *report.stale]]
    lines += _remarks(report.done)
    for change in report.contradicted:
        lines.append(
            Text(f"  not so: {_what(change)}: the target confirmed it, and reading it back shows otherwise", "red")
        )
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


_MOST_REMARKS = 40
"""So many remarks are shown; all stand in the record."""


def _remarks(done: Sequence[Done]) -> list[Text]:
    """What a target said beside that it is done: where an initial secret is, that an account could not be moved."""
    alike: dict[tuple[str, str, str], list[Done]] = {}
    for each in done:
        if each.outcome.kind.done and each.outcome.detail:
            alike.setdefault((each.change.target, each.change.op.value, each.outcome.detail), []).append(each)
    lines = [
        _done_line(same[0], "")
        if len(same) == 1
        else Text(f"  {same[0].outcome.kind.value}: {len(same)} × {op} on {target}: {words}")
        for (target, op, words), same in alike.items()
    ]
    more = len(lines) - _MOST_REMARKS
    return [*lines[:_MOST_REMARKS], *([Text(f"  … and {more} more, on record")] if more > 0 else [])]


def _done_line(each: Done, style: str) -> Text:
    return Text(f"  {each.outcome.kind.value}: {_what(each.change)}: {each.outcome.detail}", style=style)


def _what(change: Change) -> str:
    named = (change.op.value, change.subject, change.entitlement)
    return f"{' '.join(filter(None, named))} on {change.target}"
