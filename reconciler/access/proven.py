"""Evaluation: for each proof that the policy asks for, all people whose records count, as bitmaps from one pass.

`carrying` tells of one person which record carries a proof, and how long. Of a kind that is `per` an attribute, a
record counts for the value in its scope (stripped) alone; of any other kind its scope says nothing. Almost everybody
has only passed records of one employment, where each record stands for itself and is read at once; whoever has a failed
one, or left and came back, is read with care (`KindAt.counts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pyroaring import BitMap

from reconciler.access.evidence import KindAt, kinds_at
from reconciler.access.lifecycle import employed_since
from reconciler.facts.model import EvidenceRecord, Person, Population
from reconciler.policy.model import EvidenceKind, Policy, Proof


def proofs_of(policy: Policy) -> frozenset[Proof]:
    """Every proof that some level or compartment asks for."""
    requirements = [each.requires for each in policy.levels] + [each.requires for each in policy.compartments.values()]
    return frozenset(proof for asked in requirements for requirement in asked for proof in requirement.any_of)


def proof_of(record: EvidenceRecord, kinds: Mapping[str, EvidenceKind]) -> Proof | None:
    """What the record is a proof of; None where the policy does not know its kind."""
    kind = kinds.get(record.kind)
    return None if kind is None else Proof(kind.name, record.scope.strip() if kind.per else "")


def by_proof(records: Iterable[EvidenceRecord], kinds: Mapping[str, EvidenceKind]) -> dict[Proof, list[EvidenceRecord]]:
    """A person's records by what they are proofs of, each group in the order given."""
    groups: dict[Proof, list[EvidenceRecord]] = {}
    for record in records:
        proof = proof_of(record, kinds)
        if proof is not None:
            groups.setdefault(proof, []).append(record)
    return groups


class _Wanted(NamedTuple):
    """A kind that the policy asks for: how a record reads alone, and whom it is found for; `scoped` by its scope."""

    counts: Callable[[EvidenceRecord], bool]
    whole: list[int]
    scoped: Mapping[str, list[int]] | None


def proven(policy: Policy, population: Population, at: datetime, zone: ZoneInfo) -> dict[Proof, BitMap]:
    """For each proof that the policy asks for, the people whose evidence counts at the moment."""
    wanted = proofs_of(policy)
    asked = {name: kind for name, kind in policy.evidence.items() if any(proof.kind == name for proof in wanted)}
    kinds = kinds_at(asked, at, zone)
    found: dict[Proof, list[int]] = {proof: [] for proof in wanted}
    delicate = _read(population, {name: _wanted(kind, found) for name, kind in kinds.items()})
    holders = {proof: BitMap(numbers) for proof, numbers in found.items()}
    for person in delicate:
        _settle(person, population.evidence[person.id], kinds, at, holders)
    return holders


def _wanted(kind: KindAt, found: Mapping[Proof, list[int]]) -> _Wanted:
    name = kind.kind.name
    scoped = {proof.scope: numbers for proof, numbers in found.items() if proof.kind == name}
    return _Wanted(kind.counts_alone, scoped.get("", []), scoped if kind.kind.per else None)


def _read(population: Population, wanted: Mapping[str, _Wanted]) -> list[Person]:
    """Fill in who has what; whoever has to be read with care is returned."""
    delicate = []
    for person in population.people:
        records = population.evidence.get(person.id)
        if not records:
            continue
        number, plain = person.number, not (person.exited or person.rehired)
        for record in records:
            kind = wanted.get(record.kind)
            if kind is None:
                continue
            if record.failed:
                plain = False
                continue
            counts, numbers, scoped = kind
            if scoped is not None:
                if (scope := record.scope.strip()) not in scoped:
                    continue
                numbers = scoped[scope]
            if counts(record):
                numbers.append(number)
        if not plain:
            delicate.append(person)
    return delicate


def _settle(
    person: Person,
    records: Sequence[EvidenceRecord],
    kinds: Mapping[str, KindAt],
    at: datetime,
    holders: Mapping[Proof, BitMap],
) -> None:
    rehired = employed_since(person, at)
    groups = by_proof(records, {name: kind.kind for name, kind in kinds.items()})
    for proof in groups.keys() & holders.keys():
        holders[proof].discard(person.number)
        if kinds[proof.kind].counts(groups[proof], rehired):
            holders[proof].add(person.number)
