"""What has to hold of the end state that a plan would lead to."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.policy.document.bounds import InvariantClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import Invariant, InvariantKind
from reconciler.policy.patterns import PermissionPatterns
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Report


def compile_invariants(
    section: Section[InvariantClause], patterns: PermissionPatterns, matches: MatchReader, report: Report
) -> tuple[Invariant, ...]:
    """The invariants that are whole, in the order of the files."""
    compiled = [_invariant(declared, patterns, matches, report) for declared in section.whole]
    invariants = tuple(invariant for invariant in compiled if invariant)
    _refuse_contradictions(invariants, report)
    return invariants


def _invariant(
    declared: Declared[InvariantClause], patterns: PermissionPatterns, matches: MatchReader, report: Report
) -> Invariant | None:
    clause = declared.clause
    if clause.never:
        match = matches.match(declared.node_at("never", "match"), "invariant `never`")
        place, text = declared.at("never", "permission"), clause.never.permission
        permissions = patterns.permissions(text, "invariant `never`", place, report)
        if match is None or permissions is None:
            return None
        return Invariant(InvariantKind.NEVER, permissions, text, match, 0, declared.place)
    kind = InvariantKind.AT_MOST if clause.at_least is None else InvariantKind.AT_LEAST
    count = clause.at_most if clause.at_least is None else clause.at_least
    text = clause.permission or ""
    permissions = patterns.permissions(text, f"invariant `{kind}`", declared.at("permission"), report)
    return None if permissions is None else Invariant(kind, permissions, text, None, count or 0, declared.place)


def _refuse_contradictions(invariants: Sequence[Invariant], report: Report) -> None:
    """Two numbers between which there is none."""
    for most in (one for one in invariants if one.kind is InvariantKind.AT_MOST):
        for least in (one for one in invariants if one.kind is InvariantKind.AT_LEAST and one.count > most.count):
            if both := set(most.permissions) & set(least.permissions):
                message = (
                    f"invariant: at most {most.count} may have `{min(both)}`, and at least {least.count} must: "
                    f"see {least.place}"
                )
                remedy = "raise `at_most`, or lower `at_least`; while both stand, every change is held"
                report.error("contradiction", message, most.place, remedy)
