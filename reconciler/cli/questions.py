"""Commands that ask about access: `why`, `can`, `access`, `who`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.text import Text

from reconciler.access import evaluate, explain
from reconciler.access.inquiry import access_of, holders_of
from reconciler.audit.questions import (
    Known,
    When,
    access_json,
    by_class,
    can_json,
    known_of,
    permission_of,
    who_json,
    why_json,
)
from reconciler.cli.endings import Exit, end
from reconciler.cli.explanations import (
    answer_line,
    explanation_lines,
    local,
    source_lines,
)
from reconciler.cli.shell import Shell, shared
from reconciler.workspace import now

F = TypeVar("F", bound=Callable[..., Any])


def _known(shell: Shell, when: When, subject: str | None = None) -> Known:
    """What is known of everybody, or of one subject and those who answer for them."""
    workspace = shell.workspace()
    return known_of(workspace.policy(), workspace.facts(create=False), when, now(), subject)


def _as_of(known: Known) -> str:
    """Of when the answer is and, where that was asked, as known when."""
    as_known = f"; as known at {known.known.text}" if known.known.text else ""
    return f"as of {local(known.at, known.facts.zone)}{as_known}"


def _name(known: Known, subject: str) -> str:
    """The subject as a person reads it: the id, and the name behind it."""
    person = known.population.by_id.get(subject)
    return f"{subject} ({person.name})" if person and person.name else subject


def _when(command: F) -> F:
    """The two times of a question, given to the command as one `when`."""

    @click.option("--at", metavar="WHEN", help="As of another day (its start) or moment; now if not given.")
    @click.option(
        "--as-known-at",
        "known",
        metavar="WHEN",
        help="As the record stood when a day was over, at a moment, or with a ledger entry (entry:812).",
    )
    @functools.wraps(command)
    def run(at: str | None, known: str | None, **arguments: Any) -> Any:
        return command(when=When(at, known), **arguments)

    return run  # type: ignore[return-value]


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@_when
@shared
def why(shell: Shell, person: str, permission: str, when: When) -> None:
    """Why PERSON may do that, or why not, and what would change it.

    \b
      reconciler why E1009 core-algorithms:read

    For a yes: every reason, the strongest first, with the line of the policy and the ledger entry that it rests on, the
    evidence with its dates, and what ends it when. For a no: every reason, the roles that would give it and what is
    lacking for them, and the smallest set of facts that would make it a yes. PERSON may be a service account.
    """
    asked = permission_of(permission)
    known = _known(shell, when, person)
    explanation = explain(known.policy, known.population, person, asked, known.at)
    if shell.as_json:
        shell.give(why_json(explanation, known))
        return
    zone, revision = known.facts.zone, known.policy.revision
    shell.say(*explanation_lines(explanation, _name(known, person), _as_of(known), zone, revision))
    shell.say(*source_lines(known.sources([explanation]), zone))


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 where the answer is no.")
@_when
@shared
def can(shell: Shell, person: str, permission: str, when: When, detailed_exitcode: bool) -> None:
    """Whether PERSON may do that: yes or no, and nothing else. `why` says why."""
    asked = permission_of(permission)
    known = _known(shell, when, person)
    explanation = explain(known.policy, known.population, person, asked, known.at)
    if shell.as_json:
        shell.give(can_json(explanation, known))
    else:
        shell.say(Text("yes", style="green") if explanation.allowed else Text("no", style="red"))
    end(Exit.PENDING if detailed_exitcode and not explanation.allowed else Exit.DONE)


@click.command()
@click.argument("person")
@_when
@shared
def access(shell: Shell, person: str, when: When) -> None:
    """Everything that PERSON may do, highest class first; and what is withheld from them, with why.

    PERSON may be a service account.
    """
    known = _known(shell, when, person)
    found = access_of(known.policy, known.population, person, known.at)
    allowed, withheld = by_class(found.allowed, known.policy), by_class(found.withheld, known.policy)
    if shell.as_json:
        shell.give(access_json(found, known))
        return
    states = ", ".join(state.value for state in found.states)
    head = Text(_name(known, person), style="bold")
    told = [_as_of(known), f"clearance {found.clearance or 'none'}", states]
    head.append(f"  {'; '.join(each for each in told if each)}", style="dim")
    shell.say(head, *(answer_line(one, known.facts.zone) for one in allowed))
    if not allowed:
        shell.say("  nothing")
    if withheld:
        shell.say(Text("withheld:", style="bold"), *(answer_line(one, known.facts.zone) for one in withheld))
    shell.say(*source_lines(known.sources([*allowed, *withheld]), known.facts.zone))


@click.command()
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--withheld", "with_withheld", is_flag=True, help="Also those from whom it is withheld, with why.")
@_when
@shared
def who(shell: Shell, permission: str, when: When, with_withheld: bool) -> None:
    """Who may do that, by which role or exception, and until when.

    \b
      reconciler who core-algorithms:read
      reconciler who core-algorithms:read --at 2027-01-01 --withheld
    """
    asked = permission_of(permission)
    known = _known(shell, when)
    desired = evaluate(known.policy, known.population, known.at)
    found = holders_of(known.policy, known.population, desired, asked)
    if shell.as_json:
        shell.give(who_json(found, known))
        return
    count = len(found.allowed)
    head = Text(f"{asked}: {count} {'holder' if count == 1 else 'holders'}", style="bold")
    head.append(f"  {_as_of(known)}", style="dim")
    shell.say(head, *(answer_line(one, known.facts.zone, subject=_name(known, one.subject)) for one in found.allowed))
    if found.withheld and with_withheld:
        shell.say(Text("withheld:", style="bold"))
        shell.say(*(answer_line(one, known.facts.zone, subject=_name(known, one.subject)) for one in found.withheld))
    elif found.withheld:
        shell.say(Text(f"withheld from {len(found.withheld)} more (who and why: --withheld)", style="dim"))
