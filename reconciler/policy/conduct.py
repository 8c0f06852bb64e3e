"""What each lifecycle state admits, and the guards that hold changes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.policy.document.conduct import (
    DirectionsClause,
    GuardsClause,
    LeaveClause,
    LifecycleClause,
    LimitClause,
    NoticeClause,
    PreboardingClause,
)
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import NOTHING, Guards, Lifecycle, Limit, Overlap, StateRule
from reconciler.policy.nodes import Items
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report

BUILT_IN = Guards()
"""The guards that hold where a policy says nothing."""
_StateClause = PreboardingClause | NoticeClause | LeaveClause


@dataclass(frozen=True, slots=True)
class _Lifecycle:
    """Reads one file's lifecycle section."""

    declared: Declared[LifecycleClause]
    ranks: Mapping[str, int]
    levels: Names
    matches: MatchReader
    report: Report

    def preboarding(self) -> tuple[StateRule, ...]:
        return tuple(
            replace(self._rule("preboarding", index, clause), opens=clause.opens)
            for index, clause in enumerate(self.declared.clause.preboarding or ())
        )

    def notice(self) -> tuple[StateRule, ...]:
        return tuple(
            self._rule("notice", index, clause) for index, clause in enumerate(self.declared.clause.notice or ())
        )

    def leave(self) -> tuple[StateRule, ...]:
        rules = [
            replace(self._rule("leave", index, clause), after=clause.after, suspend=clause.suspend)
            for index, clause in enumerate(self.declared.clause.leave or ())
        ]
        return tuple(replace(rule, ceiling=NOTHING) if rule.suspend else rule for rule in rules)

    def overlap(self) -> Overlap | None:
        clause = self.declared.clause.transfer
        if clause is None:
            return None
        rank = self._rank("transfer", clause.ceiling, "transfer", "ceiling")
        return Overlap(clause.overlap, rank or 0, self.declared.key("transfer"))

    def _rule(self, state: str, index: int, clause: _StateClause) -> StateRule:
        listed = isinstance(self.declared.node_at(state), Items)
        place = self.declared.at(state, index) if listed else self.declared.key(state)
        user = f"lifecycle `{state}[{index + 1}]`" if listed else f"lifecycle `{state}`"
        node = self.declared.node_at(state, index, "match")
        match = self.matches.match(node, user) if clause.match is not None else None
        ceiling = None if clause.ceiling is None else self._rank(state, clause.ceiling, state, index, "ceiling")
        return StateRule(match, ceiling, place)

    def _rank(self, state: str, level: str, *path: str | int) -> int | None:
        self.levels.check(level, f"lifecycle `{state}` admits the", self.declared.at(*path), self.report)
        return self.ranks.get(level)


def compile_lifecycle(
    section: Section[LifecycleClause], ranks: Mapping[str, int], levels: Names, matches: MatchReader, report: Report
) -> Lifecycle:
    """The lifecycle, its states taken from whichever file names them."""
    whole = Lifecycle()
    for declared in section.whole:
        said, clause = _Lifecycle(declared, ranks, levels, matches, report), declared.clause
        whole = Lifecycle(
            preboarding=whole.preboarding or said.preboarding(),
            notice=whole.notice or said.notice(),
            leave=whole.leave or said.leave(),
            transfer=whole.transfer or said.overlap(),
            disable_exited=whole.disable_exited or (clause.exited is not None and clause.exited.disable is not None),
            delete_after=clause.exited.delete_after if clause.exited else whole.delete_after,
            exited_place=declared.key("exited") if clause.exited else whole.exited_place,
        )
    return whole


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
