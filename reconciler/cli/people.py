"""Commands that bring people in: `people import|confirm|event`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from reconciler.cli.endings import Exit, end, error_json, problem_text, problems_json
from reconciler.cli.notify import people_told
from reconciler.cli.shell import Shell, shared
from reconciler.errors import Place, ReconcilerError
from reconciler.facts.events import Event, EventError, EventType, parse_event
from reconciler.facts.feed import (
    Preview,
    confirm_import,
    import_people,
    preview_people,
)
from reconciler.facts.ledger import NewEntry, part
from reconciler.facts.people import Facts
from reconciler.facts.recording import EventOutcome, EventResult, record_events
from reconciler.facts.store import Store
from reconciler.passes.operators import NotAllowed
from reconciler.passes.tokens import Act
from reconciler.plan.artefact import instant
from reconciler.policy.model import Policy
from reconciler.sources import Feed, Source
from reconciler.workspace import Workspace, WorkspaceError, login_name, now
from reconciler.workspace.feeds import delivery

MOST_EVENTS = 20
"""How many events of a dry run are shown."""

FILE_SOURCE = "file"
"""What files are called that no configured source delivers: each is compared with the one imported before it."""


@click.group()
def people() -> None:
    """Who works here: import what HR knows, decide about exits that wait, record single events."""


@people.command("import")
@click.argument("source", required=False, metavar="[SOURCE or FILE]")
@click.option("--full", is_flag=True, help="Read everybody, also where the source can tell what has changed.")
@click.option("--dry-run", is_flag=True, help="Show what would be recorded, and record nothing.")
@shared
def import_(shell: Shell, source: str | None, full: bool, dry_run: bool) -> None:
    """Import a configured SOURCE, or a FILE (CSV or Excel) in the canonical columns; without either, every configured
    source.

    \b
    Columns: id, name, employment, department, post, grade, projects, location, manager, starts_on, ends_on,
    status (preboarding, active, leave, notice, exited), assignment, email, and what the policies' attributes name.

    A full delivery names everybody. Somebody who is missing from it is not taken for a leaver: such exits wait for
    `people confirm`, and so do more exits at once than the guard lets through (exit status 3). One that is empty or has
    shrunk too far changes nothing. A bad row excludes only itself (exit status 4). A source that can tell what has
    changed is asked for that alone; read everybody with --full now and then, to notice who is missing.
    """
    workspace = shell.workspace()
    actor = login_name() if dry_run else shell.actor(workspace, Act.RECORD).name
    policy = standing_policy(shell, workspace)
    previews = []
    with _facts(workspace, throw_away=dry_run) as facts, shell.progress() as show:
        for name, delivering in _deliveries(workspace, source):
            show(f"reading {name}", 0, 0)
            with _told_of_import(shell, workspace, facts, name, dry_run=dry_run) as taken:
                feed = delivery(facts, name, delivering, policy, full=full)
                take = preview_people if dry_run else _taken
                taken.append(
                    take(
                        facts,
                        feed,
                        source=name,
                        attributes=policy.attributes,
                        guards=policy.guards,
                        now=now(),
                        actor=actor,
                    )
                )
            previews += taken
    reports = [preview.report for preview in previews]
    if shell.as_json:
        shell.give([_import_json(preview, dry_run=dry_run) for preview in previews])
    else:
        for preview in previews:
            _say_import(shell, preview, dry_run=dry_run)
    if any(report.quarantined for report in reports):
        end(Exit.FAILED)
    end(Exit.HELD if any(report.held for report in reports) else Exit.DONE)


def _taken(facts: Facts, feed: Feed, **how: Any) -> Preview:
    return Preview(import_people(facts, feed, **how), ())


@contextmanager
def _told_of_import(
    shell: Shell, workspace: Workspace, facts: Facts, source: str, *, dry_run: bool
) -> Iterator[list[Preview]]:
    """Takes what was read of a source; people are told where it was refused, or where exits wait."""
    taken: list[Preview] = []
    if dry_run:
        yield taken
        return
    with people_told(shell, workspace, facts) as tell:
        try:
            yield taken
        except ReconcilerError as error:
            tell.imported(source, refused=error.code)
            raise
        for each in taken:
            tell.imported(source, waiting=len(each.report.waiting), import_id=each.report.import_id)


@contextmanager
def _facts(workspace: Workspace, *, throw_away: bool) -> Iterator[Facts]:
    """What is on record; where there is nothing yet and nothing is to be recorded, an empty record that goes away."""
    if not throw_away or workspace.has_store():
        yield workspace.facts(create=not throw_away)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open("sqlite:///empty.db", folder=Path(folder))
        try:
            yield Facts(store, workspace.spec.timezone)
        finally:
            store.close()


def standing_policy(shell: Shell, workspace: Workspace) -> Policy:
    """What facts are read by. A policy tree that does not pass must not keep HR's news out."""
    standing = workspace.standing_policy()
    if standing.problems is not None:
        shell.note("the policies do not pass (see `reconciler check`): this is recorded by the last ones that did")
    return standing.policy


