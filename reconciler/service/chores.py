"""What the service does by the schedule beside whole passes: bring people in, attest the record. As jobs
(`reconciler.service.jobs`): answered in plain values, done again without harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from reconciler.errors import ReconcilerError
from reconciler.facts.feed import ImportReport, import_people
from reconciler.logs import log
from reconciler.service.premises import Premises
from reconciler.workspace.attesting import attest_in_git
from reconciler.workspace.feeds import delivery

__all__ = ["Chore", "attest_record", "bring_in"]


@dataclass(frozen=True, slots=True)
class Chore:
    """What somebody has to see to; blank where nobody has. `code` is stable, and stands in docs/service.md."""

    code: str = ""
    text: str = ""


def bring_in(premises: Premises, _stop: Event, source: str, full: bool) -> Chore:
    """`people import SOURCE`. Raises as that does: `FeedHeld`, `SourceError`, whatever is wrong with the source."""
    try:
        report = _imported(premises, source, full=full)
    except ReconcilerError as error:
        premises.notifier.imported(source, refused=error.code)
        raise
    bad, waits = len({problem.place for problem in report.quarantined}), len(report.waiting)
    premises.notifier.imported(source, waiting=waits, import_id=report.import_id)
    counts = {"new": report.new, "changed": report.changed, "unchanged": report.unchanged}
    log.info("people-imported", source=source, entries=report.entries, **counts, quarantined=bad, waiting=waits)
    if waits:
        decide = f"reconciler people confirm {report.import_id}"
        return Chore("import-waits", f"source `{source}`: {waits} exits wait for a decision: {decide}")
    if bad:
        return Chore(
            "import-quarantined", f"source `{source}`: {bad} rows could not be taken: reconciler people import"
        )
    return Chore()


def _imported(premises: Premises, source: str, *, full: bool) -> ImportReport:
    workspace, facts, policy = premises.workspace, premises.facts, premises.standing().policy
    return import_people(
        facts,
        delivery(facts, source, workspace.source(source), policy, full=full),
        source=source,
        attributes=policy.attributes,
        guards=policy.guards,
        now=premises.clock(),
        actor=premises.actor.name,
    )


def attest_record(premises: Premises, _stop: Event) -> Chore:
    """`ledger anchor`. Raises as that does: `LedgerBroken`, `CheckpointRefused`, `AnchorRefused`."""
    done = attest_in_git(premises.workspace, premises.facts)
    log.info("record-attested", entry=done.checkpoint.seq, where=done.where, already=done.already)
    return Chore()
