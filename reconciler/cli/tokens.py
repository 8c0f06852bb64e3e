"""Commands about access tokens: `token create|list|revoke`."""

from __future__ import annotations

from datetime import timedelta

import click

from reconciler.audit.moments import moment
from reconciler.cli.explanations import local
from reconciler.cli.shell import Shell, shared
from reconciler.passes.tokens import Act, Token, create_token, list_tokens, revoke_token
from reconciler.plan.artefact import instant
from reconciler.workspace import Workspace, now

LASTS = timedelta(days=365)
"""How long a token is good for where nobody says."""


@click.group()
def token() -> None:
    """Who acts where nobody has logged in: tokens for HR's system, for CI, for another team."""


@token.command()
@click.option(
    "--owner", required=True, metavar="NAME", help="Who answers for what is done with it; the actor on record."
)
@click.option(
    "--act",
    "acts",
    multiple=True,
    required=True,
    type=click.Choice([act.value for act in Act]),
    help="What it is good for (may be repeated).",
)
@click.option("--until", metavar="WHEN", help="When it ends; a year from now if not given.")
@shared
def create(shell: Shell, owner: str, acts: tuple[str, ...], until: str | None) -> None:
    """Make a token. It is shown this once; the record keeps its digest only.

    \b
      reconciler token create --owner hr-system --act record --until 2027-06-30
      RECONCILER_TOKEN=rec_… reconciler people event --file events.jsonl
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.ADMINISTER)
    ends = moment(until, workspace.zone) if until else now() + LASTS
    text, made = create_token(workspace.facts(), owner, [Act(act) for act in acts], ends, now=now(), actor=actor.name)
    if shell.as_json:
        shell.give({"secret": text, **_json(made, workspace)})
        return
    shell.say(text)
    shell.note(
        f"token {made.id} of {made.owner} is good for {', '.join(sorted(made.acts))} until "
        f"{local(made.expires_at, workspace.zone)}; it is not shown again"
    )


@token.command("list")
@shared
def list_(shell: Shell) -> None:
    """All tokens that were ever made: whose, for what, until when."""
    workspace = shell.workspace()
    shell.actor(workspace, Act.ADMINISTER)
    found = list_tokens(workspace.facts(create=False))
    if shell.as_json:
        shell.give([_json(each, workspace) for each in found])
        return
    if not found:
        shell.say("There are no tokens.")
        return
    for each in found:
        ends, acts = local(each.expires_at, workspace.zone), ", ".join(sorted(each.acts))
        shell.say(f"{each.id}  {each.owner}: {acts}; until {ends}; made by {each.made_by}; {_standing(each)}")


@token.command()
@click.argument("token_id", metavar="ID")
@click.option("--reason", required=True, help="Why; it is kept on record.")
@shared
def revoke(shell: Shell, token_id: str, reason: str) -> None:
    """Take a token back, by its ID (not by its text). It opens nothing from now on."""
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.ADMINISTER)
    taken = revoke_token(workspace.facts(create=False), token_id, reason, now=now(), actor=actor.name)
    if shell.as_json:
        shell.give(_json(taken, workspace))
        return
    shell.say(f"Token {taken.id} of {taken.owner} was taken back (ledger entry {taken.revoked_entry}).")


def _standing(token: Token) -> str:
    if token.revoked_entry:
        return f"taken back (entry {token.revoked_entry})"
    return "good" if token.is_good(now()) else "ended"


def _json(token: Token, workspace: Workspace) -> dict[str, object]:
    return {
        "id": token.id,
        "owner": token.owner,
        "acts": sorted(token.acts),
        "expires_at": instant(token.expires_at),
        "made_by": token.made_by,
        "ledger_seq": token.entry,
        "revoked_entry": token.revoked_entry or None,
        "organization": workspace.spec.organization,
    }
