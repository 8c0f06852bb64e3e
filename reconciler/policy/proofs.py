"""Requirements: which proofs a level or a compartment asks for, and for which value.

A kind of evidence that is `per` an attribute is asked for with the value that its records have to carry; any other kind
without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.errors import Place
from reconciler.policy.document.words import ClearanceClause, CompartmentClause, EvidenceClause
from reconciler.policy.matching import MatchReader
from reconciler.policy.model import EvidenceKind, Proof, Requirement
from reconciler.policy.nodes import Path
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Report
from reconciler.policy.spelling import has_braces, template_flaw

Demanding = Declared[ClearanceClause] | Declared[CompartmentClause]


@dataclass(frozen=True, slots=True)
class ProofReader:
    """Reads requirements over the declared kinds of evidence, and reports what is wrong with them."""

    kinds: Mapping[str, EvidenceKind]
    section: Section[EvidenceClause]
    matches: MatchReader
    report: Report

    def requirements(self, declared: Demanding, user: str, variable: str = "") -> tuple[Requirement, ...]:
        """What the clause requires. `variable` may stand as a scope, and is left there in its braces."""
        return tuple(
            Requirement(tuple(self._alternatives(declared, index, user, variable)), declared.at("requires", index))
            for index in range(len(declared.clause.requires or ()))
        )

    def _alternatives(self, declared: Demanding, index: int, user: str, variable: str) -> Iterator[Proof]:
        for position, proof in enumerate((declared.clause.requires or ())[index].any_of):
            for kind, scope in proof.items():
                path = ("requires", index, "any_of", position, kind)
                place = declared.at(*path[:-1]) if scope is None else declared.key(*path)
                if self.section.names().check(kind, f"{user} requires the", place, self.report):
                    self._check_scope(kind, scope, place, declared, path, user, variable)
                yield Proof(kind, scope or "")

    def _check_scope(
        self, kind: str, scope: str | None, place: Place, declared: Demanding, path: Path, user: str, variable: str
    ) -> None:
        known = self.kinds.get(kind)
        if known is None or kind in self.section.impaired:
            return
        if known.per is None and scope is not None:
            message = f"{user} requires `{kind}` for a value, and one proof of this kind is for all"
            remedy = f"write `{kind}` alone, or say in its declaration what it is `per`"
            self.report.error("unexpected-scope", message, place, remedy)
        elif known.per is not None and scope is None:
            message = f"{user} requires `{kind}`, which is per `{known.per}`, and does not say for which"
            value = f"{{{variable}}}" if variable else "…"
            remedy = f'write `{{{kind}: "{value}"}}`, with the value of `{known.per}` that it is for'
            self.report.error("missing-scope", message, place, remedy)
        elif known.per is not None and scope is not None:
            self._check_value(known.per, scope, declared, path, user, variable)

    def _check_value(
        self, attribute: str, scope: str, declared: Demanding, path: Path, user: str, variable: str
    ) -> None:
        if not has_braces(scope):
            self.matches.value(attribute, declared.node_at(*path), user)
        elif flaw := template_flaw(scope):
            message = f"{user}: `{scope}` {flaw}"
            self.report.error(
                "template", message, declared.at(*path), f"write a value, or `{{{variable or 'project'}}}`"
            )
        elif scope != f"{{{variable}}}":
            self._refuse_variable(scope, declared.at(*path), user, variable)

    def _refuse_variable(self, scope: str, place: Place, user: str, variable: str) -> None:
        if variable:
            message = f"{user}: `{scope}` is bound by nothing; the variable here is `{{{variable}}}`, and stands alone"
            self.report.error("unbound-variable", message, place, f'write "{{{variable}}}"')
        else:
            message = f"{user}: `{scope}` is bound by nothing"
            remedy = "write a value; a variable belongs in a compartment that holds it in its name"
            self.report.error("unbound-variable", message, place, remedy)
