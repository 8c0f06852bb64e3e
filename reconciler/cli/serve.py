"""The command `serve`."""

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
        if shell.as_json:
            shell.give({"listening": url})
        else:
            shell.say(f"Listening on {url} (what it takes: {url}/docs)")
        sys.stdout.flush()

    with shown(sys.stderr, as_json=not sys.stderr.isatty(), detailed=shell.verbose > 0):
        serve_workspace(workspace, actor, listening)
