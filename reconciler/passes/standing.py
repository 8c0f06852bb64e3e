"""What the last whole pass found in order, and whether anything can have changed since.

A pass that found nothing to do leaves its standing: under which policy, up to which entry of the record, until which
moment time alone changes nobody's access, and a mark of each target. Where all of that still holds, another pass would
find nothing either, and is spared. The proof is only as good as the targets' marks: so it ends after `FULL_EVERY`, and
where a full pass then finds something to do on a target whose mark says that nothing has changed, that is a finding.

The standing is no part of the record: losing it costs one full pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select

from reconciler.access.boundaries import boundaries_of
from reconciler.apply.tables import standing as standing_table
from reconciler.facts.days import instant_text
from reconciler.facts.people import FACT_KINDS
from reconciler.passes.agenda import turns_of
from reconciler.passes.look import Look
from reconciler.passes.wiring import Wiring
from reconciler.plan.model import Finding, content_digest
from reconciler.targets import TargetError

__all__ = ["FULL_EVERY", "Standing", "leave", "marks", "missed", "recall", "unchanged"]

FULL_EVERY = timedelta(hours=24)
"""How long marks are believed. A target may know nothing of some way in which it was changed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a pass left: `wishes` is a digest of policy and workspace, `ledger_seq` the record's newest entry, `at` when
    it looked, `until` the moment before which time alone changes nothing.
    """

    wishes: str
    ledger_seq: int
    at: datetime
    until: datetime
    marks: Mapping[str, str]


def marks(wiring: Wiring) -> dict[str, str]:
    """A mark of every target, to be taken before it is read; blank where a target has none."""
    return {name: _mark(wiring, name) for name in sorted(wiring.targets)}


def leave(wiring: Wiring, seen: Look, taken: Mapping[str, str]) -> Standing | None:
    """Note what a whole pass over everybody and every target found, if it was all in order; nothing otherwise.
    `taken` are the marks of before it.
    """
    standing = _found_in_order(wiring, seen, taken)
    with wiring.store.writing() as connection:
        connection.execute(delete(standing_table))
        if standing is not None:
            content = {**asdict(standing), "at": instant_text(standing.at), "until": instant_text(standing.until)}
            connection.execute(insert(standing_table).values(only=0, content=json.dumps(content)))
    return standing


def recall(wiring: Wiring) -> Standing | None:
    """What the last pass left, whether or not it still holds."""
    with wiring.store.reading() as connection:
        content = connection.execute(select(standing_table.c.content)).scalar()
    if content is None:
        return None
    found = json.loads(content)
    times = {name: datetime.fromisoformat(found[name]).astimezone(UTC) for name in ("at", "until")}
    return Standing(**{**found, **times})


def unchanged(wiring: Wiring) -> Standing | None:
    """What the last pass left, where nothing can have changed since: not the policy, not the record, not by the time,
    and not on a target, as far as the targets know. Costs a question to each target.
    """
    standing = recall(wiring)
    if standing is None or not _holds(wiring, standing):
        return None
    same = (_mark(wiring, name, mark) == mark for name, mark in standing.marks.items())
    return standing if all(same) else None


def missed(wiring: Wiring, before: Standing | None, taken: Mapping[str, str], seen: Look) -> list[Finding]:
    """The targets on which there is something to do although nothing else has changed since `before`, and they say by
    their marks that nothing has there.
    """
    if before is None or not _same_wishes(wiring, before):
        return []
    moved = {change.target for change in seen.plan.changes}
    text = "it says that nothing was changed here since {}, and something was: its marks cannot be relied on"
    return [
        Finding("missed-change", name, name, text.format(instant_text(before.at)))
        for name in sorted(moved)
        if taken.get(name) and taken[name] == before.marks.get(name)
    ]


# --- what it takes ----------------------------------------------------------------------------------------------------


def _holds(wiring: Wiring, standing: Standing) -> bool:
    fresh = standing.at <= wiring.clock() < standing.at + FULL_EVERY
    return fresh and _same_wishes(wiring, standing) and standing.marks.keys() == wiring.targets.keys()


def _same_wishes(wiring: Wiring, standing: Standing) -> bool:
    return (
        standing.wishes == _wishes(wiring)
        and standing.at <= wiring.clock() < standing.until
        and standing.ledger_seq == wiring.ledger.head()
    )


def _wishes(wiring: Wiring) -> str:
    """A digest of all that says what is wanted, but the facts."""
    targets = {name: [each.revoke_foreign, each.disable_orphans] for name, each in wiring.targets.items()}
    return content_digest([wiring.policy.digest, wiring.zone.key, targets])


def _found_in_order(wiring: Wiring, seen: Look, taken: Mapping[str, str]) -> Standing | None:
    if seen.plan.changes or not _seen_whole(seen) or not all(taken.values()):
        return None
    head = wiring.ledger.head()
    news = wiring.ledger.entries(after=seen.population.ledger_seq, kinds=FACT_KINDS)
    if next(iter(news), None) is not None:
        return None
    until = min(_turns(wiring, seen), default=seen.desired.at + FULL_EVERY)
    return Standing(_wishes(wiring), head, seen.desired.at, until, dict(taken))


def _seen_whole(seen: Look) -> bool:
    for each in seen.observations.values():
        if each is None or not each.accounts.reading.whole:
            return False
        if not all(read.reading.whole for read in each.entitlements.values()):
            return False
    return True


def _turns(wiring: Wiring, seen: Look) -> Iterator[datetime]:
    """The moments, after the plan was made, at which time alone may change something for somebody."""
    at, boundaries = seen.desired.at, boundaries_of(seen.policy, seen.population)
    yield from (instant for instant in boundaries.of_policy() if instant > at)
    for person in seen.population:
        yield from (instant for instant in turns_of(boundaries, person) if instant > at)


def _mark(wiring: Wiring, name: str, since: str = "") -> str:
    try:
        return wiring.targets[name].target.mark(since)
    except TargetError:
        return ""
