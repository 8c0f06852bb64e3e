"""How high one person's clearance reaches at a moment, what carries it, and for every level what is missing.

A level needs its own requirements and `only`, and those of all levels below; a compartment needs its own. A requirement
is met by evidence of any of its proofs; it is skipped only where every kind says whom it applies to and that is false
of every assignment that counts. `only` has to be true of every assignment that counts, so somebody without one never
qualifies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.carrying import ProofAt, can_be_had, carrier, met_until, proof_at, records_of
from reconciler.access.days import BEGINNING, day_text
from reconciler.access.evidence import Standing
from reconciler.access.matching import first_place
from reconciler.access.model import Denial, DenialKind, EvidenceState, Proven
from reconciler.access.subject import Moment, PersonAt, moment_of
from reconciler.errors import Place
from reconciler.facts.model import Population
from reconciler.policy.model import ClearanceLevel, Compartment, EvidenceCategory, Match, Policy, Proof, Requirement

_MISSING = "is missing"


@dataclass(frozen=True, slots=True)
class Asking:
    """One requirement of a clause, made ready to be asked of many people.

    `applies_to` is whom each kind applies to, None where some kind applies to everybody. `unrecorded` is the denial of
    whoever has no record of any of the proofs: the same for all of them.
    """

    requirement: Requirement
    applies_to: tuple[Match, ...] | None
    unrecorded: Denial


@dataclass(frozen=True, slots=True)
class Demand:
    """What one level or compartment asks for by itself, without the levels below."""

    clause: ClearanceLevel | Compartment
    asks: tuple[Asking, ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a policy asks for before it lets anybody through: the levels by rank, the compartments by name."""

    levels: Sequence[Demand]
    compartments: Mapping[str, Demand]


def demands_of(policy: Policy) -> Demands:
    """The policy's levels and compartments, made ready for questions about single people."""
    return Demands(
        levels=[_demand(level, policy) for level in policy.levels],
        compartments={name: _demand(each, policy) for name, each in policy.compartments.items()},
    )


def _demand(clause: ClearanceLevel | Compartment, policy: Policy) -> Demand:
    return Demand(clause, tuple(_asking(requirement, clause, policy) for requirement in clause.requires))


def _asking(requirement: Requirement, clause: ClearanceLevel | Compartment, policy: Policy) -> Asking:
    scopes = [policy.evidence[proof.kind].applies_to for proof in requirement.any_of]
    known = tuple(scope for scope in scopes if scope is not None)
    return Asking(requirement, known if len(known) == len(scopes) else None, _unrecorded(requirement, clause, policy))


def clearance_of(policy: Policy, population: Population, person: str, at: datetime) -> str:
    """The name of the highest level that the person reaches, "" where they do not reach even the lowest.

    Raises `UnknownPerson`.
    """
    moment = moment_of(policy, population, at)
    who = moment.person(person)
    return reached(policy, (missing(level, moment, who) for level in demands_of(policy).levels))


def reached(policy: Policy, found: Iterable[Sequence[Denial]]) -> str:
    """The name of the highest level up to which nothing is missing, "" where there is none; what is missing by rank."""
    name = ""
    for level, denials in zip(policy.levels, found, strict=False):
        if denials:
            break
        name = level.name
    return name


def missing(demand: Demand, moment: Moment, who: PersonAt) -> tuple[Denial, ...]:
    """What the person lacks of what the clause asks for, in its order: evidence, then `only`."""
    found = [denial for asking in demand.asks if (denial := _lacked(asking, demand.clause, moment, who)) is not None]
    only = demand.clause.only
    return tuple(found) if only is None else (*found, *_reserved(demand.clause, only, moment, who))


def proven_by(demand: Demand, moment: Moment, who: PersonAt) -> Iterator[Proven]:
    """The clause's requirements that the person meets, with what meets them."""
    for asking in demand.asks:
        found = _proven(asking, demand.clause, moment, who)
        if found is not None:
            yield found


def _named(clause: ClearanceLevel | Compartment) -> str:
    return f"{'level' if isinstance(clause, ClearanceLevel) else 'compartment'} {clause.name}"


