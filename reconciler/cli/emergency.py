"""Commands for the worst days: `revoke` and `undo`."""

from __future__ import annotations

import click

from reconciler.cli.endings import end
from reconciler.cli.notify import people_told
from reconciler.cli.plans import plan_of_everybody
from reconciler.cli.runs import applied_lines, applied_status
from reconciler.cli.shell import Shell, shared
from reconciler.passes.emergency import shut_out, shut_out_json
from reconciler.passes.tokens import Act
from reconciler.passes.undo import undo as undo_run
from reconciler.plan.artefact import plan_json
from reconciler.plan.reading import plan_lines


@click.command()
@click.argument("person")
@click.option("--reason", required=True, help="Why; it is kept on record.")
@shared
def revoke(shell: Shell, person: str, reason: str) -> None:
    """Shut PERSON out of everything, now: on every target, ahead of everything else.

    \b
      reconciler revoke E1012 --reason "SEC-204: laptop stolen"

    Records a lockout, takes every membership away and disables every account that the targets let us disable. No guard
    holds it but `protected`, and no policy tree that does not pass. It lasts until somebody who may approve records
    that it is over: reconciler people event unlocked PERSON --at now --set ref=REF --confirmed

    Exit status 4 where a target could not be told: the lockout stands, and the next `apply` goes on.
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.REVOKE, person)
    standing = workspace.standing_policy()
    if standing.problems is not None:
        shell.note("the policies do not pass: this goes by the last ones that did")
    wiring = workspace.wire(standing=standing, actor=actor)
    with people_told(shell, workspace, wiring.facts) as tell:
        with shell.working() as show:
            done = shut_out(wiring, person, reason, show)
        if done.applied is not None:
            tell.person_passed(done.applied, person)
        if shell.as_json:
            shell.give(shut_out_json(done))
        else:
            shell.say(f"{person} is locked out (ledger entry {done.entry}, {done.ref}).")
            if done.applied is not None:
                shell.say(*applied_lines(done.applied))
    if done.applied is not None:
        end(applied_status(done.applied))


@click.command()
@click.argument("run")
@click.option("--reason", required=True, help="Why; it is kept on record.")
@shared
def undo(shell: Shell, run: str, reason: str) -> None:
    """Bring back how things stood before RUN, the name that `apply` printed.

    \b
      reconciler undo 4f2a9c01b7de --reason "the merge was wrong"
      reconciler apply

    Memberships that the run gave are taken back, those that it took are given again; never what the rule denies by now
    (a proof that is missing, an exit, a lockout). It goes by the same guards as everything else: this shows the plan,
    and `apply` carries it out. From then on, what the run had done is held until somebody approves it anew.
    """
    workspace = shell.workspace()
    wiring = workspace.wire(actor=shell.actor(workspace, Act.APPLY, *workspace.spec.targets))
    done = undo_run(wiring, run, reason)
    seen, names = plan_of_everybody(shell, wiring)
    if shell.as_json:
        told = {"run": run, "ledger_seq": done.entry, "memberships": len(done.pins), "others": done.others}
        shell.give({**told, "plan": plan_json(seen.plan)})
        return
    count = len(done.pins)
    shell.say(f"Run {run} is undone: {count} membership{'' if count == 1 else 's'} (ledger entry {done.entry}).")
    if done.others:
        shell.say(f"{done.others} other things that it did, on accounts or to nobody we know, are left to you.")
    shell.say(*plan_lines(seen.plan, names, whole=shell.verbose > 0), "Carry it out with: reconciler apply")
