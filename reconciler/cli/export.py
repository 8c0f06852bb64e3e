"""Commands that write the same decisions down for others: `export casbin`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.access.casbin import casbin_export
from reconciler.audit.moments import moment
from reconciler.cli.explanations import local
from reconciler.cli.shell import Shell, shared
from reconciler.errors import Place, ReconcilerError
from reconciler.plan.artefact import instant
from reconciler.workspace import now


@click.group()
def export() -> None:
    """Write the decisions down in somebody else's form."""


@export.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--at", "when", metavar="WHEN", help="As of another day or moment.")
@shared
def casbin(shell: Shell, folder: Path, when: str | None) -> None:
    """Write a casbin model and policy into DIR that any casbin enforcer decides alike by, at the stated moment.

    \b
      reconciler export casbin out/
      # then, with casbin in any language: enforce("E1009", "core-algorithms", "read")

    Worked out from the policies and the facts alone, never from our own evaluation, so that one can check the other.
    """
    workspace = shell.workspace()
    policy, population = workspace.policy(), workspace.facts(create=False).population()
    at = moment(when, workspace.zone) if when else now()
    with shell.progress() as show:
        show("exporting", 0, 0)
        files = casbin_export(policy, population, at)
    written = {"model": folder / "model.conf", "policy": folder / "policy.csv"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in written.values():
            path.touch(mode=0o600)  # who may open what is nothing for everybody's eyes
        written["model"].write_text(files.model, "utf-8")
        written["policy"].write_text(files.policy, "utf-8")
    except OSError as error:
        text = f"the export cannot be written: {error.strerror or error}"
        raise ReconcilerError(text, place=Place(str(folder)), remedy="name a folder that can be written") from None
    if shell.as_json:
        shell.give({"at": instant(at), **{name: str(path) for name, path in written.items()}})
        return
    shell.say(*(f"  {path}" for path in written.values()))
    shell.say(f"The decisions of {local(at, workspace.zone)}: enforce(person, resource, action).")