def _deliveries(workspace: Workspace, source: str | None) -> Iterator[tuple[str, Source]]:
    if source is None and not workspace.spec.sources:
        text = "this workspace has no sources"
        raise WorkspaceError(text, remedy="name a file (reconciler people import FILE), or add one under `sources`")
    if source is None:
        yield from ((name, workspace.source(name)) for name in workspace.spec.sources)
    elif source in workspace.spec.sources:
        yield source, workspace.source(source)
    elif "." in source or "/" in source or Path(source).exists():
        yield FILE_SOURCE, workspace.file_source(Path(source))
    else:
        yield source, workspace.source(source)


def _import_json(preview: Preview, *, dry_run: bool) -> dict[str, object]:
    report = preview.report
    planned = [_planned_json(entry) for entry in preview.entries]
    return {
        "dry_run": dry_run,
        **({"would_record": planned} if dry_run else {}),
        "source": report.source,
        "import": report.import_id,
        "entries": report.entries,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "quarantined": problems_json(report.quarantined),
        "waiting": [{"person": each.person, "reason": each.reason, "text": each.text} for each in report.waiting],
        "findings": [{"kind": each.kind, "subject": each.subject, "text": each.text} for each in report.findings],
    }


def _planned_json(entry: NewEntry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "subject": entry.subject,
        "effective_at": instant(entry.effective_at),
        "data": entry.payload.get("data", {}),
    }


def _say_planned(shell: Shell, entries: Sequence[NewEntry]) -> None:
    events = [entry for entry in entries if entry.effective_at is not None]
    shown = events if shell.verbose else events[:MOST_EVENTS]
    for entry in shown:
        data = part(entry.payload, "data")
        said = ", ".join(f"{key}={data[key]}" for key in data if key != "assignment")
        shell.say(f"  would record: {entry.kind} {entry.subject}" + (f": {said}" if said else ""))
    if len(shown) < len(events):
        shell.say(f"  … and {len(events) - len(shown)} more events (all of them: --verbose)")


def _say_import(shell: Shell, preview: Preview, *, dry_run: bool) -> None:
    report = preview.report
    for problem in report.quarantined:
        shell.say(problem_text(problem))
    shown = report.findings if shell.verbose else report.findings[:20]
    shell.say(*(f"! {each.kind}: {each.subject}: {each.text}" for each in shown))
    if len(shown) < len(report.findings):
        shell.say(f"… and {len(report.findings) - len(shown)} more findings (all of them: --verbose)")
    told = f"{report.new} new, {report.changed} changed, {report.unchanged} unchanged"
    if report.quarantined:
        bad = len({problem.place for problem in report.quarantined})
        told += f", {bad} row{'' if bad == 1 else 's'} quarantined"
    told += ", nothing new for the record" if report.nothing_new else ""
    if dry_run:
        _say_planned(shell, preview.entries)
        told += "; nothing was recorded (--dry-run)"
    shell.say(f"{report.source}: {told}")
    if report.waiting and not dry_run:
        shell.say(*(f"  waits: {each.person}: {each.text}" for each in report.waiting))
        count = len(report.waiting)
        shell.say(
            "1 exit waits for a decision. If it is right:"
            if count == 1
            else f"{count} exits wait for a decision. If they are right:",
            f"  reconciler people confirm {report.import_id}",
        )


@people.command()
@click.argument("import_id", metavar="IMPORT")
@shared
def confirm(shell: Shell, import_id: str) -> None:
    """Confirm the exits of an import that wait for a decision: they are recorded as of now."""
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.RECORD)
    report = confirm_import(workspace.facts(), import_id, now=now(), actor=actor.name)
    if shell.as_json:
        shell.give({"import": report.import_id, "recorded": report.recorded, "already": report.already})
        return
    shell.say(f"{len(report.recorded)} exits are on record, {len(report.already)} were already.")


