"""Policy tests: what they suppose and expect, with every name in them checked.

Compiled last, over the whole policy. `reconciler.access.trial` runs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from reconciler.errors import Place
from reconciler.policy.compartments import attribute_has
from reconciler.policy.document.trials import (
    SupposedAssignmentClause,
    SupposedClause,
    SupposedEvidenceClause,
    TrialClause,
)
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import AttributeKind, EvidenceKind, Permission, Policy, PolicyTest
from reconciler.policy.nodes import Items, Node, Scalar, sort
from reconciler.policy.patterns import PermissionPatterns
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report
from reconciler.policy.supposed import Expectation, SupposedAssignment, SupposedEvidence, SupposedPerson

LIFECYCLE_REASONS = ("preboarding", "notice", "leave", "exited", "sponsor", "end-date")
_SEPARATORS = ";；"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a test may speak of."""

    policy: Policy
    attributes: Names
    evidence: Names
    separations: Names
    matches: MatchReader
    patterns: PermissionPatterns
    report: Report


def compile_tests(section: Section[TrialClause], words: Vocabulary) -> tuple[PolicyTest, ...]:
    """The tests that are whole, in the order of the files."""
    nobody, reasons = _unnamed(words.policy), _reasons(words)
    return tuple(
        _Trial(declared, words, f"test `{declared.name}`", reasons).compiled(nobody) for declared in section.whole
    )


def _reasons(words: Vocabulary) -> Mapping[str, None]:
    """The words for which something can be withheld."""
    refs = [lockout.ref for lockout in words.policy.lockouts]
    names = (*words.evidence.places, "only", *LIFECYCLE_REASONS, "locked-out", *refs)
    return dict.fromkeys((*names, *words.separations.places))


def _unnamed(policy: Policy) -> str:
    """The id of somebody whom no clause of the policy names."""
    named = {one.person for one in policy.exceptions} | {one.person for one in policy.lockouts}
    named |= policy.guards.protected | {member.person for role in policy.roles.values() for member in role.members}
    name = "somebody"
    while name in named:
        name += "-else"
    return name


