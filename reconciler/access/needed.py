"""The smallest set of facts that takes denials away.

Every requirement that is not met names proofs of which any one is enough, and one proof can meet several requirements:
the smallest choice that meets all of them is what is needed. Whatever no proof can mend asks for a fact of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from reconciler.access.clearance import to_record
from reconciler.access.lacking import lacks
from reconciler.access.model import Denial, DenialKind, EvidenceState, FactKind, NeededFact
from reconciler.access.sponsors import END_DATE, SPONSOR
from reconciler.access.subject import Moment, PersonAt
from reconciler.access.ways import NO_ASSIGNMENT
from reconciler.policy.model import ClearanceLevel, Compartment, Policy, Proof

_MOST_TRIED = 12
"""With more proofs than this to choose from, the choice is greedy and then thinned: still none too many, perhaps not
the fewest.
"""

_KINDS = {
    DenialKind.EVIDENCE: FactKind.EVIDENCE,
    DenialKind.LIFECYCLE: FactKind.LIFECYCLE,
    DenialKind.LOCKOUT: FactKind.LOCKOUT,
    DenialKind.SEPARATION: FactKind.SEPARATION,
}


def needed_facts(denials: Sequence[Denial], moment: Moment, who: PersonAt) -> tuple[NeededFact, ...]:
    """What would have to be otherwise for none of the denials to stand."""
    others = [_fact(denial) for denial in denials if not denial.proofs and denial.state is not EvidenceState.RESERVED]
    reserved = _qualifying(denials, moment, who)
    return (*others, *reserved, *_evidence([each for each in denials if each.proofs], moment.policy))


def _fact(denial: Denial) -> NeededFact:
    if denial.what == END_DATE and denial.kind is DenialKind.LIFECYCLE:
        kind = FactKind.ASSIGNMENT
        return NeededFact(kind, denial.remedy, attribute="ends_on", wanted="a last day", place=denial.place)
    kind = FactKind.SPONSOR if denial.what == SPONSOR and denial.kind is DenialKind.LIFECYCLE else _KINDS[denial.kind]
    return NeededFact(kind, denial.remedy, place=denial.place)


# --- reserved levels and compartments -------------------------------------------------------------------------------


def _qualifying(denials: Iterable[Denial], moment: Moment, who: PersonAt) -> Iterator[NeededFact]:
    names = ((each.level, each.compartment) for each in denials if each.state is EvidenceState.RESERVED)
    seen: set[NeededFact] = set()
    for level, compartment in dict.fromkeys(names):
        for fact in _to_qualify(_clause(level, compartment, moment.policy), moment, who):
            if fact not in seen:
                seen.add(fact)
                yield fact


def _clause(level: str, compartment: str, policy: Policy) -> ClearanceLevel | Compartment | None:
    return policy.compartments[compartment] if compartment else policy.level(level)


def _to_qualify(clause: ClearanceLevel | Compartment | None, moment: Moment, who: PersonAt) -> Iterator[NeededFact]:
    if clause is None:
        return
    if not who.assignments:
        yield NO_ASSIGNMENT
    for values in [each.attributes for each in who.assignments] or [{}]:
        for lack in lacks(clause.only, values, moment.policy.attributes):
            yield lack.fact


# --- evidence -------------------------------------------------------------------------------------------------------


def _evidence(denials: Sequence[Denial], policy: Policy) -> Iterator[NeededFact]:
    waiting = list(denials)
    for proof in _fewest([denial.proofs for denial in denials]):
        met = [denial for denial in waiting if proof in denial.proofs]
        waiting = [denial for denial in waiting if proof not in denial.proofs]
        others = [each for each in met[0].proofs if each != proof and all(each in one.proofs for one in met)]
        proofs = (proof, *others)
        yield NeededFact(FactKind.EVIDENCE, to_record(proofs, policy), proofs=proofs, place=met[0].place)


def _fewest(requirements: Sequence[Sequence[Proof]]) -> tuple[Proof, ...]:
    """The fewest proofs of which every requirement accepts one, in the order in which the requirements name them."""
    candidates = list(dict.fromkeys(proof for each in requirements for proof in each))
    plain = [each for each in requirements if len(each) == 1]
    if len(plain) == len(requirements):
        return tuple(candidates)
    if len(candidates) > _MOST_TRIED:
        return _thinned(candidates, requirements)
    for count in range(len(candidates) + 1):
        for chosen in combinations(candidates, count):
            if all(any(proof in each for proof in chosen) for each in requirements):
                return chosen
    return tuple(candidates)


def _thinned(candidates: Sequence[Proof], requirements: Sequence[Sequence[Proof]]) -> tuple[Proof, ...]:
    chosen = list(candidates)
    for proof in reversed(candidates):
        fewer = [each for each in chosen if each != proof]
        if all(any(each in one for each in fewer) for one in requirements):
            chosen = fewer
    return tuple(chosen)
