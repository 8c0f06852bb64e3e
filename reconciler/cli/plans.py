"""Commands that look, decide and act: `plan`, `approve`, `apply`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from reconciler.apply.run import Done, RunReport
from reconciler.cli.moments import moment
from reconciler.cli.shell import Exit, Shell, end, shared
from reconciler.facts.days import instant_text
from reconciler.passes import Applied, Look, apply_plan, look
from reconciler.passes import approve as approve_digest
from reconciler.passes.tokens import Act
from reconciler.passes.wiring import Wiring
from reconciler.plan.artefact import SavedPlan, plan_json, read_plan
from reconciler.plan.model import Plan
from reconciler.plan.reading import plan_lines, summary_line

_target = click.option("--target", "targets", multiple=True, metavar="T", help="Only this target (may be repeated).")
_person = click.option("--person", metavar="ID", help="Only what concerns this person.")


@click.command()
@_target
@_person
@click.option("--at", "when", metavar="WHEN", help="As of another day or moment; such a plan is for reading.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Save it, to be applied.")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 where changes are pending, 3 where some are held.")
@shared
def plan(
    shell: Shell,
    targets: tuple[str, ...],
    person: str | None,
    when: str | None,
    out: Path | None,
    detailed_exitcode: bool,
) -> None:
    """Show what would change, and why. Changes nothing: it reads the targets over connections that cannot write.

    Held changes wait for `reconciler approve DIGEST`; withheld permissions are those that a role would give and that
    clearance, lifecycle or a lockout does not let through.
    """
    workspace = shell.workspace()
    wiring = workspace.wire(actor=shell.actor(workspace, Act.PLAN, *(targets or workspace.spec.targets)))
    at: datetime | None = moment(when, workspace.zone) if when else None
    with shell.progress() as show:
        seen = look(wiring, at=at, targets=targets, person=person, progress=lambda what: show(what, 0, 0))
    data = plan_json(seen.plan)
    if out is not None:
        _save(out, json.dumps(data, ensure_ascii=False, indent=2) + "\n")
        use = f"carry it out with: reconciler apply {out}" if at is None else "it is for reading, not for `apply`"
        shell.note(f"saved to {out}; {use}")
    if shell.as_json:
        shell.give(data)
    else:
        shell.say(*plan_lines(seen.plan, _names(seen), whole=shell.verbose > 0))
    end(_plan_status(seen.plan, detailed=detailed_exitcode))


def _plan_status(plan: Plan, *, detailed: bool) -> Exit:
    unreachable = [seen for seen in plan.targets.values() if seen.error]
    if unreachable:
        return Exit.ERROR if len(unreachable) == len(plan.targets) else Exit.FAILED
    if not detailed or not plan.changes:
        return Exit.DONE
    return Exit.HELD if plan.held else Exit.PENDING


@click.command()
@click.argument("digest")
@click.option("--reason", required=True, help="Why; it is kept on record.")
@shared
def approve(shell: Shell, digest: str, reason: str) -> None:
    """Release a plan, or one held slice of it, by the DIGEST that `plan` printed.

    An approval covers the changes that were shown under this digest, each once, and ends after three days. What has
    come since is guarded by itself. The actor is your login name, or the owner of your token. Where a class names
    `approvals`, whoever made the plan, or the policy change behind it, does not count; with `four_eyes: true` in the
    workspace they cannot approve at all.
    """
    workspace = shell.workspace()
    actor, operators = workspace.actor(shell.token), workspace.operators()
    approval = approve_digest(
        workspace.wire(targets=(), actor=actor),
        digest,
        reason,
        allowed=lambda thing: operators.check(actor, Act.APPROVE, thing),
    )
    until = instant_text(approval.expires_at)[:16] + "Z"
    if shell.as_json:
        shell.give(
            {
                "digest": approval.proposal.digest,
                "what": approval.proposal.title,
                "changes": len(approval.proposal.change_ids),
                "ledger_seq": approval.entry,
                "expires_at": instant_text(approval.expires_at),
            }
        )
        return
    count = len(approval.proposal.change_ids)
    shell.say(
        f"Approved: {approval.proposal.title}, {count} change{'' if count == 1 else 's'} "
        f"(ledger entry {approval.entry}, until {until}).",
        "Carry it out with: reconciler apply",
    )
    if approval.by_author:
        shell.note("you made this plan yourself; where a class names `approvals`, other people have to approve it")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@_target
@_person
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
def apply(shell: Shell, file: Path | None, targets: tuple[str, ...], person: str | None, yes: bool) -> None:
    """Carry out a saved plan (FILE), or plan and carry out.

    Nothing that a guard holds is carried out. Every step is on record before it is sent and after; what was changed is
    read back. Exit status 3 where something is held, 4 where something failed. Where the policies do not pass, leavers
    are let out all the same, under the last ones that did, and the exit status is 1.
    """
    saved = _saved(file) if file else None
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.APPLY, *(targets or workspace.spec.targets))
    standing = workspace.standing_policy()
    if standing.problems is not None:
        shell.note("the policies do not pass: under the last that did, only leavers are let out")
    wiring = workspace.wire(standing=standing, actor=actor)
    ask = not yes and not shell.as_json and sys.stdin.isatty()
    with shell.progress() as show:
        done = apply_plan(
            wiring,
            saved=saved,
            file=str(file or ""),
            targets=targets,
            person=person,
            leavers_only=standing.problems is not None,
            confirm=(lambda seen: _confirmed(shell, seen)) if ask else (lambda _: True),
            progress=show,
        )
    if done is None:
        shell.say("Nothing was changed.")
    elif shell.as_json:
        shell.give(applied_json(done))
    else:
        shell.say(*applied_lines(done))
    if standing.problems is not None:
        raise standing.problems
    end(applied_status(done) if done else Exit.DONE)


def _saved(file: Path) -> SavedPlan:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None
    return read_plan(content, str(file))


def _confirmed(shell: Shell, seen: Look) -> bool:
    shell.say(*plan_lines(seen.plan, _names(seen), whole=shell.verbose > 0))
    return click.confirm("Carry this out?", default=False, err=True)


def applied_status(done: Applied) -> Exit:
    """What a run ends the command with."""
    if done.failed:
        every = done.plan.targets and all(seen.error for seen in done.plan.targets.values())
        return Exit.ERROR if every else Exit.FAILED
    return Exit.HELD if done.waiting else Exit.DONE


def applied_json(done: Applied) -> dict[str, object]:
    """A run as data."""
    report = done.report
    return {
        "format": "reconciler.run/1",
        "run": report.run if report else None,
        "plan": plan_json(done.plan),
        "outcomes": report.counts() if report else {},
        "failed": [_done_json(each) for each in report.failed] if report else [],
        "stale": [_done_json(each) for each in report.stale] if report else [],
        "contradicted": [change.id for change in report.contradicted] if report else [],
        "findings": [asdict(finding) for finding in report.findings] if report else [],
        "recovered": done.recovered,
        "no_longer_due": done.missing,
        "held": len(done.plan.held),
    }


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


def applied_lines(done: Applied) -> list[Text]:
    """A run as a person reads it."""
    lines = []
    if done.recovered:
        text = f"A run before this one could not say what became of {done.recovered} of its changes: now on record."
        lines.append(Text(text, style="yellow"))
    if done.report is not None:
        lines += _report_lines(done.report)
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
    if done.plan.held:
        text = f"{len(done.plan.held)} changes are held; see `reconciler plan`"
        releasable = any(each.held.digest for each in done.plan.held if each.held)
        text += ", then `reconciler approve DIGEST`." if releasable else "."
        lines.append(Text(text, style="bold yellow"))
    return lines


def _report_lines(report: RunReport) -> list[Text]:
    tried = [each for each in report.failed if each.entry]  # what was not tried is told once, with its target
    lines = [_done_line(each, "red") for each in tried]
    lines += [_done_line(each, "yellow") for each in report.stale]
    for change in report.contradicted:
        what = f"{change.op.value} {change.subject} {change.entitlement} on {change.target}"
        lines.append(Text(f"  not so: {what}: the target confirmed it, and reading it back shows otherwise", "red"))
    lines += [Text(f"{finding.target}: {finding.text} [{finding.kind}]", "red") for finding in report.findings]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.counts().items()))
    if report.contradicted:
        counts += f", of which {len(report.contradicted)} do not show"
    lines.append(Text(f"Run {report.run}: {counts}, read back", style="bold"))
    return lines


def _done_line(each: Done, style: str) -> Text:
    change = each.change
    what = f"{change.op.value} {change.subject} {change.entitlement} on {change.target}"
    return Text(f"  {each.outcome.kind.value}: {what}: {each.outcome.detail}", style=style)


def plan_of_everybody(shell: Shell, wiring: Wiring) -> tuple[Look, dict[str, str]]:
    """The plan as it is now, and what people are called."""
    with shell.progress() as show:
        seen = look(wiring, progress=lambda what: show(what, 0, 0))
    return seen, _names(seen)


def _names(seen: Look) -> dict[str, str]:
    return {person.id: person.name for person in seen.population}


def _save(path: Path, text: str) -> None:
    """Write the whole file or nothing, readable by its owner only: a plan says who has access to what."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(path)
