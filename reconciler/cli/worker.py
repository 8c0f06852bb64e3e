"""The command `worker`."""

from __future__ import annotations

import sys

import click

from reconciler.cli.shell import Shell, shared
from reconciler.logs import shown
from reconciler.passes.tokens import Act


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
        if shell.as_json:
            shell.give({"working_for": store})
        else:
            shell.say(f"Working for {store}")
        sys.stdout.flush()

    with shown(sys.stderr, as_json=not sys.stderr.isatty(), detailed=shell.verbose > 0):
        work(workspace, actor, working)
