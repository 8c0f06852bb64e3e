"""Commands about policies: `init`, `check`, `test`, `schema`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from reconciler.cli.endings import Exit, end, problem_text, problems_json
from reconciler.cli.sarif import sarif
from reconciler.cli.shell import Shell, shared, shared_with
from reconciler.cli.starter import write_workspace
from reconciler.errors import Problem, ProblemsFound
from reconciler.policy import json_schema
from reconciler.policy.model import Policy
from reconciler.workspace import repository_root


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--organization", default="", help="The company's name; the folder's name if not given.")
@shared
def init(shell: Shell, folder: Path, organization: str) -> None:
    """Make a new workspace in DIR: a workspace file, starter policies, an empty document vault to try things on.

    Nothing that is there already is overwritten.
    """
    written = write_workspace(folder, organization or folder.resolve().name)
    if shell.as_json:
        shell.give({"workspace": str(folder / "reconciler.yaml"), "files": [str(path) for path in written]})
        return
    shell.say(*(f"  {path}" for path in written))
    shell.say(
        f"A workspace with the starter policies stands in {folder}. Next:",
        f"  cd {folder}",
        "  reconciler check                 are the policies right?",
        "  $EDITOR reconciler.yaml          where people come from, where access lives",
        "  reconciler doctor                can everything be reached?",
    )


@click.command()
@shared_with("sarif")
def check(shell: Shell) -> None:
    """Check the workspace and all its policies: every mistake, each at its file, line and column.

    \b
      reconciler check
      reconciler check --output sarif > policies.sarif      for code scanning

    Reads no target and no fact. Warnings do not fail; errors end with exit status 1.
    """
    file = Path(shell.workspace_file)
    try:
        policy, problems = shell.workspace().check()
    except ProblemsFound as error:  # the workspace file itself
        if shell.form != "sarif":
            raise
        shell.give(sarif(error.problems, Path(), Path()))
        end(Exit.ERROR)
        return
    if shell.form == "sarif":
        shell.give(sarif(problems, file.parent, repository_root(file.parent)))
    elif shell.as_json:
        shell.give({"ok": policy is not None, "summary": _counts(policy), "problems": problems_json(problems)})
    else:
        shell.say(*(problem_text(problem) for problem in problems))
        shell.say(_verdict(policy, problems))
    end(Exit.DONE if policy is not None else Exit.ERROR)


@click.command()
@shared
def schema(shell: Shell) -> None:
    """Print the JSON Schema of policy files, so that editors complete and check them.

    \b
    With the YAML language server, begin a policy file with:
      # yaml-language-server: $schema=policy.schema.json
    """
    shell.give(json_schema())


def _counts(policy: Policy | None) -> dict[str, object] | None:
    if policy is None:
        return None
    return {
        "digest": policy.digest,
        "revision": policy.revision,
        "roles": len(policy.roles),
        "resources": len(policy.resources),
        "entitlements": len(policy.entitlements),
        "clearances": [level.name for level in policy.levels],
        "exceptions": len(policy.exceptions),
        "service_accounts": len(policy.service_accounts),
    }


def _verdict(policy: Policy | None, problems: Sequence[Problem]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    told = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    if policy is None:
        return f"The policies do not pass: {told}."
    return (
        f"The policies pass: {len(policy.roles)} roles, {len(policy.resources)} resources, "
        f"{len(policy.entitlements)} entitlements, {len(policy.levels)} clearances; {told}."
    )
