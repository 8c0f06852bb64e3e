"""Files → clauses: what each section of each file declares, checked clause by clause.

A clause is checked by itself, so that a mistake in one hides none in another. A clause that is broken still counts as
declared: whoever uses its name is not wrong. Names are unique across the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from reconciler.errors import Place
from reconciler.policy.clauses import read_clause
from reconciler.policy.document.bounds import InvariantClause, SeparationClause, SponsorClause
from reconciler.policy.document.conduct import GuardsClause, LifecycleClause
from reconciler.policy.document.exceptions import (
    ExceptionClause,
    ExceptionLimitClause,
    LockoutClause,
    ServiceAccountClause,
)
from reconciler.policy.document.grantees import RoleClause
from reconciler.policy.document.resources import ResourceClause
from reconciler.policy.document.retirement import RetirementClause
from reconciler.policy.document.trials import TrialClause
from reconciler.policy.document.words import AttributeClause, ClearanceClause, CompartmentClause, EvidenceClause
from reconciler.policy.nodes import (
    Field,
    Fields,
    Flaw,
    Items,
    Node,
    Scalar,
    child,
    find,
    key_place,
    sort,
)
from reconciler.policy.report import Names, Report, listed
from reconciler.policy.values import name_refusal, tell
from reconciler.policy.yaml_tree import read_yaml

C = TypeVar("C", bound=BaseModel)


class Shape(StrEnum):
    """How a section is written."""

    NAMED = "named"
    RANKED = "ranked"
    LISTED = "listed"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Declared(Generic[C]):
    """A clause that is whole, with its name ("" in a list), its place and the node that it was read from."""

    name: str
    place: Place
    clause: C
    node: Node

    def node_at(self, *path: str | int) -> Node:
        """The part of the file at this path inside the clause."""
        return find(self.node, path)

    def at(self, *path: str | int) -> Place:
        """Where the value at this path stands."""
        return find(self.node, path).place

    def key(self, *path: str | int) -> Place:
        """Where the key at the end of this path stands."""
        return key_place(self.node, path)


@dataclass(slots=True)
class Section(Generic[C]):
    """What all files together declare in one section.

    `complete` is False where a part could not be read that may have declared more.
    """

    name: str
    noun: str
    model: type[C]
    shape: Shape
    whole: list[Declared[C]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    complete: bool = True
    impaired: set[str] = field(default_factory=set)
    """Names of clauses in `whole` of which a wrong part was left away: they may have meant to say more."""

    def names(self) -> Names:
        """The declared names, for checking references."""
        return Names(self.noun, f"unknown-{self.noun.replace(' ', '-')}", self.places, self.complete)


_TEMPLATES = frozenset({"compartments", "resources"})
"""Sections whose names may hold a variable."""


class Documents:
    """What a policy tree declares, section by section."""

    def __init__(self) -> None:
        self.attributes = Section("attributes", "attribute", AttributeClause, Shape.NAMED)
        self.evidence = Section("evidence", "evidence", EvidenceClause, Shape.NAMED)
        self.clearances = Section("clearances", "clearance", ClearanceClause, Shape.RANKED)
        self.compartments = Section("compartments", "compartment", CompartmentClause, Shape.NAMED)
        self.resources = Section("resources", "resource", ResourceClause, Shape.NAMED)
        self.roles = Section("roles", "role", RoleClause, Shape.NAMED)
        self.exceptions = Section("exceptions", "exception", ExceptionClause, Shape.LISTED)
        self.exception_limits = Section("exception_limits", "exception limit", ExceptionLimitClause, Shape.NAMED)
        self.lockouts = Section("lockouts", "lockout", LockoutClause, Shape.LISTED)
        self.separation = Section("separation", "separation", SeparationClause, Shape.LISTED)
        self.sponsors = Section("sponsors", "sponsor rule", SponsorClause, Shape.LISTED)
        self.lifecycle = Section("lifecycle", "lifecycle", LifecycleClause, Shape.SINGLE)
        self.guards = Section("guards", "guards", GuardsClause, Shape.SINGLE)
        self.invariants = Section("invariants", "invariant", InvariantClause, Shape.LISTED)
        self.service_accounts = Section("service_accounts", "service account", ServiceAccountClause, Shape.NAMED)
        self.retired = Section("retired", "retirement", RetirementClause, Shape.LISTED)
        self.tests = Section("tests", "test", TrialClause, Shape.LISTED)

    def sections(self) -> Mapping[str, Section[Any]]:
        """All sections by name."""
        return {section.name: section for section in vars(self).values()}


def read_documents(files: Mapping[str, bytes], report: Report) -> Documents:
    """Everything that the files declare, in the order of their names."""
    documents = Documents()
    for name in sorted(files):
        root = read_yaml(name, files[name], report)
        if isinstance(root, Fields):
            _read_file(root, documents.sections(), report)
            continue
        if root is not None and not isinstance(root, Flaw):
            remedy = f"begin with a section, such as `roles:`; there are {listed(documents.sections())}"
            report.error(
                "type", f"a policy file is a mapping of sections, and this is {sort(root)}", root.place, remedy
            )
        _spoil(documents.sections().values())
    return documents


def _spoil(sections: Iterable[Section[Any]]) -> None:
    """Remember that more may be declared than could be read."""
    for section in sections:
        section.complete = False


def _read_file(root: Fields, sections: Mapping[str, Section[Any]], report: Report) -> None:
    for name, held in root.fields.items():
        if name in sections:
            _read_section(sections[name], held, report)
        elif isinstance(held.node, Flaw):
            _spoil(sections.values())
        else:
            near = report.nearest(name, sections)
            _spoil([sections[near]] if near else [])
            remedy = f"did you mean `{near}`?" if near else f"there are {listed(sections)}"
            report.error("unknown-section", f"there is no section `{name}`", held.key, remedy)


def _read_section(section: Section[Any], field: Field, report: Report) -> None:
    wanted = Items if section.shape in (Shape.RANKED, Shape.LISTED) else Fields
    if not isinstance(field.node, wanted):
        section.complete = False
        if not isinstance(field.node, Flaw):
            empty, sort_wanted = ("[]", "a list") if wanted is Items else ("{}", "a mapping")
            message = f"`{section.name}` is {sort_wanted}, and this is {sort(field.node)}"
            remedy = f"write `{section.name}: {empty}` where there is none" if sort(field.node) == "nothing" else ""
            report.error("type", message, field.node.place, remedy)
        return
    match section.shape:
        case Shape.NAMED:
            _read_named(section, field.node, report)
        case Shape.RANKED:
            _read_ranked(section, field, report)
        case Shape.LISTED:
            _read_listed(section, field.node, report)
        case Shape.SINGLE:
            _read_single(section, field, report)


def _declare(section: Section[Any], name: str, place: Place, report: Report) -> bool:
    """Take the name; False, with an error, where it stands somewhere else already."""
    if name not in section.places:
        section.places[name] = place
        return True
    first = section.places[name]
    what = f"`{name}`" if section.shape is Shape.SINGLE else f"the {section.noun} `{name}`"
    report.error("duplicate-name", f"{what} is declared a second time; first at {first}", place, "keep one of the two")
    return False


def _read(section: Section[Any], name: str, place: Place, node: Node, report: Report) -> None:
    label = f"{section.noun} `{name}`" if name else section.noun
    if read := read_clause(section.model, node, section.name, label, place, report):
        section.whole.append(Declared(name, place, *read))
        section.impaired.update([name] if read[1] is not node else [])


def _read_named(section: Section[Any], node: Node, report: Report) -> None:
    fields = node.fields if isinstance(node, Fields) else {}
    for name, held in fields.items():
        if isinstance(held.node, Flaw):
            section.complete = False
        if name.startswith("\0"):  # a key that could not be read, and that has been said
            continue
        if not _declare(section, name, held.key, report):
            continue
        if refusal := name_refusal(name, templates=section.name in _TEMPLATES):
            tell(refusal, held.key, report, section.noun)
        else:
            _read(section, name, held.key, held.node, report)


def _read_ranked(section: Section[Any], field: Field, report: Report) -> None:
    """Levels stand in one list, since their order is their rank."""
    first = next(iter(section.places.values()), None)
    if first is not None:
        message = f"`{section.name}` stands in a second place; the first level is at {first}"
        report.error("duplicate-name", message, field.key, "keep all levels in one list: their order is their rank")
    for item in field.node.items if isinstance(field.node, Items) else ():
        if not isinstance(item, Fields) or len(item.fields) != 1:
            section.complete = False
            remedy = "write `- internal: {requires: [nda]}`, one item a level, lowest first"
            report.error("type", "a level is a mapping with its name as the one key", item.place, remedy)
            continue
        _read_named(section, item, report)


def _read_listed(section: Section[Any], node: Node, report: Report) -> None:
    for item in node.items if isinstance(node, Items) else ():
        name = _called(item, "name") if "name" in section.model.model_fields else ""
        if name and not _declare(section, name, find(item, ("name",)).place, report):
            continue
        person = "" if name else _called(item, "person")
        label = f"{section.noun} `{name}`" if name else f"{section.noun} for {person}" if person else section.noun
        if read := read_clause(section.model, item, section.name, label, item.place, report):
            section.whole.append(Declared(name, item.place, *read))
        elif isinstance(item, Flaw) or not name:
            section.complete = False


def _called(item: Node, key: str) -> str:
    """What the item says that its name (or its person) is, or nothing."""
    said = child(item, key)
    return said.text if isinstance(said, Scalar) else ""


def _read_single(section: Section[Any], field: Field, report: Report) -> None:
    """A section that is one clause; several files may each hold other keys of it."""
    fields = field.node.fields if isinstance(field.node, Fields) else {}
    for name, inner in fields.items():
        _declare(section, f"{section.name}.{name}", inner.key, report)
    if read := read_clause(section.model, field.node, section.name, f"`{section.name}`", field.key, report):
        section.whole.append(Declared("", field.key, *read))
