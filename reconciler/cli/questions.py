"""Commands that ask: `why`."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from reconciler.access import explain
from reconciler.access.model import Denial, Explanation, Reason
from reconciler.cli.moments import moment
from reconciler.cli.shell import Shell, shared
from reconciler.plan.artefact import instant
from reconciler.policy.model import Permission
from reconciler.workspace import now


@click.command()
@click.argument("person")
@click.argument("permission", metavar="RESOURCE:ACTION")
@click.option("--at", "when", metavar="WHEN", help="As of another day or moment.")
@shared
def why(shell: Shell, person: str, permission: str, when: str | None) -> None:
    """Why PERSON may do that, or why not, and what would change it.

    \b
      reconciler why E1009 core-algorithms:read

    Every reason is shown, the strongest first, with the line of the policy and the ledger entry that it rests on.
    PERSON may be a service account.
    """
    resource, colon, action = permission.rpartition(":")
    if not colon:
        raise click.UsageError(f"{permission!r}: a permission is written RESOURCE:ACTION, such as handbook:read")
    workspace = shell.workspace()
    policy = workspace.policy()
    population = workspace.facts(create=False).population()
    at = moment(when, workspace.zone) if when else now()
    explanation = explain(policy, population, person, Permission(resource, action), at)
    if shell.as_json:
        shell.give(_json(explanation))
        return
    known = population.by_id.get(person)
    name = f" ({known.name})" if known and known.name else ""
    shell.say(*_lines(explanation, f"{person}{name}", workspace.zone))


def _lines(explanation: Explanation, who: str, zone: ZoneInfo) -> Iterator[Text]:
    head = Text(f"{who} ", style="bold")
    if explanation.allowed:
        head.append("may ", style="bold green")
    else:
        head.append("may not ", style="bold red")
    head.append(f"{explanation.permission.action} {explanation.permission.resource}", style="bold")
    head.append(f"  [{explanation.classification}]", style="magenta")
    yield head
    states = ", ".join(state.value for state in explanation.states)
    day = explanation.at.astimezone(zone)
    yield Text(f"  as of {day:%Y-%m-%d %H:%M}; clearance {explanation.clearance or 'none'}; {states}", style="dim")
    if not explanation.reasons:
        yield Text("  ✗ no role and no exception gives it", style="red")
    for reason in explanation.reasons:
        yield _reason(reason, zone)
    for denial in explanation.denials:
        yield _denial(denial, given=bool(explanation.reasons))


def _reason(reason: Reason, zone: ZoneInfo) -> Text:
    line = Text("  ✓ ", style="green")
    line.append(reason.text)
    places = {str(reason.holds_place), str(reason.place)}
    refs = [*sorted(places), *([f"ledger:{reason.entry}"] if reason.entry else [])]
    line.append(f"  ({', '.join(refs)})", style="dim")
    if reason.until:
        line.append(f"  until {reason.until.astimezone(zone):%Y-%m-%d %H:%M}", style="yellow")
    return line


def _denial(denial: Denial, *, given: bool) -> Text:
    line = Text("  ✗ " if given else "  also ✗ ", style="red")
    line.append(denial.text)
    refs = [*([str(denial.place)] if denial.place else []), *([f"ledger:{denial.entry}"] if denial.entry else [])]
    if refs:
        line.append(f"  ({', '.join(refs)})", style="dim")
    if denial.remedy:
        line.append(f"\n      → {denial.remedy}", style="cyan")
    return line


def _json(explanation: Explanation) -> dict[str, object]:
    return {
        "subject": explanation.subject,
        "permission": str(explanation.permission),
        "at": instant(explanation.at),
        "allowed": explanation.allowed,
        "classification": explanation.classification,
        "clearance": explanation.clearance,
        "states": [state.value for state in explanation.states],
        "reasons": [
            {
                "kind": reason.kind.value,
                "roles": list(reason.roles),
                "place": str(reason.place),
                "holds_place": str(reason.holds_place),
                "assignment": reason.assignment or None,
                "ledger_seq": reason.entry or None,
                "until": instant(reason.until),
                "text": reason.text,
            }
            for reason in explanation.reasons
        ],
        "denials": [
            {
                "kind": denial.kind.value,
                "what": denial.what,
                "level": denial.level or None,
                "state": denial.state.value if denial.state else None,
                "place": str(denial.place) if denial.place else None,
                "ledger_seq": denial.entry or None,
                "since": instant(denial.since),
                "text": denial.text,
                "remedy": denial.remedy,
            }
            for denial in explanation.denials
        ],
    }
