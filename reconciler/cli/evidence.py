"""Commands about proofs: `evidence import|add|revoke|list`."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from reconciler.cli.endings import Exit, end, problem_text, problems_json
from reconciler.cli.explanations import local
from reconciler.cli.people import FILE_SOURCE, standing_policy
from reconciler.cli.shell import Shell, shared
from reconciler.errors import Place
from reconciler.facts.days import day_end, last_day
from reconciler.facts.events import EventError, EventType, parse_event
from reconciler.facts.evidence import EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS, import_evidence, read_evidence
from reconciler.facts.model import EvidenceRecord
from reconciler.facts.people import Facts
from reconciler.facts.recording import EventOutcome, record_events
from reconciler.passes.tokens import Act
from reconciler.plan.artefact import instant
from reconciler.sources import Row
from reconciler.workspace import Workspace, now

BY_HAND = "cli"
"""The source of what is typed."""


@click.group()
def evidence() -> None:
    """What people have signed, passed and learned."""


@evidence.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@shared
def import_(shell: Shell, file: Path) -> None:
    """Import proofs from a FILE: CSV, an Excel workbook, or JSON lines (.jsonl).

    \b
    Columns: person, evidence, scope, version, valid_from, valid_until, result (passed, failed), reference, source, id,
    signer, document (sha256:…), course, score.

    A bad row excludes only itself (exit status 4). The same row twice is one proof.
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.RECORD)
    policy = standing_policy(shell, workspace)
    feed = workspace.file_source(file).read(EVIDENCE_COLUMNS, REQUIRED_EVIDENCE_COLUMNS)
    report = import_evidence(
        workspace.facts(), feed, source=FILE_SOURCE, kinds=policy.evidence, now=now(), actor=actor.name
    )
    if shell.as_json:
        shell.give(
            {"recorded": report.recorded, "known": report.known, "quarantined": problems_json(report.quarantined)}
        )
    else:
        shell.say(*(problem_text(problem) for problem in report.quarantined))
        bad = len(report.quarantined)
        told = f"{report.recorded} recorded, {report.known} known already"
        shell.say(told + (f", {bad} row{'' if bad == 1 else 's'} quarantined" if bad else ""))
    end(Exit.FAILED if report.quarantined else Exit.DONE)


@evidence.command()
@click.argument("person")
@click.argument("kind")
@click.option("--from", "valid_from", required=True, metavar="DAY", help="The day it was signed, passed or completed.")
@click.option(
    "--until",
    "valid_until",
    metavar="WHEN",
    help="Its last day, or the moment when it ends, where the policy says otherwise.",
)
@click.option("--version", metavar="N", help="The version of the agreement that was signed.")
@click.option("--scope", metavar="S", help="The project or site that it is for, where the policy asks for one each.")
@click.option("--failed", is_flag=True, help="The check or training was not passed.")
@click.option("--reference", metavar="R", help="How it is called where it is filed.")
@click.option("--document", metavar="FILE", help="The signed file (its digest is kept, never the file), or sha256:…")
@click.option("--signer", metavar="ID", help="Who signed for the company.")
@click.option("--course", metavar="C", help="Which course a training was.")
@click.option("--score", metavar="S", help="With which result.")
@click.option("--id", metavar="ID", help="An id of your own; without one it is known by what it says.")
@shared
def add(shell: Shell, person: str, kind: str, failed: bool, document: str | None, **told: str | None) -> None:
    """Record that PERSON has signed, passed or completed KIND, which is one of the policy's `evidence`.

    \b
      reconciler evidence add E1009 nda --from 2026-11-20 --version 3 --document signed/E1009.pdf --signer E1003
      reconciler evidence add E1009 rd-training --from 2026-11-20 --course RD-101 --score 92
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.RECORD, person)
    policy = standing_policy(shell, workspace)
    if kind not in policy.evidence:
        near = difflib.get_close_matches(kind, policy.evidence, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else f"it has: {', '.join(sorted(policy.evidence))}"
        raise EventError(f"the policy has no evidence kind `{kind}`", remedy=remedy)
    facts = workspace.facts()
    facts.find_person(person)
    cells = {column: value or "" for column, value in told.items()}
    cells |= {"person": person, "evidence": kind, "result": "failed" if failed else "passed"}
    cells["document"] = _digest(document) if document else ""
    _record(shell, facts, cells, policy.evidence, actor.name)


@evidence.command()
@click.argument("person")
@click.argument("which")
@click.option("--reason", required=True, help="Why, in words that name nobody else; it is kept on record.")
@click.option("--at", "when", default="now", show_default=True, metavar="WHEN", help="From when it does not count.")
@shared
def revoke(shell: Shell, person: str, which: str, reason: str, when: str) -> None:
    """Take a proof of PERSON back: WHICH is its id, its reference, or its kind where they have one of that kind.

    \b
      reconciler evidence revoke E1009 nda --reason "LEGAL-12: signed by the wrong entity"

    What it carried is revoked by the next `apply`, in the leaver's lane: nothing holds it.
    """
    workspace = shell.workspace()
    actor = shell.actor(workspace, Act.RECORD, person)
    facts = workspace.facts(create=False)
    facts.find_person(person)
    record = _chosen(facts, person, which)
    at = now().isoformat() if when == "now" else when
    raw = {
        "id": f"revoke:{person}:{record.entry}",
        "type": EventType.EVIDENCE_REVOKED.value,
        "person": person,
        "effective_at": at,
        "data": {"evidence": facts.event_id(record.entry), "reason": reason},
    }
    (result,) = record_events(facts, [parse_event(raw)], source=BY_HAND, now=now(), actor=actor.name)
    if result.error is not None:
        raise result.error
    if shell.as_json:
        shell.give({"person": person, "kind": record.kind, "evidence_seq": record.entry, "ledger_seq": result.entry})
        return
    known = " already" if result.outcome is EventOutcome.DUPLICATE else ""
    shell.say(f"{record.kind} of {person} (ledger entry {record.entry}) is revoked{known}: ledger entry {result.entry}")


@evidence.command("list")
@click.argument("person")
@shared
def list_(shell: Shell, person: str) -> None:
    """What is on record of PERSON's proofs, the newest last."""
    workspace = shell.workspace()
    shell.actor(workspace, Act.READ, person)
    facts = workspace.facts(create=False)
    facts.find_person(person)
    records = facts.population([person]).evidence.get(person, ())
    if shell.as_json:
        shell.give([_record_json(record, facts) for record in records])
        return
    shell.say(*(_line(record, workspace, facts) for record in records))
    if not records:
        shell.say(f"Nothing is on record that {person} has signed, passed or completed.")


