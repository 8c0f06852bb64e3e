"""Companies of any size to plan for: a policy, its people, and a directory in memory that is as it should be, or not.

`Company` has one class of documents and a role for each department; `SecretCompany` has all that makes deciding
dear: evidence of several kinds, compartments, one resource for each project, grades and exemptions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.facts.model import Assignment, EvidenceRecord, Person, Population, Span
from reconciler.plan.causes import FactRef
from reconciler.policy import load_policy
from reconciler.policy.model import EntitlementRef, Policy
from reconciler.targets import AccountsRead, BitMap, EntitlementRead, Observation, ObservedAccount, Reading
from tests.bench import crowd_store

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
START = datetime(2024, 1, 1, tzinfo=UTC)


class Forgetful:
    """A memory without a past: nothing has changed since the last run."""

    def policy(self, digest: str) -> Policy | None:
        """None."""
        return None

    def population(self, people: Collection[str], ledger_seq: int) -> Population:
        """Nobody."""
        return Population([], {}, ledger_seq)

    def facts_since(self, people: Collection[str], ledger_seq: int) -> Mapping[str, Sequence[FactRef]]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Company:
    """People spread evenly over departments, each of which has ten groups of its own."""

    people: int
    departments: int
    per_person: int = 10

    @property
    def size(self) -> str:
        """In words, as the figures are told."""
        groups, grants = self.departments * self.per_person, self.people * self.per_person
        return f"{self.people} people, {groups} entitlements, {grants} grants"

    def policy(self) -> Policy:
        """A role for each department, each giving resources of its own, for which one has to have signed."""
        lines = [
            "attributes: {department: {kind: tree}}",
            "evidence: {nda: {kind: agreement, version: 3}}",
            "clearances: [{public: {}}, {internal: {requires: [nda]}}]",
            "resources:",
        ]
        for n in range(self.departments * self.per_person):
            access = f"{{read: {{ldap: {{group: g{n}}}}}}}"
            lines.append(f"  r{n}: {{classification: internal, owner: {{department: d0}}, access: {access}}}")
        lines.append("roles:")
        for department in range(self.departments):
            given = ", ".join(f"r{department * self.per_person + step}" for step in range(self.per_person))
            lines.append(f"  role{department}: {{match: {{department: d{department}}}, grants: {{read: [{given}]}}}}")
        return load_policy({"policy.yaml": "\n".join(lines).encode()}, revision="bench")

    def person(self, n: int) -> Person:
        """One of them."""
        post = Assignment("main", {"department": f"d{n % self.departments}"}, Span(START, None, n + 1))
        return Person(n, f"E{n:07}", "", "", (post,), employed_since=START, last_entry=n + 1)

    def evidence(self, n: int) -> Iterator[EvidenceRecord]:
        """Their proofs, four each; one person in a hundred has not signed."""
        return crowd_store.proofs(n)


def directory(people: int, members: Mapping[EntitlementRef, BitMap]) -> Observation:
    """A target on which everybody has an account (in another order than people have their numbers), with these
    members.
    """
    step = _coprime(people)
    accounts = [
        ObservedAccount(f"k{n}", f"uid=e{n},ou=people", f"e{n}", {"id": f"E{n:07}"})
        for n in ((position * step) % people for position in range(people))
    ]
    position_of = {int(account.login[1:]): position for position, account in enumerate(accounts)}
    entitlements = {
        ref.key: EntitlementRead(ref.key, ref.key, Reading.COMPLETE, BitMap([position_of[n] for n in numbers]))
        for ref, numbers in members.items()
    }
    return Observation(NOW, AccountsRead(Reading.COMPLETE, accounts), entitlements)


def _coprime(count: int) -> int:
    return next(step for step in (7919, 7907, 7901) if count % step)


# --- a company with secrets -------------------------------------------------------------------------------------------

SECRET_POLICY = """
attributes:
  department: {kind: tree}
  grade: {kind: ordered, values: [P3, P4, P5, P6, P7, P8]}
  projects: {kind: set}
  employment: {kind: one_of, values: [employee, contractor]}
