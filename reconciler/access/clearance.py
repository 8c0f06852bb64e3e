"""How high one person's clearance reaches at a moment, and for every level what is missing.

A level needs its own requirements and `only`, and those of all levels below. A requirement is met by evidence of any
of its kinds; it is skipped only where every kind says whom it applies to and that is false of every assignment that
counts. `only` has to be true of every assignment that counts, so somebody without one never qualifies.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reconciler.access.days import BEGINNING, day_text
from reconciler.access.evidence import Standing
from reconciler.access.matching import first_place, matches
from reconciler.access.model import Denial, DenialKind, EvidenceState
from reconciler.access.subject import Moment, PersonAt, moment_of
from reconciler.errors import Place
from reconciler.facts.model import Population
from reconciler.policy.model import ClearanceLevel, EvidenceCategory, EvidenceKind, Match, Policy, Requirement


def clearance_of(policy: Policy, population: Population, person: str, at: datetime) -> str:
    """The name of the highest level that the person reaches, "" where they do not reach even the lowest.

    Raises `UnknownPerson`.
    """
    moment = moment_of(policy, population, at)
    return reached(policy, shortfalls(moment, moment.person(person)))


def reached(policy: Policy, missing: tuple[tuple[Denial, ...], ...]) -> str:
    """The name of the highest level up to which nothing is missing, "" where there is none."""
    name = ""
    for level in policy.levels:
        if missing[level.rank]:
            break
        name = level.name
    return name


def shortfalls(moment: Moment, who: PersonAt) -> tuple[tuple[Denial, ...], ...]:
    """For every level, by rank, what its own requirements and `only` find missing (without the levels below)."""
    return tuple(_level_shortfalls(level, moment, who) for level in moment.policy.levels)


def _level_shortfalls(level: ClearanceLevel, moment: Moment, who: PersonAt) -> tuple[Denial, ...]:
    unmet = (_unmet(requirement, level, moment, who) for requirement in level.requires)
    denials = [denial for denial in unmet if denial is not None]
    if level.only is not None:
        denials += _reserved(level, level.only, moment, who)
    return tuple(denials)


# --- evidence -------------------------------------------------------------------------------------------------------


def _unmet(requirement: Requirement, level: ClearanceLevel, moment: Moment, who: PersonAt) -> Denial | None:
    standings = [
        moment.kinds[proof.kind].standing(who.evidence.get(proof.kind, ()), who.rehired) for proof in requirement.any_of
    ]
    if any(standing.counts for standing in standings) or _is_exempt(requirement, moment, who):
        return None
    told = max(standings, key=_newest)
    kinds = [moment.policy.evidence[proof.kind] for proof in requirement.any_of]
    return Denial(
        kind=DenialKind.EVIDENCE,
        what="|".join(map(str, requirement.any_of)),
        text=f"{_told_all(standings, moment)} (level {level.name})",
        remedy=f"record {' or '.join(_proof(kind) for kind in kinds)}",
        level=level.name,
        state=told.state,
        place=requirement.place,
        entry=told.entry,
        since=told.since,
        known_since=told.known_since,
    )


def _is_exempt(requirement: Requirement, moment: Moment, who: PersonAt) -> bool:
    scopes = [moment.policy.evidence[proof.kind].applies_to for proof in requirement.any_of]
    return bool(who.assignments) and all(
        scope is not None and _reads_only(False, scope, moment, who) for scope in scopes
    )


def _reads_only(value: bool, match: Match, moment: Moment, who: PersonAt) -> bool:
    return all(matches(match, each.attributes, moment.policy.attributes) is value for each in who.assignments)


def _newest(standing: Standing) -> tuple[bool, datetime]:
    return standing.state is not EvidenceState.MISSING, standing.since or BEGINNING


def _told_all(standings: Iterable[Standing], moment: Moment) -> str:
    return ", and ".join(_told(standing, moment) for standing in standings)


def _told(standing: Standing, moment: Moment) -> str:
    since = "" if standing.since is None else day_text(standing.since, moment.zone)
    on = f" on {since}" if since else ""
    match standing.state:
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
    return f"{standing.kind} {text}"


def _proof(kind: EvidenceKind) -> str:
    if kind.category is EvidenceCategory.AGREEMENT:
        return f"a signed {kind.name}, version {kind.version}"
    return f"a passed {kind.name}"


# --- reserved levels ------------------------------------------------------------------------------------------------


def _reserved(level: ClearanceLevel, only: Match, moment: Moment, who: PersonAt) -> list[Denial]:
    attributes = moment.policy.attributes
    place = first_place(only) or level.place
    if not who.assignments:
        return [_reserved_denial(level, place, "there is no active assignment", moment)]
    return [
        _reserved_denial(level, place, f"assignment {each.name} {_how(held)}", moment, each.span.entry, each.span.start)
        for each in who.assignments
        if (held := matches(only, each.attributes, attributes)) is not True
    ]


def _how(held: bool | None) -> str:
    return "is none of those" if held is False else "cannot be told to be one of those (a blank or undeclared value)"


def _reserved_denial(
    level: ClearanceLevel, place: Place, why: str, moment: Moment, entry: int = 0, since: datetime | None = None
) -> Denial:
    return Denial(
        kind=DenialKind.EVIDENCE,
        what="only",
        text=f"level {level.name} is reserved by its `only`, and {why}",
        remedy="no evidence opens it: every active assignment has to match the level's `only`",
        level=level.name,
        state=EvidenceState.RESERVED,
        place=place,
        entry=entry,
        since=since if since is not None and since <= moment.at else None,
    )
