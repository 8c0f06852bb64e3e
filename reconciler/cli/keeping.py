"""Commands that keep the record in order: `ledger rebuild|erase|retention`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.access.days import add_period
from reconciler.apply.journal import Journal
from reconciler.cli.endings import Exit, end
from reconciler.cli.explanations import local
from reconciler.cli.shell import Shell, shared
from reconciler.facts.erasure import Erasure, ErasureRefused, erase, left_at, long_gone
from reconciler.facts.model import Person
from reconciler.facts.people import Facts
from reconciler.passes.tokens import Act
from reconciler.plan.artefact import instant
from reconciler.workspace import Workspace, WorkspaceError, now


@click.command()
@shared
def rebuild(shell: Shell) -> None:
    """Make everything that follows from the ledger again: people, evidence, feeds, accounts, runs.

    The ledger has to verify. What is made is what was there, unless somebody changed it by other means than this
    program; it takes seconds for a hundred thousand entries.
    """
    workspace = shell.workspace()
    shell.actor(workspace, Act.ADMINISTER)
    facts = workspace.facts(create=False)
    with shell.progress() as show:
        show("verifying", 0, 0)
        verified = facts.ledger.verify()
        with facts.store.writing() as connection:
            facts.ledger.rebuild(connection, lambda done: show("rebuilding", done, verified.entries))
    if shell.as_json:
        shell.give({"entries": verified.entries, "head": verified.head})
        return
    shell.say(f"Made again from {verified.entries} entries, head {verified.head}")


@click.command("erase")
@click.argument("person")
@click.option("--reason", required=True, help="Why, in words that name nobody; it is kept on record.")
@shared
def erase_(shell: Shell, person: str, reason: str) -> None:
    """Destroy what the record says of PERSON, who has left for good. This cannot be undone.

    \b
      reconciler ledger erase E1055 --reason "LEGAL-31: request of the person"

    What is left is the id, that they are out, and who erased what and when. The chain still verifies, and whatever
    account still bears the id is treated as a leaver's.
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.ADMINISTER)
    facts = workspace.facts(create=False)
    _check_holds_nothing(facts, facts.find_person(person))
    done = erase(facts, person, reason, now=now(), actor=actor.name)
    facts.store.scrub()
    if shell.as_json:
        shell.give(_json(done))
        return
    shell.say(_said(done))


@click.command()
@click.option("--apply", "carry_out", is_flag=True, help="Erase them, and do not only say who they are.")
@shared
def retention(shell: Shell, carry_out: bool) -> None:
    """Who has been gone for longer than the workspace keeps records of people (`retention: {after_exit: 10y}`).

    \b
      reconciler ledger retention             who is due
      reconciler ledger retention --apply     erase what is on record of them

    Who still holds something on a target is not erased (exit status 4): let `reconciler apply` take it first.
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.ADMINISTER)
    facts = workspace.facts(create=False)
    due = _due(workspace, facts)
    if not carry_out:
        _show_due(shell, workspace, due)
        return
    done: list[Erasure] = []
    refused: list[ErasureRefused] = []
    with shell.progress() as show:
        for count, person in enumerate(due):
            show("erasing", count, len(due))
            try:
                _check_holds_nothing(facts, person)
                done.append(erase(facts, person.id, "the retention is over", now=now(), actor=actor.name))
            except ErasureRefused as error:
                refused.append(error)
    if done:
        facts.store.scrub()
    if shell.as_json:
        shell.give({"erased": list(map(_json, done)), "refused": [error.message for error in refused]})
    else:
        shell.say(*map(_said, done), *(str(error) for error in refused))
        shell.say(f"{len(done)} erased, {len(refused)} not.")
    end(Exit.FAILED if refused else Exit.DONE)


def _due(workspace: Workspace, facts: Facts) -> list[Person]:
    period = workspace.retention()
    if period is None:
        raise WorkspaceError(
            "the workspace does not say how long records of people are kept",
            remedy="write e.g. `retention: {after_exit: 10y}` into the workspace file",
        )
    at = now()
    gone = long_gone(facts.population().people, at, at)
    over = [person for person in gone if add_period(left_at(person, at) or at, period, workspace.zone) <= at]
    with facts.store.reading() as connection:
        erased = facts.erased(connection, [person.id for person in over])
    return [person for person in over if person.id not in erased]


def _check_holds_nothing(facts: Facts, person: Person) -> None:
    """Raises `ErasureRefused` where somebody who is out was last seen in something: that has to be taken first."""
    if left_at(person, now()) is None:
        return  # refused for that
    with facts.store.reading() as connection:
        held = Journal().held_by(connection, person.number)
    if held:
        listed = ", ".join(f"{ref.key} on {ref.target}" for ref in held[:3]) + (", …" if len(held) > 3 else "")
        text = f"`{person.id}` still holds {listed}, as far as the last pass saw"
        raise ErasureRefused(text, remedy="let `reconciler apply` take it first")


def _show_due(shell: Shell, workspace: Workspace, due: Sequence[Person]) -> None:
    at = now()
    if shell.as_json:
        shell.give([{"person": person.id, "left_at": instant(left_at(person, at))} for person in due])
        return
    for person in due:
        since = left_at(person, at)
        shell.say(f"{person.id}: left {local(since, workspace.zone) if since else 'long ago'}")
    shell.say(f"{len(due)} due." + ("" if not due else " Erase what is on record of them: --apply"))


def _json(done: Erasure) -> dict[str, object]:
    return {"person": done.person, "payloads": done.payloads, "ledger_seq": done.entry}


def _said(done: Erasure) -> str:
    return f"{done.person}: {done.payloads} payloads erased (ledger entry {done.entry})"


KEEPING = (rebuild, erase_, retention)
"""They belong to `reconciler ledger`."""
