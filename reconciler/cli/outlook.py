"""Commands that look ahead: `forecast`, `simulate hire|transfer|exit`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from reconciler.access import evaluate, people_sponsored
from reconciler.access.explain import Explainer
from reconciler.access.forecast import Foreseen, forecast, next_change
from reconciler.access.inquiry import access_of
from reconciler.access.model import EndKind, Explanation
from reconciler.access.sponsorship import people_needed
from reconciler.audit.explained import explanation_json, needed_json
from reconciler.audit.moments import moment
from reconciler.cli.explanations import answer_line, local
from reconciler.cli.people import raw_event
from reconciler.cli.shell import Shell, shared
from reconciler.facts.events import EventType, parse_event
from reconciler.facts.model import Population
from reconciler.facts.supposing import Supposition, suppose
from reconciler.plan.artefact import instant
from reconciler.policy.model import Permission, Policy
from reconciler.workspace import Workspace, now

F = TypeVar("F", bound=Callable[..., Any])
USUAL_DAYS, MOST_DAYS = 30, 3660
"""How far a forecast looks ahead, and how far for the next change."""
MOST_PERMISSIONS = 6
"""How many permissions of one forecast are named in a line; the others are counted."""


@click.command(name="forecast")
@click.option("--days", type=click.IntRange(1, 3660), help="How far ahead; 30 if not given, with --next ten years.")
@click.option("--next", "only_next", is_flag=True, help="Only the first moment at which time alone changes something.")
@click.option("--at", "when", metavar="WHEN", help="From another day or moment on.")
@click.option("--person", "people", multiple=True, metavar="PERSON", help="Only these people.")
@shared
def forecast_(shell: Shell, days: int | None, only_next: bool, when: str | None, people: tuple[str, ...]) -> None:
    """Who will lose or gain what when nothing happens but time, from what, and what prevents it.

    \b
      reconciler forecast --days 60
      reconciler forecast --next          the next moment at which a pass would have something to do by itself

    Proofs that run out, ends of assignments, memberships and exceptions, overlaps, sponsors that lapse, first days.
    """
    workspace = shell.workspace()
    policy = workspace.policy()
    days = days or (MOST_DAYS if only_next else USUAL_DAYS)
    with shell.progress() as show:
        show("looking ahead", 0, 0)
        population = _chosen(policy, workspace.facts(create=False).population(), people)
        start = moment(when, workspace.zone) if when else now()
        told = (next_change if only_next else forecast)(policy, population, start, start + timedelta(days=days))
    told = tuple(one for one in told if not people or one.subject in people)
    if shell.as_json:
        first = instant(min((one.at for one in told), default=None))
        foreseen = [_foreseen_json(one) for one in told]
        shell.give({"from": instant(start), "days": days, "next": first, "foreseen": foreseen})
        return
    if not told:
        shell.say(f"Nothing changes within {days} days.")
    for one in told:
        shell.say(*_foreseen(one, _named(population, one.subject), workspace.zone, most=bool(shell.verbose)))


def _chosen(policy: Policy, population: Population, people: Collection[str]) -> Population:
    """Everybody, or these people with whoever answers for them."""
    known = [population.by_id[person] for person in people if person in population.by_id]
    if not known:
        return population
    wanted = people_needed(policy, known)
    return replace(population, people=[person for person in population if person.id in wanted])


def _foreseen(one: Foreseen, who: str, zone: ZoneInfo, *, most: bool) -> Iterator[Text]:
    style, verb = ("green", "gains") if one.gained else ("yellow", "loses")
    line = Text(f"{local(one.at, zone)}  ", style="bold")
    line.append(f"{who} {verb} {_listed(one.permissions, most=most)}", style=style)
    refs = [*([str(one.place)] if one.place else []), *([f"ledger:{one.entry}"] if one.entry else [])]
    line.append(f"\n    {one.text}" + (f"  ({', '.join(refs)})" if refs else ""), style="dim")
    yield line
    for fact in one.prevents:
        yield Text(f"    → {fact.text}", style="cyan")


def _listed(permissions: Sequence[Permission], *, most: bool) -> str:
    shown = permissions if most else permissions[:MOST_PERMISSIONS]
    more = len(permissions) - len(shown)
    return ", ".join(map(str, shown)) + (f" and {more} more" if more else "")


def _foreseen_json(one: Foreseen) -> dict[str, object]:
    return {
        "at": instant(one.at),
        "subject": one.subject,
        "direction": "gain" if one.gained else "loss",
        "permissions": list(map(str, one.permissions)),
        "kind": one.kind.value if one.kind else None,
        "what": one.what,
        "text": one.text,
        "ledger_seq": one.entry or None,
        "place": str(one.place) if one.place else None,
        "prevents": [needed_json(fact) for fact in one.prevents],
    }


# --- simulate -------------------------------------------------------------------------------------------------------


@click.group()
def simulate() -> None:
    """What a step of HR's would change. Nothing is recorded, and nothing is done on any target."""


