"""Why one subject has a permission, or why not: all reasons, strongest first, all denials, and what would change them.

Everything is recomputed for the one asked about, assignment by assignment and record by record, apart from the
bitmaps of `evaluate`; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.access.clearance import reached, shortfalls
from reconciler.access.days import day_end, day_start, day_text, days_cover
from reconciler.access.lifecycle import covering, state_ceiling
from reconciler.access.matching import matches
from reconciler.access.model import (
    Denial,
    DenialKind,
    Explanation,
    LifecycleState,
    Reason,
    ReasonKind,
)
from reconciler.access.subject import Moment, PersonAt, check_permission, moment_of
from reconciler.errors import Place
from reconciler.facts.model import Assignment, Population, Span
from reconciler.policy.model import NOTHING, Grant, Permission, Policy, Role, ServiceAccount

_STRENGTH = {
    kind: strength
    for strength, kind in enumerate(
        (ReasonKind.ROLE, ReasonKind.EVERYONE, ReasonKind.MEMBER, ReasonKind.EXCEPTION, ReasonKind.SERVICE_ACCOUNT)
    )
}

_REMEDIES = {
    LifecycleState.PREBOARDING: "access follows when the first assignment begins",
    LifecycleState.NOTICE: "record resignation-withdrawn, if it was",
    LifecycleState.LEAVE: "record leave-ended",
    LifecycleState.EXITED: "record rehired, if they came back",
}


def explain(policy: Policy, population: Population, subject: str, permission: Permission, at: datetime) -> Explanation:
    """Why the subject (a person's id or a service account's name) has the permission at the moment, or why not.

    Raises `UnknownPerson` and `UnknownPermission`.
    """
    return Explainer(policy, population, at).explain(subject, permission)


def explain_many(
    policy: Policy, population: Population, pairs: Iterable[tuple[str, Permission]], at: datetime
) -> Iterator[Explanation]:
    """`explain` for many (subject, permission), in their order, with what they share worked out once.

    Lazy; raises as `explain` does when it comes to the pair.
    """
    explainer = Explainer(policy, population, at)
    for subject, permission in pairs:
        yield explainer.explain(subject, permission)


class Explainer:
    """Answers `explain` again and again for one policy, population and moment; remembers what people share."""

    def __init__(self, policy: Policy, population: Population, at: datetime) -> None:
        self._moment = moment_of(policy, population, at)
        self._clauses = _clauses(policy)
        self._dossiers: dict[str, _Dossier] = {}

    def explain(self, subject: str, permission: Permission) -> Explanation:
        """As the function `explain`. Raises `UnknownPerson` and `UnknownPermission`."""
        moment = self._moment
        check_permission(moment.policy, permission)
        services = moment.policy.service_accounts
        if subject in services and subject not in moment.population.by_id:
            return _explain_service(services[subject], permission, moment)
        if subject not in self._dossiers:
            self._dossiers[subject] = _dossier(moment, subject)
        return _explain_person(self._dossiers[subject], permission, moment, self._clauses.get(permission, ()))


# --- people ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Holding:
    """How a person holds a role: the reason for whatever the role gives, without the grant."""

    kind: ReasonKind
    place: Place
    assignment: Assignment
    until: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class _Dossier:
    """One person at the moment with what all permissions share; `holdings` fills as roles are asked about."""

    who: PersonAt
    missing: tuple[tuple[Denial, ...], ...]
    clearance: str
    holdings: dict[str, tuple[_Holding, ...]]


_Clause = tuple[Role, Grant, tuple[str, ...]]
"""Where a role gives a permission: the role, the grant, the chain of roles that it comes by."""


def _clauses(policy: Policy) -> dict[Permission, list[_Clause]]:
    clauses: dict[Permission, list[_Clause]] = {}
    for role in policy.roles.values():
        for grant, chain in role.all_grants:
            clauses.setdefault(grant.permission, []).append((role, grant, chain))
    return clauses


def _dossier(moment: Moment, subject: str) -> _Dossier:
    who = moment.person(subject)
    missing = shortfalls(moment, who)
    return _Dossier(who, missing, reached(moment.policy, missing), {})


def _explain_person(
    dossier: _Dossier, permission: Permission, moment: Moment, clauses: Sequence[_Clause]
) -> Explanation:
    rank = moment.policy.effective_class(permission)
    reasons = [*_role_reasons(dossier, moment, clauses), *_exception_reasons(dossier, permission, moment)]
    denials = [
        *_lockout_denials(dossier.who, permission, moment),
        *_lifecycle_denials(dossier.who, rank, moment),
        *_evidence_denials(dossier, rank),
    ]
    return Explanation(
        subject=dossier.who.person.id,
        permission=permission,
        at=moment.at,
        allowed=bool(reasons) and not denials,
        reasons=tuple(sorted(reasons, key=lambda reason: _STRENGTH[reason.kind])),
        denials=tuple(denials),
        classification=moment.policy.levels[rank].name,
        clearance=dossier.clearance,
        states=dossier.who.states,
    )


def _role_reasons(dossier: _Dossier, moment: Moment, clauses: Sequence[_Clause]) -> Iterator[Reason]:
    for role, grant, chain in clauses:
        if role.name not in dossier.holdings:
            dossier.holdings[role.name] = tuple(_holdings(role, dossier.who, moment))
        for holding in dossier.holdings[role.name]:
            yield _reason(holding, grant, chain)


def _reason(holding: _Holding, grant: Grant, chain: tuple[str, ...]) -> Reason:
    inherited = f", which inherits {' > '.join(chain[1:])}" if len(chain) > 1 else ""
    return Reason(
        kind=holding.kind,
        roles=chain,
        place=grant.place,
        holds_place=holding.place,
        assignment=holding.assignment.name,
        entry=holding.assignment.span.entry,
        until=holding.until,
        text=holding.text + inherited,
    )


def _holdings(role: Role, who: PersonAt, moment: Moment) -> Iterator[_Holding]:
    if role.match is not None:
        for each in who.assignments:
            if matches(role.match, each.attributes, moment.policy.attributes) is True:
                text = f"assignment {each.name} matches role {role.name}"
                yield _Holding(ReasonKind.ROLE, role.place, each, each.span.end, text)
    if not who.assignments:
        return
    first, last_end = who.assignments[0], _last_end(who.assignments)
    if role.everyone:
        yield _Holding(ReasonKind.EVERYONE, role.place, first, last_end, f"everyone holds role {role.name}")
    for member in role.members:
        if member.person == who.person.id and days_cover(moment.at, member.since, member.until, moment.zone):
            end = day_end(member.until, moment.zone)
            until = end if last_end is None else min(end, last_end)
            text = f"named as a member of role {role.name} until {member.until}: {member.reason}"
            yield _Holding(ReasonKind.MEMBER, member.place, first, until, text)


def _last_end(assignments: Iterable[Assignment]) -> datetime | None:
    ends = [assignment.span.end for assignment in assignments]
    return None if None in ends else max(end for end in ends if end is not None)


def _exception_reasons(dossier: _Dossier, permission: Permission, moment: Moment) -> Iterator[Reason]:
    for exception in moment.policy.exceptions:
        if exception.person != dossier.who.person.id:
            continue
        if not days_cover(moment.at, exception.since, exception.until, moment.zone):
            continue
        for grant in exception.grants:
            if grant.permission == permission:
                ticket = f" ({exception.ticket})" if exception.ticket else ""
                yield Reason(
                    kind=ReasonKind.EXCEPTION,
                    roles=(),
                    place=grant.place,
                    holds_place=exception.place,
                    assignment="",
                    entry=0,
                    until=day_end(exception.until, moment.zone),
                    text=f"exception until {exception.until}{ticket}: {exception.reason}",
                )


# --- denials --------------------------------------------------------------------------------------------------------


def _lockout_denials(who: PersonAt, permission: Permission, moment: Moment) -> Iterator[Denial]:
    for span in who.person.lockouts:
        if span.covers(moment.at):
            yield Denial(
                kind=DenialKind.LOCKOUT,
                what="locked-out",
                text=f"locked out{_since(span, moment)} by an event",
                remedy="record unlocked, which somebody has to approve",
                entry=span.entry,
                since=span.start,
            )
    for lockout in moment.policy.lockouts:
        if lockout.person != who.person.id or not days_cover(moment.at, lockout.since, None, moment.zone):
            continue
        if lockout.resources is None or permission.resource in lockout.resources:
            since = "" if lockout.since is None else f" since {lockout.since}"
            yield Denial(
                kind=DenialKind.LOCKOUT,
                what=lockout.ref,
                text=f"locked out{since} by policy, reference {lockout.ref}",
                remedy="take the lockout out of the policy",
                place=lockout.place,
                since=None if lockout.since is None else day_start(lockout.since, moment.zone),
            )


def _lifecycle_denials(who: PersonAt, rank: int, moment: Moment) -> Iterator[Denial]:
    for state in who.states:
        bound = state_ceiling(moment.policy.lifecycle, state)
        if bound is not None and bound < rank:
            yield _lifecycle_denial(state, bound, who, moment)


def _lifecycle_denial(state: LifecycleState, bound: int, who: PersonAt, moment: Moment) -> Denial:
    span = _state_span(state, who, moment)
    admits = "gives nothing" if bound == NOTHING else f"admits up to {moment.policy.levels[bound].name}"
    begins = _first_day(who, moment) if state is LifecycleState.PREBOARDING else _since(span, moment)
    return Denial(
        kind=DenialKind.LIFECYCLE,
        what=state.value,
        text=f"{state.value}{begins}, which {admits}",
        remedy=_REMEDIES[state],
        place=_state_place(state, moment.policy),
        entry=0 if span is None else span.entry,
        since=None if span is None else span.start,
    )


def _state_span(state: LifecycleState, who: PersonAt, moment: Moment) -> Span | None:
    person = who.person
    match state:
        case LifecycleState.NOTICE:
            return covering(person.notice, moment.at)
        case LifecycleState.LEAVE:
            return covering(person.leave, moment.at)
        case LifecycleState.EXITED:
            return covering(person.exited, moment.at) or _after_last_assignment(person.assignments)
        case _:
            return None


def _after_last_assignment(assignments: Iterable[Assignment]) -> Span | None:
    """The exit that nobody spelled out: from the end of the last assignment, because of the entry that ended it."""
    spans = [assignment.span for assignment in assignments if assignment.span.end is not None]
    last = max(spans, key=lambda span: (span.end is not None, span.end), default=None)
    return None if last is None else Span(last.end, None, last.end_entry or last.entry)


def _first_day(who: PersonAt, moment: Moment) -> str:
    starts = [each.span.start for each in who.person.assignments if each.span.start is not None]
    coming = min((start for start in starts if start > moment.at), default=None)
    return " (no assignment is known)" if coming is None else f" until {day_text(coming, moment.zone)}"


def _state_place(state: LifecycleState, policy: Policy) -> Place | None:
    lifecycle = policy.lifecycle
    match state:
        case LifecycleState.PREBOARDING if lifecycle.preboarding:
            return lifecycle.preboarding[0].place
        case LifecycleState.NOTICE if lifecycle.notice:
            return lifecycle.notice[0].place
        case LifecycleState.EXITED:
            return lifecycle.exited_place
        case _:
            return None


def _since(span: Span | None, moment: Moment) -> str:
    return "" if span is None or span.start is None else f" since {day_text(span.start, moment.zone)}"


def _evidence_denials(dossier: _Dossier, rank: int) -> Iterator[Denial]:
    """What is missing on the way up to the class; what several levels ask for is told once, for the lowest."""
    told: set[str] = set()
    for missing in dossier.missing[: rank + 1]:
        for denial in missing:
            if denial.what == "only" or denial.what not in told:
                told.add(denial.what)
                yield denial


# --- service accounts -----------------------------------------------------------------------------------------------


def _explain_service(account: ServiceAccount, permission: Permission, moment: Moment) -> Explanation:
    levels = moment.policy.levels
    rank = moment.policy.effective_class(permission)
    reasons = tuple(_service_reasons(account, permission, moment))
    denials: tuple[Denial, ...] = ()
    if rank > account.ceiling:
        bound, wanted = levels[account.ceiling].name, levels[rank].name
        denials = (
            Denial(
                kind=DenialKind.LIFECYCLE,
                what="ceiling",
                text=f"the service account's ceiling is {bound}, and {permission} is {wanted}",
                remedy="raise the ceiling in the policy, or take the grant away",
                place=account.place,
            ),
        )
    return Explanation(
        subject=account.name,
        permission=permission,
        at=moment.at,
        allowed=bool(reasons) and not denials,
        reasons=reasons,
        denials=denials,
        classification=levels[rank].name,
        clearance=levels[account.ceiling].name,
        states=(),
    )


def _service_reasons(account: ServiceAccount, permission: Permission, moment: Moment) -> Iterator[Reason]:
    if not days_cover(moment.at, None, account.until, moment.zone):
        return
    for grant in account.grants:
        if grant.permission == permission:
            yield Reason(
                kind=ReasonKind.SERVICE_ACCOUNT,
                roles=(),
                place=grant.place,
                holds_place=account.place,
                assignment="",
                entry=0,
                until=day_end(account.until, moment.zone),
                text=f"declared for the service account until {account.until}",
            )
