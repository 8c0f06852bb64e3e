"""Explanation: how one person's proof stands, which record carries it, and how long a requirement stays met.

`proven` says who has a proof at all, for everybody in bitmaps; `evidence` when a record counts. Here stands what
follows for a `Proof`, which is a kind of evidence and, where the kind is per an attribute, one value: only records with
that scope speak of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.days import BEGINNING
from reconciler.access.evidence import KindAt, Standing
from reconciler.access.subject import Moment, PersonAt
from reconciler.facts.model import EvidenceRecord
from reconciler.policy.model import Proof


@dataclass(frozen=True, slots=True)
class ProofAt:
    """A person's proof at a moment: how it stands, and the records that speak of it."""

    proof: Proof
    standing: Standing
    records: Sequence[EvidenceRecord]


def proof_at(proof: Proof, moment: Moment, who: PersonAt) -> ProofAt:
    """How the proof stands."""
    records = records_of(proof, who)
    return ProofAt(proof, moment.kinds[proof.kind].standing(records, who.rehired), records)


def records_of(proof: Proof, who: PersonAt) -> Sequence[EvidenceRecord]:
    """The person's records that speak of the proof, whether or not they count."""
    records = who.evidence.get(proof.kind, ())
    if not records or not proof.scope:
        return records
    return [record for record in records if record.scope.strip() == proof.scope]


def carrier(proof: ProofAt, moment: Moment, who: PersonAt) -> EvidenceRecord:
    """Of a proof that counts, the record that lasts longest."""
    if len(proof.records) == 1:
        return proof.records[0]
    kind = moment.kinds[proof.proof.kind]
    failed = [record for record in proof.records if record.failed]
    alone = [(record, kind.standing([record, *failed], who.rehired)) for record in proof.records if not record.failed]
    return max(alone, key=_lasts)[0]


def _lasts(pair: tuple[EvidenceRecord, Standing]) -> tuple[bool, bool, datetime, int]:
    record, standing = pair
    return standing.counts, standing.until is None, standing.until or BEGINNING, record.entry


def met_until(proofs: Sequence[ProofAt], moment: Moment, who: PersonAt) -> datetime | None:
    """When none of the proofs counts any more (None: never, as far as is known); one of them counts now.

    A record that begins before the last one ends carries on from there.
    """
    until = _latest([proof.standing for proof in proofs if proof.standing.counts])
    if sum(len(proof.records) for proof in proofs) <= 1:
        return until
    while until is not None:
        later = [_standing_at(until, proof, moment, who) for proof in proofs if proof.records]
        counting = [standing for standing in later if standing.counts]
        if not counting:
            return until
        until = _latest(counting)
    return None


def can_be_had(proof: ProofAt, moment: Moment) -> bool:
    """Whether recording the proof, valid from the moment on, would make it count.

    A failure of the same instant cancels it; whoever failed this very moment can only pass later.
    """
    return not any(
        record.failed
        and record.valid_from == moment.at
        and (record.revoked is None or not record.revoked.covers(moment.at))
        for record in proof.records
    )


def _standing_at(at: datetime, proof: ProofAt, moment: Moment, who: PersonAt) -> Standing:
    kind = KindAt(moment.policy.evidence[proof.proof.kind], at, moment.zone)
    return kind.standing(proof.records, who.rehired)


def _latest(standings: Sequence[Standing]) -> datetime | None:
    ends = [standing.until for standing in standings]
    return None if None in ends else max(end for end in ends if end is not None)