def _step(command: F) -> F:
    for option in (
        click.option("--days", type=click.IntRange(0, 3660), default=90, show_default=True, help="How far ahead."),
        click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="What HR says, such as post=engineer."),
        click.option("--on", "when", metavar="DAY", help="From when it is true; today if not given."),
    ):
        command = option(command)
    return command


@simulate.command()
@click.argument("person")
@click.option("--evidence", multiple=True, metavar="KIND[:SCOPE]", help="A proof that they bring along.")
@_step
@shared
def hire(
    shell: Shell, person: str, evidence: tuple[str, ...], when: str | None, pairs: tuple[str, ...], days: int
) -> None:
    """What PERSON, who is new, would have, and what would still be missing.

    \b
      reconciler simulate hire E2001 --on 2026-12-01 --set department=rd/ai --set post=engineer --evidence nda
    """
    workspace = shell.workspace()
    policy = workspace.policy()
    day = when or str(workspace.today())
    events = [raw_event(EventType.HIRED, person, day, pairs), *(_proof(policy, person, day, one) for one in evidence)]
    _simulate(shell, workspace, policy, events, days)


@simulate.command()
@click.argument("person")
@_step
@shared
def transfer(shell: Shell, person: str, when: str | None, pairs: tuple[str, ...], days: int) -> None:
    """What PERSON would gain and lose by another post.

    \b
      reconciler simulate transfer E1012 --on 2026-12-01 --set department=sales --set post=account-manager
    """
    workspace = shell.workspace()
    if not pairs:
        raise click.UsageError("a transfer changes something: --set KEY=VALUE")
    event = raw_event(EventType.TRANSFERRED, person, when or str(workspace.today()), pairs)
    _simulate(shell, workspace, workspace.policy(), [event], days)


@simulate.command(name="exit")
@click.argument("person")
@_step
@shared
def exit_(shell: Shell, person: str, when: str | None, pairs: tuple[str, ...], days: int) -> None:
    """What would happen if PERSON left; also to those for whom they answer as a sponsor."""
    workspace = shell.workspace()
    event = raw_event(EventType.EXITED, person, when or str(workspace.today()), pairs)
    _simulate(shell, workspace, workspace.policy(), [event], days)


def _proof(policy: Policy, person: str, day: str, text: str) -> dict[str, object]:
    name, _, scope = text.partition(":")
    kind = policy.evidence.get(name)
    if kind is None:
        known = ", ".join(policy.evidence)
        raise click.UsageError(f"--evidence {text}: the policy has no such evidence; it has {known}")
    pairs = [f"kind={name}", f"valid_from={day}", *([f"scope={scope}"] if scope else [])]
    event = raw_event(EventType.EVIDENCE_RECORDED, person, day, pairs)
    data = event["data"]
    assert isinstance(data, dict)  # noqa: S101  (made above)
    return {**event, "data": {**data, "version": kind.version}}