@people.command()
@click.argument("kind", metavar="[TYPE]", required=False, type=click.Choice([each.value for each in EventType]))
@click.argument("person", required=False)
@click.option("--at", "when", metavar="WHEN", help="True from: a day, a moment, or now. Required with TYPE.")
@click.option("--id", "event_id", metavar="ID", help="The sender's id; the same event twice is one event.")
@click.option("--set", "pairs", metavar="KEY=VALUE", multiple=True, help="Data of the event (may be repeated).")
@click.option(
    "--file", type=click.Path(path_type=Path, allow_dash=True), help="JSON, one event or one a line; - reads it."
)
@click.option("--confirmed", is_flag=True, help="Somebody has made sure: an exit goes ahead, however many there are.")
@shared
def event(
    shell: Shell,
    kind: str | None,
    person: str | None,
    when: str | None,
    event_id: str | None,
    pairs: tuple[str, ...],
    file: Path | None,
    confirmed: bool,
) -> None:
    """Record an event about a person, or events from a file.

    \b
      reconciler people event transferred E1012 --at 2026-12-01 --set department=sales --set post=account-manager
      reconciler people event --file events.jsonl

    An exit with only a date takes effect at the end of that day. The exit status is 1 where an event was refused; the
    others are recorded all the same. What is told of somebody who is not known yet is recorded and waits until they are
    hired, because news comes in any order (exit status 3: it may be a wrong id).
    """
    workspace = shell.workspace()
    policy = standing_policy(shell, workspace)
    events, refused = [], []
    for raw, place in _raw_events(kind, person, when, event_id, pairs, file, confirmed=confirmed):
        try:
            events.append(parse_event(raw, place))
        except EventError as error:
            refused.append(error)
    actor = shell.actor(workspace, Act.RECORD, *sorted({each.person for each in events}))
    _check_unlocking(shell, workspace, events)
    results = record_events(
        workspace.facts(),
        events,
        source="cli",
        now=now(),
        actor=actor.name,
        attributes=policy.attributes,
        kinds=policy.evidence,
        exits=policy.guards.exits,
    )
    refused += [result.error for result in results if result.error is not None]
    if shell.as_json:
        shell.give({"events": [_event_json(each) for each in results], "refused": [error_json(e) for e in refused]})
    else:
        _say_events(shell, results, refused)
    waits = any(result.waits for result in results)
    end(Exit.ERROR if refused else Exit.HELD if waits else Exit.DONE)


def _check_unlocking(shell: Shell, workspace: Workspace, events: Sequence[Event]) -> None:
    """Ending a lockout opens doors again: it takes whoever may approve, and with four eyes not whoever recorded it.
    Raises `NotAllowed`.
    """
    people = sorted({each.person for each in events if each.type is EventType.UNLOCKED})
    if not people:
        return
    actor = shell.actor(workspace, Act.APPROVE)
    if workspace.spec.four_eyes and workspace.has_store():
        own = workspace.facts(create=False).locked_out_by(people, actor.names)
        if own:
            text = f"you recorded the lockout of {', '.join(sorted(own))}, and this workspace asks for four eyes"
            raise NotAllowed(text, remedy="somebody else has to record that it is over")


def _raw_events(
    kind: str | None,
    person: str | None,
    when: str | None,
    event_id: str | None,
    pairs: Sequence[str],
    file: Path | None,
    *,
    confirmed: bool,
) -> Iterator[tuple[str | dict[str, object], Place]]:
    if file is not None:
        if kind or person:
            raise click.UsageError("give either TYPE and PERSON, or --file")
        yield from _file_events(file)
        return
    if not kind or not person or not when:
        raise click.UsageError("an event needs its TYPE, the PERSON and --at; or use --file")
    when = now().isoformat() if when.strip().lower() == "now" else when
    told = raw_event(kind, person, when, pairs, event_id=event_id)
    yield {**told, "confirmed": confirmed}, Place("command line")


def raw_event(
    kind: str, person: str, when: str, pairs: Sequence[str], event_id: str | None = None
) -> dict[str, object]:
    """An event as it would stand in JSON; without an id of its own it is known by all that it says."""
    data = dict(map(_pair, pairs))
    name = event_id or f"{kind}:{person}:{when}:" + ";".join(f"{key}={data[key]}" for key in sorted(data))
    return {"id": name, "type": kind, "person": person, "effective_at": when, "data": data}


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write KEY=VALUE")
    return key.strip(), value.strip()


def _file_events(file: Path) -> Iterator[tuple[str | dict[str, object], Place]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        text = f"the events cannot be read: {said}"
        raise EventError(
            text, place=Place(str(file)), remedy="name a file with JSON, one event or one a line"
        ) from None
    try:
        whole = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield line, Place(str(file), number)
        return
    for each in whole if isinstance(whole, list) else [whole]:
        yield each, Place(str(file), 1)


def _event_json(result: EventResult) -> dict[str, object]:
    return {
        "id": result.event.id,
        "type": result.event.type.value,
        "person": result.event.person,
        "outcome": result.outcome.value,
        "ledger_seq": result.entry or None,
        "note": result.note,
        "waits": result.waits,
    }


def _say_events(shell: Shell, results: Sequence[EventResult], refused: Sequence[EventError]) -> None:
    for result in results:
        if result.outcome is EventOutcome.REFUSED:
            continue
        known = "known already as" if result.outcome is EventOutcome.DUPLICATE else "recorded as"
        told = f"{result.event.type.value} {result.event.person}: {known} ledger entry {result.entry}"
        told += ", where it WAITS" if result.waits else ""
        shell.say(told + (f" ({result.note})" if result.note else ""))
    shell.say(*(f"refused: {error}" for error in refused))
