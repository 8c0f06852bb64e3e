"""The past, as causes ask for it, answered from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.apply.journal import Journal
from reconciler.errors import ProblemsFound
from reconciler.facts.ledger import Entry, NewEntry, read_numbered, read_subjects
from reconciler.facts.model import Population
from reconciler.facts.people import FACT_KINDS, Facts
from reconciler.passes.wiring import Wiring
from reconciler.plan.causes import FactRef
from reconciler.policy import load_policy
from reconciler.policy.model import Policy

FEW = 100
"""So few people are asked about one by one; for more, the record since then is read as a whole."""


class LedgerMemory:
    """Implements `reconciler.plan.causes.Memory`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def policy(self, digest: str) -> Policy | None:
        """The policy as it was recorded, or None where it is not on record or this version cannot read it any more."""
        return recorded_policy(self._wiring.facts, self._wiring.journal, digest)

    def population(self, people: Collection[str], ledger_seq: int) -> Population:
        """These people as the ledger knew them then."""
        return self._wiring.facts.population(people, known_at=ledger_seq)

    def facts_since(self, people: Collection[str], ledger_seq: int) -> Mapping[str, Sequence[FactRef]]:
        """What was learned about them since then."""
        found: dict[str, list[FactRef]] = defaultdict(list)
        for entry in self._entries_about(people, ledger_seq):
            if entry.subject in people:
                found[entry.subject].append(FactRef(entry.seq, entry.kind, _told(entry, self._wiring.zone)))
        return found

    def _entries_about(self, people: Collection[str], after: int) -> Iterator[Entry]:
        if len(people) > FEW:
            yield from self._wiring.ledger.entries(after=after, kinds=FACT_KINDS)
            return
        with self._wiring.store.reading() as connection:
            for _, entries in read_subjects(connection, people, kinds=FACT_KINDS):
                yield from (entry for entry in entries if entry.seq > after)


def recorded_policy(facts: Facts, journal: Journal, digest: str | None = None) -> Policy | None:
    """The policy of this digest, or else that of the newest run, as it was recorded. None where it is not on record,
    or this version cannot read it any more.
    """
    with facts.store.reading() as connection:
        asked = digest or journal.newest_policy(connection)
        seq = journal.policy_entry(connection, asked) if asked else None
        if seq is None:
            return None
        (entry,) = read_numbered(connection, [seq])
    said: Mapping[str, Any] = entry.payload
    return _compiled(tuple(sorted(said["files"].items())), said["revision"])


@lru_cache(maxsize=4)
def _compiled(files: tuple[tuple[str, str], ...], revision: str) -> Policy | None:
    """The policy of these files. Every pass asks for the one before until a loosening has been approved, and a policy
    is only its text: it need not be compiled each time.
    """
    try:
        return load_policy({name: text.encode("utf-8", "surrogateescape") for name, text in files}, revision=revision)
    except ProblemsFound:
        return None


def policy_entry(wiring: Wiring) -> list[NewEntry]:
    """The entry that puts today's policy on record, unless it is there already."""
    with wiring.store.reading() as connection:
        if wiring.journal.policy_entry(connection, wiring.policy.digest) is not None:
            return []
    files = {name: content.decode("utf-8", "surrogateescape") for name, content in wiring.policy_files.items()}
    payload: dict[str, Any] = {"digest": wiring.policy.digest, "revision": wiring.policy.revision, "files": files}
    return [NewEntry("policy-recorded", "policy", wiring.actor, payload)]


def _told(entry: Entry, zone: ZoneInfo) -> str:
    """A fact in a few words: its kind, and the day it is true from."""
    data = entry.payload.get("data", entry.payload)
    what = data.get("kind") or data.get("evidence") or "" if isinstance(data, Mapping) else ""
    day = f" from {entry.effective_at.astimezone(zone):%Y-%m-%d}" if entry.effective_at else ""
    return f"{entry.kind}{' ' + str(what) if what else ''}{day}"
