"""Commands that ask about access: `why`, `can`, `access`, `who`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from reconciler.access import evaluate, explain, people_needed
from reconciler.access.inquiry import SubjectAccess, access_of, holders_of
from reconciler.access.model import Explanation
from reconciler.cli.explanations import answer_line, explanation_json, explanation_lines, local
from reconciler.cli.moments import moment
from reconciler.cli.shell import Exit, Shell, end, shared
from reconciler.facts.model import Population
from reconciler.facts.people import Facts
from reconciler.plan.artefact import instant
from reconciler.policy.model import Permission, Policy
from reconciler.workspace import now

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Known:
    """What a question is asked of: the policy, everybody, and the moment."""

    policy: Policy
    population: Population
    at: datetime
    zone: ZoneInfo

    def name(self, subject: str) -> str:
        """The subject as a person reads it: the id, and the name behind it."""
        person = self.population.by_id.get(subject)
        return f"{subject} ({person.name})" if person and person.name else subject


def _known(shell: Shell, when: str | None, subject: str | None = None) -> _Known:
    """What is known of everybody, or of one subject and those who answer for them: that takes no time in any crowd."""
    workspace = shell.workspace()
    policy, facts = workspace.policy(), workspace.facts(create=False)
    population = facts.population() if subject is None else _about(subject, policy, facts)
    return _Known(policy, population, moment(when, workspace.zone) if when else now(), workspace.zone)


def _about(subject: str, policy: Policy, facts: Facts) -> Population:
    alone = facts.population([subject])
    if not alone.people:  # a service account, or somebody whose name has to be guessed among all
        return facts.population([]) if subject in policy.service_accounts else facts.population()
    needed = people_needed(policy, alone.people)
    return alone if needed <= alone.by_id.keys() else facts.population(needed)


def _permission(text: str) -> Permission:
    resource, colon, action = text.rpartition(":")
    if not colon:
        raise click.UsageError(f"{text!r}: a permission is written RESOURCE:ACTION, such as handbook:read")
    return Permission(resource, action)


def _at(command: F) -> F:
    return click.option("--at", "when", metavar="WHEN", help="As of another day or moment.")(command)


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@_at
@shared
def why(shell: Shell, person: str, permission: str, when: str | None) -> None:
    """Why PERSON may do that, or why not, and what would change it.

    \b
      reconciler why E1009 core-algorithms:read

    For a yes: every reason, the strongest first, with the line of the policy and the ledger entry that it rests on, the
    evidence with its dates, and what ends it when. For a no: every reason, the roles that would give it and what is
    lacking for them, and the smallest set of facts that would make it a yes. PERSON may be a service account.
    """
    asked = _permission(permission)
    known = _known(shell, when, person)
    explanation = explain(known.policy, known.population, person, asked, known.at)
    if shell.as_json:
        shell.give({**explanation_json(explanation), "policy": _policy_json(known.policy)})
        return
    shell.say(*explanation_lines(explanation, known.name(person), known.zone, known.policy.revision))


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 where the answer is no.")
@_at
@shared
def can(shell: Shell, person: str, permission: str, when: str | None, detailed_exitcode: bool) -> None:
    """Whether PERSON may do that: yes or no, and nothing else. `why` says why."""
    asked = _permission(permission)
    known = _known(shell, when, person)
    explanation = explain(known.policy, known.population, person, asked, known.at)
    if shell.as_json:
        told = {"subject": person, "permission": str(asked), "at": instant(known.at), "allowed": explanation.allowed}
        shell.give({**told, "until": instant(explanation.until)})
    else:
        shell.say(Text("yes", style="green") if explanation.allowed else Text("no", style="red"))
    end(Exit.PENDING if detailed_exitcode and not explanation.allowed else Exit.DONE)


@click.command()
@click.argument("person")
@_at
@shared
def access(shell: Shell, person: str, when: str | None) -> None:
    """Everything that PERSON may do, highest class first; and what their roles would give and is withheld, with why.

    PERSON may be a service account.
    """
    known = _known(shell, when, person)
    found = access_of(known.policy, known.population, person, known.at)
    allowed, withheld = _by_class(found.allowed, known.policy), _by_class(found.withheld, known.policy)
    if shell.as_json:
        shell.give(_access_json(found, allowed, withheld, known))
        return
    states = ", ".join(state.value for state in found.states)
    head = Text(known.name(person), style="bold")
    told = [f"as of {local(known.at, known.zone)}", f"clearance {found.clearance or 'none'}", states]
    head.append(f"  {'; '.join(each for each in told if each)}", style="dim")
    shell.say(head, *(answer_line(one, known.zone) for one in allowed))
    if not allowed:
        shell.say("  nothing")
    if withheld:
        shell.say(Text("withheld:", style="bold"), *(answer_line(one, known.zone) for one in withheld))


@click.command()
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--withheld", "with_withheld", is_flag=True, help="Also those from whom it is withheld, with why.")
@_at
@shared
def who(shell: Shell, permission: str, when: str | None, with_withheld: bool) -> None:
    """Who may do that, by which role or exception, and until when.

    \b
      reconciler who core-algorithms:read
      reconciler who core-algorithms:read --at 2027-01-01 --withheld
    """
    asked = _permission(permission)
    known = _known(shell, when)
    desired = evaluate(known.policy, known.population, known.at)
    found = holders_of(known.policy, known.population, desired, asked)
    if shell.as_json:
        shell.give(
            {
                "permission": str(asked),
                "at": instant(known.at),
                "policy": _policy_json(known.policy),
                "allowed": [_holder_json(one, known) for one in found.allowed],
                "withheld": [_holder_json(one, known) for one in found.withheld],
            }
        )
        return
    count = len(found.allowed)
    head = Text(f"{asked}: {count} {'holder' if count == 1 else 'holders'}", style="bold")
    shell.say(head, *(answer_line(one, known.zone, subject=known.name(one.subject)) for one in found.allowed))
    if found.withheld and with_withheld:
        shell.say(Text("withheld:", style="bold"))
        shell.say(*(answer_line(one, known.zone, subject=known.name(one.subject)) for one in found.withheld))
    elif found.withheld:
        shell.say(Text(f"withheld from {len(found.withheld)} more (who and why: --withheld)", style="dim"))


def _by_class(answers: Sequence[Explanation], policy: Policy) -> list[Explanation]:
    ranks = {level.name: level.rank for level in policy.levels}
    return sorted(answers, key=lambda one: (-ranks[one.classification], one.permission))


def _access_json(
    found: SubjectAccess, allowed: Sequence[Explanation], withheld: Sequence[Explanation], known: _Known
) -> dict[str, object]:
    return {
        "subject": found.subject,
        "at": instant(known.at),
        "policy": _policy_json(known.policy),
        "states": [state.value for state in found.states],
        "clearance": found.clearance,
        "allowed": [explanation_json(one) for one in allowed],
        "withheld": [explanation_json(one) for one in withheld],
    }


def _holder_json(explanation: Explanation, known: _Known) -> dict[str, object]:
    person = known.population.by_id.get(explanation.subject)
    return {
        "subject": explanation.subject,
        "name": person.name if person else None,
        "is_person": person is not None,
        "reasons": [
            {"roles": list(one.roles), "kind": one.kind.value, "text": one.text} for one in explanation.reasons
        ],
        "denials": [{"kind": one.kind.value, "what": one.what, "text": one.text} for one in explanation.denials],
        "until": instant(explanation.until),
    }


def _policy_json(policy: Policy) -> dict[str, str]:
    return {"revision": policy.revision, "digest": policy.digest}