def _record(shell: Shell, facts: Facts, cells: Mapping[str, str], kinds: Mapping[str, object], actor: str) -> None:
    read = read_evidence(Row(cells, Place("command line")), BY_HAND, kinds)
    if not isinstance(read, tuple):
        raise EventError(read.message, remedy="correct the option")
    (result,) = record_events(facts, [read[0]], source=BY_HAND, now=now(), actor=actor, known_only=True)
    if result.error is not None:
        raise result.error
    if shell.as_json:
        told = {"person": cells["person"], "kind": cells["evidence"], "outcome": result.outcome.value}
        shell.give({**told, "ledger_seq": result.entry})
        return
    known = "known already as" if result.outcome is EventOutcome.DUPLICATE else "recorded as"
    shell.say(f"{cells['evidence']} of {cells['person']}: {known} ledger entry {result.entry}")


def _digest(document: str) -> str:
    if document.startswith("sha256:"):
        return document
    try:
        with Path(document).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        text = f"the document {document} cannot be read: {error.strerror}"
        raise EventError(text, remedy="name a file, or its digest: sha256:…") from None


def _chosen(facts: Facts, person: str, which: str) -> EvidenceRecord:
    records = facts.population([person]).evidence.get(person, ())
    named = [each for each in records if which in (facts.event_id(each.entry), each.reference, str(each.entry))]
    of_kind = [each for each in records if each.kind == which and each.revoked is None]
    found = named or of_kind
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f"{facts.event_id(each.entry)} (ledger entry {each.entry})" for each in found)
        raise EventError(f"`{person}` has several proofs `{which}`", remedy=f"name one: {listed}")
    kinds = sorted({each.kind for each in records}) or ["none"]
    raise EventError(f"`{person}` has no proof `{which}`", remedy=f"on record are: {', '.join(kinds)}")


def _record_json(record: EvidenceRecord, facts: Facts) -> dict[str, object]:
    return {
        "ledger_seq": record.entry,
        "id": facts.event_id(record.entry),
        "kind": record.kind,
        "scope": record.scope,
        "version": record.version,
        "valid_from": instant(record.valid_from),
        "valid_until": instant(record.valid_until),
        "failed": record.failed,
        "reference": record.reference,
        "source": record.source,
        "revoked_from": instant(record.revoked.start) if record.revoked else None,
    }


def _end_text(end: datetime, zone: ZoneInfo) -> str:
    """The last day, or the moment where it is no day's end."""
    last = last_day(end, zone)
    return last.isoformat() if end == day_end(last, zone) else local(end, zone)


def _line(record: EvidenceRecord, workspace: Workspace, facts: Facts) -> str:
    zone = workspace.zone
    told = [f"{record.kind}" + (f" for {record.scope}" if record.scope else "")]
    told.append(f"version {record.version}" if record.version > 1 else "")
    told.append("failed" if record.failed else "")
    told.append(f"from {local(record.valid_from, zone)[:10]}")
    told.append(f"until {_end_text(record.valid_until, zone)}" if record.valid_until else "")
    revoked = record.revoked
    told.append(f"REVOKED from {local(revoked.start, zone)}" if revoked is not None and revoked.start else "")
    return (
        f"ledger:{record.entry}  {', '.join(filter(None, told))}  ({record.reference or facts.event_id(record.entry)})"
    )
