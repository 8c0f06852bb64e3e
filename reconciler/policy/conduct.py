"""What each lifecycle state admits, and the guards that hold changes back."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.policy.document.conduct import (
    DirectionsClause,
    ExitedClause,
    GuardsClause,
    LifecycleClause,
    LimitClause,
)
from reconciler.policy.model import Guards, Lifecycle, Limit, Period, StateRule
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report

BUILT_IN = Guards()
"""The guards that hold where a policy says nothing."""
NO_TIME = Period()


def compile_lifecycle(
    section: Section[LifecycleClause], ranks: Mapping[str, int], levels: Names, report: Report
) -> Lifecycle:
    """The lifecycle, its states taken from whichever file names them."""
    preboarding: tuple[StateRule, ...] = ()
    notice: tuple[StateRule, ...] = ()
    exited, exited_place = ExitedClause(), None
    for declared in section.whole:
        clause = declared.clause
        if clause.preboarding:
            opens = clause.preboarding.opens
            preboarding = _state(declared, "preboarding", clause.preboarding.ceiling, ranks, levels, report, opens)
        if clause.notice:
            notice = _state(declared, "notice", clause.notice.ceiling, ranks, levels, report)
        if clause.exited:
            exited, exited_place = clause.exited, declared.key("exited")
    return Lifecycle(
        preboarding,
        notice,
        disable_exited=exited.disable is not None,
        delete_after=exited.delete_after,
        exited_place=exited_place,
    )


def _state(
    declared: Declared[LifecycleClause],
    state: str,
    level: str,
    ranks: Mapping[str, int],
    levels: Names,
    report: Report,
    opens: Period = NO_TIME,
) -> tuple[StateRule, ...]:
    levels.check(level, f"lifecycle `{state}` admits the", declared.at(state, "ceiling"), report)
    return (StateRule(None, ranks[level], declared.key(state), opens),) if level in ranks else ()


def compile_guards(section: Section[GuardsClause], ranks: Mapping[str, int], levels: Names, report: Report) -> Guards:
    """The guards: the built-in numbers, with what the files say instead."""
    said = GuardsClause()
    for declared in section.whole:
        clause = declared.clause
        for level in clause.approvals or {}:
            levels.check(level, "guards ask approvals for the", declared.key("approvals", level), report)
        said = said.model_copy(update={name: getattr(clause, name) for name in clause.model_fields_set})
    rules, people = said.rules or DirectionsClause(), said.people or DirectionsClause()
    return Guards(
        rules_revoke=_limit(rules.revoke, BUILT_IN.rules_revoke),
        rules_grant=_limit(rules.grant, BUILT_IN.rules_grant),
        people_revoke=_limit(people.revoke, BUILT_IN.people_revoke),
        people_grant=_limit(people.grant, BUILT_IN.people_grant),
        exits=_limit(said.exits, BUILT_IN.exits),
        shrink_percent=said.feed.shrink_percent if said.feed else BUILT_IN.shrink_percent,
        approvals={ranks[level]: count for level, count in (said.approvals or {}).items() if level in ranks},
        protected=frozenset(said.protected or ()),
    )


def _limit(said: LimitClause | None, built_in: Limit) -> Limit:
    if said is None:
        return built_in
    return Limit(
        built_in.percent if said.percent is None else said.percent,
        built_in.people if said.people is None else said.people,
    )
