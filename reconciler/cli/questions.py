"""Commands that ask about access: `why`, `can`, `access`, `who`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from reconciler.access import UnknownPerson, evaluate, explain, people_needed
from reconciler.access.inquiry import SubjectAccess, access_of, holders_of
from reconciler.access.model import Explanation
from reconciler.cli.endings import Exit, end
from reconciler.cli.explanations import (
    answer_line,
    cited,
    explanation_json,
    explanation_lines,
    local,
    recorded_json,
    source_lines,
)
from reconciler.cli.moments import KnownAt, known_at, moment
from reconciler.cli.shell import Shell, shared
from reconciler.facts.model import Population, Recorded
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
    facts: Facts
    known: KnownAt

    @property
    def as_of(self) -> str:
        """Of when the answer is and, where that was asked, as known when."""
        known = f"; as known at {self.known.text}" if self.known.text else ""
        return f"as of {local(self.at, self.zone)}{known}"

    def sources(self, answers: Iterable[Explanation]) -> list[Recorded]:
        """Who said what the answers rest on, in the order of the ledger."""
        found = self.facts.recorded({entry for one in answers for entry in cited(one)})
        return [found[entry] for entry in sorted(found)]

    def name(self, subject: str) -> str:
        """The subject as a person reads it: the id, and the name behind it."""
        person = self.population.by_id.get(subject)
        return f"{subject} ({person.name})" if person and person.name else subject


def _known(shell: Shell, asked: _When, subject: str | None = None) -> _Known:
    """What is known of everybody, or of one subject and those who answer for them: that takes no time in any crowd."""
    workspace = shell.workspace()
    policy, facts, zone = workspace.policy(), workspace.facts(create=False), workspace.zone
    then = known_at(asked.known, facts, now()) if asked.known else None
    entry = then.entry if then else None
    population = facts.population(None, entry) if subject is None else _about(subject, policy, facts, then)
    at = moment(asked.at, zone) if asked.at else now()
    return _Known(policy, population, at, zone, facts, then or KnownAt(population.ledger_seq))


def _about(subject: str, policy: Policy, facts: Facts, then: KnownAt | None) -> Population:
    entry = then.entry if then else None
    alone = facts.population([subject], entry)
    if not alone.people:  # a service account, or somebody whose name has to be guessed among all
        if subject in policy.service_accounts:
            return alone
        if then is not None:
            _refuse_newcomer(subject, facts, then)
        return facts.population()
    needed = people_needed(policy, alone.people)
    return alone if needed <= alone.by_id.keys() else facts.population(needed, entry)


def _refuse_newcomer(person: str, facts: Facts, then: KnownAt) -> None:
    """Raises `UnknownPerson` for somebody who became known only later."""
    first = facts.first_known(person)
    if first is not None:
        message = f"nobody was known by the id {person!r} at {then.text}"
        since = f"ledger entry {first.entry}, recorded {local(first.recorded_at, facts.zone)} by {first.actor}"
        raise UnknownPerson(message, remedy=f"they are known since {since}")


def _permission(text: str) -> Permission:
    resource, colon, action = text.rpartition(":")
    if not colon:
        raise click.UsageError(f"{text!r}: a permission is written RESOURCE:ACTION, such as handbook:read")
    return Permission(resource, action)


@dataclass(frozen=True, slots=True)
class _When:
    """Of when a question is asked, and as known when; None: now."""

    at: str | None
    known: str | None


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
        return command(when=_When(at, known), **arguments)

    return run  # type: ignore[return-value]


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@_when
@shared
def why(shell: Shell, person: str, permission: str, when: _When) -> None:
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
    sources = known.sources([explanation])
    if shell.as_json:
        told = {"as_known_at": known.known.as_json(), "entries": [recorded_json(one) for one in sources]}
        shell.give({**explanation_json(explanation), **told, "policy": _policy_json(known.policy)})
        return
    shell.say(*explanation_lines(explanation, known.name(person), known.as_of, known.zone, known.policy.revision))
    shell.say(*source_lines(sources, known.zone))


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 where the answer is no.")
@_when
@shared
def can(shell: Shell, person: str, permission: str, when: _When, detailed_exitcode: bool) -> None:
    """Whether PERSON may do that: yes or no, and nothing else. `why` says why."""
    asked = _permission(permission)
    known = _known(shell, when, person)
    explanation = explain(known.policy, known.population, person, asked, known.at)
    if shell.as_json:
        told = {"subject": person, "permission": str(asked), **_times_json(known), "allowed": explanation.allowed}
        shell.give({**told, "until": instant(explanation.until)})
    else:
        shell.say(Text("yes", style="green") if explanation.allowed else Text("no", style="red"))
    end(Exit.PENDING if detailed_exitcode and not explanation.allowed else Exit.DONE)


@click.command()
@click.argument("person")
@_when
@shared
def access(shell: Shell, person: str, when: _When) -> None:
    """Everything that PERSON may do, highest class first; and what is withheld from them, with why.

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
    told = [known.as_of, f"clearance {found.clearance or 'none'}", states]
    head.append(f"  {'; '.join(each for each in told if each)}", style="dim")
    shell.say(head, *(answer_line(one, known.zone) for one in allowed))
    if not allowed:
        shell.say("  nothing")
    if withheld:
        shell.say(Text("withheld:", style="bold"), *(answer_line(one, known.zone) for one in withheld))
    shell.say(*source_lines(known.sources([*allowed, *withheld]), known.zone))


@click.command()
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--withheld", "with_withheld", is_flag=True, help="Also those from whom it is withheld, with why.")
@_when
@shared
def who(shell: Shell, permission: str, when: _When, with_withheld: bool) -> None:
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
                **_times_json(known),
                "policy": _policy_json(known.policy),
                "allowed": [_holder_json(one, known) for one in found.allowed],
                "withheld": [_holder_json(one, known) for one in found.withheld],
            }
        )
        return
    count = len(found.allowed)
    head = Text(f"{asked}: {count} {'holder' if count == 1 else 'holders'}", style="bold")
    head.append(f"  {known.as_of}", style="dim")
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
        **_times_json(known),
        "policy": _policy_json(known.policy),
        "states": [state.value for state in found.states],
        "clearance": found.clearance,
        "allowed": [explanation_json(one) for one in allowed],
        "withheld": [explanation_json(one) for one in withheld],
        "entries": [recorded_json(one) for one in known.sources([*allowed, *withheld])],
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


def _times_json(known: _Known) -> dict[str, object]:
    return {"at": instant(known.at), "as_known_at": known.known.as_json()}


def _policy_json(policy: Policy) -> dict[str, str]:
    return {"revision": policy.revision, "digest": policy.digest}
