"""The commands `serve` and `worker`, which stand there until they are stopped."""

from __future__ import annotations

import sys

import click

from reconciler.cli.shell import Shell, shared
from reconciler.logs import shown
from reconciler.passes.tokens import Act


@click.command()
@shared
def serve(shell: Shell) -> None:
    """Stand there day and night: take events from HR's systems, act at once, and again when time changes an answer.

    \b
      reconciler serve

    What is told at POST /v1/events is on record before it is answered. Whoever leaves is let out at once; a whole pass
    follows, and one more whenever a proof runs out or an end has come, and on the schedule. Guards hold what they hold
    on the command line, and the other commands can be used meanwhile. The `service` section of the workspace file says
    where it listens and who may send; it listens on loopback unless told otherwise. SIGTERM or Ctrl-C stops it: what
    has begun is finished.
    """
    from reconciler.service.serving import serve as serve_workspace

    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.APPLY, *workspace.spec.targets)

    def listening(url: str) -> None:
        _tell(shell, f"Listening on {url} (what it takes: {url}/docs)", listening=url)

    with shown(sys.stderr, as_json=not sys.stderr.isatty(), detailed=shell.verbose > 0):
        serve_workspace(workspace, actor, listening)


@click.command()
@shared
def worker(shell: Shell) -> None:
    """Do passes for the services of a store that several machines share.

    \b
      reconciler worker

    The store is in PostgreSQL. As many workers and services as one likes stand beside each other, on as many machines;
    each has the same workspace file, the same policies and the same secrets. Whoever leaves is let out first. When a
    worker dies, however it dies, the others take over what it was doing. SIGTERM or Ctrl-C stops it: what has begun is
    finished.
    """
    from reconciler.service.serving import work

    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.APPLY, *workspace.spec.targets)

    def working(store: str) -> None:
        _tell(shell, f"Working for {store}", working_for=store)

    with shown(sys.stderr, as_json=not sys.stderr.isatty(), detailed=shell.verbose > 0):
        work(workspace, actor, working)


def _tell(shell: Shell, line: str, **found: str) -> None:
    """Once, when it has begun."""
    if shell.as_json:
        shell.give(found)
    else:
        shell.say(line)
    sys.stdout.flush()