@dataclass(frozen=True, slots=True)
class _Trial:
    """Reads one test."""

    declared: Declared[TrialClause]
    words: Vocabulary
    user: str
    reasons: Mapping[str, None]

    def compiled(self, nobody: str) -> PolicyTest:
        clause = self.declared.clause
        person = self._person(clause, clause.person or nobody, ())
        others = tuple(
            self._person(other, other.person, ("others", index)) for index, other in enumerate(clause.others)
        )
        self._refuse_twice([person.id, *(other.id for other in others)])
        return PolicyTest(self.declared.name, clause.on, person, others, tuple(self._expects()), self.declared.place)

    def _error(self, code: str, message: str, place: Place, remedy: str) -> None:
        self.words.report.error(code, f"{self.user}: {message}", place, remedy)

    def _refuse_twice(self, ids: Sequence[str]) -> None:
        for index, id_ in enumerate(ids[1:]):
            if id_ in ids[: index + 1]:
                place = self.declared.at("others", index, "person")
                self._error(
                    "duplicate-name", f"`{id_}` is supposed a second time", place, "give each an id of their own"
                )

    # --- people ---

    def _person(self, clause: SupposedClause, id_: str, path: tuple[str | int, ...]) -> SupposedPerson:
        assignments = [
            self._assignment(one, (*path, "assignments", index)) for index, one in enumerate(clause.assignments)
        ]
        evidence = [self._evidence(one, (*path, "evidence", index)) for index, one in enumerate(clause.evidence)]
        return SupposedPerson(
            id_,
            tuple(assignments),
            tuple(one for one in evidence if one),
            clause.notice,
            clause.leave,
            clause.exited,
            clause.locked_out,
        )

    def _check_days(self, since: date | None, until: date | None, place: Place) -> None:
        if since is not None and until is not None and since > until:
            self._error("order", f"ends on {until}, before it begins on {since}", place, "swap or mend the days")

    def _assignment(self, clause: SupposedAssignmentClause, path: tuple[str | int, ...]) -> SupposedAssignment:
        self._check_days(clause.since, clause.until, self.declared.at(*path, "until"))
        values = {name: self._value(name, (*path, name)) for name in clause.model_extra or {}}
        return SupposedAssignment(values, clause.since, clause.until, clause.transferred)

    def _value(self, name: str, path: tuple[str | int, ...]) -> str:
        """The value of an attribute as HR would send it: a set in one text, its members apart by semicolons."""
        known = self.words.attributes.check(
            name, f"{self.user} supposes the", self.declared.key(*path), self.words.report
        )
        attribute = self.words.policy.attributes.get(name)
        if not known or attribute is None:
            return ""
        node = self.declared.node_at(*path)
        if attribute.kind is not AttributeKind.SET:
            return self._one_value(name, node)
        items: tuple[Node, ...] = node.items if isinstance(node, Items) else (node,)
        return ";".join(self._member(name, item) for item in items)

    def _one_value(self, name: str, node: Node) -> str:
        if not isinstance(node, Scalar):
            self._error("type", f"`{name}` has one value, and this is {sort(node)}", node.place, "write one value")
            return ""
        return self.words.matches.value(name, node, self.user) or ""

    def _member(self, name: str, node: Node) -> str:
        value = self._one_value(name, node)
        if any(mark in value for mark in _SEPARATORS):
            message = f"`{value}` holds a semicolon, which stands between the values of a set"
            self._error("value", message, node.place, "write a list: [one, other]")
        return value

    # --- evidence ---

    def _evidence(self, clause: SupposedEvidenceClause, path: tuple[str | int, ...]) -> SupposedEvidence | None:
        place = self.declared.at(*path, "evidence")
        known = self.words.evidence.check(clause.evidence, f"{self.user} supposes the", place, self.words.report)
        self._check_days(clause.valid_from, clause.valid_until, self.declared.at(*path, "valid_until"))
        kind = self.words.policy.evidence.get(clause.evidence)
        if not known or kind is None:
            return None
        self._check_scope(clause.scope, kind, path)
        return SupposedEvidence(
            clause.evidence,
            clause.scope,
            clause.version or kind.version,
            clause.valid_from,
            clause.valid_until,
            clause.result == "failed",
        )

    def _check_scope(self, scope: str, kind: EvidenceKind, path: tuple[str | int, ...]) -> None:
        if kind.per is None:
            if scope:
                message, place = f"evidence `{kind.name}` has no scope", self.declared.key(*path, "scope")
                self._error("unexpected-scope", message, place, "take the scope out, or declare the kind with `per`")
            return
        attribute, report = self.words.policy.attributes.get(kind.per), self.words.report
        if not scope:
            message = f"evidence `{kind.name}` is per `{kind.per}`, and a scope is missing"
            remedy = f"write {{evidence: {kind.name}, scope: …}}"
            self._error("missing-scope", message, self.declared.at(*path), remedy)
        elif attribute is not None and not attribute_has(attribute, scope):
            remedy = report.suggestion(scope, attribute.ranks, "write one of its declared values")
            message, place = f"`{kind.per}` has no value `{scope}`", self.declared.at(*path, "scope")
            self._error("unknown-value", message, place, remedy)

    # --- expectations ---

    def _expects(self) -> Iterator[Expectation]:
        seen: dict[Permission, tuple[str, Place]] = {}
        for key, text, place in self._expected():
            permission = self.words.patterns.permission(text, f"{self.user} expects", place, self.words.report)
            if permission is None:
                continue
            first, where = seen.setdefault(permission, (key, place))
            if (first == "can") != (key == "can"):
                message = f"`{permission}` stands under `{key}`, and under `{first}` at {where}"
                self._error("contradiction", message, place, "keep one of the two")
            reasons = tuple(self._reasons(text)) if key == "withheld" else None
            yield Expectation(permission, key == "can", reasons, place)

    def _expected(self) -> Iterator[tuple[str, str, Place]]:
        """Under which key, which permission, where."""
        expect = self.declared.clause.expect
        for key, texts in (("can", expect.can), ("cannot", expect.cannot)):
            for index, text in enumerate(texts or ()):
                yield key, text, self.declared.at("expect", key, index)
        for text in expect.withheld or {}:
            yield "withheld", text, self.declared.key("expect", "withheld", text)

    def _reasons(self, text: str) -> Iterator[str]:
        for index, reason in enumerate((self.declared.clause.expect.withheld or {})[text]):
            place = self.declared.at("expect", "withheld", text, index)
            if self._is_reason(reason):
                yield reason
            elif self.words.evidence.complete and self.words.separations.complete:
                remedy = self.words.report.suggestion(
                    reason, self.reasons, "an evidence kind, `only`, a lifecycle state, a lockout, a separation"
                )
                self._error("unknown-reason", f"nothing withholds for the reason `{reason}`", place, remedy)

    def _is_reason(self, reason: str) -> bool:
        """Whether it is a denial's word; alternatives are joined by ``|``, a proof's scope stands after ``:``."""
        kinds = (part.partition(":")[0] for part in reason.split("|"))
        return reason in self.reasons or all(kind in self.words.evidence.places for kind in kinds)
