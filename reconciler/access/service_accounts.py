"""Why a service account has a permission, or why not: its grants, its ceiling and its end, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.access.days import day_end, days_cover
from reconciler.access.dossier import Asked
from reconciler.access.holdings import earliest
from reconciler.access.model import (
    Denial,
    DenialKind,
    End,
    EndKind,
    Explanation,
    FactKind,
    NeededFact,
    Reason,
    ReasonKind,
)
from reconciler.access.outlook import in_order, reasons_end, resource_end
from reconciler.access.subject import Moment
from reconciler.access.ways import ended_way, no_way
from reconciler.policy.model import ServiceAccount


def explain_service_account(account: ServiceAccount, asked: Asked, moment: Moment) -> Explanation:
    """The explanation for a service account."""
    levels = moment.policy.levels
    reasons = tuple(_reasons(account, asked, moment))
    denials = tuple(_denials(account, asked, moment))
    allowed = bool(reasons) and not denials
    until = reasons_end(reasons) if allowed else None
    ends = list(_ends(account, asked, moment)) if allowed else []
    ended = asked.has_ended(moment.at)
    return Explanation(
        subject=account.name,
        permission=asked.permission,
        at=moment.at,
        allowed=allowed,
        reasons=reasons,
        denials=denials,
        classification=asked.classification,
        clearance=levels[account.ceiling].name,
        states=(),
        ways=(ended_way(asked.resource),) if ended else (),
        needed=() if allowed else tuple(_needed(account, asked, moment, bool(reasons), denials)),
        ways_found=1 if ended else 0,
        ends=in_order(ends, until),
        until=until,
    )


def _reasons(account: ServiceAccount, asked: Asked, moment: Moment) -> Iterator[Reason]:
    if asked.has_ended(moment.at) or not days_cover(moment.at, None, account.until, moment.zone):
        return
    for grant in account.grants:
        if grant.permission == asked.permission:
            yield Reason(
                kind=ReasonKind.SERVICE_ACCOUNT,
                roles=(),
                place=grant.place,
                holds_place=account.place,
                assignment="",
                entry=0,
                until=earliest(day_end(account.until, moment.zone), asked.until),
                text=f"declared for the service account until {account.until}",
            )


def _ends(account: ServiceAccount, asked: Asked, moment: Moment) -> Iterator[End]:
    end = day_end(account.until, moment.zone)
    yield End(end, EndKind.SERVICE_ACCOUNT, account.name, "the service account ends", 0, account.place)
    if asked.until is not None:
        yield resource_end(asked.resource, asked.until)


def _denials(account: ServiceAccount, asked: Asked, moment: Moment) -> Iterator[Denial]:
    if asked.rank > account.ceiling:
        bound = moment.policy.levels[account.ceiling].name
        yield Denial(
            kind=DenialKind.LIFECYCLE,
            what="ceiling",
            text=f"the service account's ceiling is {bound}, and {asked.permission} is {asked.classification}",
            remedy="raise the ceiling in the policy, or take the grant away",
            place=account.place,
        )


def _needed(
    account: ServiceAccount, asked: Asked, moment: Moment, given: bool, denials: tuple[Denial, ...]
) -> Iterator[NeededFact]:
    if asked.has_ended(moment.at):
        yield from ended_way(asked.resource).lacking
    elif not given and not days_cover(moment.at, None, account.until, moment.zone):
        text = f"the service account ended on {account.until}: only a change of the policy would open it again"
        yield NeededFact(FactKind.POLICY, text, place=account.place)
    elif not given:
        yield no_way(asked.permission, asked.resource)
    for denial in denials:
        yield NeededFact(FactKind.POLICY, denial.remedy, place=denial.place)