def _level_name(clause: ClearanceLevel | Compartment) -> str:
    return clause.name if isinstance(clause, ClearanceLevel) else ""


def _compartment_name(clause: ClearanceLevel | Compartment) -> str:
    return "" if isinstance(clause, ClearanceLevel) else clause.name


# --- evidence -------------------------------------------------------------------------------------------------------


def _lacked(asking: Asking, clause: ClearanceLevel | Compartment, moment: Moment, who: PersonAt) -> Denial | None:
    recorded = False
    for proof in asking.requirement.any_of:
        records = records_of(proof, who)
        if records:
            recorded = True
            if moment.kinds[proof.kind].counts(records, who.rehired):
                return None
    if _is_exempt(asking, moment, who):
        return None
    return _unmet(asking.requirement, clause, moment, who) if recorded else asking.unrecorded


def _proven(asking: Asking, clause: ClearanceLevel | Compartment, moment: Moment, who: PersonAt) -> Proven | None:
    level, compartment, requirement = _level_name(clause), _compartment_name(clause), asking.requirement
    if _is_exempt(asking, moment, who):
        why = _exempt_because(requirement, who)
        return Proven(requirement.any_of[0], level, compartment, 0, None, None, why, requirement.place)
    proofs = [proof_at(proof, moment, who) for proof in requirement.any_of]
    counting = [proof for proof in proofs if proof.standing.counts]
    if not counting:
        return None
    best = counting[0] if len(counting) == 1 else max(counting, key=_lasts)
    record = carrier(best, moment, who)
    until = met_until(proofs, moment, who)
    return Proven(best.proof, level, compartment, record.entry, record.valid_from, until, "", requirement.place)


def _lasts(proof: ProofAt) -> tuple[bool, datetime]:
    return proof.standing.until is None, proof.standing.until or BEGINNING


def _unmet(requirement: Requirement, clause: ClearanceLevel | Compartment, moment: Moment, who: PersonAt) -> Denial:
    proofs = [proof_at(proof, moment, who) for proof in requirement.any_of]
    told = max((proof.standing for proof in proofs), key=_newest)
    obtainable = tuple(proof.proof for proof in proofs if can_be_had(proof, moment))
    return Denial(
        kind=DenialKind.EVIDENCE,
        what=_what(requirement),
        text=f"{', and '.join(_told(proof, moment) for proof in proofs)} ({_named(clause)})",
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


def _unrecorded(requirement: Requirement, clause: ClearanceLevel | Compartment, policy: Policy) -> Denial:
    return Denial(
        kind=DenialKind.EVIDENCE,
        what=_what(requirement),
        text=f"{', and '.join(f'{_called(proof)} {_MISSING}' for proof in requirement.any_of)} ({_named(clause)})",
        remedy=to_record(requirement.any_of, policy),
        level=_level_name(clause),
        state=EvidenceState.MISSING,
        place=requirement.place,
        compartment=_compartment_name(clause),
        proofs=requirement.any_of,
    )


def _what(requirement: Requirement) -> str:
    return "|".join(map(str, requirement.any_of))


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


def _is_exempt(asking: Asking, moment: Moment, who: PersonAt) -> bool:
    if asking.applies_to is None or not who.assignments:
        return False
    return all(moment.reads(scope, each.attributes) is False for scope in asking.applies_to for each in who.assignments)


def _exempt_because(requirement: Requirement, who: PersonAt) -> str:
    kinds = " and ".join(proof.kind for proof in requirement.any_of)
    posts = ", ".join(dict.fromkeys(each.name for each in who.assignments))
    return f"{kinds} {'does' if len(requirement.any_of) == 1 else 'do'} not apply to assignment {posts}"


def _newest(standing: Standing) -> tuple[bool, datetime]:
    return standing.state is not EvidenceState.MISSING, standing.since or BEGINNING


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
            text = _MISSING
    return f"{_called(proof.proof)} {text}"


def _called(proof: Proof) -> str:
    return f"{proof.kind} for {proof.scope}" if proof.scope else proof.kind


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
