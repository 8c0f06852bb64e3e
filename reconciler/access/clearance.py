"""How high one person's clearance reaches at a moment, what carries it, and for every level what is missing.

A level needs its own requirements and `only`, and those of all levels below; a compartment needs its own. A requirement
is met by evidence of any of its proofs; it is skipped only where every kind says whom it applies to and that is false
of every assignment that counts. `only` has to be true of every assignment that counts, so somebody without one never
qualifies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.carrying import ProofAt, can_be_had, carrier, met_until, proof_at
from reconciler.access.days import BEGINNING, day_text
from reconciler.access.evidence import Standing
from reconciler.access.matching import first_place
from reconciler.access.model import Denial, DenialKind, EvidenceState, Proven
from reconciler.access.subject import Moment, PersonAt, moment_of
from reconciler.errors import Place
from reconciler.facts.model import Population
from reconciler.policy.model import ClearanceLevel, Compartment, EvidenceCategory, Match, Policy, Proof, Requirement


@dataclass(frozen=True, slots=True)
class Check:
    """What one level or compartment finds of a person: what is missing and what is proven, of its own alone."""

    denials: tuple[Denial, ...]
    proven: tuple[Proven, ...]


def clearance_of(policy: Policy, population: Population, person: str, at: datetime) -> str:
    """The name of the highest level that the person reaches, "" where they do not reach even the lowest.

    Raises `UnknownPerson`.
    """
    moment = moment_of(policy, population, at)
    who = moment.person(person)
    return reached(policy, (check(level, moment, who) for level in policy.levels))


def reached(policy: Policy, checks: Iterable[Check]) -> str:
    """The name of the highest level up to which nothing is missing, "" where there is none; checks by rank."""
    name = ""
    for level, found in zip(policy.levels, checks, strict=False):
        if found.denials:
            break
        name = level.name
    return name


def check(clause: ClearanceLevel | Compartment, moment: Moment, who: PersonAt) -> Check:
    """What the clause's own requirements and `only` find, without the levels below."""
    denials: list[Denial] = []
    proven: list[Proven] = []
    for requirement in clause.requires:
        found = _required(requirement, clause, moment, who)
        if isinstance(found, Denial):
            denials.append(found)
        else:
            proven.append(found)
    if clause.only is not None:
        denials += _reserved(clause, clause.only, moment, who)
    return Check(tuple(denials), tuple(proven))


def _named(clause: ClearanceLevel | Compartment) -> str:
    return f"{'level' if isinstance(clause, ClearanceLevel) else 'compartment'} {clause.name}"


def _level_name(clause: ClearanceLevel | Compartment) -> str:
    return clause.name if isinstance(clause, ClearanceLevel) else ""


def _compartment_name(clause: ClearanceLevel | Compartment) -> str:
    return "" if isinstance(clause, ClearanceLevel) else clause.name


# --- evidence -------------------------------------------------------------------------------------------------------


def _required(
    requirement: Requirement, clause: ClearanceLevel | Compartment, moment: Moment, who: PersonAt
) -> Denial | Proven:
    level, compartment = _level_name(clause), _compartment_name(clause)
    if _is_exempt(requirement, moment, who):
        why = _exempt_because(requirement, who)
        return Proven(requirement.any_of[0], level, compartment, 0, None, None, why, requirement.place)
    proofs = [proof_at(proof, moment, who) for proof in requirement.any_of]
    counting = [proof for proof in proofs if proof.standing.counts]
    if not counting:
        return _unmet(requirement, proofs, clause, moment)
    best = counting[0] if len(counting) == 1 else max(counting, key=_lasts)
    record = carrier(best, moment, who)
    until = met_until(proofs, moment, who)
    return Proven(best.proof, level, compartment, record.entry, record.valid_from, until, "", requirement.place)


def _lasts(proof: ProofAt) -> tuple[bool, datetime]:
    return proof.standing.until is None, proof.standing.until or BEGINNING


def _unmet(
    requirement: Requirement, proofs: Sequence[ProofAt], clause: ClearanceLevel | Compartment, moment: Moment
) -> Denial:
    told = max((proof.standing for proof in proofs), key=_newest)
    obtainable = tuple(proof.proof for proof in proofs if can_be_had(proof, moment))
    return Denial(
        kind=DenialKind.EVIDENCE,
        what="|".join(map(str, requirement.any_of)),
        text=f"{_told_all(proofs, moment)} ({_named(clause)})",
        remedy=to_record(obtainable, moment.policy) if obtainable else _once_more(proofs, moment),
        level=_level_name(clause),
        state=told.state,
        place=requirement.place,
        entry=told.entry,
        since=told.since,
        known_since=told.known_since,
        compartment=_compartment_name(clause),
        proofs=obtainable,
    )


