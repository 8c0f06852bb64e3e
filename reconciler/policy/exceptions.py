"""Who gets what beside roles: exceptions within their limits, lockouts and service accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from reconciler.policy.document.exceptions import (
    ExceptionClause,
    ExceptionLimitClause,
    LockoutClause,
    ServiceAccountClause,
)
from reconciler.policy.grants import Permissions, check_days
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import AccessException, ExceptionLimit, Lockout, Period, Policy, ServiceAccount
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report
from reconciler.policy.resources import read_owner


def compile_exceptions(
    section: Section[ExceptionClause], permissions: Permissions, report: Report
) -> tuple[AccessException, ...]:
    """The exceptions that are whole, in the order of the files."""
    return tuple(_exception(index, declared, permissions, report) for index, declared in enumerate(section.whole))


def _exception(
    index: int, declared: Declared[ExceptionClause], permissions: Permissions, report: Report
) -> AccessException:
    clause, user = declared.clause, f"exception for {declared.clause.person}"
    check_days(user, clause.since, clause.until, declared.at("until"), report)
    approvers = clause.approved_by or []
    if clause.person in approvers:
        place = declared.at("approved_by", approvers.index(clause.person))
        report.error("self-approval", f"{user}: they cannot approve it themselves", place, "name somebody else")
    return AccessException(
        index,
        clause.person,
        permissions.grants(declared, user, report),
        clause.since,
        clause.until,
        clause.reason,
        clause.ticket,
        tuple(approvers),
        declared.place,
    )


def compile_exception_limits(
    section: Section[ExceptionLimitClause], ranks: Mapping[str, int], levels: Names, report: Report
) -> dict[int, ExceptionLimit]:
    """Level rank → its limit."""
    limits: dict[int, ExceptionLimit] = {}
    for declared in section.whole:
        clause = declared.clause
        known = levels.check(declared.name, "exceptions are limited for the", declared.place, report)
        if known and declared.name in ranks:
            limits[ranks[declared.name]] = ExceptionLimit(clause.max, clause.approvers or 0, declared.place)
    return limits


def check_exception_limits(
    section: Section[ExceptionClause], policy: Policy, ranks: Mapping[str, int], report: Report
) -> None:
    """Report the exceptions that last longer, or are approved by fewer, than their class asks for.

    The class of a grant is that of the permission; the limit declared for it, or else for the next one below, counts.
    """
    levels = {rank: level for level, rank in ranks.items()}  # also of a level that is broken
    names = {limit.place: levels[rank] for rank, limit in policy.exception_limits.items()}
    for declared, exception in zip(section.whole, policy.exceptions, strict=True):
        classes = {policy.effective_class(grant.permission) for grant in exception.grants}
        limits = [limit for rank in sorted(classes, reverse=True) if (limit := _limit_at(rank, policy)) is not None]
        _check_length(declared, [(limit, names[limit.place]) for limit in limits], report)
        _check_approvers(declared, [(limit, names[limit.place]) for limit in limits], report)


def _limit_at(rank: int, policy: Policy) -> ExceptionLimit | None:
    below = [level for level in policy.exception_limits if level <= rank]
    return policy.exception_limits[max(below)] if below else None


def _check_length(
    declared: Declared[ExceptionClause], limits: Sequence[tuple[ExceptionLimit, str]], report: Report
) -> None:
    """One mistake at the most: that it is longer than the shortest of the limits, or of a length nobody knows."""
    since, until = declared.clause.since, declared.clause.until
    user = f"exception for {declared.clause.person}"
    lengths = [(limit.longest, level) for limit, level in limits if limit.longest is not None]
    if not lengths:
        return
    if since is None:
        longest, level = lengths[0]
        message = f"{user}: without `since` nobody can tell how long it lasts; {longest} is the most for `{level}`"
        report.error("exception-limit", message, declared.place, "add the first day, such as `since: 2026-12-01`")
        return
    last, longest, level = min((_last_day(since, longest), longest, level) for longest, level in lengths)
    if since <= until and last < until:
        message = f"{user}: from {since} to {until} is longer than {longest}, the most for `{level}`"
        report.error("exception-limit", message, declared.at("until"), f"write `until: {last}`, or an earlier day")


def _last_day(since: date, longest: Period) -> date:
    """The last day of the longest exception that begins on a day."""
    try:
        end = since + relativedelta(years=longest.years, months=longest.months, days=longest.days)
    except (OverflowError, ValueError):
        return date.max
    return end - timedelta(days=1)


def _check_approvers(
    declared: Declared[ExceptionClause], limits: Sequence[tuple[ExceptionLimit, str]], report: Report
) -> None:
    clause = declared.clause
    approvers = set(clause.approved_by or ()) - {clause.person}
    needed, level = max(((limit.approvers, level) for limit, level in limits), default=(0, ""))
    if len(approvers) < needed:
        place = declared.key("approved_by") if clause.approved_by else declared.place
        message = (
            f"exception for {clause.person}: {len(approvers)} approved it, and for `{level}` it takes {needed} "
            "(others than the person)"
        )
        report.error("exception-limit", message, place, 'name them, such as `approved_by: ["E0007", "E0008"]`')


def compile_lockouts(section: Section[LockoutClause], permissions: Permissions, report: Report) -> tuple[Lockout, ...]:
    """The lockouts that are whole, in the order of the files."""
    lockouts = []
    for declared in section.whole:
        clause = declared.clause
        for index, name in enumerate(clause.from_ or ()):
            permissions.known(name, f"lockout for {clause.person}", declared.at("from", index), report)
        resources = frozenset(clause.from_) if clause.from_ is not None else None
        lockouts.append(Lockout(clause.person, clause.ref, clause.since, resources, declared.place))
    return tuple(lockouts)


def compile_service_accounts(
    section: Section[ServiceAccountClause],
    permissions: Permissions,
    ranks: Mapping[str, int],
    levels: Names,
    attributes: Names,
    matches: MatchReader,
    report: Report,
) -> dict[str, ServiceAccount]:
    """The service accounts that are whole, by name."""
    accounts: dict[str, ServiceAccount] = {}
    for declared in section.whole:
        clause, user = declared.clause, f"service account `{declared.name}`"
        owner = read_owner(declared, user, attributes, matches, report)
        grants = permissions.grants(declared, user, report)
        known = levels.check(clause.ceiling, f"{user} may open up to the", declared.at("ceiling"), report)
        if known and owner and clause.ceiling in ranks:
            rank = ranks[clause.ceiling]
            accounts[declared.name] = ServiceAccount(declared.name, owner, rank, clause.until, grants, declared.place)
    return accounts
