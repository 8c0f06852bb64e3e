"""The words of a policy: its attributes, its kinds of evidence and its clearance levels."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.policy.document.words import AttributeClause, ClearanceClause, CompartmentClause, EvidenceClause
from reconciler.policy.matching import COMBINATIONS, MatchReader
from reconciler.policy.model import (
    Attribute,
    AttributeKind,
    ClearanceLevel,
    EvidenceCategory,
    EvidenceKind,
    Match,
)
from reconciler.policy.proofs import ProofReader
from reconciler.policy.reading import Declared, Section
from reconciler.policy.report import Names, Report

PERSON_FIELDS = ("id", "name", "email", "assignment", "status", "starts_on", "ends_on")
"""What is known of everybody beside their attributes: an attribute named so would never have a value."""
RESERVED_ATTRIBUTES = (*COMBINATIONS, *PERSON_FIELDS, "person", "since", "until", "transferred")
"""What has a meaning of its own in a match, as an owner, in a people file or in a test's assignment."""


def compile_attributes(section: Section[AttributeClause], report: Report) -> dict[str, Attribute]:
    """The attributes that are whole, by name."""
    compiled = (_attribute(declared, report) for declared in section.whole)
    return {attribute.name: attribute for attribute in compiled if attribute}


def _attribute(declared: Declared[AttributeClause], report: Report) -> Attribute | None:
    name, clause = declared.name, declared.clause
    kind = AttributeKind(clause.kind)
    listing = kind in (AttributeKind.ONE_OF, AttributeKind.ORDERED)
    if name in RESERVED_ATTRIBUTES:
        message = f"attribute `{name}`: this name has a meaning of its own"
        report.error("reserved-name", message, declared.place, "choose another name")
    elif listing and clause.values is None:
        message = f"attribute `{name}`: `values` is missing, and `{kind}` is one of the values that are listed"
        report.error("missing", message, declared.place, "list them, such as `values: [employee, contractor]`")
    elif not listing and clause.values is not None:
        remedy = "take it out; only `one_of` and `ordered` list their values"
        report.error("value", f"attribute `{name}`: `{kind}` takes any value", declared.key("values"), remedy)
    elif (ranks := _ranks(declared, kind, report)) is not None:
        return Attribute(name, kind, ranks, declared.place)
    return None


def _ranks(declared: Declared[AttributeClause], kind: AttributeKind, report: Report) -> dict[str, int] | None:
    ranks: dict[str, int] = {}
    whole = True
    for rank, equals in enumerate(declared.clause.values or ()):
        for index, value in enumerate(equals):
            place = declared.at("values", rank, index)
            if value in ranks:
                whole = False
                message = f"attribute `{declared.name}`: the value `{value}` stands here a second time"
                report.error("duplicate-value", message, place, "keep one of the two")
            ranks[value] = rank if kind is AttributeKind.ORDERED else 0
        if len(equals) > 1 and kind is not AttributeKind.ORDERED:
            whole = False
            message = f"attribute `{declared.name}`: values of equal rank, and `{kind}` has no ranks"
            report.error("value", message, declared.at("values", rank), "list the values one by one")
    return ranks if whole else None


def compile_evidence(
    section: Section[EvidenceClause], attributes: Names, matches: MatchReader, report: Report
) -> dict[str, EvidenceKind]:
    """The kinds of evidence that are whole, by name."""
    for declared in section.whole:
        if declared.clause.per is not None:
            attributes.check(declared.clause.per, f"evidence `{declared.name}` is per the", declared.at("per"), report)
    return {declared.name: _evidence(declared, matches) for declared in section.whole}


def _evidence(declared: Declared[EvidenceClause], matches: MatchReader) -> EvidenceKind:
    clause = declared.clause
    return EvidenceKind(
        declared.name,
        EvidenceCategory(clause.kind),
        clause.version,
        clause.superseded_on,
        clause.valid_for,
        clause.grace,
        optional_match(declared, "applies_to", f"evidence `{declared.name}`", matches),
        clause.survives_rehire,
        declared.place,
        clause.per,
    )


def compile_levels(
    section: Section[ClearanceClause], proofs: ProofReader, matches: MatchReader
) -> tuple[ClearanceLevel, ...]:
    """The levels that are whole, lowest first. A rank counts the broken ones too."""
    ranks = level_ranks(section)
    return tuple(
        ClearanceLevel(
            declared.name,
            ranks[declared.name],
            proofs.requirements(declared, f"clearance `{declared.name}`"),
            optional_match(declared, "only", f"clearance `{declared.name}`", matches),
            declared.place,
        )
        for declared in section.whole
    )


def level_ranks(section: Section[ClearanceClause]) -> Mapping[str, int]:
    """Level → rank, from 0."""
    return {name: rank for rank, name in enumerate(section.places)}


def optional_match(
    declared: Declared[EvidenceClause] | Declared[ClearanceClause] | Declared[CompartmentClause],
    key: str,
    user: str,
    matches: MatchReader,
) -> Match | None:
    """The match under a key of the clause, or None where there is none (or it is broken, which has been reported)."""
    return matches.match(declared.node_at(key), user) if getattr(declared.clause, key) is not None else None
