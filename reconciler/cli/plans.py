"""Commands that look, decide and act: `plan`, `approve`, `apply`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from reconciler.audit.moments import moment
from reconciler.cli.endings import Exit, end
from reconciler.cli.notify import people_told
from reconciler.cli.runs import applied_lines, applied_status
from reconciler.cli.shell import Shell, json_text, shared
from reconciler.errors import ReconcilerError
from reconciler.facts.days import instant_text
from reconciler.passes import Applied, Look, apply_plan, look
from reconciler.passes import approve as approve_digest
from reconciler.passes.applied import applied_json
from reconciler.passes.decide import approval_json
from reconciler.passes.look import without_collecting
from reconciler.passes.one_person import let_out
from reconciler.passes.standing import Standing, unchanged
from reconciler.passes.tokens import Act
from reconciler.passes.wiring import Wiring
from reconciler.plan.artefact import Json, SavedPlan, plan_json, read_plan
from reconciler.plan.model import Plan
from reconciler.plan.reading import plan_lines

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
    data = _as_data(seen.plan) if out is not None or shell.as_json else {}
    if out is not None:
        _save(out, json_text(data))
        use = f"carry it out with: reconciler apply {out}" if at is None else "it is for reading, not for `apply`"
        shell.note(f"saved to {out}; {use}")
    if shell.as_json:
        shell.give(data)
    else:
        shell.say(*plan_lines(seen.plan, _names(seen), whole=shell.verbose > 0))
    end(_plan_status(seen.plan, detailed=detailed_exitcode))


def _as_data(plan: Plan) -> dict[str, Json]:
    with without_collecting():
        return plan_json(plan)


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
        shell.give(approval_json(approval))
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
@click.option("--if-changed", is_flag=True, help="Do nothing where nothing can have changed since all was in sync.")
@shared
def apply(
    shell: Shell, file: Path | None, targets: tuple[str, ...], person: str | None, yes: bool, if_changed: bool
) -> None:
    """Carry out a saved plan (FILE), or plan and carry out.

    With `--person`, what the leaver's lane takes from that person goes first, and waits for no other run. With
    `--if-changed`, which is for passes that follow each other closely, a pass that finds everything in sync says so to
    the next one, and that asks only whether the policies, the record, the day or a target is another than then; where
    a target cannot tell, and once in 24 hours, all is read.

    Nothing that a guard holds is carried out. Every step is on record before it is sent and after; what was changed is
    read back. Exit status 3 where something is held, 4 where something failed. Where the policies do not pass, leavers
    are let out all the same, under the last ones that did, and the exit status is 1. Where the workspace has
    `notifications`, people are told at the end of what is held and of what failed.
    """
    if if_changed and (file or targets or person is not None):
        raise click.UsageError("--if-changed is for a pass over everything: leave FILE, --target and --person out")
    saved = _saved(file) if file else None
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.APPLY, *(targets or workspace.spec.targets))
    standing = workspace.standing_policy()
    if standing.problems is not None:
        shell.note("the policies do not pass: under the last that did, only leavers are let out")
    wiring = workspace.wire(standing=standing, actor=actor)
    if if_changed and standing.problems is None and (found := unchanged(wiring)) is not None:
        with people_told(shell, workspace, wiring.facts, lambda: wiring.policy):
            _tell_unchanged(shell, found)
        return
    ask = not yes and not shell.as_json and sys.stdin.isatty()
    leavers_only = standing.problems is not None
    whole = person is None and saved is None and not targets
    confirm = (lambda seen: _confirmed(shell, seen)) if ask else (lambda _: True)
    with people_told(shell, workspace, wiring.facts, lambda: wiring.policy, whole=whole) as tell:
        tell.policies_read(standing.problems)
        done: Applied | None = None
        with shell.working() as show:
            if person is not None and saved is None:
                done = let_out(wiring, person, targets=targets, confirm=confirm, progress=show)
                if done is not None:
                    tell.person_passed(done, person)
            if person is None or saved is not None or (done is not None and done.still_due and not leavers_only):
                with _told_even_so(shell, done):
                    rest = apply_plan(
                        wiring,
                        saved=saved,
                        file=str(file or ""),
                        targets=targets,
                        person=person,
                        leavers_only=leavers_only,
                        leave_standing=if_changed,
                        confirm=confirm,
                        progress=show,
                    )
                if rest is not None and person is None:
                    tell.whole_passed(rest, wiring.policy)
                done = replace(rest, before=done) if rest is not None else done
        _tell_applied(shell, done)
    if standing.problems is not None:
        raise standing.problems
    end(applied_status(done) if done else Exit.DONE)


def _tell_applied(shell: Shell, done: Applied | None) -> None:
    if done is None:
        shell.say("Nothing was changed.")
    elif shell.as_json:
        shell.give(applied_json(done))
    else:
        shell.say(*applied_lines(done))


def _tell_unchanged(shell: Shell, found: Standing) -> None:
    at = instant_text(found.at)
    if shell.as_json:
        shell.give({"unchanged_since": at, "until": instant_text(found.until)})
    else:
        shell.say(f"Nothing has changed since {at}, when all was in sync.")


@contextmanager
def _told_even_so(shell: Shell, first: Applied | None) -> Iterator[None]:
    """Whatever keeps the rest from being done, what was done before it is told."""
    try:
        yield
    except ReconcilerError:
        if first is not None and first.report is not None and not shell.as_json:
            shell.say(*applied_lines(first))
        raise


def _saved(file: Path) -> SavedPlan:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None
    return read_plan(content, str(file))


def _confirmed(shell: Shell, seen: Look) -> bool:
    shell.say(*plan_lines(seen.plan, _names(seen), whole=shell.verbose > 0))
    return click.confirm("Carry this out?", default=False, err=True)


def plan_of_everybody(shell: Shell, wiring: Wiring) -> tuple[Look, dict[str, str]]:
    """The plan as it is now, and what people are called."""
    with shell.progress() as show:
        seen = look(wiring, progress=lambda what: show(what, 0, 0))
    return seen, _names(seen)


def _names(seen: Look) -> dict[str, str]:
    return {person.id: person.name for person in seen.population}


def _save(path: Path, text: Iterable[str]) -> None:
    """Write the whole file or nothing, readable by its owner only: a plan says who has access to what."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.writelines(text)
    Path(name).replace(path)