evidence:
  nda: {kind: agreement, version: 3, superseded_on: 2027-01-01}
  secrecy-training: {kind: training, valid_for: 1y, grace: 14d}
  non-compete: {kind: agreement, version: 1, applies_to: {grade: {min: P6}}}
  background-check: {kind: check, valid_for: 5y}
  briefing: {kind: training, per: projects, valid_for: 1y}
clearances:
  - public: {}
  - internal: {requires: [nda]}
  - confidential: {requires: [secrecy-training, non-compete]}
  - core: {requires: [background-check], only: {employment: employee}}
compartments:
  "project/{project}": {requires: [{briefing: "{project}"}]}
lifecycle:
  notice: {ceiling: internal}
  leave: {ceiling: public}
"""


@dataclass(frozen=True)
class SecretCompany:
    """Half of the entitlements are projects', which need a briefing each; the others are departments'."""

    people: int
    departments: int
    projects: int

    @property
    def size(self) -> str:
        """In words, as the figures are told."""
        return (
            f"{self.people} people with {4 * self.people} proofs, {self.departments * 2 + self.projects} entitlements "
            "of 4 classes"
        )

    def policy(self) -> Policy:
        """Roles by department and grade, and one for the members of projects."""
        return load_policy({"policy.yaml": self.text().encode()}, revision="bench")

    def text(self) -> str:
        """The policy as a file."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield SECRET_POLICY
        yield "resources:"
        for n in range(self.departments):
            for name, level in (("docs", "internal"), ("core", "core")):
                access = f"{{read: {{ldap: {{group: {name}-{n}}}}}}}"
                yield f"  {name}-{n}: {{classification: {level}, owner: {{department: d}}, access: {access}}}"
        yield "  project-docs/{project}:"
        yield "    classification: confidential"
        yield '    compartments: ["project/{project}"]'
        yield "    owner: {department: d}"
        yield f"    values: {{{', '.join(f'p{n}: {{}}' for n in range(self.projects))}}}"
        yield '    access: {read: {ldap: {group: "prj-{project}"}}}'
        yield "roles:"
        for n in range(self.departments):
            yield f"  staff-{n}: {{match: {{department: d/{n}}}, grants: {{read: [docs-{n}]}}}}"
            match = f"{{department: d/{n}, grade: {{min: P6}}, employment: employee}}"
            yield f"  senior-{n}: {{match: {match}, grants: {{read: [core-{n}]}}}}"
        yield '  member: {for_each: {project: projects}, grants: {read: ["project-docs/{project}"]}}'

    def person(self, n: int) -> Person:
        """One of them: every tenth a contractor, every fiftieth under notice."""
        attributes = {
            "department": f"d/{n % self.departments}/t{n % 7}",
            "grade": f"P{3 + n % 6}",
            "projects": ";".join(f"p{(n * step) % self.projects}" for step in (1, 3, 7)),
            "employment": "contractor" if n % 10 == 0 else "employee",
        }
        notice = (Span(NOW, None, n + 1),) if n % 50 == 0 else ()
        post = Assignment("main", attributes, Span(START, None, n + 1))
        return Person(n, f"E{n:07}", "", "", (post,), notice=notice, employed_since=START, last_entry=n + 1)

    def evidence(self, n: int) -> Iterator[EvidenceRecord]:
        """Their proofs, four each: one in ten has no valid training."""
        signed = datetime(2025 if n % 10 == 3 else 2026, 3, 1, tzinfo=UTC)

        def proof(step: int, kind: str, scope: str = "", version: int = 1) -> EvidenceRecord:
            return EvidenceRecord(4 * n + step, f"E{n:07}", kind, scope, version, signed, None, False, "", "hr", signed)

        yield proof(1, "nda", version=3)
        yield proof(2, "secrecy-training")
        yield proof(3, "background-check")
        yield proof(4, "briefing", f"p{n % self.projects}")
