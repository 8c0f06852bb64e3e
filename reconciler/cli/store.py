"""Commands about the store: `store copy`."""

from __future__ import annotations

import click

from reconciler.cli.shell import Shell, shared
from reconciler.facts.copying import copy_store
from reconciler.passes.tokens import Act


@click.group()
def store() -> None:
    """Where the record is kept."""


@store.command()
@click.argument("to", metavar="TO")
@shared
def copy(shell: Shell, to: str) -> None:
    """Copy the whole record into another store, TO, which has to be empty; and check it there.

    \b
      reconciler store copy 'postgresql://reconciler:${env:STORE_PASSWORD}@db.example.com/reconciler'

    TO is written as `store` in the workspace file, in single quotes, the password by reference. Every entry, key and
    payload is copied as it stands, so that digests, checkpoints and exports still hold. While it runs nothing else may:
    stop the services and workers first. Nothing counts until the ledger verifies over there and every row was read
    back; when it is interrupted, run it again. The old store stays as it is. It works in both directions.
    """
    workspace = shell.workspace()
    shell.actor(workspace, Act.ADMINISTER)
    source = workspace.facts(create=False).store
    with shell.progress() as show:
        target = workspace.store_at(to)
        verified = copy_store(source, target, show)
    if shell.as_json:
        shell.give({"from": source.name, "to": target.name, "entries": verified.entries, "head": verified.head})
        return
    shell.say(f"Copied {verified.entries} entries, head {verified.head}; the ledger verifies in {target.name}")
    shell.say(f"Now write into {workspace.path}, and put {source.name} away:", f'store: "{to}"')
