"""The command `impact`: what a policy change does to access, before it merges."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from reconciler.audit.impact import Impact, Shift, Tally, impact_of
from reconciler.audit.impact_markdown import impact_markdown
from reconciler.audit.impact_reading import clause_text, impact_json, verdict
from reconciler.audit.moments import moment
from reconciler.audit.revisions import Repository, Revision
from reconciler.cli.endings import Exit, end
from reconciler.cli.explanations import local
from reconciler.cli.shell import Shell, shared_with
from reconciler.errors import Problem, ProblemsFound
from reconciler.facts.model import Population
from reconciler.policy import check_policy
from reconciler.policy.model import Policy
from reconciler.workspace import Workspace, now

SHOWN = 20


@click.command()
@click.argument("span", metavar="BASE..HEAD")
@click.option("--policies", "paths", multiple=True, metavar="PATH", help="Where the policies lie; as in the workspace.")
@click.option("--people", "people_file", metavar="SOURCE|FILE", help="People from here, not from the record.")
@click.option("--evidence", "evidence_file", metavar="FILE", help="With --people: their evidence, a CSV file.")
@click.option("--at", "when", metavar="WHEN", help="As of another day or moment.")
@click.option("--names/--no-names", default=True, show_default=True, help="Markdown: name people, or count them.")
@click.option("--limit", type=click.IntRange(1), default=SHOWN, show_default=True, help="How many of each are shown.")
@click.option("--detailed-exitcode", is_flag=True, help="End with 2 where access changes.")
@shared_with("markdown")
def impact(
    shell: Shell,
    span: str,
    paths: tuple[str, ...],
    people_file: str | None,
    evidence_file: str | None,
    when: str | None,
    names: bool,
    limit: int,
    detailed_exitcode: bool,
) -> None:
    """Who gains and loses what if HEAD takes the place of BASE, highest class first, with the clause responsible.

    \b
      reconciler impact origin/main..HEAD
      reconciler impact origin/main...HEAD --output markdown > comment.md
      reconciler impact v1.4..v1.5 --people people.csv --evidence evidence.csv

    Both policies are read from git's objects, never from the working tree, and evaluated on the same people at the
    same moment. Nothing in them is run. With three dots, BASE is where HEAD's branch left it.
    """
    if evidence_file and not people_file:
        raise click.UsageError("--evidence goes with --people")
    workspace = shell.workspace()
    repository = Repository(Path() if paths else workspace.folder)
    base, head = repository.span(span)
    with shell.progress() as show:
        show("reading both revisions", 0, 0)
        policies = paths or tuple(workspace.spec.policies)
        before, known = _policy(repository, base, policies, workspace)
        after, found = _policy(repository, head, policies, workspace)
        show("reading people and evidence", 0, 0)
        population = _population(shell, workspace, people_file, evidence_file, after)
        show("comparing", 0, 0)
        result = impact_of(before, after, population, moment(when, workspace.zone) if when else now())
    told = {(one.code, one.message) for one in known}
    warnings = [one for one in found if (one.code, one.message) not in told]
    _give(shell, result, (base, head), warnings, workspace.zone, names=names, limit=limit)
    if _uncommitted(repository, head, policies):
        shell.note("the working tree has changes that are not committed; they are not part of this")
    end(Exit.PENDING if detailed_exitcode and result.changes_access else Exit.DONE)


def _give(
    shell: Shell,
    result: Impact,
    revisions: tuple[Revision, Revision],
    warnings: Sequence[Problem],
    zone: ZoneInfo,
    *,
    names: bool,
    limit: int,
) -> None:
    if shell.as_json:
        shell.give(impact_json(result, *revisions, warnings))
    elif shell.form == "markdown":
        click.echo(impact_markdown(result, *revisions, warnings, names=names, limit=limit))
    else:
        most = 10**9 if shell.verbose else limit
        shell.say(*_lines(result, revisions, warnings, most, zone))


def _policy(
    repository: Repository, revision: Revision, paths: Sequence[str], workspace: Workspace
) -> tuple[Policy, Sequence[Problem]]:
    files = {name: content for path in paths for name, content in repository.files(revision, path).items()}
    policy, problems = check_policy(files, revision=revision.short, today=workspace.today())
    if policy is None:
        raise ProblemsFound(f"the policies at {revision.asked} ({revision.short}) do not pass", problems)
    return policy, problems


def _population(
    shell: Shell, workspace: Workspace, people: str | None, evidence: str | None, policy: Policy
) -> Population:
    if people is None:
        return workspace.facts(create=False).population()
    with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
        proofs = Path(evidence) if evidence else None
        population, bad = workspace.supposed_population(Path(folder), people, proofs, policy)
    for problem in bad[:SHOWN]:
        shell.note(f"left out: {problem.place}: {problem.message}")
    if bad:
        shell.note(f"{len(bad)} problems: these rows are not part of the answer")
    return population


def _uncommitted(repository: Repository, head: Revision, paths: Sequence[str]) -> bool:
    return head.asked == "HEAD" and any(repository.is_dirty(path) for path in paths)


# --- text -----------------------------------------------------------------------------------------------------------


def _lines(
    result: Impact, revisions: tuple[Revision, Revision], warnings: Sequence[Problem], most: int, zone: ZoneInfo
) -> Iterator[Text | str]:
    base, head = revisions
    yield Text(f"{base.short}..{head.short}", style="bold").append(
        f"  {result.people} people, as of {local(result.at, zone)}", style="dim"
    )
    yield Text(verdict(result), style="bold yellow" if result.changes_access else "bold green")
    for breach in result.broken:
        yield Text(f"! breaks an invariant: {breach.text}  ({breach.invariant.place})", style="red")
    for name, people in result.conflicts.items():
        yield Text(f"! new conflict with separation {name}: {_names(people, most)}", style="red")
    for breach in result.mended:
        yield Text(f"  mends an invariant: {breach.text}", style="green")
    for shift in result.shifts[:most]:
        yield from _shift(shift, most)
    yield from _more(len(result.shifts) - most)
    yield from _tallies("permission", result.permissions, most)
    yield from _tallies("entitlement", result.entitlements, most)
    yield from (Text(f"  {text}") for text in result.services)
    for warning in warnings:
        yield Text(f"! new warning: {warning.place}: {warning.message} [{warning.code}]", style="yellow")


def _shift(shift: Shift, most: int) -> Iterator[Text]:
    sign, style = ("+", "green") if shift.gains else ("-", "red")
    line = Text(f"{sign} {shift.permission} ", style=style)
    line.append(f"[{shift.classification}]", style="magenta")
    line.append(f"  {len(shift.people)}: {_names(shift.people, most)}")
    yield line
    yield from (Text(f"    because {clause_text(clause)}", style="dim") for clause in shift.clauses)


def _tallies(what: str, tallies: Sequence[Tally], most: int) -> Iterator[Text]:
    changed = sorted((one for one in tallies if one.changed), key=lambda one: (-one.rank, one.name))
    if not changed:
        return
    yield Text(f"{what}s, people before → after", style="bold")
    width = max(len(one.name) for one in changed[:most])
    for one in changed[:most]:
        before = "new" if one.before is None else str(one.before)
        after = "gone" if one.after is None else str(one.after)
        yield Text(f"  {one.name:<{width}}  {before:>7} → {after:<7} +{one.gained} -{one.lost}")
    yield from _more(len(changed) - most)


def _more(count: int) -> Iterator[Text]:
    if count > 0:
        yield Text(f"… and {count} more (all of them: --verbose)", style="dim")


def _names(people: Sequence[str], most: int) -> str:
    shown = ", ".join(people[:most])
    return shown if len(people) <= most else f"{shown} and {len(people) - most} more"
