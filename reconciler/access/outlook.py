"""What ends an access that somebody has, and when.

Most people's future holds nothing but ends: of an assignment, a proof, an exception. Then the first thing without which
no reason or no clearance is left says when the access ends. Where something is to begin as well (another assignment, a
leave, a membership), only asking again at every instant at which the answer can change tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.access.days import add_period, day_start
from reconciler.access.holdings import earliest, last_end_of
from reconciler.access.model import Denial, DenialKind, End, EndKind, Proven, Reason, ReasonKind
from reconciler.access.sponsors import SPONSOR, lapses_to_come, sponsored
from reconciler.access.subject import Moment, PersonAt
from reconciler.facts.model import Person, Span
from reconciler.policy.model import EvidenceKind, Resource

_REASONS = {
    ReasonKind.ROLE: EndKind.ASSIGNMENT,
    ReasonKind.EVERYONE: EndKind.ASSIGNMENT,
    ReasonKind.MEMBER: EndKind.MEMBERSHIP,
    ReasonKind.OVERLAP: EndKind.OVERLAP,
    ReasonKind.EXCEPTION: EndKind.EXCEPTION,
}

_DENIALS = {
    DenialKind.EVIDENCE: EndKind.EVIDENCE,
    DenialKind.LIFECYCLE: EndKind.LIFECYCLE,
    DenialKind.LOCKOUT: EndKind.LOCKOUT,
    DenialKind.SEPARATION: EndKind.SEPARATION,
}


def only_ends(moment: Moment, who: PersonAt) -> bool:
    """Whether nothing is known to begin for the person after the moment, so that what they have can only end."""
    at, person = moment.at, who.person
    spans = (*person.notice, *person.leave, *person.exited, *person.lockouts)
    if any(span.end is None or span.end > at for span in spans):
        return False
    if any(_begins(each.span.start, at) or (each.transferred and _ahead(each.span, at)) for each in person.assignments):
        return False
    if _begins(person.employed_since, at) or next(sponsored(moment, who.assignments), None) is not None:
        return False
    return not any(True for _ in _clauses_to_come(moment, person))


def _begins(start: datetime | None, at: datetime) -> bool:
    return start is not None and start > at


def _ahead(span: Span, at: datetime) -> bool:
    return span.end is None or span.end > at


def _clauses_to_come(moment: Moment, person: Person) -> Iterator[datetime]:
    named = moment.named
    sinces = [
        *(member.since for _, member in named.members.get(person.id, ())),
        *(exception.since for exception in named.exceptions.get(person.id, ())),
        *(lockout.since for lockout in named.lockouts.get(person.id, ())),
    ]
    for since in sinces:
        if since is not None and (start := day_start(since, moment.zone)) > moment.at:
            yield start


def proven_end(proven: Iterable[Proven]) -> datetime | None:
    """The first instant at which a requirement that is met now is met no more."""
    return earliest(*(each.until for each in proven))


def reasons_end(reasons: Sequence[Reason]) -> datetime | None:
    """When the last of the reasons ends; None where one of them is open."""
    ends = [reason.until for reason in reasons]
    return None if None in ends else max((end for end in ends if end is not None), default=None)


def last_day(who: PersonAt) -> datetime | None:
    """When the person has no assignment any more, and so has left, unless something begins."""
    return last_end_of(who.assignments) if who.assignments else None


# --- in words -------------------------------------------------------------------------------------------------------


def reason_ends(reasons: Iterable[Reason], who: PersonAt) -> Iterator[End]:
    """The ends of the person's reasons, those of one assignment once.

    Who holds a role by name, or because everyone does, holds it no longer than there is an assignment.
    """
    seen: set[tuple[EndKind, str, datetime]] = set()
    for reason in reasons:
        end = None if reason.until is None else _reason_end(reason, reason.until, who)
        if end is not None and (end.kind, end.what, end.at) not in seen:
            seen.add((end.kind, end.what, end.at))
            yield end


def _reason_end(reason: Reason, until: datetime, who: PersonAt) -> End:
    kind = _REASONS[reason.kind]
    role = "".join(reason.roles[:1])
    match kind:
        case EndKind.EXCEPTION:
            return End(until, kind, kind.value, "the exception ends", 0, reason.holds_place)
        case EndKind.OVERLAP:
            text = f"the overlap of assignment {reason.assignment} ends"
            return End(until, kind, reason.assignment, text, reason.entry)
        case EndKind.MEMBERSHIP if last_day(who) != until:
            return End(until, kind, role, f"membership of role {role} ends", 0, reason.holds_place)
        case _:
            name = reason.assignment if reason.kind is ReasonKind.ROLE else ""
            return _assignment_end(name, until, who)


def _assignment_end(name: str, until: datetime, who: PersonAt) -> End:
    """The end of the assignment that ends then, of this name if it matters."""
    ending = next(each for each in who.assignments if each.span.end == until and name in ("", each.name))
    entry = ending.span.end_entry or ending.span.entry
    return End(until, EndKind.ASSIGNMENT, ending.name, f"assignment {ending.name} ends", entry)


def proof_ends(proven: Iterable[Proven], moment: Moment) -> Iterator[End]:
    """The ends of the proofs that carry the clearance."""
    for each in proven:
        if each.until is not None:
            text = f"{each.proof} {_proof_word(each, moment)}"
            yield End(each.until, EndKind.EVIDENCE, str(each.proof), text, each.entry, each.place)


def _proof_word(proven: Proven, moment: Moment) -> str:
    kind: EvidenceKind = moment.policy.evidence[proven.proof.kind]
    superseded = kind.superseded_on
    if superseded is not None and proven.until == day_start(superseded, moment.zone):
        return f"is superseded by version {kind.version}"
    return "runs out"


def resource_end(resource: Resource, until: datetime) -> End:
    """The end of a resource of a family."""
    return End(until, EndKind.RESOURCE, resource.name, f"{resource.name} ends", 0, resource.place)


def announced(moment: Moment, who: PersonAt) -> list[End]:
    """The states, lockouts and lapses of sponsors that are known to begin after the moment."""
    person = who.person
    found = [
        *_to_begin(person.exited, EndKind.LIFECYCLE, "exited", "leaves", moment),
        *_to_begin(person.notice, EndKind.LIFECYCLE, "notice", "notice begins", moment),
        *_to_begin(person.leave, EndKind.LIFECYCLE, "leave", "leave begins", moment),
        *_to_begin(person.lockouts, EndKind.LOCKOUT, "locked-out", "a lockout begins", moment),
    ]
    for rule in moment.policy.lifecycle.leave:
        for span in person.leave:
            begins = None if span.start is None else add_period(span.start, rule.after, moment.zone)
            if begins is not None and begins > moment.at and (span.end is None or begins < span.end):
                text = f"leave has lasted {rule.after}"
                found.append(End(begins, EndKind.LIFECYCLE, "leave", text, span.entry, rule.place))
    for lockout in moment.named.lockouts.get(person.id, ()):
        if lockout.since is not None and (start := day_start(lockout.since, moment.zone)) > moment.at:
            found.append(End(start, EndKind.LOCKOUT, lockout.ref, "a lockout begins", 0, lockout.place))
    for lapse in lapses_to_come(moment, who):
        text = f"{lapse.sponsor} answers for assignment {lapse.assignment.name} no more"
        found.append(End(lapse.at, EndKind.SPONSOR, lapse.sponsor, text, lapse.entry, lapse.rule.place))
    return list(dict.fromkeys(found))


def denial_end(denial: Denial, at: datetime) -> End:
    """Something that begins to deny at that instant, as what ends an access."""
    sponsor = denial.kind is DenialKind.LIFECYCLE and denial.what == SPONSOR
    kind = EndKind.SPONSOR if sponsor else _DENIALS[denial.kind]
    return End(at, kind, denial.what, denial.text, denial.entry, denial.place)


def _to_begin(spans: Iterable[Span], kind: EndKind, what: str, text: str, moment: Moment) -> Iterator[End]:
    for span in spans:
        if span.start is not None and span.start > moment.at:
            yield End(span.start, kind, what, text, span.entry)


def in_order(ends: Iterable[End], until: datetime | None) -> tuple[End, ...]:
    """The ends by their time, those that decide marked."""
    ordered = sorted(ends, key=lambda end: end.at)
    return tuple(replace(end, decides=True) if end.at == until else end for end in ordered)