def to_record(proofs: Sequence[Proof], policy: Policy) -> str:
    """What somebody has to record, of which any one is enough."""
    return f"record {' or '.join(_in_words(proof, policy) for proof in proofs)}"


def _in_words(proof: Proof, policy: Policy) -> str:
    kind = policy.evidence[proof.kind]
    scope = f" for {proof.scope}" if proof.scope else ""
    if kind.category is EvidenceCategory.AGREEMENT:
        return f"a signed {kind.name}{scope}, version {kind.version}"
    return f"a passed {kind.name}{scope}"


def _once_more(proofs: Sequence[ProofAt], moment: Moment) -> str:
    return f"{to_record([proof.proof for proof in proofs], moment.policy)}, from after the failure"


def _is_exempt(requirement: Requirement, moment: Moment, who: PersonAt) -> bool:
    if not who.assignments:
        return False
    for proof in requirement.any_of:
        scope = moment.policy.evidence[proof.kind].applies_to
        if scope is None or any(moment.reads(scope, each.attributes) is not False for each in who.assignments):
            return False
    return True


def _exempt_because(requirement: Requirement, who: PersonAt) -> str:
    kinds = " and ".join(proof.kind for proof in requirement.any_of)
    posts = ", ".join(dict.fromkeys(each.name for each in who.assignments))
    return f"{kinds} {'does' if len(requirement.any_of) == 1 else 'do'} not apply to assignment {posts}"


def _newest(standing: Standing) -> tuple[bool, datetime]:
    return standing.state is not EvidenceState.MISSING, standing.since or BEGINNING


def _told_all(proofs: Iterable[ProofAt], moment: Moment) -> str:
    return ", and ".join(_told(proof, moment) for proof in proofs)


def _told(proof: ProofAt, moment: Moment) -> str:
    standing = proof.standing
    since = "" if standing.since is None else day_text(standing.since, moment.zone)
    on = f" on {since}" if since else ""
    match standing.state:
        case None:
            text = "counts"
        case EvidenceState.EXPIRED:
            text = f"expired{on}"
        case EvidenceState.REVOKED:
            text = f"was revoked{on}"
        case EvidenceState.SUPERSEDED:
            version = moment.policy.evidence[standing.kind].version
            text = f"was superseded by version {version}{on}"
        case EvidenceState.FAILED:
            text = f"was failed{on}"
        case EvidenceState.NOT_YET_VALID:
            begins = "" if standing.until is None else f" before {day_text(standing.until, moment.zone)}"
            text = f"is not valid{begins}"
        case EvidenceState.BEFORE_REHIRE:
            text = f"is from before the rehire{on}"
        case _:
            text = "is missing"
    named = f"{proof.proof.kind} for {proof.proof.scope}" if proof.proof.scope else proof.proof.kind
    return f"{named} {text}"


# --- reserved levels and compartments -------------------------------------------------------------------------------


def _reserved(clause: ClearanceLevel | Compartment, only: Match, moment: Moment, who: PersonAt) -> list[Denial]:
    place = first_place(only) or clause.place
    if not who.assignments:
        return [_reserved_denial(clause, place, "there is no active assignment", moment)]
    return [
        _reserved_denial(
            clause, place, f"assignment {each.name} {_how(held)}", moment, each.span.entry, each.span.start
        )
        for each in who.assignments
        if (held := moment.reads(only, each.attributes)) is not True
    ]


def _how(held: bool | None) -> str:
    return "is none of those" if held is False else "cannot be told to be one of those (a blank or undeclared value)"


def _reserved_denial(
    clause: ClearanceLevel | Compartment,
    place: Place,
    why: str,
    moment: Moment,
    entry: int = 0,
    since: datetime | None = None,
) -> Denial:
    kind = "level" if isinstance(clause, ClearanceLevel) else "compartment"
    return Denial(
        kind=DenialKind.EVIDENCE,
        what="only",
        text=f"{_named(clause)} is reserved by its `only`, and {why}",
        remedy=f"no evidence opens it: every active assignment has to match the {kind}'s `only`",
        level=_level_name(clause),
        state=EvidenceState.RESERVED,
        place=place,
        entry=entry,
        since=since if since is not None and since <= moment.at else None,
        compartment=_compartment_name(clause),
    )