@dataclass(frozen=True, slots=True)
class _Moved:
    """What is otherwise at the moment of the step, by subject: with it and without it."""

    gained: Mapping[str, Sequence[Explanation]]
    lost: Mapping[str, Sequence[Permission]]


def _simulate(shell: Shell, workspace: Workspace, policy: Policy, raw: Sequence[dict[str, object]], days: int) -> None:
    supposed = suppose(
        workspace.facts(create=False), list(map(parse_event, raw)), now=now(), attributes=policy.attributes
    )
    at = max(supposed.effective, now())
    moved = _difference(policy, supposed, at)
    (person,) = supposed.people
    standing = access_of(policy, supposed.supposed, person, at)
    sponsored = people_sponsored(policy, supposed.supposed, [person])
    later = [
        one
        for one in forecast(policy, supposed.supposed, at, at + timedelta(days=days))
        if one.subject in (person, *moved.lost) or (one.kind is EndKind.SPONSOR and one.subject in sponsored)
    ]
    if shell.as_json:
        shell.give(
            {
                "person": person,
                "at": instant(at),
                "gains": _by_subject(moved.gained),
                "losses": {subject: list(map(str, lost)) for subject, lost in moved.lost.items()},
                "allowed": [str(one.permission) for one in standing.allowed],
                "withheld": [explanation_json(one) for one in standing.withheld],
                "later": [_foreseen_json(one) for one in later],
            }
        )
        return
    shell.say(Text(f"As of {local(at, workspace.zone)}, if that were on record:", style="bold"))
    shell.say(*_moved_lines(moved, supposed.supposed, workspace.zone))
    if standing.withheld:
        shell.say(Text(f"Withheld from {person}, until what is missing is there:", style="bold"))
        shell.say(*(answer_line(one, workspace.zone) for one in standing.withheld))
    if later:
        shell.say(Text(f"Later, within {days} days:", style="bold"))
    for one in later:
        shell.say(*_foreseen(one, one.subject, workspace.zone, most=bool(shell.verbose)))


def _difference(policy: Policy, supposed: Supposition, at: datetime) -> _Moved:
    before, after = evaluate(policy, supposed.known, at), evaluate(policy, supposed.supposed, at)
    ids = {person.number: person.id for person in supposed.supposed}
    explainer = Explainer(policy, supposed.supposed, at)
    gained: dict[str, list[Explanation]] = {}
    lost: dict[str, list[Permission]] = {}
    for permission in policy.permissions():
        for number in after.allowed[permission] - before.allowed[permission]:
            gained.setdefault(ids[number], []).append(explainer.explain(ids[number], permission))
        for number in before.allowed[permission] - after.allowed[permission]:
            lost.setdefault(ids[number], []).append(permission)
    return _Moved(gained, lost)


def _moved_lines(moved: _Moved, population: Population, zone: ZoneInfo) -> Iterator[Text]:
    if not moved.gained and not moved.lost:
        yield Text("  nobody gains or loses anything")
    for subject in dict.fromkeys([*moved.gained, *moved.lost]):
        yield Text(f"{_named(population, subject)}", style="bold")
        for permission in moved.lost.get(subject, ()):
            yield Text(f"  - {permission}", style="red")
        for explanation in moved.gained.get(subject, ()):
            line = Text(f"  + {explanation.permission} ", style="green")
            line.append(f"[{explanation.classification}]", style="magenta")
            line.append(f"  {explanation.reasons[0].text}", style="dim")
            if explanation.until is not None:
                line.append(f"  until {local(explanation.until, zone)}", style="yellow")
            yield line


def _by_subject(gained: Mapping[str, Sequence[Explanation]]) -> dict[str, list[dict[str, object]]]:
    return {subject: [explanation_json(one) for one in answers] for subject, answers in gained.items()}


def _named(population: Population, subject: str) -> str:
    person = population.by_id.get(subject)
    return f"{subject} ({person.name})" if person and person.name else subject
